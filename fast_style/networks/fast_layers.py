"""Faster layers for a network that is written plainly: the same parameters, the same numbers but for rounding.

`accelerate` puts them in. Padding and instance norm are what PyTorch has, done again for channels-last images on a CPU,
where its own take longer than a convolution. Autocast also sends PyTorch's padding through float32; here bfloat16 stays
bfloat16. On other devices, where torch.compile writes good kernels for them, PyTorch's own are used.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_style.networks.transformer_net import ConvLayer, InstanceNorm, UpsampleConv

CHANNELS_LAST = torch.channels_last
MOST_PIXELS = 2**16  # whose float32 sums PyTorch's batch norm may take pixel by pixel


def accelerate(network: nn.Module) -> nn.Module:
    """Have the layers of a network compute in a faster way, in place; its state_dict stays. Returns the network."""
    for module in network.modules():
        if type(module) is UpsampleConv and len(module) == 1:
            continue  # the paper's transposed convolution is fast as it is
        module.__class__ = FASTER.get(type(module), type(module))
    return network


class FastInstanceNorm(InstanceNorm):
    def forward(self, x: Tensor) -> Tensor:
        return instance_norm(x, self.weight, self.bias, self.eps)


class FastConvLayer(ConvLayer):
    """Three output channels would leave most of a processor's lanes idle: to RGB it computes the twelve of a 2x2 block
    of pixels at once, by a kernel one larger, with stride 2."""

    def forward(self, x: Tensor) -> Tensor:
        (conv,) = self
        weight, bias, stride, amount = conv.kernels, conv.bias, conv.stride[0], conv.padding[0]
        blocks = conv.out_channels == 3 and x.shape[-2] % 2 == x.shape[-1] % 2 == 0
        if blocks:
            with torch.autocast(x.device.type, enabled=False):
                weight = torch.cat(
                    [F.pad(weight, (right, 1 - right, down, 1 - down)) for down in (0, 1) for right in (0, 1)]
                )
            bias, stride = bias.repeat(4), 2
        if conv.padding_mode == "zeros":
            maps = F.conv2d(x, weight, bias, stride, amount)
        else:
            maps = padded_conv(x, weight, bias, (amount, amount), conv.padding_mode, stride)
        return interleave(maps) if blocks else maps


class FastUpsampleConv(UpsampleConv):
    """Nearest-neighbour upsampling and convolution as one convolution of the coarse image with four times the channels,
    one for each pixel of a 2x2 block (Shi et al. 2016): 4/9 of the work."""

    def forward(self, x: Tensor) -> Tensor:
        upsample, (conv,) = self
        with torch.autocast(x.device.type, enabled=False):
            weight = torch.cat([phase for rows in phases(conv.kernels, 2) for phase in phases(rows, 3)])
        # A pixel more than needed on all sides: the border of what follows.
        fine = interleave(padded_conv(x, weight, conv.bias.repeat(4), (1, 1), "replicate"))
        if upsample.mode == "bilinear":
            # It is nearest-neighbour upsampling and this; like every convolution it may come last.
            tent = torch.ones(3, dtype=fine.dtype, device=fine.device) / 4
            tent[1] = 0.5
            return F.conv2d(fine, torch.outer(tent, tent).repeat(conv.out_channels, 1, 1, 1), groups=conv.out_channels)
        return fine[..., 1:-1, 1:-1].contiguous(memory_format=CHANNELS_LAST)


FASTER = {InstanceNorm: FastInstanceNorm, ConvLayer: FastConvLayer, UpsampleConv: FastUpsampleConv}


def phases(weight: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """What the three taps of a kernel along an axis are to coarse pixels p - 1 and p, for fine pixels 2p - 1 and 2p."""
    first, second, third = weight.unbind(axis)
    return torch.stack([first + second, third], axis), torch.stack([first, second + third], axis)


def interleave(blocks: Tensor) -> Tensor:
    """(B, 4 C, H, W), the channels of 2x2 blocks of pixels row by row -> (B, C, 2 H, 2 W) (Shi et al. 2016)."""
    rows, columns = blocks.shape[-2:]
    pixels = blocks.permute(0, 2, 3, 1).unflatten(3, (2, 2, -1)).transpose(2, 3)
    return pixels.reshape(len(blocks), 2 * rows, 2 * columns, -1).permute(0, 3, 1, 2)


def padded_conv(
    images: Tensor, weight: Tensor, bias: Tensor | None, amounts: tuple[int, int], mode: str, stride: int = 1
) -> Tensor:
    """F.conv2d of (B, C, H, W), padded by `amounts` of rows above and below and of columns left and right; mode:
    reflect | replicate.

    H and W must exceed their amount to be reflected.
    """
    if images.device.type == "cpu":
        return _PaddedConv.apply(images, weight, bias, amounts, mode, stride)
    return F.conv2d(F.pad(images, borders(amounts), mode), weight, bias, stride)


def borders(amounts: tuple[int, int]) -> tuple[int, int, int, int]:
    """Rows and columns as F.pad wants them: left, right, top, bottom."""
    rows, columns = amounts
    return columns, columns, rows, rows


class _PaddedConv(torch.autograd.Function):
    """One node of the graph for both, so that the backward pass can fold the border in the convolution's own result."""

    @staticmethod
    def forward(
        ctx, images: Tensor, weight: Tensor, bias: Tensor | None, amounts: tuple[int, int], mode: str, stride: int
    ) -> Tensor:
        ctx.amounts, ctx.mode, ctx.stride = amounts, mode, stride
        autocast = torch.is_autocast_enabled("cpu") and images.dtype != torch.float64
        dtype = torch.get_autocast_dtype("cpu") if autocast else images.dtype
        with torch.autocast("cpu", enabled=False):
            padded, weight = F.pad(images.to(dtype), borders(amounts), mode), weight.to(dtype)
            ctx.save_for_backward(padded, weight)
            return F.conv2d(padded, weight, None if bias is None else bias.to(dtype), stride)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        padded, weight = ctx.saved_tensors
        stride = (ctx.stride, ctx.stride)
        fixed = (stride, (0, 0), (1, 1), False, (0, 0), 1)  # padding, dilation, transposed, output padding, groups
        images_gradient, weight_gradient, bias_gradient = torch.ops.aten.convolution_backward(
            gradient, padded, weight, [len(weight)], *fixed, ctx.needs_input_grad[:3]
        )
        if images_gradient is not None:
            for axis, amount in zip((2, 3), ctx.amounts, strict=True):
                if amount:
                    fold_border(images_gradient, axis, amount, ctx.mode)
                    size = images_gradient.shape[axis]
                    images_gradient = images_gradient.narrow(axis, amount, size - 2 * amount)
        return images_gradient, weight_gradient, bias_gradient, None, None, None


