"""Texture synthesis from joint statistics of wavelet coefficients (Portilla & Simoncelli, "A Parametric Texture Model
Based on Joint Statistics of Complex Wavelet Coefficients", IJCV 2000): the objective, with the statistics of the
package plenoptic; optimization.py does the rest."""

import torch
from torch import Tensor, nn

from fast_style.errors import FastStyleError

MULTIPLE = 16  # four scales halve the sides four times
LEAST = 128  # at the coarsest scale correlations over 7 x 7 pixels must fit
CONTRAST = 0.2  # standard deviation of an axis: plenoptic's weights are meant for grey pictures in [0, 1]
FLAT = 1 / 255  # an axis along which colours deviate less holds nothing but rounding
# Share of the largest deviation. A weaker axis may be that of a few pixels, whose kurtosis, 458 for the red seal of the
# ink_wash study, outweighs all other statistics.
WEAK = 0.05
COLOR_WEIGHT = 10  # of variance beside the axes


class PortillaSimoncelliLoss(nn.Module):
    """The distance to one texture's statistics; holds the texture's statistics.

    texture   (1, 3, H, W) RGB in [0, 1]; its last rows and columns beyond a multiple of 16 do not count
    size      (H, W) of the images: multiples of 16

    Four scales, four orientations, correlations over 7 x 7 pixels, as in the paper. Departures: the paper's pictures
    are grey; here each principal axis of the texture's colours has statistics of its own, and none tell how the axes go
    together. The range of values is left out. The gradient of the summed squared errors approaches all statistics at
    once, where the paper imposes one group after another.
    Raises FastStyleError without plenoptic, and for sides that cannot be halved four times.
    """

    def __init__(self, texture: Tensor, size: tuple[int, int]):
        super().__init__()
        height, width = (side // MULTIPLE * MULTIPLE for side in texture.shape[-2:])
        if min(height, width, *size) < LEAST or any(side % MULTIPLE for side in size):
            raise FastStyleError(
                f"task=portilla_simoncelli needs image_size= a multiple of {MULTIPLE}, at least {LEAST}, and "
                f"style.style_size= at least {LEAST}"
            )
        loss_factory, statistics = import_plenoptic()
        texture = texture[..., :height, :width]
        self.size = size
        self.mean, self.axes, self.deviations = principal_colors(texture)
        self.statistics = statistics(size).to(texture.device)
        with torch.no_grad():
            of_texture = statistics((height, width)).to(texture.device)
            self.targets = of_texture(self._project(texture))
            self.distance = loss_factory(of_texture, self._project(texture))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """{"statistics_loss", "color_loss"}: scalars of RGB (1, 3, H, W) in [0, 1].

        The second, which is no part of the paper, is the variance beside the axes, over that along them: no statistic
        would miss a colour there.
        """
        colors = images - self.mean
        beside = colors - torch.einsum("bchw,ck,dk->bdhw", colors, self.axes, self.axes)
        return {
            "statistics_loss": self.distance(self.statistics(self._project(images)), self.targets).square(),
            "color_loss": COLOR_WEIGHT * beside.square().sum(1).mean() / self.deviations.square().sum(),
        }

    def noise(self, seed: int) -> Tensor:
        """White noise (1, 3, H, W) with mean and covariance of the texture's colours: where the paper starts."""
        shape = (1, len(self.deviations), *self.size)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(self.axes.device)
        colors = torch.einsum("bkhw,ck->bchw", noise, self.axes * self.deviations)
        return (self.mean + colors).clamp(0, 1)

    def _project(self, images: Tensor) -> Tensor:
        """Along the axes, as so many grey pictures: (B, 3, H, W) -> (B, K, H, W)."""
        projected = torch.einsum("bchw,ck->bkhw", images - self.mean, self.axes / self.deviations)
        return 0.5 + CONTRAST * projected


def principal_colors(picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean (3, 1, 1), principal axes (3, K) and standard deviations (K,) of the colours of a picture (1, 3, H, W).

    Weak axes are left out: K is 1 for a grey picture. Raises FastStyleError for one of a single colour.
    """
    # In float64, which not every accelerator has.
    colors = picture[0].flatten(1).cpu().double()
    variances, axes = torch.linalg.eigh(torch.cov(colors))
    kept = variances > max(FLAT**2, WEAK**2 * variances.max().item())
    if not kept.any():
        raise FastStyleError("the style picture has one colour only: there is no texture in it")
    found = colors.mean(1)[:, None, None], axes[:, kept], variances[kept].sqrt()
    return tuple(value.to(picture) for value in found)


def import_plenoptic() -> tuple:
    """plenoptic's loss factory and its module of the statistics; here, because plenoptic is an extra."""
    try:
        from plenoptic.loss import portilla_simoncelli_loss_factory
        from plenoptic.models import PortillaSimoncelli
    except ImportError as error:
        raise FastStyleError(
            f'task=portilla_simoncelli needs plenoptic ({error}): pip install -e ".[plenoptic]"'
        ) from error
    return portilla_simoncelli_loss_factory, PortillaSimoncelli
