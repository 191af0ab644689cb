"""What task=any_style learns from, and its file in half precision."""

import sys
from collections import Counter

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from fast_style.checkpoint import load_network, save_release
from fast_style.networks.any_style import AnyStyleNet
from fast_style.networks.transformer_net import TransformerNet
from scripts import any_style

MODEL = {"channels": [4, 8], "residual_blocks": 1}


def test_pictures(photo, tmp_path, monkeypatch):
    photos = [photo(tmp_path / "photos" / f"{index}.png", 30, 36, seed=index) for index in range(3)]
    painting, model = photo(tmp_path / "own.png", 40, 50), tmp_path / "model.safetensors"
    config = {"model": MODEL, "style": {"name": "own"}}
    save_release(model, TransformerNet(**MODEL), config, {"own": [painting]}, {})
    monkeypatch.setattr(any_style, "SIDE", 32)
    monkeypatch.setattr(any_style, "PAINTED", 2)
    monkeypatch.setattr(any_style, "bundled_styles", dict)
    monkeypatch.setattr(any_style, "numbered_painting", lambda seed, number: Image.new("RGB", (8, 8)))
    namesake = photo(tmp_path / "other" / "own.png", 42, 50, seed=9)
    any_style.write_pictures(tmp_path / "out", photos, [painting, namesake], [model], 1)
    found = Counter(path.stem.rpartition("_")[0] for path in (tmp_path / "out").iterdir())
    assert found == {"0_own": 8, "1_own": 8, "photo": 3, "model": 2, "random": 1}
    assert min(Image.open(tmp_path / "out" / "photo_0.jpg").size) == 32


def test_the_file_that_ships(tmp_path, monkeypatch, capsys):
    model, target = tmp_path / "model.safetensors", tmp_path / "any.safetensors"
    network = AnyStyleNet(MODEL, 12)
    config = {"task": {"name": "any_style"}, "model": MODEL, "style": {"name": "any"}, "init_from": None}
    save_release(model, network, config, {}, {"steps": 1})
    monkeypatch.setattr(sys, "argv", ["any_style", "ship", str(model), "--output", str(target)])
    any_style.main()
    assert f"{target.stat().st_size:,} bytes" in capsys.readouterr().out
    assert {tensor.dtype for tensor in load_file(target).values()} == {torch.float16}
    loaded = load_network(target)[0]
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=1e-3, atol=1e-3)


def test_no_photos(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["any_style", "pictures", "--photos", str(tmp_path), "--output", str(tmp_path)])
    with pytest.raises(any_style.FastStyleError, match="no images in it"):
        any_style.main()
