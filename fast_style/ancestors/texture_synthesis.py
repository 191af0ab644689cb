"""Texture synthesis from the statistics of a network's activations (Gatys, Ecker, Bethge, "Texture Synthesis Using
Convolutional Neural Networks", NIPS 2015): the objective; optimization.py does the rest."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from fast_style.data.images import read_image, resize_short_side
from fast_style.data.sample_photos import sample_photo
from fast_style.keys import Texture, check_keys
from fast_style.losses import gram_matrix, relative_error
from fast_style.networks.loss_network import LossNetwork

# What activations and principal axes are measured on; scikit-image carries them.
SAMPLE_PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg")


class TextureLoss(nn.Module):
    """The distance to a texture, as weighted terms by layer; holds the texture's statistics.

    loss_network     without heads; the paper's has activations of mean one (loss_network.with_mean_activation_one),
                     which gives all layers a voice
    textures         (1, 3, H, W) RGB in [0, 1] each, of any size; several are one texture, by their mean statistics
    layer_weights    {"relu1_1": 1, "pool1": 1, ...}; the paper's layers are relu1_1 (its conv1_1), pool1, ... pool4
    statistic        gram, or mean: of every channel, as if its pixels had no company
    axes             from `principal_axes`: Gram matrices are then those of the features along them
    error            absolute, or relative to the texture's statistics, so that no layer drowns the others
    """

    def __init__(
        self,
        loss_network: LossNetwork,
        textures: Sequence[Tensor],
        layer_weights: Mapping[str, float],
        statistic: str = "gram",
        axes: Mapping[str, Tensor] | None = None,
        error: str = "relative",
    ):
        super().__init__()
        check_keys({"statistic": statistic, "error": error}, Texture, "texture.")
        self.loss_network, self.layer_weights = loss_network, dict(layer_weights)
        self.statistic, self.axes, self.error = statistic, axes or {}, error
        with torch.no_grad():
            of_each = [self.statistics(texture) for texture in textures]
            self.targets = {layer: sum(one[layer] for one in of_each) / len(of_each) for layer in self.layer_weights}

    def statistics(self, images: Tensor) -> dict[str, Tensor]:
        """By layer: Gram matrices (B, C, C), or means (B, C)."""
        features = self.loss_network(images, list(self.layer_weights))
        if self.statistic == "mean":
            return {layer: maps.float().mean((2, 3)) for layer, maps in features.items()}
        return {layer: gram_matrix(self._project(maps, layer)) for layer, maps in features.items()}

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """{"relu1_1": w_l E_l, ...}, scalars; images are RGB (B, 3, H, W) in [0, 1].

        The absolute E_l of Gram matrices is the paper's equation 3, sum (G - G')^2 / (4 N^2 M^2): G / (N M) is what
        `gram_matrix` returns. M is each image's own number of positions, so that the texture may have another size.
        """
        return {
            layer: self.layer_weights[layer] * self._error(value, self.targets[layer]).mean()
            for layer, value in self.statistics(images).items()
        }

    def _error(self, value: Tensor, target: Tensor) -> Tensor:
        if self.error == "relative":
            return relative_error(value, target)
        return (value - target).square().flatten(1).sum(1) / 4

    def _project(self, maps: Tensor, layer: str) -> Tensor:
        return torch.einsum("bchw,ck->bkhw", maps, self.axes[layer]) if layer in self.axes else maps


def sample_photos() -> list[Tensor]:
    """RGB (1, 3, H, W) in [0, 1], short side 256."""
    return [resize_short_side(read_image(sample_photo(name))[0], 256)[None] for name in SAMPLE_PHOTOS]


@torch.no_grad()
def principal_axes(
    loss_network: LossNetwork, photos: Sequence[Tensor], layers: Sequence[str], components: int
) -> dict[str, Tensor]:
    """The directions (C, K) of each layer's feature vectors with the most energy over photos; K at most `components`.

    Gatys et al. 2015, section 3.1 (PCA). About the origin, as Gram matrices are: they keep the most of a Gram matrix
    that K directions can. Of photos, not of the texture, whose axes would be parameters of it that nobody counts.
    """
    maps = [loss_network(photo, layers) for photo in photos]
    axes = {}
    for layer in layers:
        # In float64, which not every accelerator has.
        energy = sum(gram_matrix(features[layer].cpu().double())[0] for features in maps)
        axes[layer] = torch.linalg.eigh(energy).eigenvectors.flip(1)[:, :components].to(photos[0])
    return axes


def count_parameters(channels: Sequence[int], statistic: str = "gram", components: int | None = None) -> int:
    """How many numbers describe a texture, for layers of so many channels: Gram matrices are symmetric.

    Gatys et al. 2015, figures 2 and 3, for VGG-19: 852,128 with all sixteen layers up to pool4, 176,640 with relu1_1
    and pool1 to pool4, 10,400 with 64 components of these, 1,024 means.
    """
    if statistic == "mean":
        return sum(channels)
    used = [min(count, components or count) for count in channels]
    return sum(count * (count + 1) // 2 for count in used)
