"""Every style config means a picture; originals come from a web server on this machine."""

import hashlib

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT
from PIL import Image

from fast_style.data.styles import (
    StyleError,
    enlargement,
    file_sha256,
    find_style_images,
    find_styles,
    read_style_image,
    style_name,
)

CONFIGS = sorted((ROOT / "configs/style").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_ships_with_a_picture(path):
    config = yaml.safe_load(path.read_text()) | {"name": path.stem}
    style_size = config.pop("style_size")
    (study,) = find_style_images(**config)
    assert study.stem == path.stem and study.is_relative_to(ROOT / "fast_style" / "assets")
    with Image.open(study) as picture:
        assert min(picture.size) >= 640 and picture.mode == "RGB"
    style_image = read_style_image(study, style_size)
    assert style_image.shape[:2] == (1, 3) and min(style_image.shape[2:]) == style_size
    assert 0 <= style_image.min() and style_image.max() <= 1 and style_image.std() > 0.05


def test_every_shipped_picture_has_a_config():
    studies = {path.stem for path in (ROOT / "fast_style/assets/styles").iterdir()}
    assert studies == {path.stem for path in CONFIGS}


def test_a_picture_of_ones_own(photo, tmp_path):
    path = photo(tmp_path / "mine.png", 30, 50)
    assert find_style_images("starry_night", image=str(path)) == [path]
    assert find_style_images("no_such_style", image=str(path)) == [path]


def test_several_pictures_are_one_style(photo, tmp_path):
    """A list, a folder with its subfolders, or a list of both; called by the first, or by the folder."""
    hand = tmp_path / "van.gogh"
    first, second, other = (photo(hand / name, 8, 9) for name in ("b.png", "late/a.jpg", "late/c.png"))
    (hand / "notes.txt").write_text("no picture")
    assert find_style_images("any", image=str(hand)) == [first, second, other]
    assert find_style_images("any", image=[str(other), str(hand / "late")]) == [other, second, other]
    assert style_name("any", str(hand)) == style_name("any", [f"{hand}/"]) == "van.gogh"
    assert style_name("any", [str(second), str(first)]) == "a_and_others"
    assert style_name("any", [str(second)]) == style_name("any", str(second)) == "a"
    assert style_name("any", None) == "any"


def test_a_folder_without_pictures(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(StyleError, match=f"style.image={tmp_path}: no pictures in it; left out 1 that are no pictures"):
        find_style_images("any", image=str(tmp_path))


def test_styles_by_name(photo, tmp_path):
    """In a list every picture is a style; in a mapping every entry, with any number of pictures."""
    first, second = (photo(tmp_path / "hand" / name, 8, 9) for name in ("a.png", "b.png"))
    assert find_styles(str(tmp_path / "hand")) == {"a": [first], "b": [second]}
    named = find_styles({"hand": str(tmp_path / "hand"), "pair": [str(second), "mosaic"], "wood": "woodcut"})
    assert list(named) == ["hand", "pair", "wood"] and named["hand"] == [first, second]
    assert [path.stem for path in named["pair"]] == ["b", "mosaic"] and named["wood"][0].stem == "woodcut"
    with pytest.raises(StyleError, match="styles=cubism: no such file or folder, and none of composition"):
        find_styles({"a": "cubism"})


@pytest.mark.parametrize("size, style_size, expected", [((50, 30), 15, (15, 25)), ((30, 50), 60, (100, 60))])
def test_style_size_is_the_short_side(photo, tmp_path, size, style_size, expected):
    path = photo(tmp_path / "a.png", size[1], size[0])
    assert read_style_image(path, style_size).shape == (1, 3, *expected)


def test_hidden_colours_are_no_style(tmp_path):
    """A viewer shows white where alpha is 0, and half white where it is a half."""
    colours = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    alpha = np.repeat([0, 128, 255], 10).astype(np.uint8)[None].repeat(20, 0)
    Image.fromarray(np.dstack([colours, alpha])).save(tmp_path / "cut.png")
    opacity = alpha[..., None] / 255
    shown = torch.from_numpy(colours / 255 * opacity + 1 - opacity).permute(2, 0, 1)[None].float()
    torch.testing.assert_close(read_style_image(tmp_path / "cut.png", 20), shown)


@pytest.mark.parametrize("height, width", [(500, 3), (1, 400)])
def test_a_strip_is_no_style(photo, tmp_path, height, width):
    path = photo(tmp_path / "thin.png", height, width)
    with pytest.raises(StyleError, match=f"{path}: .* short side of 256: crop it, or give a smaller style.style_size"):
        read_style_image(path, 256)


@pytest.mark.parametrize("height, width", [(50, 30), (30, 50)])
def test_an_enlarged_thumbnail_says_so(photo, tmp_path, height, width):
    path = photo(tmp_path / "thumbnail.jpg", height, width)
    note = enlargement(path, 31)
    assert note == (
        f"{path} is only {width}x{height}, and enlarged to style.style_size=31: style.style_size=30 is its own"
    )
    assert enlargement(path, 30) is None


def test_missing_file():
    with pytest.raises(StyleError, match="style.image=/no/such.jpg: no such file"):
        find_style_images("starry_night", image="/no/such.jpg")


def test_unknown_name_lists_what_ships():
    with pytest.raises(StyleError, match="'guernica'.*style.image=.*" + ", ".join(p.stem for p in CONFIGS)):
        find_style_images("guernica")


# --- originals


@pytest.fixture
def torch_home(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch_home"))
    return tmp_path / "torch_home"


@pytest.fixture
def painting(photo, tmp_path):
    return photo(tmp_path / "web" / "painting.jpg", 20, 30)


def original(url, sha256):
    (path,) = find_style_images("starry_night", original=True, original_url=url, original_sha256=sha256)
    return path


def test_original_is_fetched_once(serve, torch_home, painting):
    sha256 = hashlib.sha256(painting.read_bytes()).hexdigest()
    with serve(painting.parent) as address:
        url = f"{address}/painting.jpg"
        path = original(url, sha256)
    assert path.is_relative_to(torch_home) and path.read_bytes() == painting.read_bytes()
    assert file_sha256(path) == sha256
    assert original(url, sha256) == path  # the server is down
    path.write_bytes(b"damaged")
    with pytest.raises(StyleError, match="cannot fetch"):
        original(url, sha256)


def test_original_with_another_hash(serve, torch_home, painting):
    with serve(painting.parent) as address, pytest.raises(StyleError, match="hash"):
        original(f"{address}/painting.jpg", "0" * 64)
    assert not [path for path in torch_home.rglob("*") if path.is_file()]


def test_original_of_an_unreachable_server(serve, torch_home, tmp_path):
    with serve(tmp_path) as address:
        url = f"{address}/painting.jpg"
    with pytest.raises(StyleError, match=f"{url}.*style.image=FILE.*style.original=true"):
        original(url, "0" * 64)


def test_no_original_is_known():
    with pytest.raises(StyleError, match="'ink_wash'.*style.image=FILE"):
        find_style_images("ink_wash", original=True)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_pinned_hashes_are_those_of_the_paintings(path, shared):
    config = yaml.safe_load(path.read_text())
    if config["original_url"] is None:
        assert config["original_sha256"] is None
    else:
        painting = shared / "data" / "styles" / config["original_url"].rsplit("/", 1)[1]
        assert file_sha256(painting) == config["original_sha256"]
