"""The network that ships for any style: what it is for, and that it has learnt it."""

import numpy as np
import pytest
import torch
from PIL import Image

from fast_style import Stylizer
from fast_style.checkpoint import load_network
from fast_style.data.images import read_image
from fast_style.data.sample_photos import sample_photo
from fast_style.data.styles import bundled_styles
from fast_style.inference.first_guess import better, predicted
from fast_style.losses import relative_error
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.training.warm_start import FIRST_GUESS

pytestmark = pytest.mark.skipif(not FIRST_GUESS.exists(), reason="no network for any style ships yet")


@pytest.fixture(scope="module")
def several() -> MultiStyleNet:
    return predicted(load_network(FIRST_GUESS)[0], {name: [path] for name, path in bundled_styles().items()})


def test_its_file():
    assert FIRST_GUESS.stat().st_size <= 6_000_000


def test_palettes_follow_the_pictures(several):
    """The mean colours of what is painted of one photo go with those of the style pictures."""
    photo = torch.rand(1, 3, 8, 8).repeat_interleave(16, 2).repeat_interleave(16, 3)
    with torch.no_grad():
        painted = torch.cat([several.transformer_for(name)(photo).mean((2, 3)) for name in several.names])
    pictures = [np.asarray(Image.open(path).convert("RGB")).mean((0, 1)) / 255 for path in bundled_styles().values()]
    for channel in range(3):
        correlation = np.corrcoef(painted[:, channel].numpy(), np.array(pictures)[:, channel])[0, 1]
        assert correlation > 0.5, (channel, correlation)


def test_the_identity_keeps_a_photo(several):
    photo = read_image(sample_photo("chelsea.png"), 128)[0][None]
    with torch.no_grad():
        errors = {
            strength: relative_error(several.transformer_for("starry_night", strength)(photo), photo).item()
            for strength in (0, 1)
        }
    assert errors[0] < errors[1] / 2, errors


def test_a_program_needs_no_file(photo, tmp_path):
    source = photo(tmp_path / "photo.png", 40, 48)
    picture = Stylizer(style=bundled_styles()["woodcut"])(source)
    assert picture.size == (48, 40) and np.asarray(picture).std() > 5


def test_what_it_says(several, monkeypatch):
    monkeypatch.setattr("sys.argv", ["fast-style-infer"])
    assert better({"mosaic": [bundled_styles()["mosaic"]]}).endswith("\n  fast-style-train style=mosaic budget=60s")
