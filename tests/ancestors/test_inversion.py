"""Inversion: its two terms written out, and a first layer that gives the photo back."""

import pytest
import torch
import torch.nn.functional as F

from fast_style.ancestors.inversion import InversionLoss
from fast_style.ancestors.optimization import optimize_pixels
from fast_style.networks.loss_network import load_loss_network


@pytest.fixture(scope="module")
def photo():
    return F.interpolate(
        torch.rand((1, 3, 5, 6), generator=torch.Generator().manual_seed(0)), (30, 36), mode="bilinear"
    )


@torch.no_grad()
def test_terms(photo):
    network = load_loss_network("distilled", ["pool2"], heads=False)
    image = torch.rand(photo.shape, generator=torch.Generator().manual_seed(1))
    terms = InversionLoss(network, photo, "pool2", tv_weight=0.3)(image)
    features, wanted = network(image)["pool2"].numpy(), network(photo)["pool2"].numpy()
    assert terms["content_loss"].item() == pytest.approx(((features - wanted) ** 2).sum() / (wanted**2).sum(), rel=1e-4)
    values = image[0].double().numpy()
    variation = sum(
        (values[:, y, x] - values[:, other_y, other_x]) @ (values[:, y, x] - values[:, other_y, other_x])
        for y in range(30)
        for x in range(36)
        for other_y, other_x in ((y + 1, x), (y, x + 1))
        if other_y < 30 and other_x < 36
    )
    assert terms["tv_loss"].item() == pytest.approx(0.3 * variation / (30 * 36), rel=1e-4)


def test_a_shallow_layer_gives_the_photo_back(photo):
    network = load_loss_network("distilled", ["relu1_1"], heads=False)
    noise = torch.rand(photo.shape, generator=torch.Generator().manual_seed(2))
    *_, (_, _, image) = optimize_pixels(InversionLoss(network, photo, "relu1_1", 0.0), noise, 150)
    assert (image - photo).abs().mean() < 0.1 * (noise - photo).abs().mean()
