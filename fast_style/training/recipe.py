"""recipe=FILE: train again as the model in a release file was trained, but for the keys of the command line."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf

from fast_style.checkpoint import find_model, read_metadata
from fast_style.data.styles import StyleError, file_sha256, style_pictures
from fast_style.errors import FastStyleError
from fast_style.keys import Train
from fast_style.training.resume import defaults

# What a recipe is; where it trains, what it logs and shows and where it writes are of the machine that it runs on.
SECTIONS = ("task", "style", "data", "model", "generator", "upscaler", "loss_network", "objective", "optimizer")
KEYS = (
    "seed", "budget", "max_steps", "init_from", "styles", "identity_share", "diversity_weight", "batch_size",
    "image_size", "short_side", "scale", "error", "precision",
)  # fmt: skip
# What a file may have called: data and tasks. Longer names lead on: fast_style.writing.os.system is one, too.
CALLED = re.compile(r"fast_style\.(data\.content|training\.\w+)\.[A-Z]\w*")


def with_recipe(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The config of a command line with the recipe that its recipe= names, or as it is without one.

    overrides   the KEY=VALUE of the command line: these stay as they are
    A run that was given a time takes as many steps as it took then. Raises FastStyleError for a file without a recipe,
    for a recipe that names classes of other packages, and where the style picture is not to be had or another.
    """
    if cfg.recipe is None:
        return cfg
    path = find_model(Path(cfg.recipe), "recipe")
    metadata = read_metadata(path)
    if "config" not in metadata:
        raise FastStyleError(f"recipe={path}: no recipe is in it")
    given = [override.key_or_group for override in OverridesParser.create().parse_overrides(list(overrides))]
    if "experiment" in given:
        raise FastStyleError("recipe= and experiment=: give one of them")
    config, recipe = OmegaConf.to_container(cfg, resolve=True), metadata["config"]
    for key in KEYS:
        if key in recipe and key not in given:
            config[key] = recipe[key]
    for name in SECTIONS:
        if name in recipe and name not in given:
            config[name] = section(name, recipe[name], config[name], given)
    if {"budget", "max_steps"} & set(given):
        config |= {"budget": cfg.budget, "max_steps": cfg.max_steps}
    elif config["budget"] is not None:
        config |= {"budget": None, "max_steps": metadata["losses"]["steps"]}
    # In the section they follow from the keys of the same name.
    config["data"] |= {key: config[key] for key in KEYS if key in config["data"]}
    config["trainer"]["max_steps"] = config["max_steps"]
    if not any(key.split(".")[0] in ("style", "styles") for key in given):
        check_pictures(config["style"], metadata, path)
    return OmegaConf.create(config)


def section(name: str, recipe: dict, config: dict, given: Sequence[str]) -> dict:
    """A section of a recipe, with what the command line gives of it; what an earlier version did not store had its
    default. Raises FastStyleError."""
    for place, target in targets(name, recipe):
        if place != name or not is_own_class(str(target)):
            raise FastStyleError(f"recipe=: {place}._target_={target} is of another package: give {name}=")
    keys = [key.partition(".")[2] for key in given if key.startswith(f"{name}.")]
    if "image" in keys and name == "style":
        keys.append("name")
    whole = defaults(name) | recipe | {key: config[key] for key in keys if key in config}
    # Not every argument of what takes a section is a key of it: a task says whether a generator has content.
    (declared,) = (fields(one.type) for one in fields(Train) if one.name == name)
    others = defaults(name).keys() - {one.name for one in declared}
    return {key: value for key, value in whole.items() if key not in others}


def is_own_class(target: str) -> bool:
    """Whether a dotted name is that of a class which is defined there, in a module of data or of tasks."""
    try:
        return bool(CALLED.fullmatch(target)) and get_class(target).__module__ == target.rpartition(".")[0]
    except (ImportError, ValueError):
        return False


def targets(name: str, value: object) -> Iterator[tuple[str, object]]:
    """All that a section names to be called, at any depth, and where."""
    if isinstance(value, dict):
        yield from ((name, target) for key, target in value.items() if key == "_target_")
        for key, inner in value.items():
            yield from targets(f"{name}.{key}", inner)
    elif isinstance(value, list):
        for inner in value:
            yield from targets(name, inner)


def check_pictures(style: dict, metadata: dict, path: Path) -> None:
    """Raise FastStyleError unless the style picture is the one that the model has learnt."""
    sha256 = metadata.get("style", {}).get("sha256")
    if sha256 is None:  # of several styles, or of none
        return
    try:
        found = [file_sha256(picture) for picture in style_pictures(style)]
    except StyleError as error:
        raise FastStyleError(f"recipe={path}: {error}") from error
    if found != ([sha256] if isinstance(sha256, str) else sha256):
        raise FastStyleError(f"recipe={path}: the style picture has changed since: give style.image=FILE")
