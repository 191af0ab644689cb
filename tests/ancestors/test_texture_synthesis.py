"""The texture model against explicit sums, against NumPy's PCA, and against the paper's parameter counts."""

import numpy as np
import pytest
import torch
from torchvision.models.vgg import cfgs

from fast_style.ancestors.optimization import optimize_pixels
from fast_style.ancestors.texture_synthesis import TextureLoss, count_parameters, principal_axes
from fast_style.errors import FastStyleError
from fast_style.losses import gram_matrix
from fast_style.networks.loss_network import load_loss_network

LAYERS = ["relu1_1", "pool1", "pool2"]


def random_images(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def network():
    return load_loss_network("distilled", LAYERS, pooling="avg", heads=False)


@pytest.fixture(scope="module")
def texture():
    return torch.nn.functional.interpolate(random_images(1, 3, 8, 8), (32, 32), mode="bilinear")


@torch.no_grad()
def test_equation_3(network, texture):
    """Sums over positions written out, in float64; image and texture of one size, as in the paper."""
    image, weights = random_images(1, 3, 32, 32, seed=1), {"relu1_1": 2.0, "pool1": 0.5, "pool2": 1.0}
    terms = TextureLoss(network, [texture], weights, error="absolute")(image)
    assert list(terms) == list(weights)
    features, wanted = network(image, LAYERS), network(texture, LAYERS)
    for layer, weight in weights.items():
        flat, flat_wanted = (maps[layer][0].flatten(1).double().numpy() for maps in (features, wanted))
        filters, positions = flat.shape
        difference = 0.0
        for i in range(filters):
            for j in range(filters):
                gram = sum(flat[i] * flat[j]) - sum(flat_wanted[i] * flat_wanted[j])
                difference += gram**2
        assert terms[layer].item() == pytest.approx(weight * difference / (4 * filters**2 * positions**2), rel=1e-3)


@torch.no_grad()
def test_means(network, texture):
    image = random_images(1, 3, 20, 28, seed=1)
    terms = TextureLoss(network, [texture], {"pool1": 3.0}, statistic="mean", error="absolute")(image)
    mine, wanted = (network(images, ["pool1"])["pool1"][0].numpy() for images in (image, texture))
    expected = 3 * ((mine.mean((1, 2)) - wanted.mean((1, 2))) ** 2).sum() / 4
    assert terms["pool1"].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("statistic", ["gram", "mean"])
@torch.no_grad()
def test_the_texture_itself_has_no_error(network, texture, statistic):
    loss = TextureLoss(network, [texture], dict.fromkeys(LAYERS, 1.0), statistic)
    assert all(value.item() == 0 for value in loss(texture).values())
    assert all(value.item() > 0 for value in loss(random_images(1, 3, 32, 32, seed=2)).values())


@torch.no_grad()
def test_blind_to_where_things_are(texture):
    """A shifted torus of the first layer has the same statistics but for the border."""
    network = load_loss_network("distilled", ["relu1_1"], heads=False)
    loss = TextureLoss(network, [texture], {"relu1_1": 1.0})
    shifted, other = loss(texture.roll((11, 7), (2, 3))), loss(random_images(1, 3, 32, 32, seed=2))
    assert shifted["relu1_1"] < 0.05 * other["relu1_1"]


# --- principal axes


@torch.no_grad()
def test_principal_axes_are_those_of_numpy(network):
    photos = [random_images(1, 3, 24, 32, seed=seed) for seed in (3, 4)]
    axes = principal_axes(network, photos, ["pool1"], 5)["pool1"].numpy()
    vectors = np.concatenate([network(photo, ["pool1"])["pool1"][0].flatten(1).T.double().numpy() for photo in photos])
    _, _, expected = np.linalg.svd(vectors, full_matrices=False)
    np.testing.assert_allclose(axes.T @ axes, np.eye(5), atol=1e-5)
    np.testing.assert_allclose(np.abs(axes.T @ expected[:5].T), np.eye(5), atol=1e-3)  # up to signs


@torch.no_grad()
def test_gram_matrices_along_axes(network, texture):
    photos = [random_images(1, 3, 24, 24, seed=3)]
    axes = principal_axes(network, photos, LAYERS, 4)
    gram = TextureLoss(network, [texture], {"pool2": 1.0}, axes=axes).targets["pool2"]
    flat = network(texture, ["pool2"])["pool2"][0].flatten(1).numpy()
    projected = axes["pool2"].numpy().T @ flat
    np.testing.assert_allclose(gram[0], projected @ projected.T / projected.size, rtol=1e-4, atol=1e-6)
    assert gram.shape == (1, 4, 4)


@torch.no_grad()
def test_all_axes_lose_nothing(network, texture):
    """As many components as channels: a rotation, so distances between Gram matrices stay."""
    image, weights = random_images(1, 3, 32, 32, seed=1), dict.fromkeys(LAYERS, 1.0)
    axes = principal_axes(network, [texture], LAYERS, 1000)
    assert all(len(a) == a.shape[1] for a in axes.values())
    rotated = TextureLoss(network, [texture], weights, axes=axes)(image)
    for layer, value in TextureLoss(network, [texture], weights)(image).items():
        assert rotated[layer].item() == pytest.approx(value.item(), rel=1e-3)


# --- parameters


def test_parameters_of_the_paper():
    """Gatys et al. 2015, figures 2 and 3: about 852k, 177k, 10k and 1k. Channels are torchvision's."""
    channels, current = {}, None
    block, layer = 1, 1
    for entry in cfgs["E"]:
        if entry == "M":
            channels[f"pool{block}"], block, layer = current, block + 1, 1
        else:
            channels[f"conv{block}_{layer}"], current, layer = entry, entry, layer + 1
    names = list(channels)
    up_to_pool4 = [channels[name] for name in names[: names.index("pool4") + 1]]
    chosen = [channels[name] for name in ("conv1_1", "pool1", "pool2", "pool3", "pool4")]
    assert len(up_to_pool4) == 16
    assert count_parameters(up_to_pool4) == 852_128
    assert count_parameters(chosen) == 176_640
    assert count_parameters(chosen, components=64) == 10_400
    assert count_parameters(chosen, "mean") == 1_024


def test_parameters_are_what_the_model_holds(network, texture):
    """Distinct numbers in its Gram matrices, counted."""
    loss = TextureLoss(network, [texture], dict.fromkeys(LAYERS, 1.0))
    grams = [gram[0] for gram in loss.targets.values()]
    distinct = sum(torch.ones_like(gram).triu().sum().int().item() for gram in grams)
    assert count_parameters([len(gram) for gram in grams]) == distinct


# --- synthesis


def test_a_constant_texture_comes_back():
    texture = torch.tensor([0.7, 0.4, 0.2])[None, :, None, None].expand(1, 3, 32, 32)
    network = load_loss_network("distilled", ["relu1_1", "pool1"], pooling="avg", heads=False)
    loss = TextureLoss(network, [texture], {"relu1_1": 1.0, "pool1": 1.0})
    start = 0.5 + 0.01 * random_images(1, 3, 32, 32, seed=6)
    *_, (_, terms, image) = optimize_pixels(loss, start, 250)
    assert sum(terms.values()) < 1e-3
    assert (image - texture).mean((2, 3)).abs().max() < 0.05 < (start - texture).mean((2, 3)).abs().min()


def test_unknown_statistic(network, texture):
    with pytest.raises(FastStyleError, match="texture.statistic=median.*gram, mean"):
        TextureLoss(network, [texture], {"pool1": 1.0}, statistic="median")


@torch.no_grad()
def test_targets_are_gram_matrices(network, texture):
    loss = TextureLoss(network, [texture], {"pool1": 1.0})
    torch.testing.assert_close(loss.targets["pool1"], gram_matrix(network(texture, ["pool1"])["pool1"]))
