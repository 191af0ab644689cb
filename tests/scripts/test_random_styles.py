"""Random style pictures: reproducible one by one, of the right size, never blank, never twice the same."""

import sys
from itertools import combinations

import numpy as np
import pytest

from scripts.painting import random_styles
from scripts.painting.random_styles import numbered_painting, random_painting

NUMBERS = (4, 6, 8, 11)  # quick ones


@pytest.fixture(scope="module")
def paintings() -> list[np.ndarray]:
    return [np.asarray(numbered_painting(0, number)) for number in NUMBERS]


def test_a_painting_depends_on_its_seed_and_number_alone(paintings):
    np.testing.assert_array_equal(numbered_painting(0, NUMBERS[0]), paintings[0])
    np.testing.assert_array_equal(random_painting(np.random.default_rng([0, NUMBERS[0]])), paintings[0])


def test_size_and_type(paintings):
    for painting in paintings:
        assert painting.dtype == np.uint8
        assert painting.ndim == 3 and painting.shape[2] == 3
        assert min(painting.shape[:2]) == 384


def test_not_blank(paintings):
    for painting in paintings:
        assert painting.std(axis=(0, 1)).max() > 8


def test_paintings_differ(paintings):
    for first, second in combinations(paintings, 2):
        assert np.abs(first[:384, :384].astype(int) - second[:384, :384]).mean() > 10


def test_palettes_run_from_dark_to_light():
    for seed in range(20):
        palette = random_styles.random_palette(np.random.default_rng(seed))
        luminance = palette @ (0.299, 0.587, 0.114)
        assert palette.min() >= 0 and palette.max() <= 1
        assert luminance[-1] - luminance[0] > 0.15


def test_command_line_continues_a_series(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["random_styles.py", "--first", "4", "--count", "1", "--output", str(tmp_path)])
    random_styles.main()
    assert [path.name for path in tmp_path.iterdir()] == ["style_00004.jpg"]
