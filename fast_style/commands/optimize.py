"""The slow ways, each with a picture at the end: python optimize.py task=style_transfer content=photo.jpg"""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from fast_style.ancestors.tasks import TASKS
from fast_style.commands import run
from fast_style.data.images import check_target
from fast_style.errors import FastStyleError, check_choice
from fast_style.hardware import keep_freed_memory, pick_device
from fast_style.keys import Optimize, check_keys


def check(config: dict) -> None:
    """Refuse what would only fail, or be ignored, after the work."""
    check_keys(config, Optimize)
    task, content, output = config["task"], config["content"], Path(config["output"])
    check_choice("task", task, TASKS)
    if content is None and task in ("style_transfer", "inversion"):
        raise FastStyleError(f"task={task} needs a photo: give content=FILE")
    if content is not None and task in ("texture", "portilla_simoncelli"):
        raise FastStyleError(f"task={task} takes no content=: the texture is style.image=FILE, or style=NAME")
    check_target("output", output)
    if content is not None and output.resolve() == Path(content).resolve():
        raise FastStyleError(f"output={output} would overwrite content=: give another name")


def optimize(cfg: DictConfig) -> None:
    """Do the task of a config, and write its picture."""
    config = OmegaConf.to_container(cfg, resolve=True)
    check(config)
    device = pick_device(config["device"])
    if device.type == "cpu":
        keep_freed_memory()
    TASKS[config["task"]](config, device)


def main() -> None:
    run("optimize", optimize)
