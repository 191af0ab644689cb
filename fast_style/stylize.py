"""Checkpoint + images -> stylised images."""

from collections import defaultdict
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor

from fast_style import FastStyleError
from fast_style.images import read_image, write_image
from fast_style.transformer_net import TransformerNet


@torch.inference_mode()
def stylize(transformer: TransformerNet, content_images: Tensor, precision: str = "32-true") -> Tensor:
    """Stylise RGB images (B, 3, H, W) in [0, 1]: float32 of the same size, in [0, 1], on the CPU.

    `precision` is Lightning's name: 32-true, bf16-mixed or 16-mixed. The images are moved to the transformer's device.
    """
    device = next(transformer.parameters()).device
    dtype = torch.float16 if precision.startswith("16") else torch.bfloat16
    with torch.autocast(device.type, dtype, enabled=precision.endswith("mixed")):
        stylized = transformer(content_images.to(device))
    return stylized.float().clamp(0, 1).cpu()


def stylize_files(
    transformer: TransformerNet,
    files: dict[Path, Path],
    max_size: int | None = None,
    batch_size: int = 1,
    precision: str = "32-true",
) -> dict[Path, str]:
    """Stylise image files, {input: output}, with a progress bar; images of equal size share a forward pass.

    Alpha goes through unchanged. A file that fails costs only itself: returns {input: reason} of those.
    """
    failures: dict[Path, str] = {}
    waiting: dict[tuple, list[tuple[Path, Tensor, Tensor | None]]] = defaultdict(list)
    for path in track(files, "stylising"):
        try:
            image, alpha = read_image(path, max_size)
        except FastStyleError as error:
            failures[path] = str(error)
            continue
        batch = waiting[image.shape]
        batch.append((path, image, alpha))
        # Images that wait for others of their size take memory: no more than four batches of them.
        if len(batch) == batch_size:
            failures |= _stylize_batch(transformer, waiting.pop(image.shape), files, precision)
        elif sum(map(len, waiting.values())) >= 4 * batch_size:
            failures |= _stylize_batch(transformer, waiting.pop(next(iter(waiting))), files, precision)
    for batch in waiting.values():
        failures |= _stylize_batch(transformer, batch, files, precision)
    return failures


def _stylize_batch(
    transformer: TransformerNet,
    batch: list[tuple[Path, Tensor, Tensor | None]],
    files: dict[Path, Path],
    precision: str,
) -> dict[Path, str]:
    paths, images, alphas = zip(*batch, strict=True)
    failures: dict[Path, str] = {}
    try:
        stylized = stylize(transformer, torch.stack(images), precision)
    except RuntimeError as error:  # out of memory has no type of its own on the CPU
        stylized, reason = None, str(error).splitlines()[0]
    # Not in the except block: until its end the failed pass keeps its memory.
    if stylized is None and len(batch) > 1:
        for item in batch:
            failures |= _stylize_batch(transformer, [item], files, precision)
        return failures
    if stylized is None:
        height, width = images[0].shape[1:]
        return {paths[0]: f"{paths[0]}: {reason} (it is {width}x{height}; try max_size={max(height, width) // 2})"}
    for path, image, alpha in zip(paths, stylized, alphas, strict=True):
        try:
            write_image(files[path], image, alpha)
        except FastStyleError as error:
            failures[path] = str(error)
    return failures
