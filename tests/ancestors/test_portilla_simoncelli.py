"""Portilla and Simoncelli's texture model: colours along their axes, the start, the objective; and its error without
plenoptic, which is an extra."""

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT

from fast_style.ancestors.optimization import optimize_pixels
from fast_style.ancestors.portilla_simoncelli import COLOR_WEIGHT, PortillaSimoncelliLoss, principal_colors
from fast_style.commands.optimize import optimize
from fast_style.data.images import read_image
from fast_style.errors import FastStyleError

TEXTURE_TASK = ("task=portilla_simoncelli", "image_size=128", "max_steps=3", "device=cpu")


@pytest.fixture
def plenoptic():
    return pytest.importorskip("plenoptic", reason='plenoptic is not installed: pip install -e ".[plenoptic]"')


@pytest.fixture(scope="module")
def texture():
    """Smooth colours, 150 x 137 pixels: neither is a multiple of 16."""
    coarse = torch.rand((1, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, (150, 137), mode="bicubic").clamp(0, 1)


def test_principal_colors(texture):
    """Along the axes the colours have no mean and no correlation, and the deviations that are told."""
    mean, axes, deviations = principal_colors(texture)
    along = ((texture[0] - mean).flatten(1).T @ axes / deviations).double().numpy()
    np.testing.assert_allclose(along.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(along.T), np.eye(3), atol=1e-3)


def test_a_grey_picture_has_one_axis(texture):
    _, axes, _ = principal_colors(texture[:, :1].expand(-1, 3, -1, -1))
    torch.testing.assert_close(axes.abs(), torch.full((3, 1), 3**-0.5))
    few_red = texture[:, :1].repeat(1, 3, 1, 1)
    few_red[:, 0, :5, :5] = 1
    assert principal_colors(few_red)[1].shape == (3, 1), "nor does a small red seal make a second one"
    with pytest.raises(FastStyleError, match="one colour only"):
        principal_colors(torch.full((1, 3, 8, 8), 0.5))


def test_the_texture_itself_has_no_error(plenoptic, texture):
    objective = PortillaSimoncelliLoss(texture, (144, 128))
    assert objective(texture[..., :144, :128])["statistics_loss"].item() == pytest.approx(0, abs=1e-6)
    assert objective.targets.shape == (1, 3, 710), "the paper's statistics of grey pictures, on each axis"


def test_colours_beside_the_axes_count(plenoptic, texture):
    grey = texture[:, :1].expand(-1, 3, -1, -1)[..., :144, :128]
    tinted = grey + torch.tensor([0.1, -0.1, 0])[:, None, None]
    objective = PortillaSimoncelliLoss(grey, (144, 128))
    assert objective(grey)["color_loss"].item() == pytest.approx(0, abs=1e-6)
    variance = 3 * grey[0, 0].double().var().item()  # along the axis of grey
    assert objective(tinted)["color_loss"].item() == pytest.approx(COLOR_WEIGHT * 0.02 / variance, rel=1e-3)


def test_start(plenoptic, texture):
    """White noise with the texture's mean and covariance, but for what is clamped; a function of the seed."""
    objective = PortillaSimoncelliLoss(texture, (128, 160))
    noise = objective.noise(0)
    assert noise.shape == (1, 3, 128, 160)
    assert torch.equal(noise, objective.noise(0)) and not torch.equal(noise, objective.noise(1))
    expected, covariance = (torch.cov(picture[0].flatten(1)) for picture in (texture, noise))
    torch.testing.assert_close(covariance, expected, rtol=0.2, atol=0.005)


def test_optimization(plenoptic, texture):
    """Statistics of a picture of another size are approached, and a grey texture gives grey pictures."""
    objective = PortillaSimoncelliLoss(texture, (128, 128))
    losses = [sum(terms.values()) for _, terms, _ in optimize_pixels(objective, objective.noise(0), 20)]
    assert losses[-1] < 0.05 * losses[0]
    grey = PortillaSimoncelliLoss(texture[:, :1].expand(-1, 3, -1, -1), (128, 128))
    *_, (_, _, image) = optimize_pixels(grey, grey.noise(0), 5)
    assert (image.amax(1) - image.amin(1)).max() < 1e-4


def test_sizes(plenoptic, texture):
    for size in ((128, 120), (64, 64)):
        with pytest.raises(FastStyleError, match="image_size= a multiple of 16, at least 128"):
            PortillaSimoncelliLoss(texture, size)
    with pytest.raises(FastStyleError, match="style.style_size= at least 128"):
        PortillaSimoncelliLoss(texture[..., :100, :], (128, 128))


def test_the_task(plenoptic, compose_config, tmp_path, capsys):
    output = tmp_path / "out.png"
    optimize(compose_config("optimize", *TEXTURE_TASK, "style=mosaic", f"output={output}"))
    assert read_image(output)[0].shape == (3, 128, 128)
    assert "principal colours: 3, parameters: 2,130" in capsys.readouterr().out


def test_without_plenoptic(monkeypatch, compose_config, tmp_path):
    for name in ("plenoptic", "plenoptic.loss", "plenoptic.models"):
        monkeypatch.setitem(sys.modules, name, None)  # as if it could not be found
    with pytest.raises(FastStyleError, match=r'pip install -e "\.\[plenoptic\]"') as error:
        optimize(compose_config("optimize", *TEXTURE_TASK, f"output={tmp_path}/out.png"))
    assert len(str(error.value).splitlines()) == 1
    assert "\nplenoptic = " in (ROOT / "pyproject.toml").read_text()
