"""Networks in a form that other runtimes take: the same pictures, of any size.

An exported program knows the sizes of its images as symbols only, so that what a network asks of them in Python has to
be arithmetic of symbols. `exportable` puts such layers in; what they compute is what they computed before.
"""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.transformer_net import OUTPUTS, Conv2d, InstanceNorm, Noise, TransformerNet, WeightNormConv2d

# Of noise, of which four deviations are enough: 16 bits cost 0.2 levels of 255 at most, in pictures of a few pixels.
FINE_STEP, COARSE_STEP = 2**-12, 2**-5


def exportable(network: nn.Module, precision: str = "float32", moments: bool = False) -> nn.Module:
    """Have a network compute in a form that torch.export takes, in place. Returns the network.

    precision  float32 | float16, in which then convolutions, and nothing else, compute | int8, which is left to others,
               but for the noise
    moments    whether instance norms are means of values and of their squares, for runtimes that have no instance norm
    """
    classes = SYMBOLIC | (HALF if precision == "float16" else {}) | (MOMENTS if moments else {})
    for module in network.modules():
        if isinstance(module, WeightNormConv2d):
            settle(module)
        module.__class__ = classes.get(type(module), type(module))
        if isinstance(module, Noise):
            step = (torch.int8, COARSE_STEP) if precision == "int8" else (torch.int16, FINE_STEP)
            module.tile = in_steps(module.tile, *step)
    return network


@torch.no_grad()
def settle(conv: WeightNormConv2d) -> None:
    """Make kernels constants, as quantisation takes them; in half precision if they were, for files half as large."""
    half = torch.equal(conv.weight, conv.weight.half().float())
    conv.weight.copy_(conv.kernels.half() if half else conv.kernels)
    conv.__class__ = Conv2d


def in_steps(tile: Tensor, dtype: torch.dtype, step: float) -> Tensor:
    """The nearest values that integers of a type have as multiples of a step: they take less room in a file."""
    limits = torch.iinfo(dtype)
    return (tile / step).round().clamp(limits.min, limits.max) * step


class SymbolicNoise(Noise):
    """As in eval mode: the tile begins at the first pixel of every image."""

    def forward(self, x: Tensor, top: int = 0, left: int = 0) -> Tensor:
        noise = self.tile
        for axis, start in enumerate((top, left)):
            noise = noise.index_select(axis, (start + torch.arange(x.shape[axis - 2])) % len(self.tile))
        return x + self.weight[:, None, None] * noise


class SymbolicTransformerNet(TransformerNet):
    def forward(self, content_images: Tensor) -> Tensor:
        images = content_images
        before = self.input_padding + self.margin
        for axis in (-2, -1):
            size = images.shape[axis]
            painted = size + 2 * self.margin
            # Of this form, and of no other that gives the same, symbolic algebra proves that it is a multiple.
            whole = self.scale * torch.sym_max(self.smallest // self.scale, (painted + self.scale - 1) // self.scale)
            indices = symbolic_reflection(size, before, before + whole - painted)
            images = images.index_select(axis, indices)
        stylized = self._transform(self.dithered(images))
        for axis in (-2, -1):
            stylized = stylized.index_select(axis, torch.arange(content_images.shape[axis]) + self.margin)
        return OUTPUTS[self.output](stylized)


class HalfConv2d(Conv2d):
    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return super()._conv_forward(x.half(), weight.half(), bias.half()).float()


class MomentsNorm(InstanceNorm):
    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean((2, 3), keepdim=True)
        deviation = ((centred * centred).mean((2, 3), keepdim=True) + self.eps).rsqrt()
        return centred * (deviation * self.weight[:, None, None]) + self.bias[:, None, None]


SYMBOLIC = {Noise: SymbolicNoise, TransformerNet: SymbolicTransformerNet}
HALF = {nn.Conv2d: HalfConv2d, Conv2d: HalfConv2d}
MOMENTS = {InstanceNorm: MomentsNorm}


def symbolic_reflection(size: int, before: int, after: int) -> Tensor:
    """transformer_net.reflection_indices of a symbolic size."""
    period = torch.scalar_tensor(torch.sym_max(2 * (size - 1), 1), dtype=torch.long)
    index = torch.arange(-before, size + after).abs() % period  # not all runtimes take the remainder of less than 0
    return torch.minimum(index, period - index)


class PictureNet(nn.Module):
    """A network from pictures to pictures, with nothing left to do before or after it.

    network  a TransformerNet, a MultiStyleNet, or one of the user's own of images (B, 3, H, W)
    integer  whether images are (B, H, W, 3) uint8, as files and screens have them, instead of (B, 3, H, W) in [0, 1]
    """

    def __init__(self, network: nn.Module, integer: bool):
        super().__init__()
        self.network, self.integer = network, integer

    def forward(self, images: Tensor, mixture: Tensor | None = None) -> Tensor:
        """Images of the same kind and size. All are painted in one mixture of the styles that a MultiStyleNet has, as
        its `mixture` makes them: (N,), or (N + 1,) with an identity."""
        if self.integer:
            images = images.permute(0, 3, 1, 2).float() / 255
        if isinstance(self.network, MultiStyleNet):
            stylized = functional_call(self.network.transformer, self.network.style_parameters(mixture), images)
        else:
            stylized = self.network(images)
        stylized = stylized.clamp(0, 1)
        return (stylized * 255).round().to(torch.uint8).permute(0, 2, 3, 1) if self.integer else stylized


class LevelsNet(PictureNet):
    """What Core ML makes images of: (B, 3, H, W) in [0, 1] to levels of 255."""

    def __init__(self, network: nn.Module):
        super().__init__(network, integer=False)

    def forward(self, images: Tensor, mixture: Tensor | None = None) -> Tensor:
        return (255 * super().forward(images, mixture)).round()
