"""Padded convolution, its gradient and instance norm against PyTorch's own, in float64 and in both memory formats."""

import copy

import pytest
import torch
import torch.nn.functional as F
import yaml
from conftest import ROOT

from fast_style.networks import fast_layers
from fast_style.networks.fast_layers import accelerate, instance_norm, padded_conv
from fast_style.networks.transformer_net import ConvLayer, TransformerNet, UpsampleConv

FORMATS = (torch.contiguous_format, torch.channels_last)


def random_images(*shape, memory_format=torch.contiguous_format):
    images = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return images.contiguous(memory_format=memory_format).requires_grad_()


def assert_same(function, reference, *inputs):
    """Values and gradients, for a gradient that differs from pixel to pixel."""
    value, expected = function(*inputs), reference(*inputs)
    torch.testing.assert_close(value, expected)
    weights = torch.randn(expected.shape, dtype=expected.dtype, generator=torch.Generator().manual_seed(1))
    gradients = torch.autograd.grad((value * weights).sum(), inputs)
    torch.testing.assert_close(gradients, torch.autograd.grad((expected * weights).sum(), inputs))


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(
    "mode, size, amounts",
    [
        *(("reflect", *case) for case in [((2, 3), (1, 1)), ((4, 9), (3, 3)), ((5, 5), (4, 4)), ((9, 6), (4, 4))]),
        *(("reflect", (4, 5), amounts) for amounts in [(1, 0), (0, 1), (2, 1)]),
        *(("replicate", size, (1, 1)) for size in [(1, 1), (1, 4), (3, 2)]),
    ],
)
def test_padded_conv(memory_format, stride, mode, size, amounts):
    rows, columns = amounts
    images = random_images(2, 3, *size, memory_format=memory_format)
    weight, bias = random_images(4, 3, 2 * rows + 1, 2 * columns + 1, memory_format=memory_format), random_images(4)
    assert_same(
        lambda *inputs: padded_conv(*inputs, amounts, mode, stride),
        lambda images, weight, bias: F.conv2d(
            F.pad(images, (columns, columns, rows, rows), mode), weight, bias, stride
        ),
        images, weight, bias,
    )  # fmt: skip


def test_padded_conv_with_frozen_weights():
    """As in a loss network, or for an image that nothing before it can learn from."""
    images, weight, bias = random_images(1, 3, 4, 4), random_images(2, 3, 3, 3), random_images(2)
    padded_conv(images, weight.detach(), bias.detach(), (1, 1), "reflect").sum().backward()
    expected = images.grad.clone()
    images.grad = None
    padded_conv(images, weight, bias, (1, 1), "reflect").sum().backward()
    torch.testing.assert_close(images.grad, expected)
    assert weight.grad is not None
    weight.grad = None
    padded_conv(images.detach(), weight, bias, (1, 1), "reflect").sum().backward()
    assert weight.grad is not None and bias.grad is not None


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("batch", [1, 3])
def test_instance_norm(memory_format, batch):
    images = random_images(batch, 4, 5, 6, memory_format=memory_format)
    scale, shift = random_images(4), random_images(4)
    assert_same(
        lambda *inputs: instance_norm(*inputs, 1e-5),
        lambda images, scale, shift: F.instance_norm(images, weight=scale, bias=shift, eps=1e-5),
        images, scale, shift,
    )  # fmt: skip


@pytest.mark.parametrize("memory_format", FORMATS)
def test_instance_norm_in_parts(memory_format, monkeypatch):
    monkeypatch.setattr(fast_layers, "MOST_PIXELS", 12)
    images, scale, shift = random_images(2, 4, 7, 5, memory_format=memory_format), random_images(4), random_images(4)
    assert_same(
        lambda *inputs: instance_norm(*inputs, 1e-5),
        lambda images, scale, shift: F.instance_norm(images, weight=scale, bias=shift, eps=1e-5),
        images, scale, shift,
    )  # fmt: skip


def test_instance_norm_of_a_wall():
    """Four megapixels, far from zero mean: float32 must not lose what float64 keeps."""
    images = 10 + torch.randn(1, 2, 2048, 2048, generator=torch.Generator().manual_seed(0))
    normalised = instance_norm(
        images.contiguous(memory_format=torch.channels_last), torch.ones(2), torch.zeros(2), 1e-5
    )
    expected = F.instance_norm(images.double())
    torch.testing.assert_close(normalised.double(), expected, rtol=1e-4, atol=1e-4)


