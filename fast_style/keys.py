"""What the keys of configs/ may be: one declaration for every command."""

import math
from collections.abc import Callable

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from fast_style.errors import FastStyleError, one_line

STRONGEST = 1.5  # strength of a style
Kind = Callable[[object], object]  # a value as the package takes it; ValueError with what it must be


def text(value: object) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise ValueError("must be one name or path; one that looks like something else needs quotes")
    if value == "":
        raise ValueError("must not be empty")
    return str(value)  # a folder may be called 2024


def whole(least: int = 1) -> Kind:
    def kind(value: object) -> int:
        if type(value) is not int or value < least:
            raise ValueError(f"must be a whole number, at least {least}")
        return value

    return kind


def number(value: object) -> float:
    if type(value) not in (int, float) or not 0 <= value < math.inf:
        raise ValueError("must be a number, at least 0")
    return value


def within(least: float, most: float) -> Kind:
    def kind(value: object) -> float:
        if type(value) not in (int, float) or not least <= value <= most:
            raise ValueError(f"must be a number from {least:g} to {most:g}")
        return value

    return kind


def positive(value: object) -> float:
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise ValueError("must be a number, more than 0")
    return value


def choice(*choices: object) -> Kind:
    def kind(value: object) -> object:
        if value not in choices:
            raise ValueError(f"choose from {', '.join(map(shown, choices))}")
        return choices[choices.index(value)]

    return kind


def optional(kind: Kind, none: object = None) -> Kind:
    return lambda value: none if value == none else kind(value)


def several(kind: Kind, count: int | None = None) -> Kind:
    def kinds(value: object) -> list:
        if not isinstance(value, list) or (len(value) != count if count else not value):
            raise ValueError(f"must be a list{f' of {count}' if count else ''}, such as [A,B]")
        return [kind(one) for one in value]

    return kinds


def weights(value: object) -> float | list:
    return [weights(one) for one in value] if isinstance(value, list) and value else number(value)


def one_or_more(value: object) -> str | list:
    return several(text)(value) if isinstance(value, list) else text(value)


def pictures_of_styles(value: object) -> str | list | dict:
    if isinstance(value, dict):
        return {text(name): one_or_more(pictures) for name, pictures in value.items()}
    return one_or_more(value)


def mixture(value: object) -> str | dict:
    return {text(name): number(weight) for name, weight in value.items()} if isinstance(value, dict) else text(value)


def masks(value: object) -> str | dict:
    return {text(name): text(mask) for name, mask in value.items()} if isinstance(value, dict) else text(value)


switch = choice(True, False)
PRECISION = choice("auto", "32-true", "bf16-mixed", "16-mixed")

STYLE_AND_LOSS = {
    "style.name": text,
    "style.image": optional(one_or_more),
    "style.style_size": whole(),
    "style.original": switch,
    "loss_network.name": text,
    "loss_network.weights": optional(text),
    "objective.content_layers": several(text),
    "objective.style_layers": several(text),
    "objective.content_weight": number,
    "objective.style_weight": number,
    "objective.style_weights": weights,
    "objective.style_scales": several(positive),
    "objective.tv_weight": number,
    "objective.tone_weight": number,
}

TRAIN = STYLE_AND_LOSS | {
    "recipe": optional(text),
    "seed": whole(0),
    "max_steps": optional(whole(), -1),
    "init_from": optional(text),
    "styles": optional(pictures_of_styles),
    "identity_share": within(0, 0.5),
    "diversity_weight": number,
    "batch_size": whole(),
    "image_size": whole(),
    "short_side": optional(whole()),
    "scale": choice(2, 4, 8),
    "error": choice("feature", "pixel"),
    "optimizer.lr": positive,
    "optimizer.gradient_clip": optional(positive),
    "optimizer.schedule": choice("constant", "cosine", "stairs"),
    "optimizer.warmup_steps": whole(0),
    "precision": PRECISION,
    "fast_layers": switch,
    "channels_last": switch,
    "data_parallel": switch,
    "compile": choice("auto", True, False),
    "preview_every": whole(),
    "checkpoint_every": whole(),
    "ckpt_path": optional(text),
    "photo": optional(text),
    "run_dir": text,
    "data.root": text,
    "data.validation_count": whole(),
    "data.num_workers": optional(whole(0)),
    "data.count": whole(),
    "data.photo_share": number,
    "model.channels": several(whole()),
    "model.residual_blocks": whole(0),
    "model.kernel_sizes": several(whole(), 2),
    "model.noise": switch,
    "model.skips": switch,
    "generator.channels": several(whole()),
    "generator.branch_channels": whole(),
    "generator.noise_channels": whole(),
    "upscaler.scale": choice(2, 4, 8),
    "upscaler.width": whole(),
    "upscaler.residual_blocks": whole(0),
    "upscaler.kernel_sizes": several(whole(), 2),
    "upscaler.residual": switch,
    "upscaler.histogram_matching": switch,
}

INFER = {
    "ckpt": text,
    "input": optional(text),
    "output": optional(text),
    "style": optional(mixture),
    "strength": optional(within(0, STRONGEST)),
    "preserve_color": switch,
    "upscale": optional(text),
    "mask": optional(masks),
    "max_size": optional(whole()),
    "count": optional(whole()),
    "seed": optional(whole(0)),
    "modules": optional(several(text), []),
    "compile": switch,
    "batch_size": whole(),
    "device": text,
    "precision": PRECISION,
}

OPTIMIZE = STYLE_AND_LOSS | {
    "task": text,
    "content": optional(text),
    "output": text,
    "image_size": whole(),
    "seed": whole(0),
    "device": text,
    "max_steps": whole(),
    "coarsest_size": whole(),
    "optimizer.name": choice("lbfgs", "adam"),
    "optimizer.lr": positive,
    "preview_every": number,
    "style_transfer.start": choice("noise", "content", "style"),
    "texture.depth": optional(whole()),
    "texture.components": optional(whole()),
    "texture.random_weights": switch,
    "inversion.layer": text,
    "inversion.tv_weight": number,
    "quilting.block": whole(2),
    "quilting.tolerance": number,
    "quilting.iterations": whole(),
}


def check_keys(config: dict, kinds: dict[str, Kind]) -> None:
    """Bring the values of a config to their kinds, in place, where it has them. Raises FastStyleError.

    A section of a class of the user's own, which may take other values, is left alone.
    """
    for name, kind in kinds.items():
        place, _, key = name.rpartition(".")
        section = config[place] if place else config
        if not isinstance(section, dict):
            raise FastStyleError(f"{place}={shown(section)}: has keys of its own, give {name}=")
        if key not in section or not section.get("_target_", "fast_style.").startswith("fast_style."):
            continue
        try:
            section[key] = kind(section[key])
        except ValueError as error:
            raise FastStyleError(f"{name}={shown(section[key])}: {error}") from error


def shown(value: object) -> str:
    """A value as one writes it on the command line."""
    return {"True": "true", "False": "false", "None": "null"}.get(str(value), str(value))


def build(name: str, section: dict, **arguments: object) -> object:
    """The object that a section of a config means, by its `_target_`. Raises FastStyleError."""
    try:
        return instantiate(section, _convert_="all", **arguments)
    except InstantiationException as error:
        raise FastStyleError(f"{name}: {one_line(error.__cause__ or error)}") from error
