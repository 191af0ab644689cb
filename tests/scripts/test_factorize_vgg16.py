"""Low-rank factors of a VGG-16: exact where they may be, best for what comes in where they may not."""

import json

import torch
import torch.nn.functional as F
from safetensors import safe_open

from fast_style.losses import relative_error
from fast_style.networks.loss_network import load_loss_network
from scripts.factorize_vgg16 import low_rank


def composed(columns, rows):
    return torch.einsum("oryx,riYX->oiYx", rows, columns)


def test_factors_of_full_rank_are_exact():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 4, 3, 3, generator=generator)
    spread = torch.randn(4, 4, generator=generator)
    torch.testing.assert_close(composed(*low_rank(weight, spread @ spread.T, 12)), weight, rtol=1e-4, atol=1e-5)


def test_factors_suit_what_comes_in():
    """Half of the ranks: for inputs along one axis, less error of the responses than for inputs of no preference."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(8, 6, 3, 3, generator=generator)
    root = torch.randn(6, 6, generator=generator) * torch.tensor([10.0, 3, 1, 0.3, 0.1, 0.03])[:, None]
    images = torch.einsum("bchw,cd->bdhw", torch.randn(4, 6, 32, 32, generator=generator), root)
    moment = root.T @ root
    wanted = F.conv2d(images, weight)
    errors = [
        float(relative_error(F.conv2d(images, composed(*low_rank(weight, seen, 6))), wanted).mean())
        for seen in (moment, torch.eye(6))
    ]
    assert errors[0] < 0.2 * errors[1]


def test_factorizing(run, vgg, photo, tmp_path):
    """The command: a network so narrow that every rank is full differs from its teacher by 8 bits alone."""
    for index in range(102):
        photo(tmp_path / "photos" / f"{index:03d}.png", 32, 32, seed=index)
    teacher, output = vgg("tiny_vgg16")[1], tmp_path / "low_rank.safetensors"
    options = ("--batches", "1", "--batch-size", "2", "--image-size", "32", "--output", output)
    images = ("--images", tmp_path / "photos")
    finished = run("-m", "scripts.factorize_vgg16", "--weights", teacher, *images, *options)
    assert finished.returncode == 0, finished.stderr
    with safe_open(output, "pt") as file:
        metadata = file.metadata()
    assert metadata["data"] == "2 images, and 100 photos to validate" and "--batches 1" in metadata["command"]
    assert max(json.loads(metadata["relative validation errors"]).values()) < 0.01
    layers = ["relu1_1", "relu2_2", "relu4_3"]
    image = torch.rand(1, 3, 48, 40, generator=torch.Generator().manual_seed(0))
    features = load_loss_network("vgg16_lowrank", layers, str(output))(image)
    for layer, maps in load_loss_network("vgg16_caffe", layers, str(teacher))(image).items():
        assert float(relative_error(features[layer], maps)) < 0.01, layer
