"""Drawing from a generator: seeds, sizes, photos."""

import pytest
import torch

from fast_style.data.images import read_image
from fast_style.errors import FastStyleError
from fast_style.inference.sampling import Variant, parse_size, sample_files, sample_texture
from fast_style.inference.stylize import stylize
from fast_style.networks.texture_generator import TextureGenerator


@pytest.fixture
def generator():
    torch.manual_seed(0)
    generator = TextureGenerator([6, 4], norm="instance").eval()
    torch.nn.init.constant_(generator.to_rgb.bias, 0.5)
    return generator


@pytest.mark.parametrize("text, size", [(512, (512, 512)), ("7", (7, 7)), ("640x480", (480, 640))])
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["0", "-5", "3x", "axb", "1x2x3", 1.5, "0x4"])
def test_impossible_sizes(text):
    with pytest.raises(FastStyleError, match=f"size={text}"):
        parse_size(text)


def test_a_sample_is_its_seed_and_its_index(generator, tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(3)]
    sample_files(generator, paths, (11, 17), seed=4)
    pictures = [read_image(path)[0] for path in paths]
    for index, picture in enumerate(pictures):
        alone = sample_texture(generator, (11, 17), 4, index)
        torch.testing.assert_close(picture, alone, rtol=0, atol=0.51 / 255)
        assert alone.shape == (3, 11, 17) and 0 <= alone.min() and alone.max() <= 1
    assert (pictures[0] - pictures[1]).abs().max() > 0.1
    assert not torch.equal(sample_texture(generator, (11, 17), 5, 0), sample_texture(generator, (11, 17), 4, 0))


def test_variants_of_a_photo_have_its_size_and_share_noise_with_other_photos():
    torch.manual_seed(0)
    generator = TextureGenerator([6, 4], norm="instance", content=True).eval()
    photos = torch.rand(1, 3, 9, 14).expand(2, -1, -1, -1)
    first, again = stylize(Variant(generator, 0, 0), photos)
    assert torch.equal(first, again) and first.shape == (3, 9, 14)
    assert not torch.equal(first, stylize(Variant(generator, 0, 1), photos)[0])
