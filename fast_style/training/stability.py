"""Pictures that move with their photos: taught without video, by motion that is made."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

SHIFT, ZOOM, TURN = 8.0, 0.03, math.radians(2)  # at most: pixels, a part, radians
NOISE = 2 / 255  # deviation


def stability_error(transformer: Callable[[Tensor], Tensor], content_images: Tensor, stylized: Tensor) -> Tensor:
    """How much of the pictures changes, and does not only move, when the photos move and have other noise: a scalar.

    content_images, stylized  (B, 3, H, W) in [0, 1]; the pictures that the transformer makes of the photos
    The mean squared difference of the moved pictures and those of the moved photos, where both have pixels, relative to
    the variance of the pictures: 2 is what two pictures that have nothing in common differ by. Video style transfer
    compares with the frame before, along its optical flow (Ruder et al. 2016, equation 7; Huang et al. 2017); here the
    flow is known, since it is drawn: a shift, a zoom and a turn for each photo, which follow from the photo, so that a
    training that goes on draws what it would have drawn.
    """
    generator = torch.Generator().manual_seed(int(content_images.detach().double().abs().sum() * 1e6) % 2**63)
    motion = draw_motion(len(content_images), content_images.shape[-1], generator).to(content_images)
    grid = F.affine_grid(motion, list(content_images.shape), align_corners=False)
    noise = NOISE * torch.randn(content_images.shape, generator=generator).to(content_images)
    photos = F.grid_sample(content_images, grid, "bicubic", "reflection", align_corners=False) + noise
    moved = F.grid_sample(stylized.float(), grid, "bicubic", "reflection", align_corners=False)
    inside = (grid.abs() < 1 - 4 / content_images.shape[-1]).all(-1)
    differences = (transformer(photos.clamp(0, 1)).float() - moved).square().mean(1)
    return differences[inside].mean() / stylized.detach().float().var((2, 3)).mean().clamp_min(1e-4)


def draw_motion(count: int, size: int, generator: torch.Generator) -> Tensor:
    """Affine maps (count, 2, 3) of places in [-1, 1] to where they were."""
    across, down, zoom, turn = 2 * torch.rand(4, count, generator=generator) - 1
    scale, angle = 1 + ZOOM * zoom, TURN * turn
    sine, cosine = scale * angle.sin(), scale * angle.cos()
    rows = torch.stack([cosine, -sine, SHIFT * across * 2 / size]), torch.stack([sine, cosine, SHIFT * down * 2 / size])
    return torch.stack(rows).permute(2, 0, 1)
