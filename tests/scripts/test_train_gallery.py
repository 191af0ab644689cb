"""The models that ship, made in small: half precision, the table, pictures, and runs that are kept."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT, TINY_RUN
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import load_file

from fast_style.checkpoint import load_transformer, read_metadata, save_release
from fast_style.data.images import read_image
from fast_style.data.sample_photos import sample_photo
from fast_style.errors import FastStyleError
from fast_style.inference.stylize import stylize
from fast_style.networks.transformer_net import TransformerNet

sys.path.insert(0, str(ROOT / "scripts"))

import train_gallery
from train_gallery import BUNDLED, SAMPLE_PHOTO, commit, draw_sheet, main, save_half, save_jpeg, start

TINY = (*TINY_RUN, "init_from=null", "max_steps=2", "data.count=4")


@pytest.fixture
def gallery(tmp_path):
    """gallery(*arguments): the script, with all its folders in tmp_path."""

    def call(*arguments: str) -> None:
        folders = [f"--{name}={tmp_path / name}" for name in ("runs", "checkpoints", "docs")]
        main([*arguments, *folders, "--cell=40"])

    return call


@pytest.fixture(scope="module")
def model(compose_config, tmp_path_factory):
    """A release file of random weights."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    cfg = compose_config("train", *TINY, "budget=5min", f"run_dir={path.parent}")
    config = OmegaConf.to_container(cfg, resolve=True)
    losses = {f"val/{term}_loss": 1.0 for term in ("content", "style", "tv", "total")} | {"steps": 2, "seconds": 3.0}
    save_release(path, TransformerNet(**config["model"]), config, {"mosaic": [BUNDLED["mosaic"]]}, losses)
    return path


@pytest.fixture
def trainings(model, monkeypatch):
    """Replaces every training by a copy of one model; gives the commands."""
    commands = []

    def copy(arguments: list[str], folder: Path) -> None:
        commands.append(arguments)
        shutil.copy(model, folder)

    monkeypatch.setattr(train_gallery, "run_training", copy)
    return commands


def test_release(gallery, tmp_path, monkeypatch):
    """One real run, and a second call that keeps it."""
    gallery("--styles", "mosaic", *TINY)
    full, half = tmp_path / "runs" / "mosaic" / "default" / "model.safetensors", tmp_path / "checkpoints"
    half /= "mosaic.safetensors"
    assert half.stat().st_size < 0.8 * full.stat().st_size
    assert {value.dtype for value in load_file(half).values()} == {torch.float16}
    photo = read_image(sample_photo(SAMPLE_PHOTO), 384)[0][None]
    (from_half, name), (from_full, _) = load_transformer(half), load_transformer(full)
    assert name == "mosaic" and {value.dtype for value in from_half.state_dict().values()} == {torch.float32}
    assert (stylize(from_half, photo) - stylize(from_full, photo)).abs().max() < 0.01

    metadata, original = read_metadata(half), read_metadata(full)
    assert metadata["losses"] == original["losses"] and metadata["losses"]["seconds"] > 0
    assert metadata["config"]["run_dir"] == "default" and str(tmp_path) not in json.dumps(metadata)
    assert metadata["config"]["model"] == original["config"]["model"]
    assert metadata["training"]["commit"] == commit() and metadata["training"]["start"] == "scratch"

    table = (tmp_path / "checkpoints" / "README.md").read_text()
    assert "`python train.py style=mosaic image_size=32 " in table and "'model.channels=[4,8]'" in table
    for term in ("content", "style", "total"):
        assert f"| {metadata['losses'][f'val/{term}_loss']:.3f} |" in table
    assert commit() in table and "2 steps" in table and "Start: scratch." in table
    with Image.open(tmp_path / "checkpoints" / "mosaic.jpg") as sample:
        assert max(sample.size) == 384
    with Image.open(tmp_path / "docs" / "images" / "gallery.jpg") as sheet:
        assert sheet.size == (4 * 44 + 4, 44 + 4)

    monkeypatch.setattr(train_gallery, "run_training", lambda *_: pytest.fail("trained again"))
    gallery("--styles", "mosaic", *TINY)
    with pytest.raises(SystemExit, match="another command"):
        gallery("--styles", "mosaic", *TINY, "seed=1")


def test_table_and_gallery_have_all_models(gallery, trainings, tmp_path):
    """A call for one style leaves the others in place."""
    gallery("--styles", "mosaic", "ink_wash", "--budgets", "60s", "init_from=null")
    gallery("--styles", "great_wave", "init_from=null")
    assert trainings == [
        ["train.py", "style=mosaic", "budget=60s", "init_from=null"],
        ["train.py", "style=ink_wash", "budget=60s", "init_from=null"],
        ["train.py", "style=great_wave", "init_from=null"],
    ]
    rows = [row for row in (tmp_path / "checkpoints" / "README.md").read_text().splitlines() if "<img" in row]
    assert [row.split()[1] for row in rows] == ["great_wave", "ink_wash", "mosaic"]
    with Image.open(tmp_path / "docs" / "images" / "gallery.jpg") as sheet:
        assert sheet.size == (4 * 44 + 4, 3 * 44 + 4)


