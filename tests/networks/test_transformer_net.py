"""Layer lists and sizes are those of the papers; padding is checked against numpy."""

import copy
import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from conftest import ROOT
from torch import nn

from fast_style.checkpoint import load_transformer
from fast_style.errors import FastStyleError
from fast_style.networks.fast_layers import accelerate
from fast_style.networks.transformer_net import (
    Noise,
    ResidualBlock,
    ScaleShift,
    TransformerNet,
    UpsampleConv,
    WeightNormConv2d,
    reflection_indices,
)

CONFIGS = ("johnson", "paper", "slim", "medium")


def model_config(name):
    return yaml.safe_load((ROOT / f"configs/model/{name}.yaml").read_text())


def build(name):
    torch.manual_seed(0)
    return TransformerNet(**model_config(name)).eval()


def parameter_count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def convolutions(net):
    return [layer for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))]


def test_johnson_is_the_default_and_has_the_published_layers():
    net = TransformerNet()
    assert model_config("johnson") == {
        "channels": [32, 64, 128],
        "residual_blocks": 5,
        "kernel_sizes": [9, 9],
        "norm": "instance",
        "upsampling": "nearest",
        "padding": "reflect",
        "output": "linear",
        "coarse_blocks": 0,
        "weight_norm": False,
        "noise": False,
        "skips": False,
        "margin": 0,
    }
    assert str(net) == str(build("johnson"))
    assert parameter_count(net) == 1_679_235
    listed = [(conv.in_channels, conv.out_channels, conv.kernel_size[0], conv.stride[0]) for conv in convolutions(net)]
    residual = [(128, 128, 3, 1)] * 10
    assert listed == [
        (3, 32, 9, 1), (32, 64, 3, 2), (64, 128, 3, 2), *residual, (128, 64, 3, 1), (64, 32, 3, 1), (32, 3, 9, 1)
    ]  # fmt: skip
    modes = [conv.padding_mode for conv in convolutions(net)]
    assert modes == ["reflect"] * 13 + ["replicate"] * 2 + ["reflect"]


def test_johnson_has_affine_instance_norm_after_all_but_the_last_convolution():
    order = [
        layer for layer in TransformerNet().modules() if isinstance(layer, (nn.Conv2d, nn.InstanceNorm2d, nn.Upsample))
    ]
    kinds = [next(kind for kind in type(layer).__mro__ if kind in nn.__dict__.values()) for layer in order]
    norms = [layer for layer in order if isinstance(layer, nn.InstanceNorm2d)]
    assert len(norms) == 15 and all(norm.affine and not norm.track_running_stats for norm in norms)
    assert [kind for kind in kinds if kind is not nn.Upsample] == [nn.Conv2d, nn.InstanceNorm2d] * 15 + [nn.Conv2d]
    assert [kinds.index(nn.Upsample), kinds.count(nn.Upsample)] == [2 * 13, 2]


@pytest.mark.parametrize("name", CONFIGS)
def test_parameter_count_follows_from_the_config(name):
    config = model_config(name)
    channels, (first, last) = config["channels"], config["kernel_sizes"]
    conv = lambda c_in, c_out, k: c_in * c_out * k * k + c_out  # noqa: E731
    expected = conv(3, channels[0], first) + 2 * channels[0] + conv(channels[0], 3, last)
    expected += config["residual_blocks"] * 2 * (conv(channels[-1], channels[-1], 3) + 2 * channels[-1])
    for fine, coarse in zip(channels, channels[1:], strict=False):
        expected += conv(fine, coarse, 3) + 2 * coarse + conv(coarse, fine, 3) + 2 * fine
    if config["coarse_blocks"]:
        expected += (2 + 2 * config["coarse_blocks"]) * (conv(channels[-1], channels[-1], 3) + 2 * channels[-1])
    if config["noise"]:
        expected += sum(channels[:-1]) + (config["residual_blocks"] * channels[-1] if config["noise"] is True else 0)
    if config["skips"]:
        expected += sum(channels[:-1])
    assert parameter_count(build(name)) == expected


def test_slim_is_less_than_a_third_of_johnson():
    assert parameter_count(build("slim")) < 520_000


