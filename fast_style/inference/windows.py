"""Windows: parts of a picture, and of what is stretched over it."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

Window = tuple[range, range]  # rows and columns


def windows(size: tuple[int, int], side: int) -> Iterator[Window]:
    """Squares of this side, smaller at the ends, that make up a picture (H, W), row by row."""
    rows, columns = ([range(start, min(start + side, length)) for start in range(0, length, side)] for length in size)
    return ((row, column) for row in rows for column in columns)


def cut(maps: Tensor, window: Window) -> Tensor:
    """A window of maps (..., H, W)."""
    rows, columns = window
    return maps[..., rows.start : rows.stop, columns.start : columns.stop]


def stretched(maps: Tensor, size: tuple[int, int], window: Window, mode: str = "bilinear") -> Tensor:
    """A window of maps (B, C, h, w) stretched to `size` (H, W): (B, C, rows, columns). Antialiased where that shrinks
    them; `mode` is bilinear or bicubic."""
    smaller = tuple(map(min, maps.shape[-2:], size))
    if smaller != tuple(maps.shape[-2:]):
        maps = F.interpolate(maps, smaller, mode=mode, antialias=True)
    if smaller == tuple(size):
        return cut(maps, window)
    rows, columns = (
        (2 * torch.arange(part.start, part.stop, dtype=torch.float64, device=maps.device) + 1) / length - 1
        for part, length in zip(window, size, strict=True)
    )
    grid = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), -1).to(maps)
    return F.grid_sample(maps, grid.expand(len(maps), -1, -1, -1), mode, "border", align_corners=False)
