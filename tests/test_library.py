"""What programs import, and what a wheel installs."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, TINY_RUN
from PIL import Image

import fast_style
from fast_style import FastStyleError, Stylizer, train
from fast_style.checkpoint import load_transformer
from fast_style.data.images import read_image


@pytest.fixture(scope="module")
def stylizer(trained):
    return Stylizer(trained / "model.safetensors", device="cpu", precision="32-true")


@pytest.fixture(scope="module")
def expected(trained, tmp_path_factory, photo):
    """A photo, and what the plain network makes of it, (3, H, W) in [0, 1]."""
    path = photo(tmp_path_factory.mktemp("photos") / "photo.png", 20, 30)
    transformer, _ = load_transformer(trained / "model.safetensors")
    with torch.no_grad():
        return path, transformer(read_image(path)[0][None])[0].clamp(0, 1)


def pixels(picture):
    return torch.from_numpy(np.asarray(picture).astype(np.float32) / 255).permute(2, 0, 1)


def test_every_kind_comes_back_as_it_went_in(stylizer, expected):
    path, picture = expected
    close = {"rtol": 0, "atol": 0.51 / 255}
    for one in (path, str(path), Image.open(path)):
        stylized = stylizer(one)
        assert isinstance(stylized, Image.Image)
        torch.testing.assert_close(pixels(stylized), picture, **close)
    array = np.asarray(Image.open(path))
    assert stylizer(array).dtype == np.uint8
    torch.testing.assert_close(pixels(stylizer(array)), picture, **close)
    floats = stylizer(array.astype(np.float64) / 255)
    assert floats.dtype == np.float64 and floats.shape == array.shape
    torch.testing.assert_close(torch.from_numpy(floats).permute(2, 0, 1).float(), picture, rtol=0, atol=1e-4)
    tensor = stylizer(read_image(path)[0])
    torch.testing.assert_close(tensor, picture, rtol=0, atol=1e-4)
    assert stylizer((read_image(path)[0] * 255).round().to(torch.uint8)).dtype == torch.uint8


def test_batches_and_lists(stylizer, expected):
    path, picture = expected
    image = read_image(path)[0]
    batch = stylizer(torch.stack([image, image.flip(-1)]))
    assert batch.shape == (2, 3, 20, 30)
    torch.testing.assert_close(batch[0], picture, rtol=0, atol=1e-4)
    arrays = stylizer(np.stack([np.asarray(Image.open(path))] * 2))
    assert arrays.shape == (2, 20, 30, 3) and (arrays[0] == arrays[1]).all()
    first, second = stylizer([path, image])
    assert isinstance(first, Image.Image) and second.shape == image.shape


@pytest.mark.parametrize("name", ["PNG", "JPEG"])
def test_bytes(stylizer, expected, name):
    """For a web service; the format stays."""
    file = BytesIO()
    Image.open(expected[0]).save(file, name)
    stylized = Image.open(BytesIO(stylizer(file.getvalue())))
    assert stylized.format == name and stylized.size == (30, 20)


def test_alpha_and_size(stylizer, photo, tmp_path):
    path = photo(tmp_path / "photo.png", 20, 30, mode="RGBA")
    for one in (path, Image.open(path)):
        stylized = stylizer(one)
        assert stylized.mode == "RGBA"
        assert (np.asarray(stylized)[..., 3] == np.asarray(Image.open(path))[..., 3]).all()
    assert stylizer(path, max_size=15).size == (15, 10)


def test_threads_do_not_disturb_each_other(stylizer):
    images = [torch.rand(3, 16 + 4 * index, 24) for index in range(8)]
    alone = [stylizer(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(stylizer, images))
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


def test_what_is_no_picture(stylizer):
    with pytest.raises(FastStyleError, match=r"three channels.*\(1, 8, 8\)"):
        stylizer(torch.rand(1, 8, 8))
    with pytest.raises(FastStyleError, match="none.jpg"):
        stylizer("none.jpg")
    with pytest.raises(AttributeError, match="no attribute 'Styliser'"):
        fast_style.Styliser  # noqa: B018


def test_train(tmp_path):
    """Returns the module, its losses and the paths; the model can be used at once."""
    trained = train(*TINY_RUN, "style=mosaic", "max_steps=2", "init_from=null", f"run_dir={tmp_path}")
    assert trained.losses["steps"] == 2 and trained.losses["val/total_loss"] > 0
    assert trained.model == tmp_path / "model.safetensors" and trained.picture.exists()
    assert trained.module.network.training is False
    assert Stylizer(trained.model).style == "mosaic"
    with pytest.raises(FastStyleError, match="mosaik"):
        train("style=mosaik")
    with pytest.raises(FastStyleError, match="give data.root="):
        train("data=folder")


def test_the_example_of_the_readme_runs(tmp_path, photo, monkeypatch, capsys):
    """Word for word, but for the size of the training."""
    monkeypatch.chdir(tmp_path)
    Path("checkpoints").symlink_to(ROOT / "checkpoints")
    photo(Path("photo.jpg"), 32, 48)
    (code,) = re.findall("```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert '"budget=60s"' in code
    tiny = ("max_steps=2", "init_from=null", "run_dir=run", *TINY_RUN)
    exec(code.replace('"budget=60s"', ", ".join(map(repr, tiny))), {})
    assert Image.open("out.png").size == (48, 32)
    assert "run/model.safetensors" in capsys.readouterr().out


def test_importing_the_package_costs_nothing_and_a_picture_waits_for_torch_alone():
    code = "import sys, fast_style; late = {'torch', 'torchvision', 'pytorch_lightning'}; print(late & {*sys.modules})"
    code += "\nimport fast_style.commands.infer; print(late & {*sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.stdout.splitlines() == ["set()", "{'torch'}"]


MY_NETWORK = """
from torch import nn

