"""The benchmark of first guesses, in small: a row a painting, judged as benchmarks/quality judges."""

import json
import sys

import pytest
from conftest import ROOT
from PIL import Image
from torchvision.transforms.functional import center_crop, to_pil_image

from benchmarks import style_at_once
from benchmarks.quality import Judge
from fast_style.checkpoint import read_metadata, save_release
from fast_style.data.images import read_on_white
from fast_style.errors import FastStyleError
from fast_style.networks.any_style import AnyStyleNet
from fast_style.networks.transformer_net import TransformerNet

MODEL = {"channels": [4, 8], "residual_blocks": 1}


def test_a_whole_run(photo, tmp_path, monkeypatch, capsys):
    painting, source = photo(tmp_path / "painting.png", 400, 420, seed=3), photo(tmp_path / "photo.png", 64, 80)
    config = read_metadata(ROOT / "checkpoints" / "mosaic.safetensors")["config"]
    config |= {"model": MODEL, "style": {"name": "painting", "image": str(painting), "style_size": 64}}
    save_release(tmp_path / "one.safetensors", TransformerNet(**MODEL), config, {"painting": [painting]}, {})
    network = tmp_path / "any.safetensors"
    save_release(network, AnyStyleNet(MODEL, 1472), config | {"task": {"name": "any_style"}}, {}, {"steps": 3})
    arguments = ["--trained", f"60s={tmp_path}/one.safetensors", "--photos", str(source), "--network", str(network)]
    sheet = ["--sheet", str(tmp_path / "a.png"), "--cell", "40", "--crops"]
    written = ["--output", str(tmp_path / "a.json"), *sheet, "--lbfgs", "2"]
    monkeypatch.setattr(sys, "argv", ["style_at_once", *arguments, *written])
    style_at_once.main()
    result = json.loads((tmp_path / "a.json").read_text())
    assert list(result["paintings"]["painting"]) == ["photo", "L-BFGS", "first guess", "60s"]
    before, optimised = (result["paintings"]["painting"][name] for name in ("photo", "L-BFGS"))
    assert 0 < optimised["content"] < 1 and optimised["tone"] > 0.9
    image = read_on_white(source)
    expected = Judge(None)([read_on_white(painting)], image, image)
    assert before["style"] == pytest.approx(expected["style"], abs=1e-3) and before["content"] == 0
    assert result["network"]["steps"] == 3 and result["seconds"]["total"] > 0
    sheet = Image.open(tmp_path / "a.png")
    assert sheet.size == (5 * 46 - 6, 28 + 2 * (40 + 22))
    shown = sheet.crop((46, 28 + 62, 46 + 40, 28 + 62 + 40))
    assert shown.tobytes() == to_pil_image(center_crop(image, 40)).tobytes()
    assert "first guess" in capsys.readouterr().out


def test_what_cannot_be_compared(tmp_path):
    with pytest.raises(FastStyleError, match="must be LABEL=FILE"):
        style_at_once.read_trained(["model.safetensors"])
