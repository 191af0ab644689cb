"""Padding, its gradient and instance norm against PyTorch's own, in float64 and in both memory formats."""

import pytest
import torch
import torch.nn.functional as F

from fast_style.channels_last import instance_norm, reflection_pad, replication_pad

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
@pytest.mark.parametrize("size, amount", [((2, 3), 1), ((4, 9), 3), ((5, 5), 4), ((9, 6), 4)])
def test_reflection_pad(memory_format, size, amount):
    images = random_images(2, 3, *size, memory_format=memory_format)
    reference = lambda images: F.pad(images, (amount,) * 4, mode="reflect")  # noqa: E731
    assert_same(lambda images: reflection_pad(images, amount), reference, images)


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (3, 2)])
def test_replication_pad(memory_format, size):
    images = random_images(2, 3, *size, memory_format=memory_format)
    assert_same(replication_pad, lambda images: F.pad(images, (1, 1, 1, 1), mode="replicate"), images)


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


def test_bfloat16_stays_bfloat16_under_autocast():
    images = torch.randn(1, 2, 4, 4).bfloat16().contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        padded = reflection_pad(images, 1)
        normalised = instance_norm(images, torch.ones(2), torch.zeros(2), 1e-5)
    assert padded.dtype == normalised.dtype == torch.bfloat16
    torch.testing.assert_close(normalised.float(), F.instance_norm(images.float()), rtol=0.01, atol=0.01)