def test_paper_has_batch_norm_and_transposed_convolutions():
    net = build("paper")
    assert parameter_count(net) == 1_679_235
    assert not any(isinstance(layer, (nn.InstanceNorm2d, nn.Upsample)) for layer in net.modules())
    assert sum(isinstance(layer, nn.BatchNorm2d) for layer in net.modules()) == 15
    transposed = [layer for layer in net.modules() if isinstance(layer, nn.ConvTranspose2d)]
    assert [(conv.in_channels, conv.out_channels, conv.stride) for conv in transposed] == [
        (128, 64, (2, 2)), (64, 32, (2, 2))
    ]  # fmt: skip
    for block in net.modules():
        if isinstance(block, ResidualBlock):
            assert all(conv.padding == (0, 0) for conv in convolutions(block))


def test_paper_has_the_sizes_of_the_supplement():
    """Johnson et al. 2016, supplementary material, table 1: activation size for an input of 3x256x256."""
    net, seen = build("paper"), []
    net.layers[0].register_forward_pre_hook(lambda layer, args: seen.append(tuple(args[0].shape[1:])))
    for layer in net.layers:
        if not isinstance(layer, (nn.BatchNorm2d, nn.ReLU)):
            layer.register_forward_hook(lambda layer, args, out: seen.append(tuple(out.shape[1:])))
    with torch.no_grad():
        net(torch.rand(1, 3, 256, 256))
    table = [(3, 336), (32, 336), (64, 168), (128, 84), (128, 80), (128, 76), (128, 72), (128, 68), (128, 64)]
    table += [(64, 128), (32, 256), (3, 256)]
    assert seen == [(channels, side, side) for channels, side in table]


def test_paper_output_is_a_picture():
    net = build("paper").train()
    with torch.no_grad():
        net.layers[-1][0].weight.mul_(100)
        stylized = net(torch.rand(2, 3, 20, 20))
    assert 0 <= stylized.min() < 0.01 and 0.99 < stylized.max() <= 1


def test_residual_block_adds_the_middle_of_its_input():
    block = ResidualBlock(4, "batch", "none", nn.Identity()).eval()
    for parameter in block.parameters():
        nn.init.zeros_(parameter)
    x = torch.rand(1, 4, 9, 11)
    torch.testing.assert_close(block(x), x[..., 2:-2, 2:-2], rtol=0, atol=0)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 5), (8, 8), (33, 47), (64, 101)])
@torch.no_grad()
def test_size_in_is_size_out(name, size):
    net, images = build(name), torch.rand(2, 3, *size)
    before = images.clone()
    stylized = net(images)
    assert stylized.shape == images.shape and stylized.isfinite().all()
    assert torch.equal(images, before), "the input was changed"


@pytest.mark.parametrize("name, border, multiple", [("johnson", 0, 4), ("paper", 40, 4), ("slim", 32, 4)])
@torch.no_grad()
def test_images_are_reflected_to_the_next_multiple(name, border, multiple):
    net, image = build(name), torch.rand(1, 3, 33, 46)
    below, right = -33 % multiple, -46 % multiple
    padded = np.pad(image.numpy(), ((0, 0), (0, 0), (border, border + below), (border, border + right)), mode="reflect")
    padded = torch.from_numpy(padded)
    if name == "slim":
        height, width = padded.shape[2:]
        padded += net.dither.weight[0] * net.dither.tile.roll((border, border), (0, 1))[:height, :width]
    cut = net.margin
    stylized = net.layers(padded)[..., cut : cut + 33, cut : cut + 46]
    output = {"linear": stylized, "tanh": stylized.tanh() / 2 + 0.5}[net.output]
    torch.testing.assert_close(net(image), output)


@torch.no_grad()
def test_a_margin_is_painted_on_the_photo_mirrored_and_cut():
    torch.manual_seed(0)
    net = TransformerNet((4, 6, 8), 1, skips=True, margin=10)
    plain = TransformerNet((4, 6, 8), 1, skips=True).eval()
    plain.load_state_dict(net.state_dict())
    images = torch.rand(2, 3, 32, 48)
    mirrored = torch.from_numpy(np.pad(images, ((0, 0), (0, 0), (10, 10), (10, 10)), "reflect"))
    torch.testing.assert_close(net.eval()(images), plain(mirrored)[..., 10:-10, 10:-10])
    images = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(net.train()(images), plain.train()(images))


