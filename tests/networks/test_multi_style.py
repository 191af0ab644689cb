"""The backbone: conditional instance norm, its prediction from a style's statistics, and starting from it."""

import json
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fast_style.checkpoint import BACKBONE_FORMAT, is_backbone, load_backbone, load_transformer, read_metadata
from fast_style.errors import FastStyleError
from fast_style.networks.loss_network import load_loss_network
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.transformer_net import TransformerNet
from fast_style.training.warm_start import STATISTICS_LAYERS, initial_state, style_statistics

MODEL = {"channels": [4, 8], "residual_blocks": 1}


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    backbone = MultiStyleNet(MODEL, statistics=torch.randn(3, 6))
    torch.nn.init.normal_(backbone.offsets, std=0.1)
    return backbone


@pytest.fixture
def backbone_file(tmp_path):
    """A small one whose two styles are a plain and a dark picture."""
    torch.manual_seed(0)
    loss_network = load_loss_network("distilled", STATISTICS_LAYERS)
    pictures = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64) ** 4
    backbone = MultiStyleNet(MODEL, torch.cat([style_statistics(loss_network, picture) for picture in pictures]))
    torch.nn.init.normal_(backbone.offsets, std=0.1)
    path = tmp_path / "backbone.safetensors"
    described = {"model": MODEL, "styles": ["plain", "dark"], "training": []}
    metadata = {"format": BACKBONE_FORMAT} | {key: json.dumps(value) for key, value in described.items()}
    save_file({name: tensor.half() for name, tensor in backbone.state_dict().items()}, path, metadata)
    return path


def test_statistics_against_numpy():
    loss_network = load_loss_network("distilled", STATISTICS_LAYERS)
    style_images = torch.rand(2, 3, 48, 40)
    statistics = style_statistics(loss_network, style_images)
    maps = loss_network(style_images)["relu1_1"].flatten(2).numpy()
    expected = torch.from_numpy(maps.mean(2)), torch.from_numpy(maps.std(2))
    torch.testing.assert_close(statistics[:, :32], torch.cat(expected, 1))
    assert statistics.shape == (2, 2 * 2 * (16 + 32 + 64 + 128 + 128)), "means and deviations at two sizes"


def test_every_image_has_its_own_style(backbone):
    """Against ordinary networks, one for each style."""
    content_images = torch.rand(3, 3, 16, 20)
    stylized = backbone(content_images, torch.tensor([2, 0, 2]))
    for i, style in enumerate([2, 0, 2]):
        single = TransformerNet(**MODEL)
        single.load_state_dict(backbone.transformer_for(style))
        torch.testing.assert_close(stylized[i, None], single(content_images[i, None]))
    assert not torch.allclose(backbone(content_images, torch.tensor([0, 1, 1])), stylized, atol=1e-3)


def test_untrained_styles_are_alike():
    backbone = MultiStyleNet(MODEL, torch.randn(2, 6))
    own = backbone.transformer.state_dict()
    for style in range(2):
        assert all(torch.equal(value, own[name]) for name, value in backbone.style_parameters(style).items())


def test_everything_learns_but_styles_that_were_not_drawn(backbone):
    backbone(torch.rand(2, 3, 16, 16), torch.tensor([1, 1])).square().sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())
    assert backbone.offsets.grad.abs().sum(1).ne(0).tolist() == [False, True, False]


def test_most_like_is_not_ruled_by_statistics_of_large_numbers(backbone):
    statistics = backbone.statistics.clone()
    for style in range(3):
        assert backbone.most_like(statistics[style, None] + 0.01) == style
    backbone.statistics[:, 0] = torch.tensor([0.0, 1000, 3000])
    scaled = statistics[1, None].clone()
    scaled[0, 0] = 1600  # a deviation is 1247
    assert backbone.most_like(scaled) == 1


def test_starting_from_a_backbone(backbone_file):
    assert is_backbone(backbone_file)
    backbone, _ = load_backbone(backbone_file)
    for style, power in enumerate((1.1, 3.6)):
        start = initial_state(str(backbone_file), MODEL, torch.rand(1, 3, 64, 64) ** power)
        for name, tensor in backbone.transformer_for(style).items():
            assert torch.equal(start[name], tensor)
    different = {name for name, tensor in backbone.transformer_for(0).items() if not torch.equal(start[name], tensor)}
    norms = {name for name in start if name.endswith("weight") and start[name].ndim == 1}
    assert different == {*norms, *(name.replace("weight", "bias") for name in norms), *list(start)[-2:]}
    TransformerNet(**MODEL).load_state_dict(start)


def test_starting_from_nothing_or_from_another_style(train_in_process):
    assert initial_state(None, MODEL, torch.rand(1, 3, 32, 32)) is None
    trained = train_in_process("a", "max_steps=1") / "model.safetensors"
    model = {"channels": [4, 8], "residual_blocks": 1, "kernel_sizes": [9, 3], "upsampling": "bilinear", "noise": True}
    start = initial_state(str(trained), model, torch.rand(1, 3, 32, 32))
    expected = load_transformer(trained)[0].state_dict()
    assert all(torch.equal(start[name], expected[name]) for name in expected)
    assert not is_backbone(trained)


