"""Stylise or enlarge images: python infer.py ckpt=model.safetensors input=photo.jpg; draw textures: ckpt=... count=4;
paint in a style at once: python infer.py style.image=painting.jpg input=photo.jpg"""

import sys
from importlib import import_module

from omegaconf import DictConfig, OmegaConf
from torch import nn

from fast_style.checkpoint import fingerprint, load_network
from fast_style.commands import run
from fast_style.errors import FastStyleError, one_line
from fast_style.hardware import keep_freed_memory, pick_device, pick_precision, why_not_compiled
from fast_style.inference.files import MAKER, draw_textures, stylize_photos
from fast_style.inference.first_guess import SHIPPED, better, name_pictures, predicted
from fast_style.inference.painters import check_meaning, painters
from fast_style.keys import Infer, check_keys, shown
from fast_style.networks.any_style import AnyStyleNet
from fast_style.networks.fast_layers import accelerate


def import_modules(names: list[str]) -> None:
    for name in names:
        try:
            import_module(name)
        except ImportError as error:
            raise FastStyleError(f"modules=[{name}]: {one_line(error)}") from error


def take_image(config: dict) -> str | list[str] | None:
    """What style.image= means, which is no part of a mixture: style= is left with what it is without."""
    if not isinstance(config["style"], dict):
        return None
    image = config["style"].pop("image", None)
    config["style"] = config["style"] or None
    return image


def network_of(config: dict, image: str | list[str] | None) -> tuple[nn.Module, str, str | None]:
    """What ckpt= names or, without it, what is predicted of the pictures that are given; the name of its style, and
    what to say of a first guess. Raises FastStyleError."""
    if config["ckpt"] is None and image is None and config["style"] is None and not isinstance(config["mask"], dict):
        raise FastStyleError("give ckpt=MODEL, or style.image=PAINTING (python infer.py --help shows all keys)")
    network, own = load_network(config["ckpt"] or SHIPPED)
    if isinstance(network, AnyStyleNet):
        pictures = name_pictures(config, image)
        return predicted(network, pictures), own, better(pictures)
    if image is not None:
        raise FastStyleError(f"style.image={shown(image)}: the model of ckpt= has learnt its style; leave out ckpt=")
    return network, own, None


def infer(cfg: DictConfig) -> None:
    """Stylise, or draw textures, and report. Raises FastStyleError, after all others, for files that failed."""
    config = OmegaConf.to_container(cfg, resolve=True)
    check_keys(config, Infer)
    image = take_image(config)
    import_modules(config["modules"])
    network, own, note = network_of(config, image)
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
    else:
        written, failures = stylize_photos(config, painters(config, network, own, ready), precision, maker)
    print(f"wrote {written[0]}" if len(written) == 1 else f"wrote {len(written)} images")
    if note and written:
        print(f"\n{note}")
    for reason in failures:
        print(f"failed: {reason}", file=sys.stderr)
    if failures:
        raise FastStyleError(f"{len(failures)} of {len(failures) + len(written)} images failed, as listed above")


def main() -> None:
    run("infer", infer)
