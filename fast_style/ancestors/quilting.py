"""Image quilting: textures and texture transfer from patches of a picture, sewn along the cut of least error
(Efros & Freeman, "Image Quilting for Texture Synthesis and Transfer", SIGGRAPH 2001).

Pictures are float arrays (H, W, 3), RGB in [0, 1].
"""

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
from rich.progress import track
from scipy import fft
from skimage.exposure import match_histograms

from fast_style.errors import FastStyleError

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # of RGB (ITU-R BT.709)
ALPHAS = (0.1, 0.9)  # share of the texture's own error in a transfer, in the first iteration and in the last

Constraint = tuple[np.ndarray, np.ndarray]  # weights and wanted values, each (block, block, channels)


def synthesize(
    texture: np.ndarray, height: int, width: int, block: int = 36, tolerance: float = 0.1, seed: int = 0
) -> np.ndarray:
    """More of a texture: (height, width, 3). Efros & Freeman 2001, section 2.

    block       side of the square patches; they overlap by a sixth
    tolerance   a patch is drawn from those with at most 1 + tolerance times the least error
    Raises FastStyleError if the texture is smaller than a patch.
    """
    rng = np.random.default_rng(seed)
    return _lay_patches(_with_luminance(texture), height, width, block, tolerance, rng)[..., :3]


def transfer(
    texture: np.ndarray,
    content: np.ndarray,
    block: int = 36,
    tolerance: float = 0.1,
    iterations: int = 3,
    seed: int = 0,
) -> np.ndarray:
    """A photo laid in patches of a texture, of the photo's size. Efros & Freeman 2001, section 3.

    Patches must fit their neighbours and the photo's luminance; from the second iteration on also what lay there
    before. Each iteration has blocks a third smaller, and less regard for the photo. Departure: the photo's luminances
    are first given the texture's distribution, or a dark painting could not tell the lights of a photo apart.
    """
    rng, canvas = np.random.default_rng(seed), None
    texture = _with_luminance(texture)
    luminance = match_histograms(content @ LUMINANCE, texture[..., 3])
    for alpha in np.linspace(*ALPHAS, iterations):
        canvas = _lay_patches(texture, *luminance.shape, block, tolerance, rng, luminance, canvas, alpha)
        block = max(2, round(block * 2 / 3))
    return canvas[..., :3]


