"""Padded convolution, its gradient and instance norm against PyTorch's own, in float64 and in both memory formats."""

import pytest
import torch
import torch.nn.functional as F

from fast_style.networks import fast_layers as channels_last
from fast_style.networks.fast_layers import instance_norm, padded_conv

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
    "mode, size, amount",
    [
        *(("reflect", *case) for case in [((2, 3), 1), ((4, 9), 3), ((5, 5), 4), ((9, 6), 4)]),
        *(("replicate", size, 1) for size in [(1, 1), (1, 4), (3, 2)]),
    ],
)
def test_padded_conv(memory_format, stride, mode, size, amount):
    images = random_images(2, 3, *size, memory_format=memory_format)
    weight, bias = random_images(4, 3, 2 * amount + 1, 2 * amount + 1, memory_format=memory_format), random_images(4)
    assert_same(
        lambda *inputs: padded_conv(*inputs, amount, mode, stride),
        lambda images, weight, bias: F.conv2d(F.pad(images, (amount,) * 4, mode), weight, bias, stride),
        images, weight, bias,
    )  # fmt: skip


def test_padded_conv_with_frozen_weights():
    """As in a loss network, or for an image that nothing before it can learn from."""
    images, weight, bias = random_images(1, 3, 4, 4), random_images(2, 3, 3, 3), random_images(2)
    padded_conv(images, weight.detach(), bias.detach(), 1, "reflect").sum().backward()
    expected = images.grad.clone()
    images.grad = None
    padded_conv(images, weight, bias, 1, "reflect").sum().backward()
    torch.testing.assert_close(images.grad, expected)
    assert weight.grad is not None
    weight.grad = None
    padded_conv(images.detach(), weight, bias, 1, "reflect").sum().backward()
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
    monkeypatch.setattr(channels_last, "MOST_PIXELS", 12)
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
        convolved = padded_conv(images, torch.ones(3, 2, 3, 3), torch.zeros(3), 1, "reflect")
        normalised = instance_norm(images, torch.ones(2), torch.zeros(2), 1e-5)
    assert convolved.dtype == normalised.dtype == torch.bfloat16
    torch.testing.assert_close(normalised.float(), F.instance_norm(images.float()), rtol=0.01, atol=0.01)