@torch.no_grad()
def test_outputs():
    """On a 0-255 scale, from the last convolution's values."""
    arguments = {"channels": [4, 6], "residual_blocks": 1}
    image = torch.rand(1, 3, 8, 8)
    expected = {"linear": lambda x: 255 * x, "tanh": lambda x: 127.5 * np.tanh(x) + 127.5,
                "tanh150": lambda x: 150 * np.tanh(x) + 255 / 2}  # fmt: skip
    for output, function in expected.items():
        net = TransformerNet(**arguments, output=output)
        values = 5 * net.layers(image)  # on both sides of saturation
        net.layers[-1][0].weight.mul_(5)
        net.layers[-1][0].bias.mul_(5)
        np.testing.assert_allclose(255 * net(image), function(values.double().numpy()), atol=1e-3)


@pytest.mark.parametrize("size, before, after", [(1, 0, 3), (1, 5, 0), (2, 3, 4), (3, 7, 9), (5, 0, 0), (10, 40, 43)])
def test_reflection_indices_are_numpy_pad(size, before, after):
    expected = np.pad(np.arange(size), (before, after), mode="reflect")
    np.testing.assert_array_equal(reflection_indices(size, before, after, torch.device("cpu")), expected)


def test_replication_before_is_reflection_after_nearest_upsampling():
    """The border of the published ports, which reflect before every convolution."""
    x = torch.randn(1, 2, 3, 4)
    upsampled = F.interpolate(x, scale_factor=2, mode="nearest")
    replicated, reflected = (F.pad(upsampled, (1, 1, 1, 1), mode=mode) for mode in ("replicate", "reflect"))
    assert torch.equal(replicated, reflected)


@torch.no_grad()
def interior_variation(upsampling):
    torch.manual_seed(0)
    upsampled = UpsampleConv(4, 4, upsampling)(torch.full((1, 4, 8, 8), 0.7))[..., 2:-2, 2:-2]
    return float((upsampled.amax((2, 3)) - upsampled.amin((2, 3))).max())


def test_upsampling_a_constant_leaves_no_checkerboard():
    assert interior_variation("nearest") < 1e-6
    assert interior_variation("transposed") > 1e-2, "and the paper's upsampling does"


@pytest.mark.parametrize("channels", [(4,), (4, 6), (4, 6, 8)])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 9)])
def test_shallow_networks_take_every_size_too(channels, size):
    images = torch.rand(1, 3, *size)
    assert TransformerNet(channels, residual_blocks=1)(images).shape == images.shape
    TransformerNet(channels, residual_blocks=1, kernel_sizes=(9, 1))(images).sum().backward()


def test_noise_is_the_same_everywhere_and_always():
    """A value a pixel, in every channel with its own strength; the tile repeats."""
    noise = Noise(3, seed=1, period=31).eval()
    nn.init.normal_(noise.weight)
    added = noise(torch.zeros(2, 3, 100, 140))
    again = Noise(3, seed=1, period=31).eval()
    again.load_state_dict(noise.state_dict())
    assert torch.equal(again(torch.zeros(1, 3, 30, 20)), added[:1, :, :30, :20])
    period = len(noise.tile)
    for channel in range(3):
        torch.testing.assert_close(added[1, channel, :period, :period], noise.weight[channel] * noise.tile)
    assert torch.equal(added[..., period:, :], added[..., :-period, :])
    assert torch.equal(added[..., period:], added[..., :-period])
    assert 0.9 < noise.tile.std() < 1.1 and abs(noise.tile.mean()) < 0.05


def test_noise_begins_elsewhere_for_other_images_in_training():
    noise = Noise(4, seed=0, period=61).train()
    nn.init.ones_(noise.weight)
    images = torch.randn(2, 4, 12, 15)
    added = noise(images) - images
    assert not torch.allclose(added[0], added[1], atol=0.1)
    torch.testing.assert_close(noise(images[1:]) - images[1:], added[1:])
    rolled = [noise.tile.roll((-down, -right), (0, 1)) for down in range(61) for right in range(61)]
    assert any(torch.allclose(tile[:12, :15], added[0, 0], atol=1e-5) for tile in rolled)