def test_bfloat16_stays_bfloat16_under_autocast():
    images = torch.randn(1, 2, 4, 4).bfloat16().contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        convolved = padded_conv(images, torch.ones(3, 2, 3, 3), torch.zeros(3), (1, 1), "reflect")
        normalised = instance_norm(images, torch.ones(2), torch.zeros(2), 1e-5)
    assert convolved.dtype == normalised.dtype == torch.bfloat16
    torch.testing.assert_close(normalised.float(), F.instance_norm(images.float()), rtol=0.01, atol=0.01)


@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_fast_upsampling_is_interpolation_and_a_convolution(upsampling):
    torch.manual_seed(0)
    layer = accelerate(UpsampleConv(3, 5, upsampling).double())
    x = torch.randn(2, 3, 4, 7, dtype=torch.float64, requires_grad=True)
    (conv,) = layer[1]
    upsampled = F.interpolate(x, scale_factor=2, mode=upsampling)
    expected = F.conv2d(F.pad(upsampled, (1, 1, 1, 1), mode="replicate"), conv.weight, conv.bias)
    torch.testing.assert_close(layer(x), expected)
    weights = torch.randn_like(expected)
    wanted = [x, conv.weight, conv.bias]
    got, hoped = (torch.autograd.grad((value * weights).sum(), wanted) for value in (layer(x), expected))
    torch.testing.assert_close(got, hoped)


@pytest.mark.parametrize("padding", ["reflect", "zeros"])
@pytest.mark.parametrize("kernel_size, size", [(3, (4, 6)), (9, (10, 8)), (3, (5, 4))])
def test_last_convolution_in_blocks_is_the_convolution(padding, kernel_size, size):
    torch.manual_seed(0)
    layer = accelerate(ConvLayer(2, 3, kernel_size, 1, padding).double())
    images = torch.randn(2, 2, *size, dtype=torch.float64)
    (conv,) = layer
    amount, mode = kernel_size // 2, {"reflect": "reflect", "zeros": "constant"}[padding]
    expected = F.conv2d(F.pad(images, (amount,) * 4, mode), conv.weight, conv.bias)
    torch.testing.assert_close(layer(images), expected)
    weights = torch.randn_like(expected)
    (own,) = torch.autograd.grad((layer(images) * weights).sum(), conv.weight)
    torch.testing.assert_close(own, torch.autograd.grad((expected * weights).sum(), conv.weight)[0])


@pytest.mark.parametrize("name", ["johnson", "paper", "slim", "medium"])
def test_an_accelerated_network_is_the_plain_one(name):
    """Pictures, gradients and the names of parameters."""
    model = yaml.safe_load((ROOT / f"configs/model/{name}.yaml").read_text()) | {"channels": [4, 6, 8]}
    torch.manual_seed(0)
    plain = TransformerNet(**model).double()
    for parameter in plain.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    fast = accelerate(copy.deepcopy(plain))
    assert list(fast.state_dict()) == list(plain.state_dict())
    images = torch.rand(2, 3, 40, 46, dtype=torch.float64)
    pictures = [network(images) for network in (plain, fast)]
    torch.testing.assert_close(*pictures)
    weights = torch.randn_like(pictures[0])
    gradients = [
        torch.autograd.grad((picture * weights).sum(), list(network.parameters()))
        for picture, network in zip(pictures, (plain, fast), strict=True)
    ]
    torch.testing.assert_close(*gradients)


def test_a_plain_network_has_only_layers_of_pytorch():
    """What a reader, and an exporter, sees: no autograd function of our own."""

    def graph(network):
        names, nodes = set(), [network(torch.rand(1, 3, 16, 16)).grad_fn]
        while nodes:
            node = nodes.pop()
            names.add(type(node).__name__)
            nodes += [parent for parent, _ in node.next_functions if parent is not None]
        return names

    network = TransformerNet((4, 8), residual_blocks=1)
    assert not any(name.startswith("_") for name in graph(network))
    assert any(name.startswith("_PaddedConv") for name in graph(accelerate(network)))
