"""The pyramid: sizes to the pixel, shifts, noise that its seed determines, the paper's widths."""

import numpy as np
import pytest
import torch

from fast_style.errors import FastStyleError
from fast_style.networks.texture_generator import TextureGenerator


@pytest.fixture
def build():
    def build(**options):
        torch.manual_seed(0)
        return TextureGenerator(**{"channels": [6, 5, 4], "branch_channels": 3, "norm": "instance", **options}).eval()

    return build


@torch.no_grad()
def draw(generator, size, seeds=((0,), (1,)), content_images=None):
    return generator(generator.draw_noise(size, seeds), size, content_images)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 13), (33, 50), (64, 64)], ids=str)
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_any_size_to_the_pixel(build, size, norm):
    assert draw(build(norm=norm), size).shape == (2, 3, *size)
    photos = torch.rand(2, 3, *size)
    assert draw(build(norm=norm, content=True), size, content_images=photos).shape == photos.shape


def shifted_both_ways(generator, content_images=None):
    """A texture from noise that was shifted by (2, 1) coarsest pixels, and the texture shifted instead."""
    noise = generator.draw_noise((32, 24), [(0,)])
    shifted = [maps.roll((2 * 2**index, 2**index), (2, 3)) for index, maps in enumerate(noise)]
    with torch.no_grad():
        return generator(shifted, (32, 24), content_images), generator(noise, (32, 24), content_images).roll(
            (8, 4), (2, 3)
        )


def test_textures_have_no_borders(build):
    """Circular padding: shifted noise gives the shifted texture, all around."""
    one, other = shifted_both_ways(build())
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert one.std() > 0.01, "and it is no single colour, of which the same could be said"
    one, other = shifted_both_ways(build(content=True), torch.full((1, 3, 32, 24), 0.5))
    assert (one - other).abs().max() > 0.01, "reflection has borders"


def test_textures_tile(build):
    """The jump from the last row to the first is no larger than those between rows."""
    texture = draw(build(), (64, 64), [(3,)])[0]
    for axis in (1, 2):
        jumps = (texture - texture.roll(1, axis)).abs().movedim(axis, 0).flatten(1).mean(1)
        assert jumps[0] <= 1.5 * jumps[1:].max()


def test_noise_is_a_function_of_its_seed(build):
    generator = build()
    noise = generator.draw_noise((40, 24), [(5, 0), (5, 1)])
    assert [tuple(maps.shape) for maps in noise] == [(2, 3, 10, 6), (2, 3, 20, 12), (2, 3, 40, 24)]
    alone = generator.draw_noise((40, 24), [(5, 1)])
    assert all(torch.equal(maps[1:], own) for maps, own in zip(noise, alone, strict=True))
    assert not torch.equal(noise[0][0], noise[0][1])
    values = torch.cat([maps.flatten() for maps in noise])
    assert 0 <= values.min() and values.max() < 1 and values.mean() == pytest.approx(0.5, abs=0.02)


def test_every_scale_sees_the_whole_photo(build):
    photo = torch.rand(1, 3, 10, 9)
    padded = np.pad(photo[0].numpy(), ((0, 0), (0, 2), (0, 3)), mode="reflect")
    pyramid = build(content=True)._content_pyramid(photo)
    for maps, factor in zip(pyramid, (4, 2, 1), strict=True):
        height, width = maps.shape[2:]
        assert (height, width) == (12 // factor, 12 // factor)
        for row in range(height):
            for column in range(width):
                block = padded[:, row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
                np.testing.assert_allclose(maps[0, :, row, column], block.mean((1, 2)), rtol=1e-5)


def test_the_photo_and_the_noise_both_count(build):
    generator = build(content=True)
    photos = torch.rand(2, 3, 16, 16)
    same_noise = draw(generator, (16, 16), [(0,), (0,)], photos)
    same_photo = draw(generator, (16, 16), [(0,), (1,)], photos[:1].expand(2, -1, -1, -1))
    for pair in (same_noise, same_photo):
        assert (pair[0] - pair[1]).abs().max() > 1e-3


def test_the_paper():
    """Ulyanov et al. 2016, section 3: eight maps for each of five scales, forty at full resolution."""
    convolutions = [module for module in TextureGenerator().modules() if isinstance(module, torch.nn.Conv2d)]
    shapes = [(conv.in_channels, conv.out_channels, conv.kernel_size[0]) for conv in convolutions]
    assert shapes[:15] == [(3, 8, 3), (8, 8, 3), (8, 8, 1)] * 5
    joined = [(width, width, kernel_size) for width in (16, 24, 32, 40) for kernel_size in (3, 3, 1)]
    assert shapes[15:] == [*joined, (40, 3, 1)]
    assert {conv.padding_mode for conv in convolutions if conv.kernel_size[0] == 3} == {"circular"}


def test_unknown_norm(build):
    with pytest.raises(FastStyleError, match="generator.norm=layer: choose from instance, batch"):
        build(norm="layer")
