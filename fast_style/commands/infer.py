"""Stylise or enlarge images: python infer.py ckpt=model.safetensors input=photo.jpg; draw textures: ckpt=... count=4"""

import sys
from importlib import import_module

from omegaconf import DictConfig, OmegaConf
from torch import nn

from fast_style.checkpoint import load_network
from fast_style.commands import run
from fast_style.errors import FastStyleError, one_line
from fast_style.hardware import keep_freed_memory, pick_device, pick_precision, why_not_compiled
from fast_style.inference.files import draw_textures, stylize_photos
from fast_style.keys import INFER, check_keys
from fast_style.networks.fast_layers import accelerate
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.texture_generator import TextureGenerator
from fast_style.networks.upscaler import Upscaler


def import_modules(names: list[str]) -> None:
    for name in names:
        try:
            import_module(name)
        except ImportError as error:
            raise FastStyleError(f"modules=[{name}]: {one_line(error)}") from error


def check_meaning(config: dict, network: nn.Module) -> None:
    """Refuse keys that mean nothing to the model, and one that draws on a photo without a photo."""
    if isinstance(network, Upscaler):
        kind, foreign = "enlarges each photo in one way", ("style", "count", "seed", "size")
    elif not isinstance(network, TextureGenerator):
        kind, foreign = "stylises each photo in one way", ("count", "seed", "size")
    elif network.content:
        kind, foreign = "stylises photos at their own size", ("size",)
    else:
        kind, foreign = "draws textures from noise alone", ("input", "max_size")
    for key in foreign:
        if config[key] is not None:
            raise FastStyleError(f"{key}={config[key]}: {config['ckpt']} {kind}")
    if "input" not in foreign and config["input"] is None:
        raise FastStyleError("give input=... (python infer.py --help shows all keys)")


def chosen_styles(network: nn.Module, own: str, style: str | dict | None) -> dict[str, nn.Module]:
    """A network for every style that `style=` means, by the name that its pictures get."""
    if not isinstance(network, MultiStyleNet):
        if style is not None:
            raise FastStyleError(f"style={style}: the model has one style, {own}")
        return {own: network}
    if style is None or style == "all":
        return {name: network.transformer_for(name) for name in network.names}
    if isinstance(style, str):
        return {style: network.transformer_for(style)}
    return {"_".join(f"{name}_{weight}" for name, weight in style.items()): network.transformer_for(style)}


def infer(cfg: DictConfig) -> None:
    """Stylise, or draw textures, and report. Raises FastStyleError, after all others, for files that failed."""
    config = OmegaConf.to_container(cfg, resolve=True)
    check_keys(config, INFER)
    import_modules(config["modules"])
    network, style = load_network(config["ckpt"])
    check_meaning(config, network)
    device = pick_device(config["device"])
    if device.type == "cpu":
        keep_freed_memory()
    precision, written, failures = pick_precision(config["precision"], device), [], []
    if config["compile"] and (reason := why_not_compiled(device)):
        raise FastStyleError(f"compile=true fails here: {reason}")
    draw = stylize_photos if config["input"] is not None else draw_textures
    for name, one in chosen_styles(network, style, config["style"]).items():
        accelerate(one)
        if config["compile"]:
            one.compile()
        drawn, failed = draw(config, one.to(device), name, precision)
        written, failures = written + drawn, failures + failed
    print(f"wrote {written[0]}" if len(written) == 1 else f"wrote {len(written)} images")
    for reason in failures:
        print(f"failed: {reason}", file=sys.stderr)
    if failures:
        raise FastStyleError(f"{len(failures)} of {len(failures) + len(written)} images failed, as listed above")


def main() -> None:
    run("infer", infer)
