"""The keys of configs/, each declared once: its type, which OmegaConf checks, and its range or choices.

Defaults are in configs/*.yaml alone.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields, is_dataclass
from functools import reduce
from operator import or_
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fast_style.errors import FastStyleError, one_line
from fast_style.overrides import no_such_key

STRONGEST = 1.5  # strength of a style
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")
SCALES = (2, 4, 8)  # what doublings make; the paper has 4 and 8
NORMS = ("instance", "batch", "none")
UPSAMPLINGS = ("nearest", "bilinear", "transposed")

# Unions, where OmegaConf converts nothing: 1 stays 1, and true is neither a number nor the name True.
Number = int | float
Text = str | int  # a folder may be called 2024

MUST_BE = {
    int: "must be a whole number",
    Number: "must be a number",
    bool: "choose from true, false",
    str: "must be one name",
    Text: "must be one name or path; one that looks like something else needs quotes",
    list: "must be a list",
    dict: "must be a mapping, such as {A: B}",
}


# OmegaConf has no ranges, and its choices are those of an Enum, which cannot have 32-true. In lists and mappings these
# hold for every value. `more`: count, the length of a list; none, what null and a value like it stand for.


def at_least(least: float, **more: object) -> Any:
    return field(metadata={"holds": lambda value: least <= value < math.inf, "range": f", at least {least:g}", **more})


def more_than(least: float) -> Any:
    return field(metadata={"holds": lambda value: least < value < math.inf, "range": f", more than {least:g}"})


def within(least: float, most: float) -> Any:
    return field(metadata={"holds": lambda value: least <= value <= most, "range": f" from {least:g} to {most:g}"})


def choice(*choices: object) -> Any:
    return field(metadata={"holds": choices.__contains__, "choices": choices})


def shape(take: Callable[[object], object]) -> Any:
    """Of several shapes, such as a name or a list. It is Any to OmegaConf, whose unions are of single values only, and
    `take` makes of it what the package takes, or raises ValueError with what it must be."""
    return field(metadata={"shape": take})


def optional(take: Callable[[object], object]) -> Callable[[object], object]:
    return lambda value: None if value is None else take(value)


def text(value: object) -> str:
    if not isinstance(value, Text) or isinstance(value, bool):
        raise ValueError(MUST_BE[Text])
    if value == "":
        raise ValueError("must not be empty")
    return str(value)


def number(value: object) -> float:
    if not isinstance(value, Number) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ValueError(f"{MUST_BE[Number]}, at least 0")
    return value


def tile_side(value: object) -> int | str:
    if value not in ("auto", "off") and (type(value) is not int or value < 64):
        raise ValueError("must be auto, off, or a side in pixels, at least 64")
    return value


def longest_side(value: object) -> int | str:
    if value != "auto" and (type(value) is not int or value < 16):
        raise ValueError("must be auto, null, or a side in pixels, at least 16")
    return value


def amount(value: object) -> float:
    """Bytes of an amount of memory."""
    match = re.fullmatch(r"(\d+\.?\d*)\s*(GB|MB)", str(value), re.IGNORECASE)
    if not match:
        raise ValueError("must be an amount such as 4GB or 1500MB")
    return float(match[1]) * {"GB": 1e9, "MB": 1e6}[match[2].upper()]


def numbers(value: object) -> float | list:
    return [numbers(one) for one in value] if isinstance(value, list) and value else number(value)


def texts(value: object) -> str | list[str]:
    if value == []:
        raise ValueError(f"{MUST_BE[list]}, such as [A,B]")
    return [text(one) for one in value] if isinstance(value, list) else text(value)


def text_or_named(take: Callable[[object], object]) -> Callable[[object], str | dict[str, object]]:
    def text_or_mapping(value: object) -> str | dict[str, object]:
        return {text(name): take(one) for name, one in value.items()} if isinstance(value, dict) else text(value)

    return text_or_mapping


def mixture_or_image(value: object) -> str | dict[str, object]:
    if isinstance(value, dict) and "image" in value:
        return {name: optional(texts)(one) if name == "image" else number(one) for name, one in value.items()}
    return text_or_named(number)(value)


def texts_or_named_texts(value: object) -> str | list[str] | dict[str, str | list[str]]:
    return text_or_named(texts)(value) if isinstance(value, dict) else texts(value)


@dataclass
class Style:
    name: Text
    image: Any = shape(optional(texts))
    style_size: int = at_least(1)
    original: bool
    original_url: Text | None
    original_sha256: Text | None


@dataclass
class LossNetwork:
    name: str = choice("vgg16_lowrank", "distilled", "vgg16", "vgg16_caffe", "vgg19", "vgg19_caffe", "vgg19_small")
    weights: Text | None
    pooling: str = choice("max", "avg")
    padding: str | None = choice("zeros", "reflect", None)


@dataclass
class Objective:
    content_layers: list[str]
    style_layers: list[str]
    content_weight: Number = at_least(0)
    style_weight: Number = at_least(0)
    style_weights: Any = shape(numbers)  # one, one a layer, or such a list for every scale
    style_scales: list[Number] = more_than(0)
    tv_weight: Number = at_least(0)
    tone_weight: Number = at_least(0)
    error: str = choice("mean_squared", "relative")
    match_colors: bool
    terms: dict[str, Any] | None  # classes of the user's


@dataclass
class Data:
    _target_: str
    root: Text
    validation_count: int = at_least(1)
    unreadable_log: Text
    count: int = at_least(1)
    photo_share: Number = at_least(0)
    image_size: int = at_least(1)
    short_side: int | None = at_least(1)
    batch_size: int = at_least(1)
    seed: int = at_least(0)
    num_workers: int | None = at_least(0)


@dataclass
class Model:
    channels: list[int] = at_least(1)
    residual_blocks: int = at_least(0)
    kernel_sizes: list[int] = at_least(1, count=2)
    norm: str = choice(*NORMS)
    upsampling: str = choice(*UPSAMPLINGS)
    padding: str = choice("reflect", "input")
    output: str = choice("linear", "tanh", "tanh150")
    coarse_blocks: int = at_least(0)
    weight_norm: bool
    noise: bool | str = choice("fine", True, False)
    skips: bool
    margin: int = at_least(0)


@dataclass
class Generator:
    channels: list[int] = at_least(1)
    branch_channels: int = at_least(1)
    noise_channels: int = at_least(1)
    norm: str = choice(*NORMS)


@dataclass
class Upscaler:
    scale: int = choice(*SCALES)
    width: int = at_least(1)
    residual_blocks: int = at_least(0)
    kernel_sizes: list[int] = at_least(1, count=2)
    norm: str = choice(*NORMS)
    upsampling: str = choice(*UPSAMPLINGS)
    padding: str = choice("zeros", "replicate")  # images of one pixel have no reflection
    residual: bool
    histogram_matching: bool


@dataclass
class Optimizer:
    lr: Number = more_than(0)
    gradient_clip: Number | None = more_than(0)
    schedule: str = choice("constant", "cosine", "stairs")
    warmup_steps: int = at_least(0)


@dataclass
class Task:
    name: Text
    _target_: str


@dataclass
class Train:
    recipe: Text | None
    seed: int = at_least(0)
    budget: Any  # parse_duration reads it
    max_steps: int | None = at_least(1, none=-1)
    init_from: Text | None
    styles: Any = shape(optional(texts_or_named_texts))
    identity_share: Number = within(0, 0.5)
    diversity_weight: Number = at_least(0)
    stability_weight: Number = at_least(0)
    batch_size: int = at_least(1)
    image_size: int = at_least(1)
    short_side: int | None = at_least(1)
    scale: int = choice(*SCALES)
    error: str = choice("feature", "pixel")
    precision: str = choice(*PRECISIONS)
    fast_layers: bool
    channels_last: bool
    data_parallel: bool
    compile: bool | str = choice("auto", True, False)
    preview_every: int = at_least(1)
    lbfgs_iterations: int = at_least(0)
    checkpoint_every: int = at_least(1)
    ckpt_path: Text | None
    photo: Text | None
    run_dir: Text
    task: Task
    style: Style
    data: Data
    model: Model
    generator: Generator
    upscaler: Upscaler
    loss_network: LossNetwork
    objective: Objective
    optimizer: Optimizer
    trainer: dict[str, Any]  # Lightning's, which checks its own; so the loggers
    logger: dict[str, Any]
    callbacks: dict[str, Any] | None


@dataclass
class Infer:
    ckpt: Any = shape(optional(texts))
    input: Text | None
    output: Text | None
    style: Any = shape(optional(mixture_or_image))
    strength: Number | None = within(0, STRONGEST)
    preserve_color: bool
    mask: Any = shape(optional(text_or_named(text)))
    upscale: Text | None
    max_size: int | None = at_least(1)
    stroke_size: Any = shape(optional(longest_side))
    steady: bool | str = choice("auto", True, False)
    tile: Any = shape(tile_side)
    max_memory: Any = shape(optional(amount))
    count: int | None = at_least(1)
    seed: int | None = at_least(0)
    size: Any  # parse_size reads it
    modules: list[str] | None = field(metadata={"none": []})
    compile: bool
    batch_size: int = at_least(1)
    workers: int = at_least(1)
    device: Text
    precision: str = choice(*PRECISIONS)


@dataclass
class Export:
    ckpt: Text
    format: str = choice("onnx", "torch", "executorch", "coreml")
    output: Text | None
    precision: str = choice("float32", "float16", "int8")
    max_size: int | None = at_least(1)
    uint8: bool
    modules: list[str] | None = field(metadata={"none": []})


@dataclass
class Serve:
    models: Any = shape(texts)
    host: Text
    port: int = at_least(0)
    max_bytes: int = at_least(1)
    max_pixels: int = at_least(1)
    max_size: int = at_least(1)
    at_once: int = at_least(1)
    waiting: int = at_least(0)
    timeout: Number = more_than(0)
    device: Text
    precision: str = choice(*PRECISIONS)


@dataclass
class PixelOptimizer:
    name: str = choice("lbfgs", "adam")
    lr: Number = more_than(0)


@dataclass
class StyleTransfer:
    start: str = choice("noise", "content", "style")


@dataclass
class Texture:
    layer_weights: dict[str, Number] = at_least(0)
    depth: int | None = at_least(1)
    statistic: str = choice("gram", "mean")
    error: str = choice("relative", "absolute")
    components: int | None = at_least(1)
    random_weights: bool


@dataclass
class Inversion:
    layer: Text
    tv_weight: Number = at_least(0)


@dataclass
class Quilting:
    block: int = at_least(2)
    tolerance: Number = at_least(0)
    iterations: int = at_least(1)


@dataclass
class Optimize:
    task: Text
    content: Text | None
    output: Text
    image_size: int = at_least(1)
    seed: int = at_least(0)
    device: Text
    max_steps: int = at_least(1)
    coarsest_size: int = at_least(1)
    preview_every: Number = at_least(0)
    style: Style
    loss_network: LossNetwork
    objective: Objective
    optimizer: PixelOptimizer
    style_transfer: StyleTransfer
    texture: Texture
    inversion: Inversion
    quilting: Quilting


def check_keys(config: dict, keys: type, place: str = "") -> None:
    """Bring the values of a config, or of its section `place`, to the types of `keys`, in place, where it has them.

    Raises FastStyleError. A section of a class of the user's own may have any keys and is left alone; a task of the
    user's own may read keys of its own beside it.
    """
    declared = {one.name: one for one in fields(keys)}
    if (unknown := [key for key in config if key not in declared]) and not is_of_user(config.get("task")):
        raise FastStyleError(no_such_key(str(unknown[0]), declared, place))
    typed = OmegaConf.structured(keys)
    for key in [key for key in declared if key in config]:
        value, section = config[key], declared[key].type
        if not is_dataclass(section):
            try:
                config[key] = take(declared[key], value, typed)
            except ValueError as error:
                raise FastStyleError(f"{place}{key}={shown(value)}: {error}") from error
        elif not isinstance(value, dict):
            first = fields(section)[0].name
            raise FastStyleError(f"{place}{key}={shown(value)}: has keys of its own, give {place}{key}.{first}=")
        elif not is_of_user(value):
            check_keys(value, section, f"{place}{key}.")


def is_of_user(section: object) -> bool:
    return isinstance(section, dict) and not str(section.get("_target_", "fast_style.")).startswith("fast_style.")


def take(declared: Field, value: object, typed: DictConfig) -> object:
    """A value as its declaration has it, by way of `typed`. Raises ValueError with what it must be."""
    rules, kind = declared.metadata, kind_of(declared)
    if kind is Any:
        return rules["shape"](value) if "shape" in rules else value
    if kind is bool and not isinstance(value, bool):  # OmegaConf takes 3 for true
        raise ValueError(must_be(kind, rules, value))
    try:
        # ${ would be an interpolation, and those are resolved by now.
        typed[declared.name] = value.replace("${", r"\${") if isinstance(value, str) else value
        value = typed[declared.name]
    except OmegaConfBaseException as error:
        raise ValueError(must_be(kind, rules, value)) from error
    if value is None or value == rules.get("none"):
        return rules.get("none")
    if value == "":
        raise ValueError("must not be empty")
    if OmegaConf.is_config(value):
        value = OmegaConf.to_container(value)
    several = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
    if not has_length(value, rules) or not all(map(rules.get("holds", lambda _: True), several)):
        raise ValueError(must_be(kind, rules, value))
    return str(value) if kind == Text else value


def kind_of(declared: Field) -> object:
    """The type of a value that is not null."""
    kinds = [kind for kind in get_args(declared.type) if kind is not NoneType]
    return reduce(or_, kinds) if isinstance(declared.type, UnionType) else declared.type


def has_length(value: object, rules: Mapping) -> bool:
    return not isinstance(value, list) or len(value) == rules.get("count", len(value) or 1)


def must_be(kind: object, rules: Mapping, value: object) -> str:
    """What a value must be, in words."""
    if "choices" in rules:
        return f"choose from {', '.join(map(shown, rules['choices']))}"
    container = get_origin(kind)
    if container is list and not (isinstance(value, list) and has_length(value, rules)):
        return f"must be a list{f' of {count}' if (count := rules.get('count')) else ''}, such as [A,B]"
    if container is dict and not isinstance(value, dict):
        return MUST_BE[dict]
    return MUST_BE[get_args(kind)[-1] if container in (list, dict) else kind] + rules.get("range", "")


def shown(value: object) -> str:
    """A value as one writes it on the command line."""
    return {"True": "true", "False": "false", "None": "null"}.get(str(value), str(value))


def build(name: str, section: dict, **arguments: object) -> object:
    """The object that a section of a config means, by its `_target_`. Raises FastStyleError."""
    try:
        return instantiate(section, _convert_="all", **arguments)
    except InstantiationException as error:
        raise FastStyleError(f"{name}: {one_line(error.__cause__ or error)}") from error
