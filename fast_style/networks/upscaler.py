"""Super-resolution networks: a small image in, one `scale` times as large out, one forward pass.

The network of Johnson, Alahi, Fei-Fei, "Perceptual Losses for Real-Time Style Transfer and Super-Resolution"
(ECCV 2016, supplement, table 2), and a lighter form that draws only what bicubic interpolation lacks.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_style import keys
from fast_style.keys import check_keys
from fast_style.networks.transformer_net import NORMS, ConvLayer, ResidualBlock, UpsampleConv

MOST_PIXELS = 2**21  # of output at a time, which take about a gigabyte


def resize_bicubic(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Bicubic interpolation (Keys 1981, a = -1/2), antialiased where it shrinks, as Pillow and MATLAB do it.

    (B, C, H, W) float -> (B, C, *size); values may leave the range of the images slightly.
    """
    return F.interpolate(images, size, mode="bicubic", antialias=True)


def match_histograms(images: Tensor, references: Tensor) -> Tensor:
    """Images recoloured so that every channel has the histogram, of 256 levels, that the reference has.

    (B, C, H, W) and (B, C, h, w) in [0, 1] -> (B, C, H, W) float32 in [0, 1]. A monotone curve for each channel, linear
    between the levels, so that a smooth image stays smooth. Johnson et al. 2016, section 4.2.
    """
    levels, matched = np.arange(256), []
    for image, reference in zip(images.flatten(0, 1), references.flatten(0, 1), strict=True):
        values, wanted = (maps.detach().float().clamp(0, 1).mul(255).cpu().numpy() for maps in (image, reference))
        present = np.unique(wanted.round())
        curve = np.interp(shares_below(values), shares_below(wanted)[present.astype(int)], present)
        matched.append(torch.from_numpy(np.interp(values, levels, curve) / 255).float())
    return torch.stack(matched).view(images.shape).to(images.device)


def shares_below(values: np.ndarray) -> np.ndarray:
    """Of values in [0, 255] the share that is rounded to each of 256 levels, or to one below it: (256,)."""
    return np.bincount(values.round().astype(np.uint8).ravel(), minlength=256).cumsum() / values.size


class Upscaler(nn.Module):
    """Residual blocks at the size of the input, then one upsampling convolution for every doubling.

    scale               2 | 4 | 8
    width               feature maps, of all sizes
    residual_blocks     at the size of the input
    kernel_sizes        of the first and of the last convolution
    norm                batch | instance | none
    upsampling          nearest | bilinear | transposed
    padding             zeros | replicate
    residual            whether the output is bicubic interpolation and what the network adds to it, nothing at first;
                        else it is a tanh, scaled to [0, 1]
    histogram_matching  whether in eval mode the histograms of the output are made those of the input
    """

    def __init__(
        self,
        scale: int = 4,
        width: int = 64,
        residual_blocks: int = 4,
        kernel_sizes: tuple[int, int] = (9, 9),
        norm: str = "batch",
        upsampling: str = "transposed",
        padding: str = "zeros",
        residual: bool = False,
        histogram_matching: bool = True,
    ):
        super().__init__()
        choices = {"scale": scale, "norm": norm, "upsampling": upsampling, "padding": padding}
        check_keys(choices, keys.Upscaler, "upscaler.")
        self.scale, self.residual, self.histogram_matching = scale, residual, histogram_matching
        (first, last), doublings = kernel_sizes, scale.bit_length() - 1
        # Pixels of the input that what is drawn may depend on in each direction; by instance norm on all.
        self.reach = None if norm == "instance" else first // 2 + 2 * residual_blocks + 2 * doublings + last // 2
        layers = [ConvLayer(3, width, first, 1, padding), NORMS[norm](width), nn.ReLU(inplace=True)]
        layers += [ResidualBlock(width, norm, padding, nn.Identity()) for _ in range(residual_blocks)]
        for _ in range(doublings):
            layers += [UpsampleConv(width, width, upsampling), NORMS[norm](width), nn.ReLU(inplace=True)]
        layers += [ConvLayer(width, 3, last, 1, padding)]
        if residual:
            nn.init.zeros_(layers[-1][0].weight)
            nn.init.zeros_(layers[-1][0].bias)
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Enlarge RGB images (B, 3, H, W) in [0, 1]: (B, 3, scale H, scale W), for every size from 1x1 up.

        What is added to bicubic interpolation may leave [0, 1] slightly; clamp it before it becomes a picture.
        """
        # bfloat16, under autocast, is coarser than 8 bits a channel.
        maps = (self.layers(images) if self.training else self._in_strips(images)).float()
        if self.residual:
            enlarged = resize_bicubic(images, tuple(maps.shape[-2:])) + maps
        else:
            enlarged = (torch.tanh(maps) + 1) / 2
        return match_histograms(enlarged, images) if self.histogram_matching and not self.training else enlarged

    def _in_strips(self, images: Tensor) -> Tensor:
        """What the layers make of images (B, 3, H, W): the same as at once, in memory that does not grow with H."""
        count, _, height, width = images.shape
        rows = MOST_PIXELS // (count * width * self.scale**2)
        if self.reach is None or height <= rows:
            return self.layers(images)
        strips, rows = [], max(rows, self.reach)
        for top in range(0, height, rows):
            before = min(top, self.reach)
            maps = self.layers(images[..., top - before : top + rows + self.reach, :])
            strips.append(maps[..., before * self.scale : (before + rows) * self.scale, :])
        return torch.cat(strips, -2)
