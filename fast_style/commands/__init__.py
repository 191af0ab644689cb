"""The commands: from a config to objects, and what they do. One place composes configs and turns errors into exits."""

import gc
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

import fast_style
from fast_style.errors import FastStyleError, one_line
from fast_style.overrides import explain

PACKAGE = Path(fast_style.__file__).parent
# In a wheel beside this file's folder, in a checkout at the root.
CONFIGS = next(
    folder for folder in (PACKAGE / "configs", PACKAGE.parent / "configs") if (folder / "train.yaml").is_file()
)
OmegaConf.register_new_resolver("configs", lambda: str(CONFIGS), replace=True)
# The keys of style={mosaic: 0.3, ...} are names, which no config can declare.
ConfigStore.instance().store("names", OmegaConf.create({}, flags={"struct": False}))


class FailedJob(CompactHydraException):
    """A job of a sweep has failed, and was shown when it did; launchers that pickle it drop its cause."""


def run(name: str, work: Callable[[DictConfig], object]) -> None:
    """Compose the config of a command with the keys of the command line, and work on it; an error is one line.

    A job of a sweep (-m) that fails is shown at once. The others are done all the same, and the exit status is 1.
    """

    @hydra.main(version_base="1.3", config_path=str(folder_of(name)), config_name=name)
    def main(cfg: DictConfig) -> object:
        try:
            check_composed(cfg, HydraConfig.get().overrides.task)
            return work(cfg)
        except KeyboardInterrupt:
            sys.exit("stopped")
        except Exception as error:
            if isinstance(error, FastStyleError):
                reason = f"error: {error}"
                print(reason, file=sys.stderr)
            else:  # a bug, which is to be seen whole, or an accelerator without memory
                reason = f"{type(error).__name__}: {one_line(error)}"
                traceback.print_exc()
            if HydraConfig.get().mode == RunMode.RUN:
                sys.exit(1)
            # Unlike an exit it leaves Hydra to go on with the sweep, and is raised again at its end.
            raise FailedJob(reason) from error

    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # have Hydra raise what it would print, and at length
    gc.freeze()  # what has been imported stays: looking for garbage among it takes a third of a second at the end alone
    try:
        main()
    except FailedJob:
        sys.exit(1)
    except Exception as error:  # Hydra's have no common type
        with hydra.initialize_config_dir(str(folder_of(name)), version_base="1.3"):
            sys.exit(f"error: {explain(error, name)}")


def folder_of(name: str) -> Path:
    """Where the config of a command lies: that of infer.py apart, whose key style= is no choice of configs/style."""
    return CONFIGS / "infer" if name == "infer" else CONFIGS


def check_composed(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Raise FastStyleError for keys that only the user can give, and did not, and for what a config cannot hold."""
    try:
        missing = OmegaConf.missing_keys(cfg)
        OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        raise FastStyleError(explain(error, "")) from error
    if missing:
        raise FastStyleError(f"give {'=... and '.join(sorted(missing))}=... (--help shows all keys)")
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        if isinstance(override.value(), list) and isinstance(cfg.get(override.key_or_group), DictConfig):
            raise FastStyleError(f"{override.input_line}: one of them; -m {override.key_or_group}=A,B is a sweep")