def fold_border(padded: Tensor, axis: int, amount: int, mode: str) -> None:
    """Adjoint of padding along one axis: adds the border's values to the pixels that it was copied from, in place."""
    lines, size = padded.movedim(axis, 0), padded.shape[axis]
    if mode == "replicate":
        first, last = amount, size - amount - 1
    else:
        first, last = amount + 1, size - 2 * amount - 1
    if amount == 1 and first < last:  # both at once: half of the operations
        lines[first : last + 1 : last - first] += lines[:: size - 1]
        return
    before, after = lines[:amount], lines[size - amount :]
    if mode == "replicate":
        before, after = (border.sum(0, keepdim=True) for border in (before, after))
    elif amount > 1:
        before, after = before.flip(0), after.flip(0)
    lines[first : first + len(before)] += before
    lines[last : last + len(after)] += after


def instance_norm(images: Tensor, scale: Tensor, shift: Tensor, epsilon: float) -> Tensor:
    """F.instance_norm of (B, C, H, W) with affine parameters (C,) (Ulyanov et al. 2017); statistics in float32."""
    if images.device.type == "cpu":
        return _InstanceNorm.apply(images.contiguous(memory_format=CHANNELS_LAST), scale, shift, epsilon)
    return F.instance_norm(images, weight=scale, bias=shift, eps=epsilon)


class _InstanceNorm(torch.autograd.Function):
    """Batch norm of one image after the other: it has the channels-last kernels that instance norm lacks."""

    @staticmethod
    def forward(ctx, images: Tensor, scale: Tensor, shift: Tensor, epsilon: float) -> Tensor:
        normalised = torch.empty_like(images)
        moments = [
            batch_norm(image, scale, shift, epsilon, out=out)
            for image, out in zip(images.split(1), normalised.split(1), strict=True)
        ]
        means, deviations = zip(*moments, strict=True)
        ctx.save_for_backward(images, scale, *means, *deviations)
        ctx.epsilon = epsilon
        return normalised

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


def batch_norm(image: Tensor, scale: Tensor, shift: Tensor, epsilon: float, out: Tensor) -> tuple[Tensor, Tensor]:
    """Writes an image (1, C, H, W) normalised to `out`; its means (C,) and inverse deviations (C,).

    A large one is measured in parts: in a plain sum over nine megapixels, as PyTorch's own in this memory format, what
    one pixel adds is about the last digit. (At a mean of ten deviations the mean is then off by half of one.)
    """
    height, width = image.shape[2:]
    mean, deviation = torch.empty_like(scale), torch.empty_like(scale)
    if height * width <= MOST_PIXELS:
        torch.native_batch_norm(image, scale, shift, None, None, True, 0.0, epsilon, out=(out, mean, deviation))
        return mean, deviation
    wide_mean, variance = (column.to(scale) for column in moments(image))
    mean.copy_(wide_mean)
    no_moments = scale.new_empty(0), scale.new_empty(0)
    torch.native_batch_norm(image, scale, shift, mean, variance, False, 0.0, epsilon, out=(out, *no_moments))
    return mean, (variance + epsilon).rsqrt()


def moments(image: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance (C,) float64 of an image (1, C, H, W), of parts whose sums are exact enough."""
    height, width = image.shape[2:]
    parts = image.split(max(1, MOST_PIXELS // width), dim=2)
    # Running averages; without them the moments would be as coarse as the image.
    unused = image.new_zeros(image.shape[1], dtype=torch.promote_types(image.dtype, torch.float32))
    columns = zip(*[torch.batch_norm_update_stats(part, unused, unused, 0.0) for part in parts], strict=True)
    means, variances = (torch.stack(column).double() for column in columns)
    shares = means.new_tensor([[part.shape[2] / height] for part in parts])
    mean = (shares * means).sum(0)
    return mean, (shares * (variances + (means - mean).square())).sum(0)
