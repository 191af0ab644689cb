"""task=any_style and what it is for, by the real commands: training, resuming, painting in a style at once."""

import shlex

import numpy as np
import pytest
import torch
from conftest import ROOT, TINY_RUN
from PIL import Image
from safetensors.torch import load_file

from fast_style import FastStyleError, Stylizer
from fast_style.checkpoint import load_network, read_metadata
from fast_style.data.styles import bundled_styles, read_style_images
from fast_style.inference.first_guess import STYLE_SIZE, predicted
from fast_style.training.any_style import style_crop
from fast_style.training.warm_start import initial_state

TASK = ("task=any_style", "styles=[mosaic,woodcut,ink_wash,composition,great_wave]", "init_from=null")


@pytest.fixture(scope="module")
def trained_for_any(tmp_path_factory, compose_config):
    """The folder of a finished training of five pictures, of which one is held out."""
    from fast_style.training.fit import fit

    folder = tmp_path_factory.mktemp("any")
    fit(compose_config("train", *TINY_RUN, *TASK, "max_steps=2", "optimizer.lr=0.1", f"run_dir={folder}"))
    return folder


def test_what_a_training_leaves(trained_for_any):
    metadata = read_metadata(trained_for_any / "model.safetensors")
    assert metadata["task"] == "any_style" and metadata["style"] == {"name": "any"}
    assert metadata["losses"]["val/style_loss"] > 0 and metadata["losses"]["val/identity_loss"] > 0
    assert {path.name for path in (trained_for_any / "stylized").iterdir()} == {"ink_wash.png"}, "the one held out"
    (preview,) = (trained_for_any / "previews").iterdir()
    assert Image.open(preview).size == (4 * 36 + 4, 2 * 36 + 4), "its picture and three photos; the identity"
    assert load_network(trained_for_any / "last.ckpt")[0].predictor.offsets.weight.abs().max() > 0


def test_painting_at_once(trained_for_any, run_here, photo, tmp_path):
    """A picture, several, mixtures, strengths and masks; what is printed trains the same."""
    source, painting = photo(tmp_path / "photo.png", 24, 32), photo(tmp_path / "my painting.png", 90, 80, seed=5)
    Image.fromarray(np.repeat([255, 0], 16).astype(np.uint8)[None].repeat(4, 0)).save(tmp_path / "left.png")
    Image.fromarray(np.repeat([0, 255], 16).astype(np.uint8)[None].repeat(4, 0)).save(tmp_path / "right.png")
    options = (f"ckpt={trained_for_any}/model.safetensors", f"input={source}", "precision=32-true")
    said = [
        run_here("infer.py", *options, *keys)
        for keys in (
            [f"style.image={painting}"], [f"style.image=[{painting},{source}]"], ["style=mosaic", "strength=0"],
            ["style=mosaic"], [f"style={{{painting}: 1, mosaic: 3}}"],
            [f"mask={{{painting}: {tmp_path}/left.png, mosaic: {tmp_path}/right.png}}"],
        )
    ]  # fmt: skip
    assert all(finished.returncode == 0 for finished in said), said
    commands = [shlex.split(finished.stdout.splitlines()[-1]) for finished in said]
    assert commands[0] == ["python", str(ROOT / "train.py"), f"style.image={painting}", "budget=60s"]
    assert commands[1][2] == f"style.image=[{painting},{source}]" and commands[3][2] == "style=mosaic"
    assert commands[4][2:4] == ["task=multi_style", f"styles={{my painting: {painting}, mosaic: mosaic}}"]
    found = {path.stem: np.asarray(Image.open(path)).astype(int) for path in tmp_path.glob("photo*.png")}
    assert set(found) == {"photo", "photo_my painting", "photo_my painting_and_others", "photo_mosaic",
                          "photo_mosaic_strength_0", "photo_my painting_1_mosaic_3",
                          "photo_my painting_mosaic_masked"}  # fmt: skip
    np.testing.assert_array_equal(found["photo_mosaic_strength_0"], found["photo"])
    masked = found["photo_my painting_mosaic_masked"]
    # A level: two styles are predicted together, in sums of another order.
    np.testing.assert_allclose(masked[:, :12], found["photo_my painting"][:, :12], rtol=0, atol=1)
    np.testing.assert_allclose(masked[:, 20:], found["photo_mosaic"][:, 20:], rtol=0, atol=1)
    paint = Stylizer(trained_for_any, precision="32-true", style=painting)
    assert paint.style == "my painting"
    assert np.abs(np.asarray(paint(source)).astype(int) - found["photo_my painting"]).max() <= 1
    paint = Stylizer(trained_for_any, precision="32-true", style={"a": painting, "b": "mosaic"})
    mixed = np.asarray(paint(source, {"a": 0.25, "b": 0.75})).astype(int)
    assert np.abs(mixed - found["photo_my painting_1_mosaic_3"]).max() <= 1
    assert np.abs(found["photo_mosaic"] - found["photo_my painting"]).mean() > 0.1, "styles differ"


