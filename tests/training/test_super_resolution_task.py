"""Degradation against explicit loops, PSNR and SSIM against scikit-image, and training: its terms, what is kept."""

import math

import numpy as np
import pytest
import torch
from conftest import TINY_RUN
from omegaconf import OmegaConf
from skimage.color import rgb2ycbcr
from skimage.data import chelsea
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from test_style_transfer import EVERY_STEP, assert_equal, column, state

from fast_style import Stylizer
from fast_style.checkpoint import CheckpointError, load_network, load_transformer, read_metadata
from fast_style.data.content import Samples
from fast_style.errors import FastStyleError
from fast_style.networks.loss_network import load_loss_network
from fast_style.networks.upscaler import Upscaler, resize_bicubic
from fast_style.training.data_parallel import DataParallel
from fast_style.training.super_resolution import SuperResolution, degrade
from fast_style.training.validation import fidelity, luma

TINY = ("task=super_resolution", "upscaler.width=8", "upscaler.residual_blocks=1", "short_side=36")


def blur(line):
    """A list, smoothed by a Gaussian of sigma 1, reflected at its ends."""
    weights = [math.exp(-(offset**2) / 2) for offset in range(-4, 5)]
    last = len(line) - 1
    mirrored = lambda place: last - abs(last - abs(place))  # noqa: E731
    return [
        sum(w * line[mirrored(place + offset)] for w, offset in zip(weights, range(-4, 5), strict=True)) / sum(weights)
        for place in range(len(line))
    ]


def keys(x):
    """The cubic kernel of Keys 1981, equation 15, a = -1/2."""
    x = abs(x)
    return 1.5 * x**3 - 2.5 * x**2 + 1 if x < 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def shrink(line, scale):
    """A list, reduced by a whole number; the kernel is as wide as so many entries, and cut off at the ends."""
    shrunk = []
    for place in range(len(line) // scale):
        weights = [keys((index + 0.5) / scale - (place + 0.5)) for index in range(len(line))]
        shrunk.append(sum(w * value for w, value in zip(weights, line, strict=True)) / sum(weights))
    return shrunk


@pytest.mark.parametrize("scale", [2, 4])
def test_degradation_is_a_blur_and_bicubic_interpolation(scale):
    images = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = images.numpy()
    for one in (blur, lambda line: shrink(line, scale)):
        for axis in (2, 3):
            expected = np.apply_along_axis(lambda line, one=one: np.array(one(line.tolist())), axis, expected)
    np.testing.assert_allclose(degrade(images, scale), expected.clip(0, 1), atol=1e-9)
    np.testing.assert_allclose(degrade(images.float(), scale), expected.clip(0, 1), atol=1e-6)


def photo_and_noise():
    photo = chelsea()[60:160, 100:220]
    noise = np.random.default_rng(0).normal(0, 12, photo.shape)
    return photo, (photo + noise).round().clip(0, 255).astype(np.uint8)


def tensor(picture):
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)[None] / 255


def test_fidelity_is_that_of_scikit_image():
    """On the luma of BT.601, which is what MATLAB's rgb2ycbcr gives; Wang et al.'s window of SSIM."""
    photo, noisy = photo_and_noise()
    one, other = (rgb2ycbcr(picture)[..., 0] for picture in (photo, noisy))
    np.testing.assert_allclose(luma(tensor(photo))[0, 0] * 255, one, atol=1e-3)
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    values = fidelity(torch.cat([tensor(noisy), tensor(photo).flip(-1)]), tensor(photo).expand(2, -1, -1, -1))
    assert values["psnr"].shape == values["ssim"].shape == (2,)
    assert values["psnr"][0].item() == pytest.approx(peak_signal_noise_ratio(one, other, data_range=255), abs=1e-3)
    assert values["ssim"][0].item() == pytest.approx(structural_similarity(one, other, **window), abs=1e-4)
    assert values["ssim"][1].item() == pytest.approx(structural_similarity(one, one[:, ::-1], **window), abs=1e-4)


@pytest.fixture
def module(compose_config, tmp_path):
    def build(*overrides):
        cfg = compose_config("train", *TINY_RUN, *TINY, "upscaler.width=16", f"run_dir={tmp_path}", *overrides)
        torch.manual_seed(0)
        module = SuperResolution(OmegaConf.to_container(cfg, resolve=True))
        torch.nn.init.normal_(module.upscaler.layers[-1][0].weight, std=0.1)
        return module

    return build


def test_the_two_errors(module):
    truth = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    pixel = module("error=pixel")
    enlarged = pixel(degrade(truth, 4))
    (loss,) = pixel.enlarged_terms(truth).values()
    assert loss.item() == pytest.approx(np.square((enlarged - truth).detach().double().numpy()).mean())
    feature = module("objective.content_weight=3")
    terms = feature.enlarged_terms(truth)
    layers = ["relu1_1", "relu2_1"]
    network = load_loss_network("distilled", layers)
    with torch.no_grad():
        found, wanted = network(enlarged), network(truth)
    expected = sum(np.square((found[layer] - wanted[layer]).double().numpy()).mean() for layer in layers)
    assert list(terms) == ["content_loss"]
    assert terms["content_loss"].item() == pytest.approx(3 * expected, rel=1e-4)
    terms["content_loss"].backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in feature.upscaler.parameters())
    assert not hasattr(pixel, "loss_network"), "which takes seconds and memory, and is not looked at"


