"""TextureGenerator: noise in, a texture out; or noise and a photo in, the photo stylised in one of many ways out.

The pyramid of Ulyanov, Lebedev, Vedaldi, Lempitsky, "Texture Networks: Feed-forward Synthesis of Textures and Stylized
Images" (ICML 2016, section 3), with the instance norm of their "Improved Texture Networks" (CVPR 2017).
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_style.keys import Generator, check_keys
from fast_style.networks.transformer_net import NORMS, reflection_indices


class ConvBlock(nn.Sequential):
    """Convolutions of 3x3, 3x3 and 1x1, each with its norm and ReLU; the size stays."""

    def __init__(self, in_channels: int, out_channels: int, norm: str, padding: str):
        layers: list[nn.Module] = []
        for c_in, kernel_size in ((in_channels, 3), (out_channels, 3), (out_channels, 1)):
            mode = padding if kernel_size > 1 else "zeros"  # which pads nothing around a 1x1 kernel
            layers += [
                nn.Conv2d(c_in, out_channels, kernel_size, padding=kernel_size // 2, padding_mode=mode),
                NORMS[norm](out_channels),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers)


class Join(nn.Module):
    """Coarse maps, twice enlarged, and fine maps, joined as channels and convolved.

    Both are normalised before, which balances the gradients of the two branches.
    """

    def __init__(self, coarse_channels: int, fine_channels: int, out_channels: int, norm: str, padding: str):
        super().__init__()
        self.coarse_norm, self.fine_norm = NORMS[norm](coarse_channels), NORMS[norm](fine_channels)
        self.block = ConvBlock(coarse_channels + fine_channels, out_channels, norm, padding)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        coarse = F.interpolate(self.coarse_norm(coarse), scale_factor=2.0, mode="nearest")
        return self.block(torch.cat([coarse, self.fine_norm(fine)], 1))


class TextureGenerator(nn.Module):
    """Noise at several scales, joined from the coarsest to full resolution; any size, to the pixel.

    channels         feature maps after each scale has joined, from the coarsest (there is one for each scale of the
                     noise, each twice as fine as the one before) to full resolution
    branch_channels  feature maps of the noise of a scale before it joins
    noise_channels   of the noise at every scale
    norm             instance | batch
    content          True: every scale sees the photo beside the noise, and convolutions pad by reflection.
                     False: there is no photo, and they pad circularly. The network then commutes with shifts by its
                     coarsest pixel, so nothing in a texture depends on where it lies, and its borders fit each other.
    """

    def __init__(
        self,
        channels: Sequence[int] = (8, 16, 24, 32, 40),
        branch_channels: int = 8,
        noise_channels: int = 3,
        norm: str = "batch",
        content: bool = False,
    ):
        super().__init__()
        check_keys({"norm": norm}, Generator, "generator.")
        self.scales, self.noise_channels, self.content = len(channels), noise_channels, content
        padding = "reflect" if content else "circular"
        inputs = noise_channels + (3 if content else 0)
        branches = [channels[0]] + [branch_channels] * (self.scales - 1)
        self.noise_blocks = nn.ModuleList(ConvBlock(inputs, width, norm, padding) for width in branches)
        self.joins = nn.ModuleList(
            Join(coarse, branch_channels, out, norm, padding) for coarse, out in pairwise(channels)
        )
        self.to_rgb = nn.Conv2d(channels[-1], 3, 1)
        nn.init.constant_(self.to_rgb.bias, 0.5)  # starts from grey, not from black

    def draw_noise(self, size: tuple[int, int], seeds: Sequence[Sequence[int]]) -> list[Tensor]:
        """Noise for images of `size` (H, W), one for each seed: (B, noise_channels, h, w), from the coarsest scale on.

        Uniform in [0, 1). A seed is a few whole numbers; its noise depends on nothing else but the size.
        """
        height, width = self._padded(size)
        factors = [2**index for index in reversed(range(self.scales))]
        shapes = [(self.noise_channels, height // factor, width // factor) for factor in factors]
        generators = [np.random.default_rng(seed) for seed in seeds]
        noise = [np.stack([generator.random(shape, np.float32) for generator in generators]) for shape in shapes]
        return [torch.from_numpy(maps).to(self.to_rgb.weight.device) for maps in noise]

    def forward(self, noise: Sequence[Tensor], size: tuple[int, int], content_images: Tensor | None = None) -> Tensor:
        """Images (B, 3, H, W) of `size` (H, W) from the noise of draw_noise, and photos (B, 3, H, W) in [0, 1].

        The output is linear: clamp it before it becomes a picture.
        """
        if content_images is not None:
            noise = [torch.cat(pair, 1) for pair in zip(noise, self._content_pyramid(content_images), strict=True)]
        images, *finer = [block(maps) for block, maps in zip(self.noise_blocks, noise, strict=True)]
        for join, maps in zip(self.joins, finer, strict=True):
            images = join(images, maps)
        return self.to_rgb(images)[..., : size[0], : size[1]]

    def _padded(self, size: tuple[int, int]) -> tuple[int, int]:
        """Up to a multiple of the coarsest pixel, and to at least two of them: norms and reflection need two."""
        coarsest = 2 ** (self.scales - 1)
        height, width = (max(2, -(-side // coarsest)) * coarsest for side in size)
        return height, width

    def _content_pyramid(self, content_images: Tensor) -> list[Tensor]:
        """The photos at every scale, from the coarsest on."""
        height, width = content_images.shape[-2:]
        bottom, right = self._padded((height, width))
        rows = reflection_indices(height, 0, bottom - height, content_images.device)
        columns = reflection_indices(width, 0, right - width, content_images.device)
        pyramid = [content_images[..., rows, :][..., columns]]
        for _ in range(self.scales - 1):
            pyramid.append(F.avg_pool2d(pyramid[-1], 2))
        return pyramid[::-1]
