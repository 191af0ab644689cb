"""The sample photos of scikit-image: those of its package, or a line; never the network."""

import socket

import numpy as np
import pytest
import skimage
import skimage.data

from fast_style.ancestors.texture_synthesis import sample_photos
from fast_style.data.content import SampleImages, Samples
from fast_style.data.images import read_rgb
from fast_style.data.sample_photos import sample_photo
from fast_style.errors import FastStyleError


@pytest.fixture
def offline(monkeypatch):
    def refuse(*_, **__):
        pytest.fail("goes online")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)


@pytest.fixture
def bare(monkeypatch, offline, tmp_path):
    """A scikit-image without pictures; returns the folder of those that were fetched."""
    monkeypatch.setattr(skimage, "__file__", str(tmp_path / "skimage" / "__init__.py"))
    monkeypatch.setattr(skimage.data, "data_dir", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "brick"])
def test_pictures_are_those_of_scikit_image(name, offline):
    expected = getattr(skimage.data, name)()
    if expected.ndim == 2:
        expected = np.stack([expected] * 3, -1)
    np.testing.assert_array_equal(read_rgb(sample_photo(f"{name}.png"), min(expected.shape[:2])), expected)


def test_a_fetched_picture_is_taken(bare, photo):
    path = photo(bare / "chelsea.png", 8, 8)
    assert sample_photo("chelsea.png") == path


def test_a_missing_picture_is_one_line(bare, train_in_process):
    options = {"count": 4, "photo_share": 0.5, "image_size": 32, "batch_size": 2, "seed": 0}
    for name, use in {
        "astronaut.png": sample_photos,
        "chelsea.png": Samples(**options).validation_images,
        "motorcycle_left.png": lambda: SampleImages(4, 36, 0.5, seed=0),
    }.items():
        with pytest.raises(FastStyleError, match="leaves it out: pip install") as error:
            use()
        assert "\n" not in str(error.value) and ".png: " in str(error.value), name
    with pytest.raises(FastStyleError, match="chelsea.png: this build of scikit-image"):
        train_in_process("run", "max_steps=1")


def test_without_photos_none_is_needed(bare):
    assert len(list(SampleImages(2, 36, 0.0, seed=0))) == 2
