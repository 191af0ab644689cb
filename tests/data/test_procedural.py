"""Procedural images: reproducible, and with the first statistics of photos."""

import numpy as np
import pytest

from fast_style.data.procedural import noise_field, procedural_image

# Measured on 400 photos from ImageNet, centre crops of 288 px.
PHOTO_POWER_SLOPE = (2.38, 0.42)  # mean and standard deviation of alpha, where power ~ 1/f^alpha
PHOTO_CHANNEL_CORRELATION = 0.90  # mean over the pairs of R, G and B
PHOTO_LUMINANCE = (0.47, 0.22)  # mean and standard deviation, in [0, 1]
PHOTO_SMOOTH_BLOCKS = 0.24  # share of 16x16 blocks whose luminance deviates by less than 0.03


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.stack([procedural_image(288, np.random.default_rng(seed)) for seed in range(30)])


@pytest.fixture(scope="module")
def luminance(images: np.ndarray) -> np.ndarray:
    return images @ np.array([0.299, 0.587, 0.114]) / 255


def power_slope(plane: np.ndarray) -> float:
    """Exponent alpha of the radially averaged power spectrum ~ 1/f^alpha of a square plane."""
    side = len(plane)
    window = np.hanning(side)[:, None] * np.hanning(side)
    power = np.abs(np.fft.fft2((plane - plane.mean()) * window)) ** 2
    frequency = np.fft.fftfreq(side) * side
    radius = np.hypot(frequency[:, None], frequency).astype(int).ravel()
    radial = np.bincount(radius, power.ravel()) / np.bincount(radius)
    band = np.arange(4, side // 3)
    return -np.polyfit(np.log(band), np.log(radial[band]), 1)[0]


@pytest.mark.parametrize("size", [16, 64, 200, 288, 513])
def test_shape_and_type(size: int):
    image = procedural_image(size, np.random.default_rng(0))
    assert image.shape == (size, size, 3)
    assert image.dtype == np.uint8


def test_same_seed_same_image():
    first, again, other = (procedural_image(96, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).mean() > 5


def test_one_generator_draws_different_images():
    generator = np.random.default_rng(0)
    first, second = procedural_image(96, generator), procedural_image(96, generator)
    assert np.abs(first.astype(int) - second).mean() > 5


def test_no_image_is_constant(luminance: np.ndarray):
    assert luminance.std(axis=(1, 2)).min() > 0.02


def test_exposure_and_contrast_of_photos(luminance: np.ndarray):
    mean, deviation = PHOTO_LUMINANCE
    assert luminance.mean() == pytest.approx(mean, abs=0.1)
    assert luminance.std(axis=(1, 2)).mean() == pytest.approx(deviation, abs=0.05)


def test_power_spectrum_of_photos(luminance: np.ndarray):
    mean, deviation = PHOTO_POWER_SLOPE
    slopes = [power_slope(plane) for plane in luminance]
    assert np.mean(slopes) == pytest.approx(mean, abs=deviation)


def test_channels_are_correlated_as_in_photos(images: np.ndarray):
    correlations = [np.corrcoef(image.reshape(-1, 3).T)[np.triu_indices(3, 1)].mean() for image in images]
    assert np.mean(correlations) == pytest.approx(PHOTO_CHANNEL_CORRELATION, abs=0.1)


def test_smooth_areas_as_in_photos(luminance: np.ndarray):
    blocks = luminance.reshape(len(luminance), 18, 16, 18, 16).std(axis=(2, 4))
    smooth = (blocks < 0.03).mean(axis=(1, 2))
    assert smooth.mean() == pytest.approx(PHOTO_SMOOTH_BLOCKS, abs=0.12)
    assert (smooth > 0.4).mean() > 0.1, "some images hold a large smooth area: a sky, a wall"


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5])
def test_noise_field_has_the_asked_spectrum(exponent: float):
    field = noise_field(256, exponent, np.random.default_rng(0))
    assert field.mean() == pytest.approx(0, abs=1e-4)
    assert field.std() == pytest.approx(1, abs=1e-3)
    assert power_slope(field) == pytest.approx(2 * exponent, abs=0.2)
