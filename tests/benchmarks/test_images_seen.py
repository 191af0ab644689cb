"""Losses against images seen: of a run written by hand, and of one that train.py made."""

import json
import sys

import pytest
from conftest import TINY_RUN
from PIL import Image

from benchmarks.images_seen import main, read_losses
from fast_style.errors import FastStyleError
from fast_style.training.from_python import train

HEAD = "step,train/content_loss,train/style_loss,train/total_loss,val/content_loss,val/style_loss,val/total_loss"


def test_a_resumed_run(tmp_path):
    """Batches of 4, a validation after 2 steps; stopped after 3 of them and resumed from its second."""
    (tmp_path / "config.yaml").write_text("batch_size: 4\n")
    for version, rows in enumerate((["1,1,2,3,,,", "1,,,,4,5,9", "2,9,9,18,,,"], ["2,1,1,2,,,", "3,,,,2,3,5"])):
        folder = tmp_path / "logs" / f"version_{version}"
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text("\n".join([HEAD, *rows]) + "\n")
    found = read_losses(tmp_path)
    assert [tuple(point.values()) for point in found["train"]] == [(8, 1, 2, 3), (12, 1, 1, 2)]
    assert [tuple(point.values()) for point in found["val"]] == [(8, 4, 5, 9), (16, 2, 3, 5)]


def test_a_run(tmp_path, monkeypatch, capsys):
    """Five steps, a validation after two, four and at the end."""
    run, picture, output = tmp_path / "run", tmp_path / "curve.png", tmp_path / "curve.json"
    train(*TINY_RUN, "max_steps=5", "preview_every=2", f"run_dir={run}")
    monkeypatch.setattr(sys, "argv", ["images_seen", str(run), f"--plot={picture}", f"--output={output}"])
    main()
    held_out = json.loads(output.read_text())["val"]
    batch = held_out[0]["images"] // 2
    assert [point["images"] for point in held_out] == [2 * batch, 4 * batch, 5 * batch]
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == held_out[-1]
    with Image.open(picture) as curve:
        assert curve.width > 1000


def test_not_a_run(tmp_path):
    with pytest.raises(FastStyleError, match=f"{tmp_path}: not the folder of a run"):
        read_losses(tmp_path)
