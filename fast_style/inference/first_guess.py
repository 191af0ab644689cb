"""A style at once: a network of styles that it was never trained in, predicted from their pictures."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from fast_style.checkpoint import load_network
from fast_style.data.styles import bundled_styles, find_pictures, read_style_images, style_name
from fast_style.errors import FastStyleError
from fast_style.keys import shown
from fast_style.networks.any_style import AnyStyleNet
from fast_style.networks.loss_network import load_loss_network
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.overrides import command_line, quoted
from fast_style.training.warm_start import FIRST_GUESS, STATISTICS_LAYERS, style_statistics

STYLE_SIZE = 384  # short side of a style picture, as in a training


def take_image(config: dict) -> str | list[str] | None:
    """What style.image= means, which is no part of a mixture: style= is left with what it is without."""
    if not isinstance(config["style"], dict):
        return None
    image = config["style"].pop("image", None)
    config["style"] = config["style"] or None
    return image


def load_or_predict(ckpt: str | None, config: dict, image: str | list[str] | None) -> tuple[nn.Module, str, str | None]:
    """The network that ckpt= names or, without it, what is predicted of the pictures that are given; the name of its
    style, and what to say of a first guess. Raises FastStyleError."""
    if ckpt is None and image is None and config["style"] is None and not isinstance(config["mask"], dict):
        raise FastStyleError("give ckpt=MODEL, or style.image=PAINTING (python infer.py --help shows all keys)")
    network, own = load_network(ckpt or FIRST_GUESS, modules=config["modules"])
    if isinstance(network, AnyStyleNet):
        pictures = name_pictures(config, image)
        return predicted(network, pictures), own, better(pictures)
    if image is not None:
        raise FastStyleError(f"style.image={shown(image)}: the model of ckpt= has learnt its style; leave out ckpt=")
    return network, own, None


def predicted(network: AnyStyleNet, pictures: Mapping[str, Sequence[Path]]) -> MultiStyleNet:
    """A network of the styles of pictures, by name; several of one are an artist's hand. Raises FastStyleError."""
    judge = load_loss_network("distilled", STATISTICS_LAYERS)
    statistics = [style_statistics(judge, read_style_images(paths, STYLE_SIZE)) for paths in pictures.values()]
    return network.predict(list(pictures), torch.cat(statistics))


def name_pictures(config: dict, image: str | list[str] | None) -> dict[str, list[Path]]:
    """The pictures that the keys of infer.py mean, by the names of their styles, which take their place in the config.

    `image`, of style.image=, is one style, of a picture or of several, as for train.py. Where style= and mask= name a
    style, the name is that of a picture, or of a bundled study. Raises FastStyleError.
    """
    key = "mask" if isinstance(config["mask"], dict) else "style"
    if image is not None:
        if isinstance(config[key], dict | str):
            raise FastStyleError(f"style.image={image}: says in which style, give no {key}={config[key]} beside it")
        config["style"] = style_name("", image)
        return {config["style"]: find_pictures("style.image", image)}
    if config[key] is None:
        raise FastStyleError("give style.image=PAINTING (python infer.py --help shows all keys)")
    names = {one: style_name("", one) for one in ([config[key]] if isinstance(config[key], str) else config[key])}
    if len(set(names.values())) < len(names):
        raise FastStyleError(f"{key}={config[key]}: two pictures of one name")
    pictures = {name: find_pictures(key, one, bundled=True) for one, name in names.items()}
    if isinstance(config[key], str):
        config[key] = names[config[key]]
    else:
        config[key] = {names[one]: what for one, what in config[key].items()}
    return pictures


def better(pictures: Mapping[str, Sequence[Path]]) -> str:
    """What to say beside a first guess: the command that trains the same styles."""
    listed = {
        name: paths[0].stem if bundled_styles().get(paths[0].stem) == paths[0] else hydra_list(paths)
        for name, paths in pictures.items()
    }
    if len(listed) > 1:
        keys = ["task=multi_style", f"styles={{{', '.join(f'{quoted(name)}: {one}' for name, one in listed.items())}}}"]
    else:
        ((name, one),) = listed.items()
        keys = [f"style={one}" if one in bundled_styles() else f"style.image={one}"]
    command = command_line("train", *map(shlex.quote, keys), "budget=60s")
    return f"This is a first guess by a network that has not learnt this style. A minute does better:\n\n  {command}"


def hydra_list(paths: Sequence[Path]) -> str:
    return quoted(paths[0]) if len(paths) == 1 else f"[{','.join(map(quoted, paths))}]"
