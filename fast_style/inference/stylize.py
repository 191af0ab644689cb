"""Checkpoint + images -> stylised images."""

import math
import os
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from rich.progress import Progress
from torch import Tensor, nn

from fast_style.data.images import StorageError, read_image, read_pixels, read_size, write_image
from fast_style.data.storage import Fetched, answers, is_remote
from fast_style.errors import FastStyleError, one_line
from fast_style.hardware import autocast, free_memory, resident_memory
from fast_style.inference.tiles import largest_at_once, pick_tile, stylize_in_tiles
from fast_style.networks.transformer_net import TransformerNet
from fast_style.networks.upscaler import Upscaler, resize_bicubic

WAITING_PIXELS = 2**25  # of images that wait for others of their size: 0.4 GB
SHARE_OF_FREE = 0.8  # of the memory; the rest is the readers' and the writers'


class Picture(NamedTuple):
    """An image on its way from its file to another one; or too large for that, which is read when its turn comes; or
    why it failed."""

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
    with autocast(device, precision):
        stylized = transformer(content_images.to(device))
    return stylized.float().clamp(0, 1)


def fitting_alpha(alpha: Tensor, image: Tensor) -> Tensor:
    """Alpha (1, h, w) of an image that has become (3, H, W), which may be larger: (1, H, W) in [0, 1]."""
    size = tuple(image.shape[1:])
    return alpha if alpha.shape[1:] == size else resize_bicubic(alpha[None], size)[0].clamp(0, 1)


def stylize_files(
    transformer: nn.Module,
    files: dict[Path, Path],
    max_size: int | None = None,
    batch_size: int = 1,
    precision: str = "32-true",
    maker: str | None = None,
    tile: int | str = "auto",
    max_memory: float | None = None,
) -> dict[Path, str]:
    """Stylise image files, {input: output}, with a progress bar; images of equal size share a forward pass.

    The next images are read and the last ones written meanwhile. Alpha goes through unchanged, or is enlarged with its
    image; the files state `maker`.

    tile        auto: images that would take too much memory at once are painted in tiles, without a seam; their side,
                of all images; off
    max_memory  bytes that the process, or a GPU, may take; None: most of what is free
    A file that fails costs only itself: returns {input: reason} of those. Raises StorageError when object storage can
    no longer be reached.
    """
    transformer = transformer.to(memory_format=torch.channels_last)
    device = next(transformer.parameters()).device
    if max_memory is None:
        memory = SHARE_OF_FREE * free_memory(device)
    else:
        memory = max(0, max_memory - (resident_memory() if device.type == "cpu" else 0))
    most = largest_at_once(transformer, precision, memory) if tile == "auto" else math.inf if tile == "off" else 0
    with ThreadPoolExecutor(min(batch_size + 1, os.cpu_count() or 1)) as pool, Progress() as progress:
        pictures = in_threads(pool, lambda path: _read(path, max_size, most), files, batch_size)
        stylized = (
            picture
            for batch in _batches(pictures, batch_size)
            for picture in (
                _stylize(transformer, batch, precision, most) if batch[0].image is not None or batch[0].failure else
                [_stylize_large(transformer, batch[0].path, max_size, precision, tile, memory, progress)]
            )
        )  # fmt: skip
        written = in_threads(pool, lambda picture: _write(picture, files[picture.path], maker), stylized, batch_size)
        doing = "enlarging" if isinstance(transformer, Upscaler) else "stylising"
        done = progress.track(written, total=len(files), description=doing)
        try:
            return {picture.path: picture.failure for picture in done if picture.failure}
        except StorageError:
            pool.shutdown(cancel_futures=True)  # each would wait for what is gone
            raise


def in_threads(pool: ThreadPoolExecutor, function: Callable, items: Iterable, ahead: int) -> Iterator:
    """map(function, items) by the threads of a pool, never more than `ahead` items before they are asked for."""
    futures = deque()
    for item in items:
        futures.append(pool.submit(function, item))
        if len(futures) > ahead:
            yield futures.popleft().result()
    while futures:
        yield futures.popleft().result()


