"""task=multi_style, by the real commands: training, resuming, painting one style, all, and mixtures."""

import numpy as np
import pytest
import torch
from conftest import TINY_RUN
from PIL import Image
from safetensors.torch import load_file

from fast_style import FastStyleError, Stylizer
from fast_style.checkpoint import load_network, read_metadata

STYLES = "styles=[mosaic,woodcut]"
TASK = ("task=multi_style", STYLES, "init_from=null")


@pytest.fixture(scope="module")
def several(run, tmp_path_factory):
    """The folder of a finished training of two styles."""
    folder = tmp_path_factory.mktemp("several")
    finished = run("train.py", *TINY_RUN, *TASK, "max_steps=3", f"hydra.run.dir={folder}")
    assert finished.returncode == 0, finished.stderr
    assert f"infer.py ckpt={folder}/model.safetensors input=photo.jpg style=all" in finished.stdout
    return folder


def test_what_a_training_leaves(several):
    metadata = read_metadata(several / "model.safetensors")
    assert [style["name"] for style in metadata["styles"]] == ["mosaic", "woodcut"]
    assert metadata["losses"]["steps"] == 3 and metadata["losses"]["val/style_loss"] > 0
    assert {path.name for path in (several / "stylized").iterdir()} == {"mosaic.png", "woodcut.png"}
    (preview,) = (several / "previews").iterdir()
    assert Image.open(preview).size == (4 * 36 + 4, 2 * 36 + 4), "a row a style: its picture, three photos"
    assert load_network(several / "model.safetensors")[0].offsets.abs().max() > 0, "the styles have learnt"


def test_painting(several, run, photo, tmp_path):
    source = photo(tmp_path / "photo.png", 40, 48)
    ckpt, files = f"ckpt={several}/model.safetensors", [f"input={source}", "precision=32-true"]
    for style in ("all", "woodcut", "{mosaic: 1, woodcut: 3}"):
        finished = run("infer.py", ckpt, *files, f"style={style}")
        assert finished.returncode == 0, finished.stderr
    names = {path.name for path in tmp_path.glob("photo_*.png")}
    assert names == {"photo_mosaic.png", "photo_woodcut.png", "photo_mosaic_1_woodcut_3.png"}
    paint = Stylizer(several / "model.safetensors", precision="32-true")
    for style, name in (("mosaic", "mosaic"), ({"mosaic": 0.25, "woodcut": 0.75}, "mosaic_1_woodcut_3")):
        written = np.asarray(Image.open(tmp_path / f"photo_{name}.png")).astype(int)
        assert np.abs(np.asarray(paint(source, style)).astype(int) - written).max() <= 1
    finished = run("infer.py", ckpt, *files, "style=cubism")
    assert finished.returncode == 1 and finished.stderr == "error: style=cubism: the model has mosaic, woodcut\n"
    with pytest.raises(FastStyleError, match="give style= of mosaic, woodcut"):
        paint(source)


def test_a_model_of_one_style_has_no_other(trained, run, photo, tmp_path):
    source = photo(tmp_path / "photo.png", 40, 48)
    finished = run("infer.py", f"ckpt={trained}/model.safetensors", f"input={source}", "style=mosaic")
    assert finished.returncode == 1 and "the model has one style, starry_night" in finished.stderr


def test_resumed_run_is_the_run_that_never_stopped(train_in_process):
    options = (*TASK, "max_steps=4", "checkpoint_every=2")
    straight = train_in_process("straight", *options)
    stopped = train_in_process("stopped", *options, "trainer.max_steps=2")
    resumed = train_in_process("resumed", *options, f"ckpt_path={stopped / 'last.ckpt'}")
    one, other = (load_file(folder / "model.safetensors") for folder in (straight, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(FastStyleError, match="another style picture"):
        train_in_process("other", *options, "styles=[mosaic]", f"ckpt_path={stopped / 'last.ckpt'}")
    assert load_network(stopped / "last.ckpt")[0].names == ["mosaic", "woodcut"]


def test_shared_out_among_cores(train_in_process, monkeypatch):
    """Each thread puts its styles into a network of its own."""
    one = train_in_process("one", *TASK, "max_steps=2", "data_parallel=false")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    two = train_in_process("two", *TASK, "max_steps=2")
    one, two = (load_file(folder / "model.safetensors") for folder in (one, two))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=3e-3)


@pytest.mark.parametrize("options, message", [
    (("styles=null",), "needs styles="), (("styles=5",), "styles=5: no such file"),
    (("styles=[cubism]",), "styles=cubism: no such file"),
    (("styles=[mosaic,mosaic]",), "two pictures are named mosaic"),
    (("compile=true",), "not compiled"), (("model.norm=batch",), "model.norm must be instance"),
])  # fmt: skip
def test_clear_errors(train_in_process, options, message):
    with pytest.raises(FastStyleError, match=message):
        train_in_process("a", *TASK, "max_steps=1", *options)


def test_a_folder_of_pictures(train_in_process, photo, tmp_path):
    for index, name in enumerate(("first", "second", "third")):
        photo(tmp_path / "paintings" / f"{name}.png", 70, 80, seed=index)
    folder = train_in_process("a", *TASK, f"styles={tmp_path}/paintings", "max_steps=1")
    assert load_network(folder / "model.safetensors")[0].names == ["first", "second", "third"]
    folder = train_in_process(
        "b", TASK[0], TASK[2], f"styles={{hand: {tmp_path}/paintings, wood: woodcut}}", "max_steps=1"
    )
    hand, wood = read_metadata(folder / "model.safetensors")["styles"]
    assert hand["image"] == ["first.png", "second.png", "third.png"] and wood["image"] == "woodcut.jpg"
    assert load_network(folder / "last.ckpt")[0].names == ["hand", "wood"]
