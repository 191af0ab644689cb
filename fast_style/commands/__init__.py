"""The commands: from a config to objects, and what they do. One place composes configs and turns errors into exits."""

import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

import fast_style
from fast_style.errors import FastStyleError

PACKAGE = Path(fast_style.__file__).parent
# In a wheel beside this file's folder, in a checkout at the root.
CONFIGS = next(
    folder for folder in (PACKAGE / "configs", PACKAGE.parent / "configs") if (folder / "train.yaml").is_file()
)
OmegaConf.register_new_resolver("configs", lambda: str(CONFIGS), replace=True)


def run(name: str, work: Callable[[DictConfig], object]) -> None:
    """Compose the config of a command with the keys of the command line, and work on it; an error is one line.

    A job of a sweep (-m) that fails is shown at once. The others are done all the same, and the exit status is 1.
    """

    @hydra.main(version_base="1.3", config_path=str(CONFIGS), config_name=name)
    def main(cfg: DictConfig) -> object:
        try:
            check_complete(cfg)
            return work(cfg)
        except FastStyleError as error:
            if HydraConfig.get().mode == RunMode.RUN:
                sys.exit(f"error: {error}")
            print(f"error: {error}", file=sys.stderr)
            # Unlike an exit it leaves Hydra to go on with the sweep, and is raised again at its end.
            raise CompactHydraException(str(error)) from error
        except KeyboardInterrupt:
            sys.exit("stopped")

    main()


def check_complete(cfg: DictConfig) -> None:
    """Raise FastStyleError for keys that only the user can give, and did not."""
    if missing := OmegaConf.missing_keys(cfg):
        raise FastStyleError(f"give {'=... and '.join(sorted(missing))}=... (--help shows all keys)")
