"""What a run leaves beside its model for whoever asks later: the resolved config, what trained it, a log."""

import json
import logging
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import pytorch_lightning as pl
import torch
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.utilities import rank_zero_only

import fast_style
from fast_style.errors import one_line
from fast_style.hardware import describe_device

CONFIG, ENVIRONMENT, LOG = "config.yaml", "environment.json", "train.log"
log = logging.getLogger("fast_style")


@cache
def commit() -> str | None:
    """The commit of the checkout that this package runs from, with "+changes" if there are any; None outside of one."""
    root = Path(fast_style.__file__).parent.parent

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "fast_style/__init__.py")  # or it is installed inside somebody's repository
        changes = git("status", "--porcelain", "--", "train.py", "fast_style", "configs")
        return git("rev-parse", "--short", "HEAD") + ("+changes" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return None


@cache
def packages() -> dict[str, str]:
    """Versions of what this package builds on, extras too, as far as they are installed."""
    found = {}
    for requirement in requires("fast-style") or ():
        name = re.match(r"[\w.-]+", requirement)[0]
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an extra
            continue
    return found


def environment(device: torch.device) -> dict[str, str | None]:
    """What a training runs on, and by which code, in short."""
    return {"commit": commit(), "machine": describe_device(device), "platform": platform.platform()}


def write_record(folder: Path, config: dict, styles: list[dict], environment: dict) -> None:
    """config.yaml and environment.json of a run, before its first step."""
    folder.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.create(config), folder / CONFIG)
    record = environment | {
        "command": shlex.join(sys.argv),
        "python": platform.python_version(),
        "packages": packages(),
        "styles": styles,
    }
    (folder / ENVIRONMENT).write_text(json.dumps(record, indent=1) + "\n")
    log.info("%s", ", ".join(f"{key} {value}" for key, value in environment.items()))


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Have our log, and everybody's warnings, in a file too: of the first process, where there are several."""
    if rank_zero_only.rank:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.setLevel(logging.INFO)
    log.propagate = False  # the console has a progress bar
    loggers = (log, logging.getLogger())
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    except BaseException as error:
        log.error("%s: %s", type(error).__name__, one_line(error))
        raise
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
        handler.close()


class HeldOutLog(Callback):
    """A line in the log after every validation."""

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        values = {name: value for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        shown = " ".join(f"{name.removeprefix('val/')} {value:.4g}" for name, value in values.items())
        log.info("step %d: %s", trainer.global_step, shown)