def _read(path: Path, max_size: int | None, most: float) -> Picture:
    """The image in a file, if it has no more than `most` pixels."""
    file = Fetched(path) if is_remote(path) else path
    try:
        if most < math.inf and math.prod(read_size(file, max_size)) > most:
            return Picture(path)
        return Picture(path, *read_image(file, max_size))
    except FastStyleError as error:
        return _failed(path, path, error)


def _write(picture: Picture, target: Path, maker: str | None) -> Picture:
    if picture.failure:
        return picture
    try:
        alpha = None if picture.alpha is None else fitting_alpha(picture.alpha, picture.image)
        write_image(target, picture.image, alpha, maker)
        return Picture(picture.path)
    except FastStyleError as error:
        return _failed(picture.path, target, error)


def _failed(path: Path, place: Path, error: FastStyleError) -> Picture:
    """What has failed by itself at a place. Raises StorageError where all that are still to come would: when the store
    is gone, each would try again for many seconds."""
    if is_remote(place) and not answers(place):
        raise StorageError(f"{error}; nothing there can be reached now: later, the same command goes on") from error
    return Picture(path, failure=str(error))


def _batches(pictures: Iterable[Picture], batch_size: int) -> Iterator[list[Picture]]:
    """Lists of pictures of equal size, `batch_size` of them if they come before too many others have to wait."""
    waiting: dict[tuple, list[Picture]] = defaultdict(list)
    for picture in pictures:
        if picture.image is None:
            yield [picture]
            continue
        waiting[picture.image.shape].append(picture)
        if len(waiting[picture.image.shape]) == batch_size:
            yield waiting.pop(picture.image.shape)
        elif (
            sum(map(len, waiting.values())) >= 4 * batch_size
            or sum(shape[1] * shape[2] * len(batch) for shape, batch in waiting.items()) >= WAITING_PIXELS
        ):
            yield waiting.pop(next(iter(waiting)))
    yield from waiting.values()


def _stylize(transformer: nn.Module, batch: list[Picture], precision: str, most: float) -> list[Picture]:
    """The pictures of a batch, all of one size or all failures, stylised; at once, if they have so few pixels."""
    if batch[0].failure:
        return batch
    height, width = batch[0].image.shape[1:]
    if len(batch) == 1 or len(batch) * height * width <= most:
        try:
            stylized = stylize(transformer, torch.stack([picture.image for picture in batch]), precision).cpu()
            return [picture._replace(image=image) for picture, image in zip(batch, stylized, strict=True)]
        except RuntimeError as error:  # out of memory has no type of its own on the CPU
            reason = why_failed(error)
    # Not in the except block: until its end the failed pass keeps its memory.
    if len(batch) > 1:
        return [picture for single in batch for picture in _stylize(transformer, [single], precision, most)]
    hint = f"it is {width}x{height}; try max_size={max(height, width) // 2}"
    return [Picture(batch[0].path, failure=f"{batch[0].path}: {reason} ({hint})")]


def _stylize_large(
    transformer: nn.Module,
    path: Path,
    max_size: int | None,
    precision: str,
    tile: int | str,
    memory: float,
    progress: Progress,
) -> Picture:
    """The picture in a file, read and stylised in tiles of this side, or of one that takes no more than `memory`."""
    shown, file = progress.add_task(path.name, total=1), Fetched(path) if is_remote(path) else path
    try:
        side = tile if tile != "auto" else pick_tile(transformer, precision, read_size(file, max_size), memory)
        image, alpha = read_pixels(file, max_size)
        image = stylize_in_tiles(transformer, image, side, precision, lambda share: progress.advance(shown, share))
        return Picture(path, image, alpha)
    except FastStyleError as error:
        return Picture(path, failure=str(error) if str(error).startswith(str(path)) else f"{path}: {error}")
    except RuntimeError as error:
        return Picture(path, failure=f"{path}: {why_failed(error)} (try a smaller tile=, or max_size=)")
    finally:
        progress.remove_task(shown)


def why_failed(error: RuntimeError) -> str:
    """A reason that may be one picture's; what is wrong with the compiler raises FastStyleError."""
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        raise FastStyleError(f"compile=true fails here: {one_line(error)}") from error
    return one_line(error)