def test_contact_sheet(gallery, trainings, photo, tmp_path):
    picture, one, two = (photo(tmp_path / f"{name}.png", 50, 70) for name in ("my painting (1)", "one", "two"))
    photos = ("--photos", str(one), str(two))
    gallery("--styles", "mosaic", str(picture), "--budgets", "60s", "5min", *photos, f"--sheet={tmp_path / 's.jpg'}")
    assert [command[1:] for command in trainings] == [
        ["style=mosaic", "budget=60s"],
        ["style=mosaic", "budget=5min"],
        [f'style.image="{picture}"', "budget=60s"],
        [f'style.image="{picture}"', "budget=5min"],
    ]
    with Image.open(tmp_path / "s.jpg") as sheet:
        assert sheet.size == (5 * 44 + 4, 2 * 44 + 4 + train_gallery.LABEL_HEIGHT)
    assert not (tmp_path / "checkpoints").exists() and not (tmp_path / "docs").exists()


def test_sheet_has_its_cells_in_place_under_labels():
    colours = torch.eye(3)[:, :, None, None].expand(3, 3, 40, 40)
    sheet = draw_sheet([list(colours), list(colours)], ["", "a name far too long for its column", ""])
    top = train_gallery.LABEL_HEIGHT
    for row in range(2):
        for column, colour in enumerate(((255, 0, 0), (0, 255, 0), (0, 0, 255))):
            assert sheet.getpixel((4 + 44 * column, top + 4 + 44 * row)) == colour
            assert sheet.getpixel((43 + 44 * column, top + 43 + 44 * row)) == colour
    strip = [sheet.crop((4 + 44 * column, 0, 44 + 44 * column, top)).getextrema() for column in range(3)]
    assert strip[0] == strip[2] == ((255, 255),) * 3 and strip[1][0][0] < 128


def test_picture_fits(tmp_path):
    noise = Image.effect_noise((200, 200), 60).convert("RGB")
    save_jpeg(tmp_path / "fits.jpg", noise, 20_000)
    assert (tmp_path / "fits.jpg").stat().st_size <= 20_000
    with pytest.raises(FastStyleError, match="smaller --cell"):
        save_jpeg(tmp_path / "large.jpg", noise, 1_000)


def test_model_that_is_too_large(model, tmp_path, monkeypatch):
    monkeypatch.setattr(train_gallery, "MODEL_BYTES", 1_000)
    with pytest.raises(FastStyleError, match="more than 1,000"):
        save_half(model, tmp_path / "half.safetensors", {"backbone": None})
    assert not (tmp_path / "half.safetensors").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--styles", "cubism"], "no such picture file, and none of composition"),
        (["--styles", "mosaic", "mosaic"], "twice"),
        (["--budgets", "soon"], "must be a time"),
        (["--budgets", "60s", "5min"], "several need --sheet"),
        (["--photos", "missing.jpg"], "missing.jpg"),
        (["--sheet", "sheet.gif"], "must be a .jpg"),
        (["--styles", str(sample_photo(SAMPLE_PHOTO))], "others need --sheet"),
        (["style.original=true"], "others need --sheet"),
    ],
)
def test_errors_before_any_training(gallery, trainings, arguments, message):
    with pytest.raises(SystemExit, match=message):
        gallery(*arguments)
    assert not trainings


def test_failed_training(gallery, monkeypatch, tmp_path):
    monkeypatch.setattr(train_gallery, "ROOT", tmp_path)  # where no train.py is
    with pytest.raises(SystemExit, match="the training failed, its reason is above: python train.py style=mosaic"):
        gallery("--styles", "mosaic")


def test_start(monkeypatch):
    monkeypatch.setattr(train_gallery, "read_metadata", lambda path: {"model": {"norm": "instance"}})
    config = {"init_from": "auto", "model": {"norm": "instance"}}
    assert start(config, {"backbone": "1f"}) == "backbone"
    assert start(config, {"backbone": None}) == "scratch"
    assert start(config | {"model": {"norm": "batch"}}, {"backbone": "1f"}) == "scratch"
    assert start(config | {"init_from": None}, {"backbone": None}) == "scratch"
    assert start(config | {"init_from": "other.safetensors"}, {"backbone": "1f"}) == "other.safetensors"
