"""Stylise or enlarge images: python infer.py ckpt=model.safetensors input=photo.jpg; draw textures: ckpt=... count=4"""

import sys
from importlib import import_module

from omegaconf import DictConfig, OmegaConf
from torch import nn

from fast_style.checkpoint import fingerprint, load_network
from fast_style.commands import run
from fast_style.errors import FastStyleError, one_line
from fast_style.hardware import keep_freed_memory, pick_device, pick_precision, why_not_compiled
from fast_style.inference.files import MAKER, draw_textures, stylize_moving, stylize_photos
from fast_style.inference.painters import check_meaning, painters
from fast_style.inference.video import is_clip
from fast_style.keys import Infer, check_keys
from fast_style.networks.fast_layers import accelerate


def import_modules(names: list[str]) -> None:
    for name in names:
        try:
            import_module(name)
        except ImportError as error:
            raise FastStyleError(f"modules=[{name}]: {one_line(error)}") from error


def infer(cfg: DictConfig) -> None:
    """Stylise, or draw textures, and report. Raises FastStyleError, after all others, for files that failed."""
    config = OmegaConf.to_container(cfg, resolve=True)
    check_keys(config, Infer)
    import_modules(config["modules"])
    network, own = load_network(config["ckpt"])
    check_meaning(config, network)
    device = pick_device(config["device"])
    if device.type == "cpu":
        keep_freed_memory()
    precision, maker = pick_precision(config["precision"], device), f"{MAKER} {fingerprint(network)}"
    if config["compile"] and (reason := why_not_compiled(device)):
        raise FastStyleError(f"compile=true fails here: {reason}")

    def ready(one: nn.Module) -> nn.Module:
        accelerate(one)
        if config["compile"]:
            one.compile()
        return one.to(device)

    if config["input"] is None:
        written, failures = draw_textures(config, ready(network), own, precision, maker), []
    elif is_clip(config["input"]):
        written, failures = stylize_moving(config, painters(config, network, own, ready), precision, maker), []
    else:
        written, failures = stylize_photos(config, painters(config, network, own, ready), precision, maker)
    print(f"wrote {written[0]}" if len(written) == 1 else f"wrote {len(written)} images")
    for reason in failures:
        print(f"failed: {reason}", file=sys.stderr)
    if failures:
        raise FastStyleError(f"{len(failures)} of {len(failures) + len(written)} images failed, as listed above")


def main() -> None:
    run("infer", infer)
