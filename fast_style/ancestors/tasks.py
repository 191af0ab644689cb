"""The tasks of optimize.py, from a config (plain data) to a picture that is written."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from fast_style.ancestors import quilting
from fast_style.ancestors.inversion import InversionLoss
from fast_style.ancestors.optimization import (
    coarse_to_fine,
    follow,
    halvings,
    optimize_pixels,
    optimize_pixels_with_adam,
    split,
)
from fast_style.ancestors.portilla_simoncelli import PortillaSimoncelliLoss
from fast_style.ancestors.texture_synthesis import TextureLoss, count_parameters, principal_axes, sample_photos
from fast_style.data.images import read_image, write_image
from fast_style.data.styles import enlargement, read_style_images, style_pictures
from fast_style.errors import FastStyleError
from fast_style.losses import PerceptualLoss, rescale, scale_mismatch
from fast_style.networks.loss_network import load_loss_network, with_mean_activation_one, with_random_weights


def style_transfer(config: dict, device: torch.device) -> None:
    """A photo in the style of a painting (Gatys, Ecker, Bethge 2016)."""
    content_image, alpha = read_content(config, device)
    style_images, objective = read_style(config, device), config["objective"]
    layers = [*objective["content_layers"], *objective["style_layers"]]
    loss_network = load_loss_network(**config["loss_network"], layers=layers).to(device)
    if note := scale_mismatch(config["loss_network"]["name"], objective):
        print(note)
    start = config["style_transfer"]["start"]

    def stage(scale: float) -> tuple[Callable, Tensor]:
        content, paintings = rescale(content_image, scale), [rescale(image, scale) for image in style_images]
        starts = {
            "noise": noise(config, content.shape, device),
            "content": content,
            "style": fit(paintings[0], content),
        }
        perceptual_loss = PerceptualLoss(loss_network, paintings, **objective)
        return perceptual_loss.for_content(content), starts[start]

    optimize(config, stage, halvings(max(content_image.shape), config["coarsest_size"]), alpha)


def texture(config: dict, device: torch.device) -> None:
    """More of a texture (Gatys, Ecker, Bethge 2015)."""
    settings, pictures, size = config["texture"], read_style(config, device), config["image_size"]
    weights = dict(list(settings["layer_weights"].items())[: settings["depth"]])
    loss_network = load_loss_network(**config["loss_network"], layers=list(weights), heads=False).to(device)
    if settings["random_weights"]:
        loss_network = with_random_weights(loss_network, config["seed"])
    photos = [photo.to(device) for photo in sample_photos()]
    loss_network = with_mean_activation_one(loss_network, photos)
    statistic, components, error = settings["statistic"], settings["components"], settings["error"]
    axes = principal_axes(loss_network, photos, list(weights), components) if components else None
    channels = [maps.shape[1] for maps in loss_network(photos[0], list(weights)).values()]
    print(f"{', '.join(weights)}: {count_parameters(channels, statistic, components):,} parameters")

    def stage(scale: float) -> tuple[Callable, Tensor]:
        textures = [rescale(picture, scale) for picture in pictures]
        texture_loss = TextureLoss(loss_network, textures, weights, statistic, axes, error)
        side = max(1, round(size * scale))
        return texture_loss, noise(config, (1, 3, side, side), device)

    optimize(config, stage, halvings(size, config["coarsest_size"]))


def inversion(config: dict, device: torch.device) -> None:
    """What one layer keeps of a photo (Mahendran & Vedaldi 2015)."""
    content_image, alpha = read_content(config, device)
    layer, tv_weight = config["inversion"]["layer"], config["inversion"]["tv_weight"]
    loss_network = load_loss_network(**config["loss_network"], layers=[layer], heads=False).to(device)
    objective = InversionLoss(loss_network, content_image, layer, tv_weight)
    # One size: features of a smaller photo would tell what those of this one may not.
    optimize(config, lambda _: (objective, noise(config, content_image.shape, device)), [1.0], alpha)


def portilla_simoncelli(config: dict, device: torch.device) -> None:
    """More of a texture, without a network (Portilla & Simoncelli 2000)."""
    (picture,) = read_style(config, device)
    objective = PortillaSimoncelliLoss(picture, (config["image_size"], config["image_size"]))
    axes, statistics = objective.targets.shape[1:]
    print(f"principal colours: {axes}, parameters: {axes * statistics:,}")
    optimize(config, lambda _: (objective, objective.noise(config["seed"])), [1.0])


def quilt(config: dict, device: torch.device) -> None:
    """More of a texture, or a photo in it, from patches (Efros & Freeman 2001); NumPy, whatever the device."""
    settings, alpha = {**config["quilting"], "seed": config["seed"]}, None
    (picture,) = map(to_array, read_style(config, device))
    if config["content"] is None:
        del settings["iterations"]
        quilted = quilting.synthesize(picture, config["image_size"], config["image_size"], **settings)
    else:
        content_image, alpha = read_content(config, device)
        quilted = quilting.transfer(picture, to_array(content_image), **settings)
    write_image(config["output"], torch.from_numpy(quilted).permute(2, 0, 1), alpha)
    print(f"wrote {config['output']}")


TASKS = {
    "style_transfer": style_transfer,
    "texture": texture,
    "portilla_simoncelli": portilla_simoncelli,
    "inversion": inversion,
    "quilting": quilt,
}


def optimize(config: dict, stage: Callable, scales: Sequence[float], alpha: Tensor | None = None) -> None:
    """Optimise, and write the picture, also if Ctrl-C ends it early."""
    output, name = Path(config["output"]), config["optimizer"]["name"]
    method = optimize_pixels if name == "lbfgs" else partial(optimize_pixels_with_adam, lr=config["optimizer"]["lr"])
    steps = split(config["max_steps"], len(scales))
    states = coarse_to_fine(stage, scales, steps, method)
    image, finished = follow(states, sum(steps), output, config["preview_every"])
    write_image(output, image[0], None if alpha is None else fit(alpha[None], image)[0])
    height, width = image.shape[-2:]
    print("" if finished else f"stopped early: the best so far, {width}x{height}; ", f"wrote {output}", sep="")


def read_content(config: dict, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """The photo, (1, 3, H, W), at most `image_size` long, and its alpha."""
    image, alpha = read_image(config["content"], config["image_size"])
    return image[None].to(device), alpha


def read_style(config: dict, device: torch.device) -> list[Tensor]:
    """The style pictures, (1, 3, H, W) each, short side `style.style_size`; a line for each that this enlarges.

    Raises FastStyleError for several where the task is about one.
    """
    paths, style_size = style_pictures(config["style"]), config["style"]["style_size"]
    if len(paths) > 1 and config["task"] in ("portilla_simoncelli", "quilting"):
        raise FastStyleError(f"task={config['task']}: takes one picture, and style.image= means {len(paths)}")
    for note in filter(None, (enlargement(path, style_size) for path in paths)):
        print(note)
    return [style_image.to(device) for style_image in read_style_images(paths, style_size)]


def noise(config: dict, shape: Sequence[int], device: torch.device) -> Tensor:
    """Grey with a little white noise: at full contrast it would excite edge filters more than any picture does."""
    return (0.5 + torch.randn(shape, generator=torch.Generator().manual_seed(config["seed"])) / 255).to(device)


def fit(images: Tensor, other: Tensor) -> Tensor:
    return F.interpolate(images, other.shape[-2:], mode="bilinear", antialias=True)


def to_array(images: Tensor) -> np.ndarray:
    return images[0].permute(1, 2, 0).cpu().double().numpy()
