"""Quilting against enumeration: every path through a small array, every patch of a small picture, one by one."""

from itertools import pairwise, product

import numpy as np
import pytest

from fast_style.ancestors import quilting
from fast_style.ancestors.quilting import PatchSearch, cheapest_path, sew, synthesize, transfer
from fast_style.errors import FastStyleError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def blobs(rng, height, width):
    """A picture with large and small things in it."""
    coarse = np.repeat(np.repeat(rng.random((height // 4 + 1, width // 4 + 1, 3)), 4, 0), 4, 1)[:height, :width]
    return 0.8 * coarse + 0.2 * rng.random((height, width, 3))


# --- the cut


@pytest.mark.parametrize("height, width", [(1, 1), (1, 4), (4, 1), (5, 2), (6, 3), (5, 5)])
def test_the_cheapest_of_all_paths(rng, height, width):
    for _ in range(5):
        errors = rng.random((height, width))
        steps = product(range(width), repeat=height)
        paths = [path for path in steps if all(abs(one - other) <= 1 for one, other in pairwise(path))]
        best = min(paths, key=lambda path: sum(errors[row, column] for row, column in enumerate(path)))
        assert tuple(cheapest_path(errors)) == best


def test_path_leaves_the_errors_alone(rng):
    errors = rng.random((4, 4))
    before = errors.copy()
    cheapest_path(errors)
    assert np.array_equal(errors, before)


def test_sewn_along_the_cut(rng):
    """The patch begins at the cheapest path of each overlap, and has everything beyond them."""
    old, patch, overlap = rng.random((8, 8, 3)), rng.random((8, 8, 3)), 3
    errors = ((old - patch) ** 2).sum(-1)
    left, above = cheapest_path(errors[:, :3]), cheapest_path(errors[:3].T)
    new = sew(old, patch, overlap, has_above=True, has_left=True)
    for row, column in product(range(8), range(8)):
        assert new[row, column] == (column >= left[row] and row >= above[column])
    assert new[3:, 3:].all() and not new.all()
    assert sew(old, patch, overlap, has_above=False, has_left=False).all()
    assert sew(old, patch, overlap, has_above=False, has_left=True)[:, 3:].all()


# --- the search


@pytest.mark.parametrize("height, width, block, channels", [(9, 13, 4, 3), (17, 11, 5, 4), (6, 6, 6, 1)])
def test_errors_of_every_patch(rng, height, width, block, channels):
    picture = rng.random((height, width, channels))
    constraints = [(rng.random((block, block, channels)), rng.random((block, block, channels))) for _ in range(2)]
    expected = np.zeros((height - block + 1, width - block + 1))
    for top, left in product(*map(range, expected.shape)):
        patch = picture[top : top + block, left : left + block]
        expected[top, left] = sum((weight * (patch - wanted) ** 2).sum() for weight, wanted in constraints)
    search = PatchSearch(picture, block)
    for _ in range(2):  # the second time with what the first remembered
        np.testing.assert_allclose(search.errors(constraints), expected, rtol=1e-9, atol=1e-9)


def test_draws_within_the_tolerance(rng):
    picture = rng.random((20, 20, 3))
    search = PatchSearch(picture, 6)
    constraints = [(np.ones((6, 6, 3)), picture[3:9, 11:17])]
    assert search.draw(constraints, 0.1, rng) == (3, 11), "a patch that is there is found"
    noisy = [(np.ones((6, 6, 3)), rng.random((6, 6, 3)))]
    errors = search.errors(noisy)
    drawn = {search.draw(noisy, 0.2, rng) for _ in range(300)}
    allowed = {tuple(place) for place in np.argwhere(errors <= 1.2 * errors.min())}
    assert drawn == allowed and 1 < len(allowed) < errors.size


# --- pictures


def patches_of(picture, side):
    windows = np.lib.stride_tricks.sliding_window_view(picture, (side, side, 3))
    return {window.tobytes() for window in windows.reshape(-1, side, side, 3)}


@pytest.mark.parametrize("height, width", [(1, 1), (12, 12), (13, 40), (31, 25)])
def test_made_of_the_texture(rng, height, width):
    texture = blobs(rng, 24, 30)
    quilted = synthesize(texture, height, width, block=12)
    assert quilted.shape == (height, width, 3)
    assert patches_of(quilted, 1) <= patches_of(texture, 1), "every pixel is one of the texture's"
    if min(height, width) >= 12:  # the first block, whole
        assert patches_of(quilted[:10, :10], 10) <= patches_of(texture, 10)


def test_a_constant_texture_stays_constant():
    texture = np.full((20, 20, 3), [0.2, 0.5, 0.8])
    np.testing.assert_array_equal(synthesize(texture, 33, 29, block=9), np.full((33, 29, 3), [0.2, 0.5, 0.8]))


def test_seeds(rng):
    texture = blobs(rng, 24, 24)
    first, again, other = (synthesize(texture, 30, 30, block=9, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_seams_are_better_than_chance(rng):
    """Steps between neighbouring pixels where blocks meet: close to the texture's own, far from patches at random."""
    stripes = np.repeat(np.sin(np.arange(48) * 0.7)[None, :, None] / 2 + 0.5, 48, 0) * np.ones(3)
    texture = np.clip(stripes + 0.02 * rng.standard_normal(stripes.shape), 0, 1)

    def roughness(picture):
        return np.abs(np.diff(picture, axis=1)).max(1).mean()

    quilted = synthesize(texture, 60, 60, block=18)
    tops, lefts = rng.integers(31, size=(2, 4, 4))
    rows = [
        [texture[t : t + 15, x : x + 15] for t, x in zip(*row, strict=True)] for row in zip(tops, lefts, strict=True)
    ]
    at_random = np.concatenate([np.concatenate(row, 1) for row in rows])
    assert roughness(quilted) < 1.1 * roughness(texture) < roughness(at_random)


def test_transfer_follows_the_photo(rng):
    """Lights and darks of the photo are where they were, of the texture's pixels, although its range is another."""
    texture = 0.4 * np.linspace(0, 1, 40)[:, None, None] * blobs(rng, 40, 40)
    content = np.zeros((36, 50, 3))
    content[:, 25:] = 1
    painted = transfer(texture, content, block=9, iterations=2)
    assert painted.shape == content.shape
    assert patches_of(painted, 1) <= patches_of(texture, 1)
    luminance = painted @ quilting.LUMINANCE
    assert luminance[:, 27:].mean() > luminance[:, :23].mean() + texture.std()


def test_iterations_of_a_transfer(rng, monkeypatch):
    """Efros & Freeman 2001, section 3: alpha from 0.1 to 0.9, blocks a third smaller each time."""
    passes, lay_patches = [], quilting._lay_patches

    def record(texture, height, width, block, tolerance, rng, luminance, previous, alpha):
        passes.append((block, round(alpha, 3), previous is not None))
        return lay_patches(texture, height, width, block, tolerance, rng, luminance, previous, alpha)

    monkeypatch.setattr(quilting, "_lay_patches", record)
    transfer(blobs(rng, 40, 40), blobs(rng, 20, 20), block=18, iterations=3)
    assert passes == [(18, 0.1, False), (12, 0.5, True), (8, 0.9, True)]


def test_patches_larger_than_the_texture(rng):
    with pytest.raises(FastStyleError, match="quilting.block=36.*20 pixels"):
        synthesize(rng.random((20, 50, 3)), 40, 40)
