"""Optimising pixels, against minima known in closed form, gradient descent, and SciPy's L-BFGS-B."""

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import fmin_l_bfgs_b

from fast_style.ancestors.optimization import (
    coarse_to_fine,
    follow,
    halvings,
    optimize_pixels,
    optimize_pixels_with_adam,
    split,
)
from fast_style.data.images import read_image
from fast_style.data.styles import find_style_images, read_style_image
from fast_style.errors import FastStyleError
from fast_style.losses import PerceptualLoss
from fast_style.networks.loss_network import load_loss_network


def random_image(*size, seed=0):
    return torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def perceptual_loss():
    layers = ["relu1_1", "relu2_1", "relu3_1"]
    style_image = read_style_image(find_style_images("starry_night")[0], 64)
    return PerceptualLoss(load_loss_network("distilled", layers), [style_image], ["relu3_1"], layers, 1, 1, 0.001)


@pytest.fixture(scope="module")
def photo():
    coarse = random_image(4, 5)
    return torch.nn.functional.interpolate(coarse, (40, 52), mode="bilinear")


def quadratic(image, target, weights):
    return {"first": (weights * (image - target).square()).sum(), "second": 0.5 * (image - target).square().sum()}


def last(iterator):
    *_, (_, terms, image) = iterator
    return sum(terms.values()), image


def test_finds_the_minimum_of_an_ill_conditioned_quadratic():
    target, weights = random_image(6, 7, seed=1), 10 ** (3 * random_image(6, 7, seed=2))
    start = random_image(6, 7, seed=3)
    total, image = last(optimize_pixels(partial(quadratic, target=target, weights=weights), start, 200))
    torch.testing.assert_close(image, target, atol=1e-3, rtol=0)

    # Gradient descent with the best constant step that does not diverge is far behind.
    pixels, rate = start.clone().requires_grad_(), 1 / (2 * weights.max().item() + 1)
    for _ in range(200):
        (gradient,) = torch.autograd.grad(sum(quadratic(pixels, target, weights).values()), pixels)
        pixels.data -= rate * gradient
    assert total < 1e-3 * sum(quadratic(pixels.detach(), target, weights).values())


def test_finds_the_minimum_within_the_colours_that_exist():
    """Of a coupled quadratic whose free minimum lies outside [0, 1]: as SciPy's L-BFGS-B in float64."""
    count, generator = 3 * 5 * 5, torch.Generator().manual_seed(0)
    root = torch.randn((count, count), generator=generator, dtype=torch.float64)
    matrix, target = root @ root.T / count + 0.05 * torch.eye(count), 3 * random_image(5, 5).double().flatten() - 1

    def function(values):
        difference = values.flatten().to(matrix) - target
        return difference @ matrix @ difference

    start = random_image(5, 5, seed=1)
    _, reference, _ = fmin_l_bfgs_b(
        lambda x: (function(torch.from_numpy(x)).item(), (2 * matrix @ (torch.from_numpy(x) - target)).numpy()),
        start.double().flatten().numpy(),
        bounds=[(0, 1)] * count,
        factr=10,
    )
    total, image = last(optimize_pixels(lambda image: {"only": function(image)}, start, 200))
    assert total == pytest.approx(reference, rel=1e-3)
    assert (image == 0).any() and (image == 1).any()


@pytest.mark.parametrize("target", [0.5, -1])
def test_stays_at_a_minimum(target):
    """Where nothing is left to gain, inside or at the bounds, the gradient's rest leads nowhere."""
    start = torch.full((1, 3, 4, 4), max(target, 0.0))
    for _, _, image in optimize_pixels(partial(quadratic, target=torch.tensor(target), weights=1), start, 3):
        assert torch.equal(image, start)


def test_yields_what_it_says(perceptual_loss, photo):
    objective, before = partial(perceptual_loss, content_images=photo), photo.clone()
    states = list(optimize_pixels(objective, photo, 20))
    assert [iteration for iteration, _, _ in states] == list(range(21))
    assert torch.equal(photo, before)
    torch.testing.assert_close(states[0][2], photo)
    for _, terms, image in states:
        assert image.shape == photo.shape and image.dtype == torch.float32 and not image.requires_grad
        assert 0 <= image.min() and image.max() <= 1
        with torch.no_grad():
            assert terms == pytest.approx({name: value.item() for name, value in objective(image).items()}, rel=1e-3)
    totals = [sum(terms.values()) for _, terms, _ in states]
    assert states[0][1]["content_loss"] == pytest.approx(0, abs=1e-6), "the start is the photo"
    assert all(later <= earlier for earlier, later in pairwise(totals))
    assert totals[20] < totals[10] < 0.7 * totals[0]


@torch.no_grad()
def test_runs_where_gradients_are_off(perceptual_loss, photo):
    assert last(optimize_pixels(partial(perceptual_loss, content_images=photo), photo, 3))[0] > 0


def test_as_good_as_scipy(perceptual_loss, photo):
    """SciPy's L-BFGS-B has a line search and bounds; for the same number of evaluations it gets about as far."""
    evaluations = 150
    objective = partial(perceptual_loss, content_images=photo)

    def function(values):
        pixels = torch.from_numpy(values).float().view_as(photo).requires_grad_()
        total = sum(objective(pixels).values())
        (gradient,) = torch.autograd.grad(total, pixels)
        return total.item(), gradient.double().flatten().numpy()

    bounds = [(0, 1)] * photo.numel()
    _, reference, _ = fmin_l_bfgs_b(
        function, photo.double().flatten().numpy(), bounds=bounds, m=100, maxfun=evaluations, factr=0, pgtol=0
    )
    total, _ = last(optimize_pixels(objective, photo, evaluations))
    assert total < 1.1 * reference