def _lay_patches(
    texture: np.ndarray,
    height: int,
    width: int,
    block: int,
    tolerance: float,
    rng: np.random.Generator,
    luminance: np.ndarray | None = None,
    previous: np.ndarray | None = None,
    alpha: float = 1.0,
) -> np.ndarray:
    """One pass in raster order, over pictures of four channels, RGB and luminance: the paper's correspondence map.

    With the photo's `luminance`, alpha weighs fitting the texture and what was laid there before, 1 - alpha the photo.
    """
    if block < 2 or min(texture.shape[:2]) < block:
        raise FastStyleError(
            f"quilting.block={block}: must be at least 2, and at most the {min(texture.shape[:2])} pixels of the style "
            "picture's short side"
        )
    overlap = max(1, block // 6)
    step = block - overlap
    rows, columns = (max(1, math.ceil((side - overlap) / step)) for side in (height, width))
    canvas = np.zeros((rows * step + overlap, columns * step + overlap, 4))
    photo = None if luminance is None else _cover(luminance[..., None], canvas)
    before = None if previous is None else _cover(previous, canvas)
    search = PatchSearch(texture, block)
    # As if the photo, too, were compared in three colours.
    in_colour, in_luminance = alpha * np.array([1, 1, 1, 0]), (1 - alpha) * np.array([0, 0, 0, 3])
    for row, column in track(list(product(range(rows), range(columns))), f"blocks of {block}"):
        place = np.s_[row * step : row * step + block, column * step : column * step + block]
        known = np.zeros((block, block, 1))
        known[: overlap * (row > 0)] = known[:, : overlap * (column > 0)] = 1
        constraints = [(known * in_colour, canvas[place])]
        if before is not None:
            constraints.append((np.ones_like(known) * in_colour, before[place]))
        if photo is not None:
            constraints.append((np.ones_like(known) * in_luminance, photo[place]))
        top, left = search.draw(constraints, tolerance, rng)
        patch = texture[top : top + block, left : left + block]
        new = sew(canvas[place][..., :3], patch[..., :3], overlap, row > 0, column > 0)
        canvas[place] = np.where(new[..., None], patch, canvas[place])
    return canvas[:height, :width]


class PatchSearch:
    """All patches of a picture (H, W, C), compared at once: holds its Fourier transforms."""

    def __init__(self, picture: np.ndarray, block: int):
        self.places = tuple(side - block + 1 for side in picture.shape[:2])
        self.shape = [fft.next_fast_len(side, real=True) for side in picture.shape[:2]]
        self.spectra, self.energy_spectra = self._transform(picture), self._transform(picture**2)
        self.energies: dict[bytes, np.ndarray] = {}  # few kinds of weights occur, again and again

    def errors(self, constraints: Sequence[Constraint]) -> np.ndarray:
        """Weighted squared differences, summed over constraints, of the patch at each place: (H - b + 1, W - b + 1).

        Multiplied out, sum w (T - t)^2 is two correlations with the picture, of w and of w t, and a constant.
        """
        weights = sum(weight for weight, _ in constraints)
        weighted = sum(weight * wanted for weight, wanted in constraints)
        constant = sum((weight * wanted**2).sum() for weight, wanted in constraints)
        key = weights.tobytes()
        if key not in self.energies:
            self.energies[key] = self._correlate(self.energy_spectra, weights)
        return np.maximum(self.energies[key] - 2 * self._correlate(self.spectra, weighted) + constant, 0)

    def draw(self, constraints: Sequence[Constraint], tolerance: float, rng: np.random.Generator) -> tuple[int, int]:
        """Top and left of one of the patches whose error is at most 1 + tolerance times the least."""
        errors = self.errors(constraints)
        # A little more, for what the transforms round off.
        candidates = np.argwhere(errors <= (1 + tolerance) * errors.min() + 1e-8)
        return tuple(candidates[rng.integers(len(candidates))])

    def _transform(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, C) -> spectra (C, ...). Not rfft2, which would also transform the rows it pads a patch with."""
        rows = fft.rfft(np.ascontiguousarray(picture.transpose(2, 0, 1)), self.shape[1], axis=2)
        return fft.fft(rows, self.shape[0], axis=1)

    def _correlate(self, spectra: np.ndarray, kernel: np.ndarray) -> np.ndarray:
        product = np.einsum("chw,chw->hw", spectra, self._transform(kernel).conj())
        return fft.irfft2(product, self.shape)[: self.places[0], : self.places[1]]


def sew(old: np.ndarray, patch: np.ndarray, overlap: int, has_above: bool, has_left: bool) -> np.ndarray:
    """Where a patch replaces the old pixels, (block, block) bool: below and to the right of the cheapest cuts.

    Departure: where both cuts meet, a pixel is new if it is on the new side of both; the paper chooses one joint cut.
    """
    errors = ((old - patch) ** 2).sum(-1)
    across = np.arange(len(errors))
    new = np.ones(errors.shape, bool)
    if has_left:
        new &= across >= cheapest_path(errors[:, :overlap])[:, None]
    if has_above:
        new &= across[:, None] >= cheapest_path(errors[:overlap].T)
    return new


def cheapest_path(errors: np.ndarray) -> np.ndarray:
    """The column in each row, (H,), of the path from top to bottom with the least sum of (H, W) errors.

    From row to row it moves by one column at most. Efros & Freeman 2001, section 2.1: dynamic programming.
    """
    costs = errors.copy()
    for row in range(1, len(costs)):
        above = np.pad(costs[row - 1], 1, constant_values=np.inf)
        costs[row] += np.minimum(np.minimum(above[:-2], above[1:-1]), above[2:])
    path = [int(costs[-1].argmin())]
    for row in range(len(costs) - 2, -1, -1):
        left = max(path[-1] - 1, 0)
        path.append(left + int(costs[row, left : path[-1] + 2].argmin()))
    return np.array(path[::-1])


def _with_luminance(picture: np.ndarray) -> np.ndarray:
    return np.concatenate([picture, (picture @ LUMINANCE)[..., None]], -1)


def _cover(picture: np.ndarray, canvas: np.ndarray) -> np.ndarray:
    """`picture` (H, W, C) continued with its last row and column up to the size of the canvas."""
    missing = [(0, size - side) for side, size in zip(picture.shape[:2], canvas.shape[:2], strict=True)]
    return np.pad(picture, [*missing, (0, 0)], mode="edge")
