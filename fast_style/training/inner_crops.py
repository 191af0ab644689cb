"""What the losses see of a picture in training: a part of it, anywhere."""

import numpy as np
import torch
from torch import Tensor


def draw_starts(generator: np.random.Generator, count: int, cut: int) -> list[Tensor]:
    """[First row and column (count, 2) of each inner crop], which is `cut` pixels smaller than its image; [] for 0."""
    return [torch.from_numpy(generator.integers(cut + 1, size=(count, 2)))] if cut else []


def inner_crops(images: Tensor, cut: int, *starts: Tensor) -> Tensor:
    """The inner crops (B, C, H - cut, W - cut) of images (B, C, H, W) at `starts`; the images if there are none.

    What is painted along the border of an image reaches fewer features than what is in its middle, and costs less
    content for as much style: there a network that knows where its losses end learns to draw the painting's frame.
    """
    if not starts:
        return images
    (first,) = starts
    rows, columns = (
        first[:, axis, None] + torch.arange(length - cut, device=images.device)
        for axis, length in enumerate(images.shape[2:])
    )
    image = torch.arange(len(images), device=images.device)[:, None, None]
    # Channels last before and after.
    return images.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
