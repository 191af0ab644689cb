"""PNG files in strips are those that Pillow reads whole, of every kind and with every filter."""

import numpy as np
import pytest
from PIL import Image

from fast_style.data import images
from fast_style.data.images import ImageError, read_image
from fast_style.data.large_png import has_strips, png_strips


def picture(mode):
    """Rows of noise and of ramps, for which a writer chooses all of the filters."""
    rng = np.random.default_rng(0)
    ramps = np.add.outer(np.arange(50) * 3, np.arange(41) * 2)[..., None] + np.arange(4) * 20
    pixels = np.where(rng.random((50, 1, 1)) < 0.5, ramps, rng.integers(0, 255, (50, 41, 4))).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("rows", [7, 50])
def test_strips_are_the_picture(tmp_path, mode, rows):
    path = tmp_path / "a.png"
    picture(mode).save(path, **({"bits": 8} if mode == "P" else {}))
    with Image.open(path) as whole, open(path, "rb") as file:
        assert has_strips(file)
        strips = list(png_strips(file, rows))
        assert [strip.height for strip in strips] == [min(rows, 50 - top) for top in range(0, 50, rows)]
        found = np.concatenate([np.array(strip.convert("RGBA")) for strip in strips])
        np.testing.assert_array_equal(found, np.array(whole.convert("RGBA")))


def test_other_kinds_have_no_strips(tmp_path):
    Image.new("I;16", (3, 3)).save(tmp_path / "a.png")
    Image.new("P", (3, 3)).save(tmp_path / "b.png", bits=2)
    for name in ("a.png", "b.png"):
        with open(tmp_path / name, "rb") as file:
            assert not has_strips(file)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_large_file_is_made_smaller_while_it_is_read(tmp_path, monkeypatch, mode):
    path = tmp_path / "a.png"
    picture(mode).resize((410, 505)).save(path)
    expected = read_image(path, 60)
    monkeypatch.setattr(images, "LARGE", 1000)
    monkeypatch.setattr(images, "STRIP", 4100)
    monkeypatch.setattr(images, "_refuse_too_large", lambda image: pytest.fail("read whole"))
    (found, alpha), (wanted, opacity) = read_image(path, 60), expected
    assert found.shape == wanted.shape and (alpha is None) == (opacity is None)
    if alpha is not None:
        assert (alpha - opacity).abs().max() <= 1.01 / 255
        found, wanted = found * alpha, wanted * opacity  # colours that are hardly seen are hardly known
    assert (found - wanted).abs().max() <= 2.1 / 255
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match="a.png: image file is truncated"):
        read_image(path, 60)


def test_more_than_the_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    picture("RGB").save(path)
    monkeypatch.setattr(images, "LARGE", 1000)
    monkeypatch.setattr(images, "free_memory", lambda device: 8 * 41 * 50 - 1)
    with pytest.raises(ImageError, match="a.png: 41x50 pixels take 0.0 GB to read, 0.0 are free: make it smaller"):
        read_image(path)
