"""Image transformation networks: content image in, stylised image out, one forward pass.

The network of Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution"
(ECCV 2016, supplement, table 1), and its later instance-norm form (Ulyanov et al. 2017; Odena et al. 2016).
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_style.errors import FastStyleError
from fast_style.keys import Model, check_keys


class InstanceNorm(nn.InstanceNorm2d):
    """Instance norm with a learnt scale and shift of every channel (Ulyanov et al. 2017)."""

    def __init__(self, channels: int):
        super().__init__(channels, affine=True)


class ScaleShift(nn.Module):
    """A learnt scale and shift of every channel, as a norm has them."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        scale, shift = (column.to(x.dtype)[:, None, None] for column in (self.weight, self.bias))
        return torch.addcmul(shift, x, scale)


NORMS = {"instance": InstanceNorm, "batch": nn.BatchNorm2d, "none": nn.Identity}


class Conv2d(nn.Conv2d):
    @property
    def kernels(self) -> Tensor:
        """What it convolves with, (C', C, H, W)."""
        return self.weight


class WeightNormConv2d(Conv2d):
    """The kernels of every output channel are divided by their length (Salimans & Kingma 2016)."""

    @property
    def kernels(self) -> Tensor:
        return F.normalize(self.weight, dim=(1, 2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.kernels, self.bias)


class ConvLayer(nn.Sequential):
    """Padded convolution that keeps the size (or divides it by `stride`)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        padding: str,
        weight_norm: bool = False,
    ):
        amount = 0 if padding == "none" else kernel_size // 2
        mode = padding if padding in ("reflect", "replicate") and amount else "zeros"
        conv = WeightNormConv2d if weight_norm else Conv2d
        super().__init__(conv(in_channels, out_channels, kernel_size, stride, amount, padding_mode=mode))


PERIODS, FINE_PERIOD, DITHER_PERIOD = (211, 223, 227, 229, 233), 509, 521  # primes
DITHER = 1 / 255


def noise_tile(period: int, seed: int, pink: bool) -> Tensor:
    """Normal noise (period, period) of deviation 1 that can be laid side by side; pink has as much of every scale."""
    white = torch.randn(period, period, generator=torch.Generator().manual_seed(seed), device="cpu")
    if not pink:
        return white
    frequencies = torch.fft.fftfreq(period, dtype=torch.float64, device="cpu")
    radius = torch.hypot(frequencies[:, None], frequencies)
    radius[0, 0] = torch.inf
    tile = torch.fft.ifft2(torch.fft.fft2(white.double()) / radius).real
    return (tile / tile.std()).float()


class Noise(nn.Module):
    """Adds one random value a pixel to all channels, to each with its strength, which is learnt (Karras et al. 2019).

    Without it a flat part of a photo can only become a pattern that repeats with every few pixels: a weave. The noise
    is always the same, a square tile that repeats; those of a network have coprime periods, so together they do not.
    In training it begins where the features themselves decide, so that no part of a tile is learnt by heart.

    channels   of the features
    seed       of the tile; one for every place in a network
    period     side of the tile, in pixels of the features
    strength   for all channels, instead of one for each that is learnt
    pink       whether neighbours are alike, at every scale, instead of each pixel being drawn by itself
    """

    def __init__(self, channels: int, seed: int, period: int, strength: float | None = None, pink: bool = False):
        super().__init__()
        if strength is None:
            self.weight = nn.Parameter(torch.zeros(channels))
        else:
            self.register_buffer("weight", torch.full((channels,), strength), persistent=False)
        self.register_buffer("tile", noise_tile(period, seed, pink), persistent=False)

    def forward(self, x: Tensor, top: int = 0, left: int = 0) -> Tensor:
        """(B, C, H, W) -> the same shape; the first pixel may lie elsewhere than in the corner of the picture."""
        period = len(self.tile)
        start = torch.zeros(len(x), dtype=torch.long, device=x.device)
        if self.training:
            start = (x.detach()[..., 0, 0].float().sum(1).abs() * 65521).nan_to_num(0, 0, 0).long()
        rows = (start[:, None] + top + torch.arange(x.shape[-2], device=x.device)) % period
        columns = (start[:, None] // period + left + torch.arange(x.shape[-1], device=x.device)) % period
        noise = self.tile[rows[:, :, None], columns[:, None, :]].to(x.dtype)
        # Channels last in memory, as x is: a sum of two memory formats takes several times as long.
        return x + (noise[..., None] * self.weight.to(x.dtype)).movedim(-1, 1)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around an identity, without a ReLU after the addition (Gross & Wilber 2016).

    weight_norm   of the second convolution's kernels instead of a norm of its features
    """

    def __init__(self, channels: int, norm: str, padding: str, noise: nn.Module, weight_norm: bool = False):
        super().__init__()
        self.noise = noise
        self.body = nn.Sequential(
            ConvLayer(channels, channels, 3, 1, padding),
            NORMS[norm](channels),
            nn.ReLU(inplace=True),
            ConvLayer(channels, channels, 3, 1, padding, weight_norm),
            ScaleShift(channels) if weight_norm else NORMS[norm](channels),
        )
        # An unpadded block returns four pixels less in each direction; the identity is cropped to match.
        self.crop = 2 if padding == "none" else 0

    def forward(self, x: Tensor) -> Tensor:
        x = self.noise(x)
        identity = x[..., self.crop : x.shape[-2] - self.crop, self.crop : x.shape[-1] - self.crop]
        return identity + self.body(x)


class UpsampleConv(nn.Sequential):
    """Twofold upsampling: by interpolation and a convolution, or by the paper's fractionally strided convolution.

    (B, C, H, W) -> (B, C', 2 H, 2 W). The border is replicated; for "nearest" that is the same as reflection after
    upsampling.
    """

    def __init__(self, in_channels: int, out_channels: int, upsampling: str, weight_norm: bool = False):
        if upsampling == "transposed":
            super().__init__(nn.ConvTranspose2d(in_channels, out_channels, 3, 2, padding=1, output_padding=1))
        else:
            # Every output pixel sees the same number of taps, so there is no checkerboard (Odena et al. 2016).
            super().__init__(
                nn.Upsample(scale_factor=2, mode=upsampling),
                ConvLayer(in_channels, out_channels, 3, 1, "replicate", weight_norm),
            )


class CoarseBlocks(nn.Module):
    """Residual blocks at half the resolution, around an identity, which they begin as: what is painted at a place
    depends on more of the photo.

    (B, C, H, W) with H and W even -> the same shape.
    """

    def __init__(self, channels: int, blocks: int, norm: str, upsampling: str, weight_norm: bool = False):
        super().__init__()
        self.body = nn.Sequential(
            ConvLayer(channels, channels, 3, 2, "reflect"),
            NORMS[norm](channels),
            nn.ReLU(inplace=True),
            *(ResidualBlock(channels, norm, "reflect", nn.Identity(), weight_norm) for _ in range(blocks)),
            UpsampleConv(channels, channels, upsampling, weight_norm),
            ScaleShift(channels) if weight_norm else NORMS[norm](channels),
        )
        nn.init.zeros_(self.body[-1].weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


OUTPUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "tanh": lambda x: (torch.tanh(x) + 1) / 2,
    "tanh150": lambda x: (150 * torch.tanh(x) + 127.5) / 255,
}


class TransformerNet(nn.Module):
    """Downsample, residual blocks, upsample; the output has exactly the size of the input.

    channels         feature maps at full resolution, at 1/2, at 1/4, ... : one downsampling less than entries
    residual_blocks  at the coarsest resolution
    kernel_sizes     of the first and of the last convolution
    norm             instance | batch | none
    upsampling       nearest | bilinear | transposed
    padding          reflect: every convolution pads by reflection
                     input: the image is padded once (40 pixels in the paper) and the residual blocks do not pad
    output           linear | tanh (scaled to [0, 1]) | tanh150 (a little beyond, 127.5 +- 150 of 255, where saturation
                     costs no white and no black: Engstrom's code, and about that in Johnson's)
    noise            false | fine: noise is added after every upsampling | true: in every residual block, too, where it
                     decides, and not the photo, where things are painted; not in Johnson et al.
    skips            whether the features of the way down are added on the way up, before what follows at the same
                     resolution, each channel with a strength that is learnt and begins at 0; not in Johnson et al.
    coarse_blocks    residual blocks at half the coarsest resolution, in the middle of the others; not in Johnson et al.
    weight_norm      whether the second convolution of each residual block and those after upsampling have kernels of
                     length 1 (Salimans & Kingma 2016) with a scale and shift, and no norm; not in Johnson et al.
    margin           pixels by which a picture is painted larger on all sides, on the photo mirrored, and cut: along the
                     border of its crops a network learns to draw the painting's frame. Not in training, nor in Johnson
                     et al.
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64, 128),
        residual_blocks: int = 5,
        kernel_sizes: tuple[int, int] = (9, 9),
        norm: str = "instance",
        upsampling: str = "nearest",
        padding: str = "reflect",
        output: str = "linear",
        noise: bool | str = False,
        skips: bool = False,
        margin: int = 0,
        coarse_blocks: int = 0,
        weight_norm: bool = False,
    ):
        super().__init__()
        self.margin = margin
        coarsest = 2 ** (len(channels) - 1)
        self.scale = 2 * coarsest if coarse_blocks else coarsest
        # Reflection needs two coarse pixels, and of full resolution one more than a kernel reaches.
        self.smallest = max(2, -(-(max(kernel_sizes) // 2 + 1) // self.scale)) * self.scale
        # Two unpadded 3x3 convolutions per block take two coarse pixels from each side.
        self.input_padding = 2 * residual_blocks * coarsest if padding == "input" else 0
        outer, inner = ("zeros", "none") if padding == "input" else ("reflect", "reflect")
        first, last = kernel_sizes
        check_keys({"norm": norm, "upsampling": upsampling, "padding": padding, "output": output}, Model, "model.")
        if skips and padding == "input":
            raise FastStyleError("model.skips=true needs model.padding=reflect: unpadded blocks return fewer pixels")
        if weight_norm and (norm == "none" or upsampling == "transposed"):
            raise FastStyleError(
                "model.weight_norm=true needs model.norm=instance or batch, and model.upsampling=nearest or bilinear"
            )
        if coarse_blocks and (norm == "none" or padding == "input"):
            raise FastStyleError("model.coarse_blocks needs model.padding=reflect, and model.norm=instance or batch")

        layers: list[nn.Module] = []
        sources, joints = [], []  # of the skips: places of the layers that get what is kept, and to which it is added
        for index, (c_in, c_out) in enumerate(zip([3, *channels], channels, strict=False)):
            conv = ConvLayer(c_in, c_out, 3, 2, outer) if index else ConvLayer(c_in, c_out, first, 1, outer)
            layers += [conv, NORMS[norm](c_out), nn.ReLU(inplace=True)]
            sources.append(len(layers))
        self.coarse_place = len(layers) + (residual_blocks + 1) // 2  # the layer before which they are
        for place in range(residual_blocks):
            extra = Noise(channels[-1], place, PERIODS[place % len(PERIODS)]) if noise is True else nn.Identity()
            layers += [ResidualBlock(channels[-1], norm, inner, extra, weight_norm)]
        for place, (c_in, c_out) in enumerate(zip(channels[:0:-1], channels[-2::-1], strict=True), residual_blocks):
            extra = [Noise(c_out, place, FINE_PERIOD)] if noise else []
            affine = ScaleShift(c_out) if weight_norm else NORMS[norm](c_out)
            layers += [UpsampleConv(c_in, c_out, upsampling, weight_norm), *extra, affine, nn.ReLU(inplace=True)]
            joints.append(len(layers))
        layers += [ConvLayer(channels[0], 3, last, 1, outer)]
        self.layers = nn.Sequential(*layers)
        self.coarse: nn.Module = nn.Identity()
        if coarse_blocks:
            self.coarse = CoarseBlocks(channels[-1], coarse_blocks, norm, upsampling, weight_norm)
        self.skips = nn.ParameterList([torch.zeros(count) for count in channels[-2::-1]] if skips else [])
        self.joints = dict(zip(joints, reversed(sources[:-1]), strict=True)) if skips else {}
        # What 8 bits round away: steps of a smooth sky are no edges, a flat frame has something to normalise, and where
        # a photo has nothing at all, it has something at every scale: an empty sky gets stars, and not a hatching.
        self.dither = Noise(3, len(layers), DITHER_PERIOD, DITHER, pink=True) if noise else nn.Identity()
        self.output = output

    def forward(self, content_images: Tensor) -> Tensor:
        """Stylise RGB images (B, 3, H, W) in [0, 1]; same size out, for every size from 1x1 up.

        A linear output may leave [0, 1] slightly; clamp it before it becomes a picture.
        """
        height, width = content_images.shape[-2:]
        stylized, margin = self._transform(self.dithered(self._pad(content_images))), self.cut_margin
        return OUTPUTS[self.output](stylized[..., margin : margin + height, margin : margin + width])

    def dithered(self, padded: Tensor) -> Tensor:
        """Padded images with dither, which begins at the first pixel of the image itself. Were it mirrored with the
        image, one of a pixel would be the same everywhere, and norms would make a picture of rounding errors."""
        return self.dither(padded, *2 * [self.dither_start]) if isinstance(self.dither, Noise) else padded

    @property
    def dither_start(self) -> int:
        return -(self.input_padding + self.cut_margin) % DITHER_PERIOD

    @property
    def cut_margin(self) -> int:
        return 0 if self.training else self.margin

    def _transform(self, x: Tensor) -> Tensor:
        """The layers one after another, and the skips."""
        kept, strengths = {}, iter(self.skips)
        for place, layer in enumerate(self.layers):
            if place == self.coarse_place:
                x = self.coarse(x)
            if place in self.joints:
                x = x + next(strengths)[:, None, None].to(x.dtype) * kept.pop(self.joints[place])
            if place in self.joints.values():
                kept[place] = x
            x = layer(x)
        return x

    def _pad(self, images: Tensor) -> Tensor:
        """Reflect to a multiple of the coarsest pixel, and to the smallest size that every convolution can reflect."""
        size, ends = images.shape[-2:], self.borders(images.shape[-2:])
        if not any(map(any, ends)):
            return images
        rows, columns = (
            reflection_indices(*axis, images.device) for axis in zip(size, *zip(*ends, strict=True), strict=True)
        )
        return images[..., rows, :][..., columns]

    def borders(self, size: Sequence[int]) -> list[tuple[int, int]]:
        """Pixels that images of `size` (H, W) are padded with, before and after, along both axes."""
        before, ends = self.input_padding + self.cut_margin, []
        for length in size:
            painted = length + 2 * self.cut_margin
            fitting = max(self.smallest, -(-painted // self.scale) * self.scale)
            ends.append((before, before + fitting - painted))
        return ends


def reflection_indices(size: int, before: int, after: int, device: torch.device) -> Tensor:
    """Indices (before + size + after,) that pad an axis by reflection, by more than its own length if need be."""
    period = max(2 * (size - 1), 1)
    index = torch.arange(-before, size + after, device=device) % period
    return torch.where(index < size, index, period - index)