@pytest.mark.parametrize("noise", [False, "fine", True])
def test_skips_add_what_has_the_same_resolution(noise):
    """By hand, layer after layer; and at strength 0, where they begin, they add nothing."""
    torch.manual_seed(0)
    images = torch.rand(1, 3, 24, 32)
    net = TransformerNet((4, 6, 8), residual_blocks=1, kernel_sizes=(3, 3), noise=noise, skips=True).eval()
    plain = TransformerNet((4, 6, 8), residual_blocks=1, kernel_sizes=(3, 3), noise=noise).eval()
    plain.load_state_dict({name: value for name, value in net.state_dict().items() if "skips" not in name})
    torch.testing.assert_close(net(images), plain(images), rtol=0, atol=0)
    half, full = (nn.init.normal_(strengths) for strengths in net.skips)
    assert (len(half), len(full)) == (6, 4)
    layers, up = list(net.layers), 4 if noise else 3
    run = lambda x, first, last: nn.Sequential(*layers[first:last])(x)  # noqa: E731
    fine = run(net.dither(images), 0, 3)
    middle = run(fine, 3, 6)
    x = run(middle, 6, 10 + up) + half[:, None, None] * middle
    x = run(x, 10 + up, 10 + 2 * up) + full[:, None, None] * fine
    torch.testing.assert_close(net(images), run(x, 10 + 2 * up, None))
    torch.testing.assert_close(accelerate(net)(images), run(x, 10 + 2 * up, None), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("blocks, place", [(2, 10), (3, 11)])
def test_coarse_blocks_are_at_half_the_coarsest_resolution_and_begin_as_nothing(blocks, place):
    """By hand, of plain layers; the photo's sides are no multiples of the coarsest pixel."""
    torch.manual_seed(0)
    images = torch.rand(1, 3, 27, 45)
    net = TransformerNet((4, 6, 8), residual_blocks=blocks, coarse_blocks=1).eval()
    plain = TransformerNet((4, 6, 8), residual_blocks=blocks).eval()
    plain.load_state_dict({name: value for name, value in net.state_dict().items() if "coarse" not in name})
    painted = net(F.pad(images, (0, 3, 0, 5), "reflect"))
    torch.testing.assert_close(painted, plain(F.pad(images, (0, 3, 0, 5), "reflect")), rtol=0, atol=0)
    torch.testing.assert_close(net(images), painted[..., :27, :45], rtol=0, atol=0)

    nn.init.normal_(net.coarse.body[-1].weight)
    down, norm, _, block, up, last = net.coarse.body
    x = net.layers[:place](F.pad(images, (0, 3, 0, 5), "reflect"))
    convolve = lambda x, layer, stride=1: F.conv2d(F.pad(x, (1,) * 4, "reflect"), layer.weight, layer.bias, stride)  # noqa: E731
    coarse = norm(convolve(x, down[0], 2)).relu()
    assert coarse.shape == (1, 8, 4, 6)
    first, first_norm, _, second, second_norm = block.body
    coarse = coarse + second_norm(convolve(first_norm(convolve(coarse, first[0])).relu(), second[0]))
    x = x + last(convolve(coarse.repeat_interleave(2, 2).repeat_interleave(2, 3), up[1][0]))
    expected = net.layers[place:](x)[..., :27, :45]
    torch.testing.assert_close(net(images), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(accelerate(net)(images), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_coarse_blocks_see_more_of_the_photo():
    """How far a changed pixel reaches, in a network without norms that see all of it: past the middle of 256 pixels."""
    reach = {}
    for blocks in (0, 3):
        torch.manual_seed(0)
        net = TransformerNet((4, 6, 8), norm="batch", coarse_blocks=blocks).eval()
        for name, parameter in net.named_parameters():
            if name.startswith("coarse"):
                nn.init.normal_(parameter, std=0.5)
        image = torch.rand(1, 3, 8, 512, dtype=torch.float64)
        changed = image.clone()
        changed[..., 256] += 10
        columns = (net.double()(image) != net(changed)).any(2).any(1)[0].nonzero()
        reach[blocks] = int(columns.max() - columns.min() + 1)
    assert 90 < reach[0] < 120 and 220 < reach[3] < 260, reach


@pytest.mark.parametrize("model", [{"norm": "none"}, {"padding": "input"}])
def test_coarse_blocks_need_norms_and_padded_blocks(model):
    with pytest.raises(FastStyleError, match="model.coarse_blocks needs model.padding=reflect, and model.norm"):
        TransformerNet((4, 8), coarse_blocks=1, **model)


@torch.no_grad()
def test_weight_norm_is_of_the_kernels_that_add_and_enlarge():
    """By loops: a network with instance norms, of which some do nothing, and with kernels that are divided by hand."""
    torch.manual_seed(0)
    options = {
        "channels": (4, 6, 8),
        "residual_blocks": 2,
        "coarse_blocks": 1,
        "upsampling": "bilinear",
        "noise": "fine",
    }
    net = TransformerNet(**options, weight_norm=True).eval()
    for parameter in net.parameters():
        nn.init.normal_(parameter, 0 if parameter.ndim > 1 else 0.5, 0.3)
    scaled = [name for name, module in net.named_modules() if isinstance(module, ScaleShift)]
    assert scaled == [
        "layers.9.body.4", "layers.10.body.4", "layers.13", "layers.17", "coarse.body.3.body.4", "coarse.body.5"
    ]  # fmt: skip
    plain, state = TransformerNet(**options).eval(), copy.deepcopy(net.state_dict())
    later = [name for name, module in net.named_modules() if isinstance(module, WeightNormConv2d)]
    # The second of each block, and the upsamplings: one of the coarse blocks, two of the way up.
    assert later == [
        "layers.9.body.3.0", "layers.10.body.3.0", "layers.11.1.0", "layers.15.1.0", "coarse.body.3.body.3.0",
        "coarse.body.4.1.0",
    ]  # fmt: skip
    for name in later:
        for kernel in state[f"{name}.weight"]:
            kernel /= sum(float(value) ** 2 for value in kernel.flatten()) ** 0.5
    plain.load_state_dict(state)
    for name, module in plain.named_modules():
        if name in scaled:
            module.forward = lambda x, own=module: x * own.weight[:, None, None] + own.bias[:, None, None]
    images = torch.rand(2, 3, 33, 50)
    torch.testing.assert_close(net(images), plain(images), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(accelerate(net)(images), plain(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model", [{"norm": "none"}, {"upsampling": "transposed"}])
def test_weight_norm_needs_norms_and_interpolation(model):
    with pytest.raises(FastStyleError, match="model.weight_norm=true needs model.norm=instance or batch, and"):
        TransformerNet((4, 8), weight_norm=True, **model)


def test_flat_parts_repeat_without_noise_only():
    """The reason for the noise: a network that sees one colour can only repeat itself with every coarse pixel."""
    torch.manual_seed(0)
    image = torch.rand(1, 3, 96, 96)
    image[..., 16:, :] = 0.4
    for noise, repeats in ((False, True), (True, False)):
        net = TransformerNet((4, 6, 8), residual_blocks=1, noise=noise).eval()
        for name, parameter in net.named_parameters():
            if name.endswith("noise.weight"):
                nn.init.ones_(parameter)
        with torch.no_grad():
            flat = net(image)[..., 56:-24, 24:-24]
        assert torch.allclose(flat[..., 4:], flat[..., :-4], atol=1e-4) is repeats


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 2)])
@torch.no_grad()
def test_a_photo_of_a_pixel_is_no_matter_of_rounding(size):
    """As it was when dither was mirrored with the photo: norms had nothing but rounding errors to normalise."""
    network, image = load_transformer(ROOT / "checkpoints/mosaic.safetensors")[0], torch.rand(1, 3, *size)
    exact = copy.deepcopy(network).double()(image.double()).float()
    for one in (network, accelerate(network)):
        torch.testing.assert_close(one(image), exact, rtol=0, atol=0.2 / 255)


def test_dither_is_a_level_and_has_as_much_of_every_scale():
    net, image = build("medium"), torch.full((1, 3, 521, 521), 0.5)
    added = (net.dither(image) - image) * 255
    assert torch.equal(added[:, 0], added[:, 1]) and 0.95 < added.std() < 1.05 and added.mean().abs() < 0.01
    assert not any("dither" in name for name in net.state_dict())
    # Each octave of 1/f noise has the same variance: that of means of 2x2, 4x4, ... pixels falls by equal steps.
    tile = net.dither.tile[:512, :512]
    assert (tile[0] - tile[1]).std() < 0.8 * tile.std() * 2**0.5
    variances = [float(F.avg_pool2d(tile[None], side).var()) for side in (1, 2, 4, 8, 16, 32)]
    steps = [fine - coarse for fine, coarse in itertools.pairwise(variances)]
    assert max(steps[1:]) < 1.6 * min(steps[1:]), steps