def test_two_cores_give_the_gradient_of_one(module):
    one, truth = module(), torch.rand(4, 3, 32, 32)
    terms = one.enlarged_terms(truth)
    terms["content_loss"].backward()
    gradients = [parameter.grad.clone() for parameter in one.upscaler.parameters()]
    one.zero_grad()
    shared = DataParallel(one.enlarged_terms, one.upscaler, 2)(truth)
    shared["content_loss"].backward()
    torch.testing.assert_close(shared["content_loss"], terms["content_loss"].detach(), rtol=1e-4, atol=0)
    for parameter, gradient in zip(one.upscaler.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-5)


def test_training_learns_and_says_how_well(train_in_process):
    """The loss falls; what is logged is the fidelity of the released network, beside bicubic interpolation."""
    options = ("error=pixel", "max_steps=60", "preview_every=60", "optimizer.lr=2e-3")
    folder = train_in_process("a", *TINY, *options, EVERY_STEP)
    losses = column(folder, "train/pixel_loss")
    assert len(losses) == 60 and losses == column(folder, "train/total_loss")
    metadata = read_metadata(folder / "model.safetensors")
    assert metadata["task"] == "super_resolution" and metadata["upscaler"]["scale"] == metadata["config"]["scale"] == 4
    network, name = load_network(folder / "model.safetensors")
    assert isinstance(network, Upscaler) and name == "x4" and metadata["style"] == {"name": "x4"}
    data = Samples(8, 0.3, image_size=32, batch_size=2, seed=0, short_side=36)
    truth = torch.stack([torch.from_numpy(crop.copy()) for crop in map(centre, data.validation_images())]) / 255
    small = degrade(truth, 4)
    with torch.no_grad():
        values = fidelity(network(small), truth)
    baseline = fidelity(resize_bicubic(small, (32, 32)), truth)
    for key in ("psnr", "ssim"):
        assert metadata["losses"][f"val/{key}"] == pytest.approx(values[key].mean().item(), rel=1e-3)
        assert metadata["losses"][f"val/bicubic_{key}"] == pytest.approx(baseline[key].mean().item(), rel=1e-3)
    assert values["psnr"].mean() > baseline["psnr"].mean() + 0.1, "60 steps are enough to beat bicubic interpolation"


def centre(image, size=32):
    top, left = ((side - size) // 2 for side in image.shape[:2])
    return image[top : top + size, left : left + size].transpose(2, 0, 1)


def test_resumed_run_is_the_run_that_never_stopped(train_in_process):
    options = (*TINY, "max_steps=4", "checkpoint_every=2", "preview_every=2", EVERY_STEP)
    straight = train_in_process("straight", *options)
    stopped = train_in_process("stopped", *options, "trainer.max_steps=2")
    resumed = train_in_process("resumed", *options, f"ckpt_path={stopped / 'last.ckpt'}")
    for part in ("global_step", "state_dict", "optimizer_states", "lr_schedulers"):
        assert_equal(state(straight)[part], state(resumed)[part])
    assert not any("loss_network" in name for name in state(straight)["state_dict"])
    with pytest.raises(FastStyleError, match="another upscaler.scale, .*short_side, error"):
        train_in_process("b", *options, f"ckpt_path={stopped / 'last.ckpt'}", "scale=2", "short_side=40", "error=pixel")


def test_one_model_by_all_doors(train_in_process, photo, tmp_path):
    """Stylizer gives pictures scale times as large, alpha too; where a painter is needed, one line."""
    folder = train_in_process("a", *TINY, "max_steps=1", "scale=2", "photo=" + str(photo(tmp_path / "p.png", 9, 7)))
    enlarge = Stylizer(folder / "last.ckpt", device="cpu", precision="32-true")
    assert enlarge.style == "x2"
    assert enlarge(folder / "enlarged.png").size == (28, 36)
    transparent = enlarge(photo(tmp_path / "alpha.png", 8, 5, mode="RGBA"))
    assert transparent.mode == "RGBA" and transparent.size == (10, 16)
    assert enlarge(torch.rand(3, 6, 5)).shape == (3, 12, 10)
    assert enlarge(np.zeros((2, 6, 5, 3), np.uint8)).shape == (2, 12, 10, 3)
    with pytest.raises(FastStyleError, match="enlarges photos: strength="):
        enlarge(torch.rand(3, 6, 5), strength=0.5)
    with pytest.raises(CheckpointError, match="init_from=.*enlarges photos.*task=style_transfer"):
        load_transformer(folder / "model.safetensors", "init_from")


@pytest.mark.parametrize(
    "overrides, parts",
    [
        (["scale=3"], "scale=3: choose from 2, 4, 8"),
        (["image_size=30"], "image_size=30: must be a multiple of scale=4"),
        (["image_size=8"], "image_size=8: .* at least 16"),
        (["short_side=20"], "short_side=20: must be at least image_size=32"),
        (["error=pixels"], "error=pixels: choose from feature, pixel"),
        (["style.image=a.jpg"], "style.image=a.jpg: .*no style"),
        (["init_from=a.safetensors"], "init_from=a.safetensors: .*from scratch"),
        (["objective=relative"], "objective.style_weight: .*objective=feature"),
        (["objective.content_layers=[relu2_2]"], "no layer relu2_2; this loss network has .*relu2_1"),
        (["photo=none.jpg"], "none.jpg"),
        (["compile=true"], "compile=true"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_makes_no_sense_is_refused(train_in_process, overrides, parts):
    with pytest.raises(FastStyleError, match=parts):
        train_in_process("a", *TINY, "max_steps=1", *overrides)