def test_auto_leaves_other_models_alone():
    assert initial_state("auto", MODEL, torch.rand(1, 3, 32, 32)) is None


def test_what_cannot_be_started_from(backbone_file, tmp_path):
    style_image = torch.rand(1, 3, 32, 32)
    with pytest.raises(FastStyleError, match="init_from=.*no such file"):
        initial_state(str(tmp_path / "none.safetensors"), MODEL, style_image)
    with pytest.raises(FastStyleError, match="another network"):
        initial_state(str(backbone_file), {"channels": [8, 8]}, style_image)
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(FastStyleError, match="cannot read"):
        initial_state(str(tmp_path / "text.safetensors"), MODEL, style_image)


def test_a_backbone_of_another_version(backbone_file, tmp_path):
    tensors = load_file(backbone_file)
    for number, age in ((1, "an earlier"), (3, "a later")):
        save_file(tensors, tmp_path / "old.safetensors", {"format": f"fast_style backbone {number}"})
        with pytest.raises(FastStyleError, match=rf"old.safetensors is of {age} version .*backbone {number}\)"):
            initial_state(str(tmp_path / "old.safetensors"), MODEL, torch.rand(1, 3, 32, 32))


def test_a_backbone_cannot_make_us_build_more_than_it_holds(backbone_file, tmp_path):
    with safe_open(backbone_file, "pt") as file:
        metadata = file.metadata()
    for change in ({"residual_blocks": 10**6}, {"channels": [30_000] * 3}):
        metadata["model"] = json.dumps(MODEL | change)
        save_file(load_file(backbone_file), tmp_path / "large.safetensors", metadata)
        with pytest.raises(FastStyleError, match="its tensors are not those"):
            load_backbone(tmp_path / "large.safetensors")


@pytest.fixture
def pictures(tmp_path):
    """102 photos, two of them for training, and two styles."""
    generator = np.random.default_rng(0)
    for folder, count in (("photos", 102), ("styles", 2)):
        (tmp_path / folder).mkdir()
        for i in range(count):
            pixels = generator.integers(256, size=(300, 280, 3), dtype=np.uint8)
            Image.fromarray(pixels).resize((150, 140)).save(tmp_path / folder / f"{i:03d}.jpg")
    return tmp_path


def test_training_one(pictures, monkeypatch):
    """The real command, for a second, and again from where it stopped."""
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import train_backbone

    options = ["--photos", pictures / "photos", "--styles", pictures / "styles", "--minutes", 0.03]
    first, second = pictures / "first.safetensors", pictures / "second.safetensors"
    for arguments in (["--output", first], ["--start", first, "--output", second]):
        command = ["train_backbone.py", *options, "--batch-size", 1, "--image-size", 64, *arguments]
        monkeypatch.setattr(sys, "argv", [str(argument) for argument in command])
        train_backbone.main()
    resumed = ["--resume", second.with_suffix(".resume"), "--output", pictures / "third.safetensors"]
    command = ["train_backbone.py", *options, "--batch-size", 1, "--image-size", 64, *resumed]
    monkeypatch.setattr(sys, "argv", [str(argument) for argument in command])
    train_backbone.main()
    backbone, metadata = load_backbone(second)
    _, longer = load_backbone(pictures / "third.safetensors")
    assert longer["training"][0] == metadata["training"][0]
    assert longer["training"][1]["steps"] > metadata["training"][1]["steps"], "steps go on counting"
    assert len(metadata["training"]) == 2 and metadata["training"][1]["steps"] >= 1
    assert metadata["styles"] == ["000", "001"] and backbone.offsets.abs().max() > 0, "it has learnt"
    assert Image.open(second.with_suffix(".png")).size == (6 * 66 + 2, 68), "two styles, each with the two photos"
    start = initial_state(str(second), metadata["model"], torch.rand(1, 3, 64, 64))
    assert all(value.isfinite().all() for value in start.values())


def test_a_trained_style_becomes_what_all_styles_begin_with(pictures, monkeypatch, trained):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import train_backbone

    release = trained / "model.safetensors"
    model = read_metadata(release)["model"]
    backbone = MultiStyleNet(model, torch.randn(2, 6))
    (record,) = train_backbone.begin_from(release, backbone, model, ["a", "b"])
    assert record["style"]["name"] == "starry_night" and record["losses"]["steps"] == 4
    own = load_transformer(release)[0].state_dict()
    for style in range(2):
        for name, tensor in backbone.transformer_for(style).items():
            torch.testing.assert_close(tensor, own[name])
    with pytest.raises(FastStyleError, match="another model"):
        train_backbone.begin_from(release, backbone, {"channels": [4, 8]}, ["a", "b"])


def test_styles_are_known_again_by_name(backbone_file, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "scripts")
    import train_backbone

    earlier, _ = load_backbone(backbone_file)
    backbone = MultiStyleNet(MODEL, torch.randn(3, earlier.statistics.shape[1]))
    train_backbone.begin_from(backbone_file, backbone, MODEL, ["new", "dark", "plain"])
    expected = torch.stack([earlier.offsets.mean(0), earlier.offsets[1], earlier.offsets[0]])
    torch.testing.assert_close(backbone.offsets.detach(), expected.detach())