# --- Adam


def test_adam_decreases_the_objective(perceptual_loss, photo):
    objective, before = partial(perceptual_loss, content_images=photo), photo.clone()
    states = list(optimize_pixels_with_adam(objective, photo, 60, lr=0.02))
    totals = [sum(terms.values()) for _, terms, _ in states]
    assert [iteration for iteration, _, _ in states] == list(range(61))
    assert totals[60] < 0.7 * totals[0] and torch.equal(photo, before)
    for _, terms, image in (states[0], states[30], states[60]):  # each keeps its own image
        assert 0 <= image.min() and image.max() <= 1
        with torch.no_grad():
            assert terms == pytest.approx({name: value.item() for name, value in objective(image).items()}, rel=1e-3)


def test_adam_is_torchs(photo):
    """Where no bound is met, as torch.optim.Adam by hand."""
    target = photo + 0.1 * torch.sin(torch.arange(photo.numel()).view_as(photo))
    start = torch.full_like(photo, 0.5)
    pixels = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([pixels], lr=0.005)
    for _ in range(5):
        optimizer.zero_grad()
        sum(quadratic(pixels, target, 1).values()).backward()
        optimizer.step()
    _, image = last(optimize_pixels_with_adam(partial(quadratic, target=target, weights=1), start, 5, lr=0.005))
    torch.testing.assert_close(image, pixels.detach())


# --- coarse to fine


def test_halvings_and_iterations():
    assert halvings(512, 256) == [0.5, 1] and halvings(2048, 256) == [0.125, 0.25, 0.5, 1]
    assert halvings(256, 256) == halvings(100, 256) == [1]
    assert halvings(257, 256) == [0.5, 1]
    assert split(200, 4) == [200, 100, 50, 25] and split(1, 3) == [1, 1, 1]


@pytest.mark.parametrize("optimize", [optimize_pixels, partial(optimize_pixels_with_adam, lr=0.05)])
def test_coarse_to_fine(optimize):
    """Each stage starts where the one before ended, enlarged, and the count goes on."""
    target, starts = random_image(32, 48), []

    def stage(scale):
        size = (round(32 * scale), round(48 * scale))
        wanted = F.interpolate(target, size, mode="area")

        def objective(image):
            starts.append(image.detach().clone()) if not starts or starts[-1].shape != image.shape else None
            return {"only": (image - wanted).square().mean()}

        return objective, torch.zeros(1, 3, *size)

    states = list(coarse_to_fine(stage, [0.25, 0.5, 1], [8, 4, 2], optimize))
    assert [iteration for iteration, _, _ in states] == [*range(9), *range(8, 13), *range(12, 15)]
    assert [tuple(image.shape[-2:]) for _, _, image in states] == [(8, 12)] * 9 + [(16, 24)] * 5 + [(32, 48)] * 3
    assert torch.equal(starts[0], torch.zeros(1, 3, 8, 12))
    for start, (_, _, before) in zip(starts[1:], (states[8], states[13]), strict=True):
        expected = F.interpolate(before, start.shape[-2:], mode="bicubic").clamp(0, 1)
        torch.testing.assert_close(start, expected)


# --- following


def state(iteration, loss, value, size=4):
    return iteration, {"only": loss}, torch.full((1, 3, size, size), value)


def test_the_best_image_is_kept(tmp_path):
    states = [state(0, 3.0, 0.1), state(1, 1.0, 0.2), state(2, 2.0, 0.3), state(3, math.nan, 0.4)]
    image, finished = follow(iter(states), 3, tmp_path / "preview.png", preview_every=100)
    assert finished and torch.equal(image, states[1][2])
    assert not (tmp_path / "preview.png").exists()


def test_the_best_image_of_the_last_size_is_kept(tmp_path):
    states = [state(0, 1.0, 0.1), state(1, 9.0, 0.2, size=8), state(2, 8.0, 0.3, size=8)]
    image, _ = follow(iter(states), 2, tmp_path / "preview.png", preview_every=100)
    assert torch.equal(image, states[2][2])


def test_ctrl_c_keeps_the_best(tmp_path):
    def interrupted():
        yield state(0, 3.0, 0.1)
        yield state(1, 1.0, 0.2)
        yield state(2, 2.0, 0.3)
        raise KeyboardInterrupt

    image, finished = follow(interrupted(), 100, tmp_path / "preview.png", preview_every=100)
    assert not finished and torch.equal(image, state(1, 1.0, 0.2)[2])


def test_ctrl_c_before_the_first_image(tmp_path):
    def interrupted():
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        follow(interrupted(), 100, tmp_path / "preview.png", preview_every=100)


def test_a_preview_shows_the_best(tmp_path):
    path = tmp_path / "preview.png"

    def watched():
        for iteration, (loss, value, shown) in enumerate([(2.0, 0.2, 0.2), (3.0, 0.6, 0.2), (1.0, 0.4, 0.4)]):
            yield state(iteration, loss, value)
            torch.testing.assert_close(read_image(path)[0], torch.full((3, 4, 4), shown))

    follow(watched(), 2, path, preview_every=0)
    assert path.exists()


def test_a_loss_that_is_no_number(tmp_path):
    with pytest.raises(FastStyleError, match="not a finite number"):
        follow(iter([state(0, math.nan, 0.5), state(1, math.inf, 0.5)]), 1, tmp_path / "preview.png", 100)
