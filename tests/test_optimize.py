"""optimize.py as a user runs it: every task, its errors, Ctrl-C."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image

from fast_style.commands.optimize import optimize
from fast_style.data.images import read_image
from fast_style.errors import FastStyleError

TINY = ("image_size=32", "max_steps=3", "device=cpu")


@pytest.fixture
def run_task(compose_config, photo, tmp_path):
    """run_task(task, *overrides) -> the picture of a tiny run in this process, (3, H, W), and its alpha."""

    def build(task, *overrides):
        content = [] if task == "texture" else [f"content={photo(tmp_path / 'photo.png', 24, 32)}"]
        output = tmp_path / "out" / f"{task}.png"
        cfg = compose_config("optimize", f"task={task}", *content, *TINY, f"output={output}", *overrides)
        optimize(cfg)
        return read_image(output)

    return build


@pytest.mark.parametrize("start", ["noise", "content", "style"])
@pytest.mark.parametrize("name", ["lbfgs", "adam"])
def test_style_transfer(run_task, name, start):
    image, alpha = run_task("style_transfer", f"optimizer.name={name}", f"style_transfer.start={start}")
    assert image.shape == (3, 24, 32) and alpha is None


def test_style_transfer_coarse_to_fine(run_task, photo, tmp_path):
    """A large photo with transparency, shrunk; three sizes."""
    content = photo(tmp_path / "large.png", 96, 128, mode="RGBA")
    image, alpha = run_task("style_transfer", f"content={content}", "image_size=64", "coarsest_size=16")
    assert image.shape == (3, 48, 64)
    torch.testing.assert_close(alpha, read_image(content, 64)[1])


def test_style_transfer_takes_the_objectives_of_the_main_job(run_task, vgg):
    weights = vgg("tiny_vgg16")[1]
    image, _ = run_task(
        "style_transfer", "objective=johnson2016", "loss_network=vgg16_caffe", f"loss_network.weights={weights}"
    )
    assert image.shape == (3, 24, 32)


@pytest.mark.parametrize("overrides", [
    (), ("texture.depth=1",), ("texture.components=4",), ("texture.statistic=mean",), ("texture.random_weights=true",),
    ("texture.layer_weights.pool4=0.5", "coarsest_size=16"),
])  # fmt: skip
def test_texture(run_task, overrides):
    image, alpha = run_task("texture", *overrides)
    assert image.shape == (3, 32, 32) and alpha is None


def test_texture_tells_its_parameters(run_task, capsys):
    """A VGG has 64, 128, 256 and 512 channels in its blocks."""

    def told(*overrides):
        run_task("texture", *overrides)
        return capsys.readouterr().out.splitlines()[0]

    assert told("texture.depth=2") == f"relu1_1, pool1: {2 * 64 * 65 // 2:,} parameters"
    assert told().endswith(f": {2 * 2080 + 128 * 129 // 2 + 256 * 257 // 2 + 512 * 513 // 2:,} parameters")
    assert told("texture.components=4").endswith(": 50 parameters")
    assert told("texture.statistic=mean").endswith(f": {64 + 64 + 128 + 256 + 512:,} parameters")


def test_an_enlarged_style_picture_says_so(run_task, photo, tmp_path, capsys):
    small = photo(tmp_path / "small.png", 20, 25)
    run_task("quilting", f"style.image={small}", "quilting.block=8")
    assert f"{small} is only 25x20, and enlarged to style.style_size=32" in capsys.readouterr().out
    run_task("quilting", f"style.image={small}", "style.style_size=20", "quilting.block=8")
    assert "and enlarged" not in capsys.readouterr().out


def test_several_style_pictures(run_task, photo, tmp_path):
    """One texture by their mean statistics, whatever their shapes; the patches are those of one picture."""
    pictures = [photo(tmp_path / "hand" / f"{seed}.png", 40, 44 + seed, seed=seed) for seed in range(2)]
    hand, same = f"style.image={tmp_path}/hand", f"style.image=[{pictures[0]},{pictures[0]}]"
    for task in ("style_transfer", "texture"):
        both, twice, once = (run_task(task, key)[0] for key in (hand, same, f"style.image={pictures[0]}"))
        assert torch.equal(twice, once) and not torch.equal(both, once)
    for task in ("quilting", "portilla_simoncelli"):
        with pytest.raises(FastStyleError, match=f"task={task}: takes one picture, and style.image= means 2"):
            run_task(task, hand, "content=null")


def test_inversion(run_task):
    assert run_task("inversion", "inversion.layer=pool1")[0].shape == (3, 24, 32)


def test_quilting(run_task):
    texture = "quilting.block=8"
    photo, _ = run_task("quilting", texture)
    assert photo.shape == (3, 24, 32)
    alone, _ = run_task("quilting", texture, "content=null", "image_size=40", "style.style_size=32")
    assert alone.shape == (3, 40, 40)


@pytest.mark.parametrize("task", ["texture", "quilting"])
def test_seeds(run_task, task):
    overrides = ("content=null", "quilting.block=8")
    first, again, other = (run_task(task, f"seed={seed}", *overrides)[0] for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize(
    "task, overrides, message",
    [
        (
            "painting",
            [],
            "task=painting: choose from style_transfer, texture, portilla_simoncelli, inversion, quilting",
        ),
        ("style_transfer", ["content=null"], "task=style_transfer needs a photo: give content=FILE"),
        ("inversion", ["content=null"], "task=inversion needs a photo"),
        ("texture", ["content=photo.jpg"], "task=texture takes no content="),
        ("portilla_simoncelli", ["content=photo.jpg"], "task=portilla_simoncelli takes no content="),
        ("style_transfer", ["content=/no/such.jpg"], "/no/such.jpg"),
        ("style_transfer", ["style.image=/no/such.jpg"], "style.image=/no/such.jpg: no such file"),
        ("inversion", ["inversion.layer=relu9_9"], "no layer relu9_9.*relu1_1, relu1_2, pool1"),
        ("texture", ["+texture.layer_weights.relu1_9=1"], "no layer relu1_9"),
        ("texture", ["texture.depth=0"], "texture.depth=0: must be a whole number, at least 1"),
        ("texture", ["texture.components=0"], "texture.components=0"),
        ("style_transfer", ["objective.content_layers=[relu5_2]"], "no layer relu5_2"),
        ("style_transfer", ["style_transfer.start=black"], "style_transfer.start=black: choose from noise"),
        ("style_transfer", ["optimizer.name=sgd"], "optimizer.name=sgd: choose from lbfgs, adam"),
        ("style_transfer", ["optimizer.lr=0"], "optimizer.lr=0: must be a number, more than 0"),
        ("quilting", ["quilting.tolerance=-1"], "quilting.tolerance=-1: must be a number, at least 0"),
        ("style_transfer", ["max_steps=0"], "max_steps=0: must be a whole number, at least 1"),
        ("quilting", ["quilting.block=1"], "quilting.block=1"),
        ("quilting", ["quilting.block=33"], "quilting.block=33.*32 pixels"),
        ("quilting", ["output=out.xyz"], "output=out.xyz: must end in"),
        ("quilting", ["output=out.gif"], "output=out.gif: must end in"),
        ("quilting", ["output=/dev/null/out.png"], "output=/dev/null/out.png: cannot write into /dev/null"),
        ("style_transfer", ["device=toaster"], "device=toaster"),
        ("style_transfer", ["content=[a]"], r"content=\['a'\]: must be one name or path"),
        ("style_transfer", ["optimizer=adam"], "optimizer=adam: has keys of its own, give optimizer.name="),
        ("style_transfer", ["task=[a]"], r"task=\['a'\]: must be one name or path"),
    ],
)
def test_clear_errors(run_task, task, overrides, message):
    with pytest.raises(FastStyleError, match=message):
        run_task(task, *overrides)


def test_the_photo_is_not_overwritten(run_task, tmp_path):
    with pytest.raises(FastStyleError, match="would overwrite"):
        run_task("style_transfer", f"output={tmp_path}/photo.png")


# --- the command


def test_the_command(run, photo, tmp_path):
    source = photo(tmp_path / "photo.jpg", 20, 30)
    arguments = ("task=style_transfer", f"content={source}", "style=starry_night", "output=out.png", *TINY)
    finished = run(ROOT / "optimize.py", *arguments, cwd=tmp_path)
    assert finished.returncode == 0, finished.stderr
    assert "style_loss" in finished.stdout and "wrote out.png" in finished.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"photo.jpg", "out.png"}, "and no folders of Hydra's"
    assert np.asarray(Image.open(tmp_path / "out.png")).shape == (20, 30, 3)


def test_an_error_is_one_line(run, tmp_path):
    finished = run(ROOT / "optimize.py", "task=style_transfer", cwd=tmp_path)
    assert finished.returncode == 1 and finished.stdout == ""
    assert finished.stderr == "error: task=style_transfer needs a photo: give content=FILE\n"


def test_ctrl_c_writes_the_best(photo, tmp_path):
    source, output = photo(tmp_path / "photo.png", 24, 32), tmp_path / "out.png"
    arguments = ["task=style_transfer", f"content={source}", f"output={output}", "max_steps=1000000", "device=cpu"]
    command = [sys.executable, "optimize.py", *arguments, "preview_every=0.1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
        try:
            deadline = time.monotonic() + 120
            while not output.exists() and running.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            running.send_signal(signal.SIGINT)
            said, _ = running.communicate(timeout=120)
        finally:
            running.kill()
    assert running.returncode == 0
    assert "stopped early: the best so far, 32x24; wrote" in said
    assert read_image(output)[0].shape == (3, 24, 32)
