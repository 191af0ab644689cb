"""Layers that PyTorch has, done again for channels-last images on a CPU, where its own take longer than a convolution.

Autocast also sends PyTorch's padding through float32; here bfloat16 stays bfloat16. On other devices, where
torch.compile writes good kernels for them, PyTorch's own are used.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

CHANNELS_LAST = torch.channels_last


def reflection_pad(images: Tensor, amount: int) -> Tensor:
    """F.pad(images, (amount,) * 4, mode="reflect") of (B, C, H, W); H and W must exceed `amount`."""
    return _pad(images, amount, "reflect")


def replication_pad(images: Tensor) -> Tensor:
    """F.pad(images, (1, 1, 1, 1), mode="replicate") of (B, C, H, W)."""
    return _pad(images, 1, "replicate")


def _pad(images: Tensor, amount: int, mode: str) -> Tensor:
    if images.device.type == "cpu":
        return _Pad.apply(images, amount, mode)
    return F.pad(images, (amount,) * 4, mode=mode)


class _Pad(torch.autograd.Function):
    @staticmethod
    def forward(ctx, images: Tensor, amount: int, mode: str) -> Tensor:
        ctx.amount, ctx.mode = amount, mode
        with torch.autocast("cpu", enabled=False):
            return F.pad(images, (amount,) * 4, mode=mode)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:
        gradient, amount = gradient.clone(), ctx.amount
        for axis in (2, 3):
            fold_border(gradient, axis, amount, ctx.mode)
        return gradient[..., amount:-amount, amount:-amount], None, None


def fold_border(padded: Tensor, axis: int, amount: int, mode: str) -> None:
    """Adjoint of padding along one axis: adds the border's values to the pixels that it was copied from, in place."""
    size = padded.shape[axis]
    before, after = padded.narrow(axis, 0, amount), padded.narrow(axis, size - amount, amount)
    if mode == "replicate":
        first, last = amount, size - amount - 1
        before, after = (border.sum(axis, keepdim=True) for border in (before, after))
    else:
        first, last = amount + 1, size - 2 * amount - 1
        if amount > 1:
            before, after = before.flip(axis), after.flip(axis)
    padded.narrow(axis, first, before.shape[axis]).add_(before)
    padded.narrow(axis, last, after.shape[axis]).add_(after)


def instance_norm(images: Tensor, scale: Tensor, shift: Tensor, epsilon: float) -> Tensor:
    """F.instance_norm of (B, C, H, W) with affine parameters (C,) (Ulyanov et al. 2017); statistics in float32."""
    if images.device.type == "cpu" and images.is_contiguous(memory_format=CHANNELS_LAST):
        return _InstanceNorm.apply(images, scale, shift, epsilon)
    return F.instance_norm(images, weight=scale, bias=shift, eps=epsilon)


class _InstanceNorm(torch.autograd.Function):
    """Batch norm of one image after the other: it has the channels-last kernels that instance norm lacks."""

    @staticmethod
    def forward(ctx, images: Tensor, scale: Tensor, shift: Tensor, epsilon: float) -> Tensor:
        parts = [
            torch.native_batch_norm(image, scale, shift, None, None, True, 0.0, epsilon) for image in images.split(1)
        ]
        normalised, means, deviations = zip(*parts, strict=True)
        ctx.save_for_backward(images, scale, *means, *deviations)
        ctx.epsilon = epsilon
        return torch.cat(normalised) if len(images) > 1 else normalised[0]

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        images, scale, *moments = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=CHANNELS_LAST)
        parts = [
            torch.ops.aten.native_batch_norm_backward(
                part, image, scale, None, None, mean, deviation, True, ctx.epsilon, [True] * 3
            )
            for part, image, mean, deviation in zip(
                gradient.split(1), images.split(1), moments[: len(images)], moments[len(images) :], strict=True
            )
        ]
        images_gradient, scale_gradient, shift_gradient = zip(*parts, strict=True)
        return torch.cat(images_gradient), sum(scale_gradient), sum(shift_gradient), None
