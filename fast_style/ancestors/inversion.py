"""Inverting a layer: the image that a network's features describe (Mahendran & Vedaldi, "Understanding Deep Image
Representations by Inverting Them", CVPR 2015; figure 3 of Johnson et al. 2016)."""

import torch
from torch import Tensor, nn

from fast_style.losses import relative_error, variation_per_pixel
from fast_style.networks.loss_network import LossNetwork


class InversionLoss(nn.Module):
    """The relative error of one layer's features, and total variation, which prefers the plainest of many answers.

    Mahendran & Vedaldi 2015, equations 1, 2 and 4 with beta = 2. Departures: colours stay in [0, 1], which makes their
    second prior, the norm of the image to the power of 6, superfluous; and the optimiser is not gradient descent.
    """

    def __init__(self, loss_network: LossNetwork, photo: Tensor, layer: str, tv_weight: float):
        super().__init__()
        self.loss_network, self.layer, self.tv_weight = loss_network, layer, tv_weight
        with torch.no_grad():
            self.target = loss_network(photo, [layer])[layer]

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """{"content_loss", "tv_loss"}: scalars for RGB (1, 3, H, W) in [0, 1]; TV is per pixel, so fit for any size."""
        features = self.loss_network(images, [self.layer])[self.layer]
        return {
            "content_loss": relative_error(features, self.target).mean(),
            "tv_loss": self.tv_weight * variation_per_pixel(images).mean(),
        }
