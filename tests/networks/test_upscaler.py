"""The paper's layers, sizes to the pixel, bicubic interpolation against Pillow, histograms against scikit-image."""

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT
from PIL import Image
from skimage.exposure import match_histograms as reference_matching

from fast_style.errors import FastStyleError
from fast_style.networks import upscaler
from fast_style.networks.fast_layers import accelerate
from fast_style.networks.upscaler import Upscaler, match_histograms, resize_bicubic

LIGHT, PAPER = "light", "johnson2016"


@pytest.fixture
def build():
    def build(name, **options):
        torch.manual_seed(0)
        arguments = yaml.safe_load((ROOT / f"configs/upscaler/{name}.yaml").read_text())
        return Upscaler(**arguments | {"scale": 4} | options).eval()

    return build


@pytest.mark.parametrize(
    "scale, sides", [(4, [72] * 9 + [144, 288, 288]), (8, [36] * 9 + [72, 144, 288, 288])], ids=["x4", "x8"]
)
def test_the_layers_of_the_paper(build, scale, sides):
    """Johnson et al. 2016, supplement, table 2: kernels, filters and sizes from an image of 288 / scale pixels."""
    network, seen = build(PAPER, scale=scale), []
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d)]
    for convolution in convolutions:
        convolution.register_forward_hook(lambda module, _, maps: seen.append((module, tuple(maps.shape[1:]))))
    with torch.no_grad():
        network.layers(torch.rand(1, 3, 288 // scale, 288 // scale))
    assert [shape for _, shape in seen] == [(64, side, side) for side in sides[:-1]] + [(3, 288, 288)]
    kernels = [module.kernel_size[0] for module, _ in seen]
    assert kernels == [9] + [3] * (len(sides) - 2) + [9]
    upsampling = [module for module, _ in seen if isinstance(module, torch.nn.ConvTranspose2d)]
    assert [module.stride for module in upsampling] == [(2, 2)] * {4: 2, 8: 3}[scale]
    doublings, blocks, norm = len(upsampling), 4, 2 * 64
    expected = (3 * 81 * 64 + 64 + norm) + 2 * blocks * (64 * 9 * 64 + 64 + norm)
    expected += doublings * (64 * 9 * 64 + 64 + norm) + (64 * 81 * 3 + 3)
    assert sum(parameter.numel() for parameter in network.parameters()) == expected


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 13), (33, 20)], ids=str)
@pytest.mark.parametrize("name, scale", [(LIGHT, 2), (LIGHT, 4), (LIGHT, 8), (PAPER, 4)])
@torch.no_grad()
def test_scale_times_any_size_to_the_pixel(build, name, scale, size):
    network = build(name, scale=scale, width=4)
    images = torch.rand(2, 3, *size)
    enlarged = network(images)
    assert enlarged.shape == (2, 3, scale * size[0], scale * size[1]) and enlarged.isfinite().all()
    torch.testing.assert_close(accelerate(network)(images), enlarged, rtol=0, atol=1e-5)


@torch.no_grad()
def test_the_light_network_starts_as_bicubic_interpolation(build):
    images = torch.rand(1, 3, 9, 6)
    assert torch.equal(build(LIGHT)(images), resize_bicubic(images, (36, 24)))


@torch.no_grad()
def test_what_is_drawn_does_not_depend_on_the_rest_of_the_picture(build):
    """Without norms, a part alone is as it is in the whole, away from its border."""
    network, images = build(LIGHT, width=4, residual_blocks=2), torch.rand(1, 3, 60, 40)
    torch.nn.init.normal_(network.layers[-1][0].weight)
    whole, part = network(images), network(images[..., :40, :])
    torch.testing.assert_close(part[..., : 4 * 25, :], whole[..., : 4 * 25, :], rtol=0, atol=1e-4)


@pytest.mark.parametrize("height", [31, 60, 97])
@pytest.mark.parametrize("name, scale", [(LIGHT, 4), (PAPER, 2)])
@torch.no_grad()
def test_a_large_image_in_strips_is_the_same(build, monkeypatch, name, scale, height):
    network, images, seen = build(name, scale=scale, width=4, residual_blocks=2), torch.rand(2, 3, height, 10), []
    torch.nn.init.normal_(network.layers[-1][0].weight)
    whole = network(images)
    network.layers.register_forward_hook(lambda module, inputs, _: seen.append(inputs[0].shape[2]))
    monkeypatch.setattr(upscaler, "MOST_PIXELS", 2 * 10 * scale**2 * 30)
    torch.testing.assert_close(network(images), whole, rtol=0, atol=1e-4)
    assert len(seen) == -(-height // 30) and max(seen) <= 30 + 2 * network.reach


@pytest.mark.parametrize("size", [(80, 52), (5, 3), (31, 13), (7, 26)], ids=str)
def test_bicubic_is_that_of_pillow(size):
    image = np.random.default_rng(0).random((20, 13), dtype=np.float32)
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BICUBIC))
    resized = resize_bicubic(torch.from_numpy(image)[None, None], size)[0, 0]
    np.testing.assert_allclose(resized, expected, atol=1e-5)


def test_histograms_are_those_of_scikit_image():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 200, (2, 40, 30, 3)).astype(np.float64)
    references = np.rint(generator.random((2, 20, 25, 3)) ** 2 * 255)
    expected = [reference_matching(*pair, channel_axis=-1) for pair in zip(images, references, strict=True)]
    tensors = [torch.from_numpy(array).permute(0, 3, 1, 2).float() / 255 for array in (images, references)]
    matched = match_histograms(*tensors).permute(0, 2, 3, 1) * 255
    np.testing.assert_allclose(matched, expected, atol=1e-3)


def test_histograms_of_what_has_them_already_and_of_one_colour():
    images = torch.rand(1, 3, 50, 60)
    assert (match_histograms(images, images) - images).abs().max() < 0.51 / 255
    ramp = torch.linspace(0, 1, 5000).view(1, 1, 50, 100)
    darker = match_histograms(ramp, ramp**2).flatten()
    assert (darker.diff() >= 0).all() and len(darker.unique()) > 2000, "monotone, and smooth between the levels"
    assert (darker - ramp.flatten() ** 2).abs().max() < 1.5 / 255
    assert torch.equal(match_histograms(torch.rand(1, 1, 4, 4), torch.zeros(1, 1, 2, 2)), torch.zeros(1, 1, 4, 4))


@torch.no_grad()
def test_histograms_are_matched_after_training(build):
    images = torch.rand(2, 3, 8, 9)
    network, plain = build(PAPER, width=4), build(PAPER, width=4, histogram_matching=False)
    plain.load_state_dict(network.state_dict())
    assert torch.equal(network(images), match_histograms(plain(images), images))
    assert torch.equal(network.train()(images), plain.train()(images))


@pytest.mark.parametrize("option", [{"scale": 3}, {"norm": "layer"}, {"upsampling": "cubic"}, {"padding": "reflect"}])
def test_choices(option):
    with pytest.raises(FastStyleError, match=f"{next(iter(option))}=.*choose from"):
        Upscaler(**option)