@pytest.mark.parametrize("keys, message", [
    ([], "give style.image=PAINTING"), (["style.image=none.jpg"], "style.image=none.jpg: no such file\n"),
    (["style=cubism"], "style=cubism: no such file or folder, and none"),
    (["style.image={a: b}"], "must be one name or path"),
    (["style.image=IMAGE", "+style.mosaic=1"], "says in which style, give no style="),
    (["style={mosaic: 1, assets/mosaic.jpg: 1}"], "two pictures of one name"),
    (["style.image=IMAGE", "count=3"], "stylises each photo in one way"), (["style.image=TEXT"], "notes.txt"),
])  # fmt: skip
def test_clear_errors_of_painting(trained_for_any, run_here, photo, tmp_path, keys, message):
    source, text = photo(tmp_path / "photo.png", 16, 16), tmp_path / "notes.txt"
    text.write_text("no picture")
    keys = [key.replace("IMAGE", str(source)).replace("TEXT", str(text)) for key in keys]
    finished = run_here("infer.py", f"ckpt={trained_for_any}", f"input={source}", *keys)
    assert finished.returncode == 1 and len(finished.stderr.splitlines()) == 1, finished.stderr
    assert message in finished.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"photo.png", "notes.txt"}


def test_a_model_of_one_style_takes_no_picture(trained, run_here, photo, tmp_path):
    source = photo(tmp_path / "photo.png", 16, 16)
    finished = run_here("infer.py", f"ckpt={trained}", f"input={source}", f"style.image={source}")
    assert finished.returncode == 1 and "has learnt its style; leave out ckpt=" in finished.stderr
    finished = run_here("infer.py", f"input={source}")
    assert finished.stderr.startswith("error: give ckpt=MODEL, or style.image=PAINTING")
    for arguments in ({}, {"ckpt": trained, "style": source}):
        with pytest.raises(FastStyleError, match="style"):
            Stylizer(**arguments)


def test_resumed_run_is_the_run_that_never_stopped(train_in_process):
    options = (*TASK, "max_steps=2", "checkpoint_every=1")
    straight = train_in_process("straight", *options)
    stopped = train_in_process("stopped", *options, "trainer.max_steps=1")
    resumed = train_in_process("resumed", *options, f"ckpt_path={stopped / 'last.ckpt'}")
    one, other = (load_file(folder / "model.safetensors") for folder in (straight, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_training_from_a_first_guess(trained_for_any):
    """It begins as what paints at once."""
    network, names = load_network(trained_for_any)[0], {"mosaic": [bundled_styles()["mosaic"]]}
    images = read_style_images(names["mosaic"], STYLE_SIZE)
    state = initial_state(str(trained_for_any), network.shared.model, images)
    expected = predicted(network, names).transformer_for("mosaic").state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


def test_too_few_pictures(train_in_process):
    with pytest.raises(FastStyleError, match="learns from many pictures: give styles=FOLDER"):
        train_in_process("a", *TASK, "styles=[mosaic,woodcut]", "max_steps=1")


def test_crops_of_a_picture(photo, tmp_path):
    """Of the size that is asked, or the whole of a smaller side, in [0, 1], and of many kinds."""
    picture = photo(tmp_path / "a.png", 60, 200)
    generator = np.random.default_rng(0)
    crops = [style_crop(picture, 48, 32, generator) for _ in range(20)]
    assert all(crop.shape == (1, 3, 32, 32) and crop.min() >= -1e-6 and crop.max() <= 1 + 1e-6 for crop in crops)
    again = np.random.default_rng(0)
    assert torch.equal(style_crop(picture, 48, 32, again), crops[0]), "a function of the generator"
    assert torch.stack([crop.mean((0, 2, 3)) for crop in crops]).std(0).min() > 0.05, "their colours differ"
