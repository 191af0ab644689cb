"""Texture model + seed -> textures of any size, or variants of photos."""

import re
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor, nn

from fast_style.data.images import write_image
from fast_style.errors import FastStyleError, one_line
from fast_style.inference.stylize import stylize
from fast_style.networks.texture_generator import TextureGenerator


class Variant(nn.Module):
    """A generator whose noise has one seed, so that it is stylised with as a transformer is.

    A generator of textures takes from the images (B, 3, H, W) nothing but their size.
    """

    def __init__(self, generator: TextureGenerator, seed: int, index: int):
        super().__init__()
        self.generator, self.seed = generator, (seed, index)

    def forward(self, content_images: Tensor) -> Tensor:
        size = tuple(content_images.shape[-2:])
        noise = self.generator.draw_noise(size, [self.seed] * len(content_images))
        return self.generator(noise, size, content_images if self.generator.content else None)


def sample_texture(
    generator: TextureGenerator, size: tuple[int, int], seed: int, index: int, precision: str = "32-true"
) -> Tensor:
    """Texture `index` of a seed, (3, H, W) in [0, 1], of `size` (H, W); how many are drawn does not change it."""
    return stylize(Variant(generator, seed, index), torch.zeros(1, 3, 1, 1).expand(1, 3, *size), precision)[0]


def sample_files(
    generator: TextureGenerator,
    paths: list[Path],
    size: tuple[int, int],
    seed: int,
    precision: str = "32-true",
    maker: str | None = None,
) -> None:
    """Write the first textures of a seed to image files, which state `maker`, with a progress bar. Raises
    FastStyleError."""
    for index, path in enumerate(track(paths, "sampling")):
        try:
            texture = sample_texture(generator, size, seed, index, precision)
        except RuntimeError as error:  # out of memory has no type of its own on the CPU
            raise FastStyleError(f"size={size[1]}x{size[0]}: {one_line(error)}") from error
        write_image(path, texture, maker=maker)


def parse_size(text: str | int) -> tuple[int, int]:
    """(height, width) of "640x480", which is width by height, or of the side of a square. Raises FastStyleError."""
    match = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", str(text))
    if not match:
        raise FastStyleError(f"size={text}: must be a side such as 512, or WIDTHxHEIGHT such as 640x480")
    return int(match[2] or match[1]), int(match[1])
