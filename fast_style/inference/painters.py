"""What paints the photos of infer.py, from its keys: networks, by the name that their pictures get."""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from fast_style.checkpoint import load_network
from fast_style.data.images import read_mask
from fast_style.errors import FastStyleError
from fast_style.inference.blending import Style, fallback, painter, strengthened
from fast_style.inference.sampling import Variant
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.texture_generator import TextureGenerator
from fast_style.networks.upscaler import Upscaler


def check_meaning(config: dict, network: nn.Module, ckpt: str) -> None:
    """Refuse keys that mean nothing to the model, and one that draws on a photo without a photo."""
    painting = ("style", "strength", "mask", "preserve_color", "upscale", "stroke_size", "steady")
    if isinstance(network, Upscaler):
        kind, foreign = "enlarges each photo in one way", ("count", "seed", "size", *painting)
    elif not isinstance(network, TextureGenerator):
        kind, foreign = "stylises each photo in one way", ("count", "seed", "size")
    elif network.content:
        kind, foreign = "stylises photos at their own size", ("size",)
    else:
        kind, foreign = "draws textures from noise alone", ("input", "max_size", *painting)
    chosen = {key for key, value in config.items() if value is not None and value is not False}
    chosen -= {key for key in ("stroke_size", "steady") if config[key] == "auto"}
    if "upscale" in chosen and "stroke_size" in chosen:
        raise FastStyleError(
            f"stroke_size={config['stroke_size']}: upscale= makes strokes large already, give one of them"
        )
    if config["style"] == "random":
        foreign = tuple(key for key in foreign if key != "seed")
    for key in foreign:
        if key in chosen:
            raise FastStyleError(f"{key}={config[key]}: {ckpt} {kind}")
    if "input" not in foreign and config["input"] is None:
        raise FastStyleError("give input=... (python infer.py --help shows all keys)")


def chosen_styles(config: dict, network: nn.Module, own: str) -> list[Style | None]:
    """The styles that `style=` means; None is the only one, or those that `mask=` names."""
    style = config["style"]
    if not isinstance(network, MultiStyleNet):
        if style is not None and not (isinstance(config["ckpt"], list) and style in ("all", "random")):
            raise FastStyleError(f"style={style}: the model has one style, {own}")
        return [None]
    if isinstance(config["mask"], dict) or style not in (None, "all", "random"):
        return [style]
    return network.names


def name_of(config: dict, own: str, style: Style | None, strength: float) -> str:
    """What pictures are called: mosaic, mosaic_0.3_woodcut_0.7, mosaic_strength_0.5, mosaic_woodcut_masked, ..."""
    if isinstance(config["mask"], dict):
        parts = list(config["mask"])
    elif isinstance(style, dict):
        parts = [f"{name}_{weight}" for name, weight in style.items()]
    else:
        parts = [style or own]
    parts += [f"strength_{strength:g}"] if strength != 1 else []
    parts += ["masked"] if config["mask"] else []
    parts += [f"strokes_{config['stroke_size']}"] if config["stroke_size"] not in (None, "auto") else []
    parts += ["colors"] if config["preserve_color"] else []
    return "_".join(parts + (["large"] if config["upscale"] else []))


def load_upscaler(ckpt: str | Path) -> Upscaler:
    """The network of a release file of task=super_resolution. Raises FastStyleError."""
    network, _ = load_network(ckpt, "upscale")
    if not isinstance(network, Upscaler):
        raise FastStyleError(f"upscale={ckpt}: give a model of task=super_resolution, which enlarges pictures")
    return network


def painters(
    config: dict, network: nn.Module, own: str, ready: Callable[[nn.Module], nn.Module]
) -> dict[str, list[nn.Module]]:
    """What paints a photo, in one way or in several variants of one, by the name that the pictures get."""
    strength, mask = 1 if config["strength"] is None else config["strength"], config["mask"]
    styles = chosen_styles(config, network, own)
    if note := fallback(network, strength):
        print(note)
    if isinstance(mask, dict):
        mask = {name: read_mask(path) for name, path in mask.items()}
    elif mask is not None:
        mask = read_mask(mask)
    upscaler = ready(load_upscaler(config["upscale"])) if config["upscale"] else None
    if isinstance(network, MultiStyleNet):
        names, variants = network.names, [lambda *style: ready(strengthened(network, *style))]
    elif isinstance(network, TextureGenerator):
        seed, generator = config["seed"] or 0, ready(network)
        each = [Variant(generator, seed, index) for index in range(config["count"] or 1)]
        names, variants = [own], [lambda *_, variant=variant: variant for variant in each]
    else:
        transformer = ready(network)
        names, variants = [own], [lambda *_: transformer]
    return {
        name_of(config, own, style, strength): [
            painter(
                network,
                names,
                network_for,
                style,
                strength,
                mask,
                config["preserve_color"],
                upscaler,
                config["stroke_size"],
            )
            for network_for in variants
        ]
        for style in styles
    }
