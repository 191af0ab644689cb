"""KEY=VALUE: written so that Hydra and a shell read it, and what is wrong where Hydra cannot."""

import difflib
import re
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import hydra
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationKeyError

from fast_style.errors import one_line

PLUGINS = {  # what our configs take from plugins that nobody needs but for them
    "hydra/launcher/joblib": "hydra-joblib-launcher",
    "hydra/launcher/ray": "hydra-ray-launcher",
    "hydra/launcher/submitit_slurm": "hydra-submitit-launcher",
}


def quoted(value: str | Path) -> str:
    """A value that Hydra reads as this text, whatever is in it."""
    if re.fullmatch(r"[\w:/\-. ]+", str(value), re.ASCII):
        return str(value)
    return QuotedString(str(value).replace("${", r"\${"), Quote.double).with_quotes()


def for_shell(key: str, value: str | Path) -> str:
    """KEY=VALUE to paste into a POSIX shell."""
    return shlex.quote(f"{key}={quoted(value)}")


def command_line(name: str, *overrides: str) -> str:
    """The command train or infer with overrides, to paste into a shell, beside the command that runs now."""
    door = Path(sys.argv[0]).with_name(f"{name}.py")
    ours = Path(sys.argv[0]).name in ("train.py", "infer.py")
    return " ".join([f"python {shlex.quote(str(door))}" if ours else f"fast-style-{name}", *overrides])


def infer_command(model: Path, *others: str) -> str:
    """What stylises or draws with a release file."""
    return command_line("infer", for_shell("ckpt", model), *others)


def explain(error: Exception, name: str) -> str:
    """One line on what Hydra or OmegaConf says about the keys of configs/NAME.yaml; Hydra has to be initialised."""
    if isinstance(error, OverrideParseException):
        key, equals, value = error.override.partition("=")
        if not equals:
            return f"{key}: must be KEY=VALUE (--help shows all keys)"
        return f"{error.override}: such a value needs quotes, and quotes around them: {for_shell(key, value)}"
    if ambiguous := re.match(r"Ambiguous value for argument '(.*)'\n", str(error)):
        together = for_shell(*ambiguous[1].split("=", 1))
        return f"{ambiguous[1]}: a sweep needs -m, and a comma in a name needs quotes: {together}"
    if isinstance(error, InterpolationKeyError):
        return rf"{one_line(error)}; in a name, ${{ is written \${{"
    if isinstance(error, MissingConfigException) and (package := PLUGINS.get(error.missing_cfg_file)):
        return f"{error.missing_cfg_file} is of a plugin of Hydra: pip install {package}"
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = error.missing_cfg_file.rpartition("/")
        return f"{group}={choice}: choose from {', '.join(error.options)}"
    if key := getattr(error.__cause__, "full_key", None):
        return no_such_key(key, names_of(OmegaConf.to_container(hydra.compose(name))))
    return one_line(error)


def no_such_key(key: str, keys: Iterable[str], section: str = "") -> str:
    """One line on a key that is none of `keys`, all of them in the same section, such as "style."."""
    nearest = difflib.get_close_matches(key, keys, n=1)
    hint = f"did you mean {section}{nearest[0]}= ? " if nearest else ""
    return f"{section}{key}: no such key; {hint}(--help shows all keys)"


def names_of(config: dict, prefix: str = "") -> Iterator[str]:
    """The keys of a config, those of sections with the section before: style, style.image, ..."""
    for key, value in config.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from names_of(value, f"{prefix}{key}.")
