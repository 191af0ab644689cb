"""Stylise images: python infer.py ckpt=model.safetensors input=photo.jpg, or draw textures: ... count=4 size=512"""

import sys
from importlib import import_module

from omegaconf import DictConfig
from torch import nn

from fast_style.checkpoint import load_network
from fast_style.commands import run
from fast_style.errors import FastStyleError, check_choice, check_whole
from fast_style.hardware import keep_freed_memory, pick_device, pick_precision
from fast_style.inference.files import draw_textures, stylize_photos
from fast_style.networks.fast_layers import accelerate
from fast_style.networks.texture_generator import TextureGenerator


def check_keys(cfg: DictConfig, network: nn.Module) -> None:
    """Refuse keys that mean nothing to the model, and one that draws on a photo without a photo."""
    if not isinstance(network, TextureGenerator):
        kind, foreign = "has no noise: it stylises each photo in one way", ("count", "seed", "size")
    elif network.content:
        kind, foreign = "stylises photos at their own size", ("size",)
    else:
        kind, foreign = "draws textures from noise alone", ("input", "max_size")
    for key in foreign:
        if cfg[key] is not None:
            raise FastStyleError(f"{key}={cfg[key]}: {cfg.ckpt} {kind}")
    if "input" not in foreign and cfg.input is None:
        raise FastStyleError("give input=... (python infer.py --help shows all keys)")


def infer(cfg: DictConfig) -> None:
    """Stylise, or draw textures, and report. Raises FastStyleError, after all others, for files that failed."""
    check_choice("precision", cfg.precision, ("auto", "32-true", "bf16-mixed", "16-mixed"))
    check_choice("compile", cfg.compile, (True, False))
    for key, least in {"batch_size": 1, "max_size": 1, "count": 1, "seed": 0}.items():
        if cfg[key] is not None:
            check_whole(key, cfg[key], least)
    for module in cfg.modules:
        import_module(module)
    network, style = load_network(str(cfg.ckpt))
    check_keys(cfg, network)
    accelerate(network)
    device = pick_device(cfg.device)
    if device.type == "cpu":
        keep_freed_memory()
    precision = pick_precision(cfg.precision, device)
    if cfg.compile:
        network.compile()
    draw = stylize_photos if cfg.input is not None else draw_textures
    written, failures = draw(cfg, network.to(device), style, precision)
    print(f"wrote {written[0]}" if len(written) == 1 else f"wrote {len(written)} images")
    for reason in failures:
        print(f"failed: {reason}", file=sys.stderr)
    if failures:
        raise FastStyleError(f"{len(failures)} of {len(failures) + len(written)} images failed, as listed above")


def main() -> None:
    run("infer", infer)