class MyNet(nn.Conv2d):
    def __init__(self, kernel_size):
        super().__init__(3, 3, kernel_size, padding=kernel_size // 2)
"""
MY_TERM = """
class Greyness:
    def __call__(self, seen):
        return seen.stylized.std(1).flatten(1).mean(1)
"""
MY_TASK = """
from fast_style.training.style_transfer import StyleTransfer

class Brighter(StyleTransfer):
    def terms(self, batch, stage, batch_index):
        terms = super().terms(batch, stage, batch_index)
        return terms | {"dark_loss": (1 - self(batch)).square().mean()}
"""
MY_TASK_CONFIG = """
# @package _global_
task: {name: brighter, _target_: my_module.Brighter}
batch_size: 2
optimizer: {lr: 1e-3}
"""


def test_extending_from_outside(run_here, tmp_path, photo, monkeypatch):
    """A network, a loss term, a task and a style of one's own: a module and some YAML, nothing in the package."""
    (tmp_path / "my_module.py").write_text(MY_NETWORK + MY_TERM + MY_TASK)
    for name, text in {
        "model/mine.yaml": "_target_: my_module.MyNet\nkernel_size: 3\n",
        "task/brighter.yaml": MY_TASK_CONFIG,
        "style/mine.yaml": f"name: mine\nimage: {photo(tmp_path / 'painting.png', 70, 80)}\nstyle_size: 64\n",
    }.items():
        (tmp_path / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / name).write_text(text)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{tmp_path}")
    tiny = [key for key in TINY_RUN if not key.startswith("model.")]
    term = "objective.terms={grey: {_target_: my_module.Greyness, weight: 2}}"
    options = ["task=brighter", "model=mine", "style=mine", term, "max_steps=2", "init_from=null"]
    command = [ROOT / "train.py", "--config-dir", tmp_path / "conf", *tiny, *options, f"hydra.run.dir={tmp_path}/run"]
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    finished = subprocess.run([sys.executable, *command], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    columns = next((tmp_path / "run" / "logs").rglob("metrics.csv")).read_text().splitlines()[0]
    assert "val/grey_loss" in columns and "val/dark_loss" in columns
    files = [f"ckpt={tmp_path}/run/model.safetensors", f"input={tmp_path}/painting.png"]
    infer = [sys.executable, ROOT / "infer.py", *files]
    options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True}
    assert "modules=[my_module], if you trust that code" in run_here("infer.py", *files).stderr
    allowed = subprocess.run([*infer, "modules=[my_module]"], **options)
    assert allowed.returncode == 0, allowed.stderr
    assert Image.open(tmp_path / "painting_mine.png").size == (80, 70)


def test_a_wheel_has_everything(tmp_path):
    """Built, unpacked, and used from an empty folder."""
    source = tmp_path / "source"
    for name in ("fast_style", "configs"):
        shutil.copytree(ROOT / name, source / name)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-w", tmp_path, source]
    built = subprocess.run([sys.executable, *map(str, build)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        (listed,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        scripts = archive.read(listed).decode()
    packaged = {path.relative_to(ROOT / "configs") for path in (ROOT / "configs").rglob("*.yaml")}
    site = tmp_path / "site" / "fast_style" / "configs"
    assert {path.relative_to(site) for path in site.rglob("*.yaml")} == packaged
    (tmp_path / "empty").mkdir()
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}
    options = {"cwd": tmp_path / "empty", "env": environment, "capture_output": True, "text": True}

    def command(name: str, *arguments: str) -> None:
        assert f"fast-style-{name} = fast_style.commands.{name}:main" in scripts
        code = f"from fast_style.commands.{name} import main; main()"
        finished = subprocess.run([sys.executable, "-c", code, *arguments], **options)
        assert finished.returncode == 0, finished.stderr

    command("train", *TINY_RUN, "style=mosaic", "max_steps=1", "init_from=null", "hydra.run.dir=run")
    command("infer", "ckpt=run/model.safetensors", "input=run/stylized.png", "output=out.png", "max_size=64")
    command("optimize", "task=quilting", "style=mosaic", "image_size=64", "output=quilt.png")
    assert Image.open(tmp_path / "empty" / "out.png").width == 64
    assert (tmp_path / "empty" / "quilt.png").exists()
