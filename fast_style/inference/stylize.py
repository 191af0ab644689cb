"""Checkpoint + images -> stylised images."""

import os
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from rich.progress import track
from torch import Tensor

from fast_style.data.images import read_image, write_image
from fast_style.errors import FastStyleError, one_line
from fast_style.networks.transformer_net import TransformerNet
from fast_style.networks.upscaler import Upscaler, resize_bicubic

WAITING_PIXELS = 2**25  # of images that wait for others of their size: 0.4 GB


class Picture(NamedTuple):
    """An image on its way from its file to another one, or why it failed."""

    path: Path
    image: Tensor | None = None
    alpha: Tensor | None = None
    failure: str | None = None


@torch.inference_mode()
def stylize(transformer: TransformerNet | Upscaler, content_images: Tensor, precision: str = "32-true") -> Tensor:
    """Stylise RGB images (B, 3, H, W) in [0, 1]: float32 of the same size, in [0, 1], on the transformer's device.

    What an Upscaler makes of them is larger, by its scale.
    `precision` is Lightning's name: 32-true, bf16-mixed or 16-mixed.
    """
    device = next(transformer.parameters()).device
    dtype = torch.float16 if precision.startswith("16") else torch.bfloat16
    with torch.autocast(device.type, dtype, enabled=precision.endswith("mixed")):
        stylized = transformer(content_images.to(device))
    return stylized.float().clamp(0, 1)


def fitting_alpha(alpha: Tensor, image: Tensor) -> Tensor:
    """Alpha (1, h, w) of an image that has become (3, H, W), which may be larger: (1, H, W) in [0, 1]."""
    size = tuple(image.shape[1:])
    return alpha if alpha.shape[1:] == size else resize_bicubic(alpha[None], size)[0].clamp(0, 1)


def stylize_files(
    transformer: TransformerNet | Upscaler,
    files: dict[Path, Path],
    max_size: int | None = None,
    batch_size: int = 1,
    precision: str = "32-true",
    maker: str | None = None,
) -> dict[Path, str]:
    """Stylise image files, {input: output}, with a progress bar; images of equal size share a forward pass.

    The next images are read and the last ones written meanwhile. Alpha goes through unchanged, or is enlarged with its
    image; the files state `maker`.
    A file that fails costs only itself: returns {input: reason} of those.
    """
    transformer = transformer.to(memory_format=torch.channels_last)
    with ThreadPoolExecutor(min(batch_size + 1, os.cpu_count() or 1)) as pool:
        pictures = _in_threads(pool, lambda path: _read(path, max_size), files, batch_size)
        stylized = (
            picture for batch in _batches(pictures, batch_size) for picture in _stylize(transformer, batch, precision)
        )
        written = _in_threads(pool, lambda picture: _write(picture, files[picture.path], maker), stylized, batch_size)
        done = track(written, "enlarging" if isinstance(transformer, Upscaler) else "stylising", total=len(files))
        return {picture.path: picture.failure for picture in done if picture.failure}


def _in_threads(pool: ThreadPoolExecutor, function, items: Iterable, ahead: int) -> Iterator[Picture]:
    """map(function, items) by the threads of a pool, never more than `ahead` items before they are asked for."""
    futures = deque()
    for item in items:
        futures.append(pool.submit(function, item))
        if len(futures) > ahead:
            yield futures.popleft().result()
    while futures:
        yield futures.popleft().result()


def _read(path: Path, max_size: int | None) -> Picture:
    try:
        return Picture(path, *read_image(path, max_size))
    except FastStyleError as error:
        return Picture(path, failure=str(error))


def _write(picture: Picture, target: Path, maker: str | None) -> Picture:
    if picture.failure:
        return picture
    try:
        alpha = None if picture.alpha is None else fitting_alpha(picture.alpha, picture.image)
        write_image(target, picture.image, alpha, maker)
        return Picture(picture.path)
    except FastStyleError as error:
        return Picture(picture.path, failure=str(error))


def _batches(pictures: Iterable[Picture], batch_size: int) -> Iterator[list[Picture]]:
    """Lists of pictures of equal size, `batch_size` of them if they come before too many others have to wait."""
    waiting: dict[tuple | None, list[Picture]] = defaultdict(list)
    for picture in pictures:
        key = None if picture.failure else picture.image.shape
        waiting[key].append(picture)
        if len(waiting[key]) == batch_size:
            yield waiting.pop(key)
        elif (
            sum(map(len, waiting.values())) >= 4 * batch_size
            or sum(shape[1] * shape[2] * len(batch) for shape, batch in waiting.items() if shape) >= WAITING_PIXELS
        ):
            yield waiting.pop(next(iter(waiting)))
    yield from waiting.values()


def _stylize(transformer: TransformerNet | Upscaler, batch: list[Picture], precision: str) -> list[Picture]:
    """The pictures of a batch, all of one size or all failures, stylised."""
    if batch[0].failure:
        return batch
    try:
        stylized = stylize(transformer, torch.stack([picture.image for picture in batch]), precision).cpu()
        return [picture._replace(image=image) for picture, image in zip(batch, stylized, strict=True)]
    except RuntimeError as error:  # out of memory has no type of its own on the CPU
        if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise FastStyleError(f"compile=true fails here: {one_line(error)}") from error
        reason = one_line(error)
    # Not in the except block: until its end the failed pass keeps its memory.
    if len(batch) > 1:
        return [picture for single in batch for picture in _stylize(transformer, [single], precision)]
    height, width = batch[0].image.shape[1:]
    hint = f"it is {width}x{height}; try max_size={max(height, width) // 2}"
    return [Picture(batch[0].path, failure=f"{batch[0].path}: {reason} ({hint})")]
