"""The real commands, as a user types them."""

import csv
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT, TINY_RUN
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fast_style.checkpoint import load_transformer, read_metadata
from fast_style.data.images import read_image
from fast_style.inference.files import find_inputs, name_outputs
from fast_style.inference.stylize import stylize
from fast_style.networks.loss_network import load_loss_network
from fast_style.overrides import for_shell
from fast_style.training.fit import fit


def size_of(path):
    """(height, width) of a picture that decodes."""
    with Image.open(path) as picture:
        picture.load()
        return picture.height, picture.width


def assert_one_line_error(finished, *parts):
    assert finished.returncode == 1
    assert "Traceback" not in finished.stderr and "HYDRA_FULL_ERROR" not in finished.stderr, finished.stderr
    lines = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, finished.stderr
    assert all(part in lines[0] for part in parts), lines[0]


# --- train.py


def test_train_leaves_a_model_a_picture_and_a_resume_point(trained):
    left = {path.name for path in trained.iterdir()}
    assert {"model.safetensors", "stylized.png", "last.ckpt", "best.ckpt", "logs", "previews"} <= left
    assert [path.name for path in sorted((trained / "previews").iterdir())] == ["step_000002.png", "step_000004.png"]
    assert size_of(trained / "stylized.png") == (300, 451), "scikit-image's cat"
    metadata = read_metadata(trained / "model.safetensors")
    assert metadata["style"]["name"] == "starry_night" and metadata["losses"]["steps"] == 4
    assert metadata["config"]["run_dir"] == str(trained) and metadata["config"]["image_size"] == 64
    with (trained / "logs" / "version_0" / "metrics.csv").open() as file:
        totals = [float(row["val/total_loss"]) for row in csv.DictReader(file) if row["val/total_loss"]]
    assert metadata["losses"]["val/total_loss"] == pytest.approx(totals[-1])


def test_train_writes_down_what_it_was(trained):
    """The resolved config, the machine, the code and the painting; the same in short in the release file; a log."""
    metadata = read_metadata(trained / "model.safetensors")
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert config == metadata["config"] and "${" not in (trained / "config.yaml").read_text()
    record = json.loads((trained / "environment.json").read_text())
    assert metadata["environment"] == {name: record[name] for name in ("commit", "machine", "platform")}
    assert record["machine"] and record["packages"]["torch"] == version("torch") and "max_steps=4" in record["command"]
    assert record["styles"] == [metadata["style"]]
    if (ROOT / ".git").exists():
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout
        assert head.startswith(record["commit"].removesuffix("+changes"))
    log = (trained / "train.log").read_text()
    assert [int(step) for step in re.findall(r"INFO step (\d+): .*total_loss", log)] == [2, 4, 4]
    assert f"{metadata['losses']['val/total_loss']:.4g}" in log and f"wrote {trained}/model.safetensors" in log
    assert "INFO" not in (trained / "stdout.txt").read_text()


def test_train_says_what_to_do_next(trained):
    said = (trained / "stdout.txt").read_text()
    assert f"python infer.py ckpt={trained}/model.safetensors input=photo.jpg" in said
    assert str(trained / "stylized.png") in said


def test_ctrl_c_keeps_what_was_learnt(tmp_path):
    command = [sys.executable, "train.py", "max_steps=100000", "checkpoint_every=2", *TINY_RUN]
    with subprocess.Popen([*command, f"hydra.run.dir={tmp_path}"], cwd=ROOT, stdout=subprocess.DEVNULL) as running:
        try:
            deadline = time.monotonic() + 120
            while not (tmp_path / "last.ckpt").exists() and running.poll() is None and time.monotonic() < deadline:
                time.sleep(0.1)
            running.send_signal(signal.SIGINT)
            running.wait(timeout=120)
        finally:
            running.kill()
    assert running.returncode == 0
    steps = read_metadata(tmp_path / "model.safetensors")["losses"]["steps"]
    assert 2 <= steps < 100_000
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == steps


def test_a_budget_ends_the_run(run, tmp_path):
    finished = run("train.py", "budget=2s", *TINY_RUN, f"hydra.run.dir={tmp_path}")
    assert finished.returncode == 0, finished.stderr
    losses = read_metadata(tmp_path / "model.safetensors")["losses"]
    assert losses["steps"] > 1 and losses["seconds"] > 1
    stored = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert stored["global_step"] == losses["steps"], "the last step left a checkpoint"
    assert 1 < stored["callbacks"]["Budget"]["elapsed"] < losses["seconds"] + 0.05


def test_multirun_trains_every_style(run, tmp_path):
    options = ("max_steps=2", *TINY_RUN, f"hydra.sweep.dir={tmp_path}")
    finished = run("train.py", "-m", "style=mosaic,ink_wash", *options)
    assert finished.returncode == 0, finished.stderr
    models = sorted(tmp_path.glob("*/model.safetensors"))
    assert [load_transformer(model)[1] for model in models] == ["mosaic", "ink_wash"]


def test_a_job_that_fails_does_not_end_its_sweep(run, photo, tmp_path, monkeypatch):
    """Nor do two jobs log into one run of Weights & Biases, where the first has ended badly or well; or stop for it."""
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # nobody is logged in
    pictures = [photo(tmp_path / name, 40, 40) for name in ("a.png", "b.png")]
    styles = f"style.image={pictures[0]},{tmp_path}/missing.png,{pictures[1]}"
    online = ("logger=wandb", "logger.offline=false")
    options = ("style.style_size=32", "max_steps=2", *online, f"hydra.sweep.dir={tmp_path}/sweep")
    finished = run("train.py", "-m", styles, *TINY_RUN, *options)
    assert finished.returncode == 1 and "Traceback" not in finished.stderr, finished.stderr
    lines = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    assert lines == [f"error: style.image={tmp_path}/missing.png: no such file"]
    folders = sorted((tmp_path / "sweep").glob("[0-9]_*"))
    assert [folder.name for folder in folders] == ["0_a", "1_missing", "2_b"]
    assert [(folder / "model.safetensors").exists() for folder in folders] == [True, False, True]
    assert [len(list(folder.glob("wandb/offline-run-*/run-*.wandb"))) for folder in folders] == [1, 0, 1]
    assert finished.stdout.count("this run is logged offline") == 2
    assert b"model-" in next(folders[0].glob("wandb/offline-run-*/run-*.wandb")).read_bytes(), "the artifact"
    page = (tmp_path / "sweep" / "contact_sheet.html").read_text()
    assert f"contact sheet  {tmp_path}/sweep/contact_sheet.png\n" in finished.stdout
    assert page.count('alt="photo 1 by ') == 2 and page.count(f'failed">{lines[0]}<') == 1


def test_jobs_of_a_sweep_side_by_side(run, tmp_path):
    """Each in a process of its own, which knows no more than what was pickled for it."""
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher", reason="no hydra-joblib-launcher")
    styles = f"style.image={tmp_path}/missing.png,{ROOT}/fast_style/assets/styles/mosaic.jpg"
    options = ("max_steps=2", *TINY_RUN, f"hydra.sweep.dir={tmp_path}/sweep")
    finished = run("train.py", "-m", "hydra/launcher=local", styles, *options)
    assert finished.returncode == 1 and "Traceback" not in finished.stderr, finished.stderr
    assert "missing.png: no such file" in (tmp_path / "sweep" / "0_missing" / "error.txt").read_text()
    assert (tmp_path / "sweep" / "1_mosaic" / "model.safetensors").exists()
    assert (tmp_path / "sweep" / "contact_sheet.png").exists()


@pytest.mark.slow
def test_jobs_of_a_sweep_on_ray(run, tmp_path):
    """On a cluster of this machine alone, begun for it."""
    pytest.importorskip("hydra_plugins.hydra_ray_launcher", reason='pip install -e ".[ray]"')
    ray = ("hydra/launcher=ray_cluster", "hydra.launcher.ray.init.address=null")
    finished = run("train.py", "-m", *ray, "style=mosaic,ink_wash", "max_steps=2", *TINY_RUN,
                   f"hydra.sweep.dir={tmp_path}/sweep")  # fmt: skip
    assert finished.returncode == 0 and "Traceback" not in finished.stderr, finished.stderr
    assert len(list((tmp_path / "sweep").glob("*/model.safetensors"))) == 2
    assert (tmp_path / "sweep" / "contact_sheet.png").exists()


@pytest.mark.slow
def test_jobs_of_a_sweep_on_slurm(run, tmp_path):
    """On the cluster that this machine belongs to; one may have this machine alone."""
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason='pip install -e ".[submitit]"')
    if not shutil.which("sinfo") or "idle" not in subprocess.run(["sinfo"], capture_output=True, text=True).stdout:
        pytest.skip("there is no SLURM with a free machine")
    slurm = ("hydra/launcher=slurm", "hydra.launcher.gpus_per_node=0", "hydra.launcher.cpus_per_task=1",
             "hydra.launcher.mem_gb=2")  # fmt: skip
    styles = f"style.image={tmp_path}/missing.png,{ROOT}/fast_style/assets/styles/mosaic.jpg"
    finished = run("train.py", "-m", *slurm, styles, "max_steps=2", *TINY_RUN, f"hydra.sweep.dir={tmp_path}/sweep")
    assert finished.returncode == 1 and "Traceback" not in finished.stderr, finished.stderr
    assert "missing.png: no such file" in (tmp_path / "sweep" / "0_missing" / "error.txt").read_text()
    assert (tmp_path / "sweep" / "1_mosaic" / "model.safetensors").exists()
    assert (tmp_path / "sweep" / "contact_sheet.png").exists()


def test_a_launcher_that_is_not_installed_is_one_line(run_here):
    if find_spec("hydra_plugins") and find_spec("hydra_plugins.hydra_joblib_launcher"):
        pytest.skip("it is installed")
    finished = run_here("train.py", "-m", "hydra/launcher=local", "max_steps=1,2")
    assert_one_line_error(finished, "hydra/launcher/joblib", "pip install hydra-joblib-launcher")


def test_a_bug_in_a_job_does_not_end_its_sweep(run_here, monkeypatch, tmp_path):
    """Nor does an accelerator without memory for one batch size of several."""

    def fit_unless_large(cfg):
        if cfg.batch_size == 3:
            raise RuntimeError("out of memory\nsee above")
        return fit(cfg)

    monkeypatch.setattr("fast_style.commands.train.fit", fit_unless_large)
    options = (*TINY_RUN, "max_steps=1", f"hydra.sweep.dir={tmp_path}")
    finished = run_here("train.py", "-m", *options, "batch_size=2,3,1")
    assert finished.returncode == 1 and "Traceback" in finished.stderr, "a bug is to be seen whole"
    assert [path.parent.name for path in sorted(tmp_path.glob("*/model.safetensors"))] == [
        "0_starry_night",
        "2_starry_night",
    ]
    assert (tmp_path / "1_starry_night" / "error.txt").read_text() == "RuntimeError: out of memory\n"
    assert size_of(tmp_path / "contact_sheet.png")[1] < 1000
    finished = run_here("train.py", *TINY_RUN, "max_steps=1", f"hydra.run.dir={tmp_path}/alone")
    assert finished.returncode == 0 and "contact sheet" not in finished.stdout, "no sweep"


def test_stylising_by_several_models(run, trained, photo, tmp_path):
    """A sweep of infer.py goes on after a picture or a model that fails, and after one that does not; last.ckpt has the
    same weights, so what it would paint is there."""
    photo(tmp_path / "photos" / "a.png", 8, 8)
    (tmp_path / "photos" / "b.png").write_bytes(b"not a picture")
    models = f"ckpt={trained}/model.safetensors,{tmp_path}/none.safetensors,{trained}/last.ckpt"
    finished = run(ROOT / "infer.py", "-m", models, "input=photos/a.png,photos/b.png", cwd=tmp_path)
    assert finished.returncode == 1 and "Traceback" not in finished.stderr, finished.stderr
    assert finished.stdout.count("wrote photos/a_starry_night.png") == 1
    assert finished.stdout.count("wrote 0 images, skipped 1 that were done before") == 1
    lines = [line for line in finished.stderr.splitlines() if line.startswith("error: ")]
    assert (
        sum("none.safetensors: no such file" in line for line in lines) == 2 == sum("failed" in line for line in lines)
    )


@pytest.mark.parametrize(
    "arguments, parts",
    [
        (["style.image=/no/such.jpg"], ["style.image=/no/such.jpg", "no such file"]),
        (["data=folder", "data.root=/no/such"], ["data.root=/no/such", "no such folder"]),
        (["loss_network=vgg16", "loss_network.weights=/no/such.pth"], ["/no/such.pth"]),
        (["objective.content_layers=[relu9_9]"], ["relu9_9", "relu3_1"]),
        (["data=folder"], ["data.root"]),
        (["ckpt_path=/no/such.ckpt"], ["/no/such.ckpt"]),
        (["photo=/no/such.jpg"], ["/no/such.jpg"]),
        (["run_dir=/dev/null/run"], ["cannot write into /dev/null/run"]),
        (["init_from=/no/such.safetensors"], ["init_from=/no/such.safetensors", "no such file"]),
        (["budget=60s"], ["budget=", "max_steps=", "not both"]),
        (["max_steps=-1", "budget=soon"], ["budget=soon", "60s"]),
        (["max_steps=-1", "budget=null"], ["budget=", "max_steps="]),
        (["task=nonsense"], ["task=nonsense", "texture", "style_transfer"]),
        (["task=texture", "photo=a.jpg"], ["photo=a.jpg", "task=texture"]),
        (["task=texture", "init_from=a.safetensors"], ["init_from=a.safetensors", "task=texture"]),
        (["task=texture", "generator.norm=layer"], ["generator.norm=layer", "instance"]),
        (["task=texture", "diversity_weight=-1"], ["diversity_weight=-1"]),
    ],
    ids=[
        "style image",
        "data root",
        "weights",
        "layer",
        "no data root",
        "resume point",
        "photo",
        "place",
        "start",
        "two ends",
        "no time",
        "no end",
        "task",
        "photo of a texture",
        "start of a texture",
        "norm",
        "negative diversity",
    ],  # fmt: skip
)
def test_train_errors_are_one_line(run_here, tmp_path, arguments, parts):
    tiny = [override for override in TINY_RUN if not override.startswith("data.")]
    finished = run_here("train.py", *tiny, "max_steps=1", f"hydra.run.dir={tmp_path}", *arguments)
    assert_one_line_error(finished, *parts)
    assert not (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize(
    "arguments, parts",
    [
        (["max_stepz=3"], ["max_stepz: no such key", "max_steps="]),
        (["style.imag=a.jpg"], ["style.imag: no such key", "style.image="]),
        (["+batchsize=3"], ["batchsize: no such key", "batch_size="]),
        (["style=mosaicc"], ["style=mosaicc: choose from composition, great_wave", "woodcut"]),
        (["experiment=johnson"], ["experiment=johnson: choose from johnson2016"]),
        (["style=null"], ["must be a string"]),
        (["style=[mosaic,ink_wash]"], ["style=[mosaic,ink_wash]: one of them", "-m style=A,B"]),
        (["style=mosaic,ink_wash"], ["style=mosaic,ink_wash: a sweep needs -m"]),
        (["photo=IMG (1).jpg"], ["""'photo="IMG (1).jpg"'"""]),
        (["photo=caf\u00e9.jpg"], ["""'photo="caf\u00e9.jpg"'"""]),
        (["photo=a,b.jpg"], ["""'photo="a,b.jpg"'"""]),
        (["photo.jpg"], ["photo.jpg: must be KEY=VALUE"]),
        (["style.image='a${x}.jpg'"], ["'x' not found", r"\${"]),
        (["photo='a${x}.jpg'"], ["'x' not found", r"\${"]),
        (["hydra.run.dir=/dev/null/run"], ["/dev/null/run"]),
    ],
    ids=lambda value: value[0] if "=" in value[0] else "",
)
def test_keys_that_do_not_compose_are_one_line(run_here, tmp_path, arguments, parts):
    finished = run_here("train.py", f"hydra.run.dir={tmp_path}", *arguments)
    assert_one_line_error(finished, *parts)
    assert len(finished.stderr.splitlines()) == 1, finished.stderr


@pytest.mark.parametrize(
    "arguments, parts",
    [
        (["style.image=5"], ["style.image=5", "no such file"]),
        (["style.image=[a,b]"], ["style.image=a: no such file"]),
        (["style.image=[]"], ["style.image=[]", "such as [A,B]"]),
        (["style.image={a: b}"], ["style.image={'a': 'b'}", "one name or path"]),
        (["style.image=EMPTY"], ["style.image=", "no pictures in it"]),
        (["style.style_size=big"], ["style.style_size=big", "whole number"]),
        (["data=folder", "data.root=[a]"], ["data.root=['a']", "one name or path"]),
        (["data=folder", "data.root=FILE"], ["data.root=", "is a file"]),
        (["data=folder", "data.root=FOLDER", "data.validation_count=0"], ["data.validation_count=0", "at least 1"]),
        (["batch_size=2.5"], ["batch_size=2.5", "whole number"]),
        (["batch_size=true"], ["batch_size=true", "whole number"]),
        (["optimizer.lr=fast"], ["optimizer.lr=fast", "more than 0"]),
        (["optimizer=adam"], ["optimizer=adam", "give optimizer.lr="]),
        (["optimizer.schedule=line"], ["optimizer.schedule=line", "choose from constant, cosine"]),
        (["compile=maybe"], ["compile=maybe", "choose from auto, true, false"]),
        (["precision=[a]"], ["precision=['a']", "choose from auto, 32-true"]),
        (["model.channels=5"], ["model.channels=5", "a list"]),
        (["model.kernel_sizes=[9]"], ["model.kernel_sizes=[9]", "a list of 2"]),
        (["model.norm=[a]"], ["model.norm=['a']", "choose from instance, batch"]),
        (["style.image="], ["style.image=", "must not be empty"]),
        (["task=multi_style", "styles={a/b: mosaic}"], ["styles={a/b: ...}", "part of file names"]),
        (["objective.style_weight=much"], ["objective.style_weight=much", "a number"]),
        (["objective.style_weights=[a]"], ["objective.style_weights=['a']", "a number"]),
        (["objective.content_layers=relu3_1"], ["objective.content_layers=relu3_1", "a list"]),
        (["+objective.terms.a={_target_: no.such, weight: 1}"], ["objective.terms.a", "no"]),
        (["+callbacks.a={_target_: no.such}"], ["callbacks.a", "no"]),
        (["trainer=gpu"], ["trainer: ", "gpu"]),
        (["trainer.devices=many"], ["trainer: "]),
        (["max_steps=-2"], ["max_steps=-2", "at least 1"]),
        (["ckpt_path=[a]"], ["ckpt_path=['a']", "one name or path"]),
        (["photo={a: 1}"], ["photo={'a': 1}", "one name or path"]),
    ],
    ids=lambda value: value[-1],
)
def test_values_of_the_wrong_type_are_one_line(run_here, photo, tmp_path, monkeypatch, arguments, parts):
    if "trainer=gpu" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU: not checked what is said where there is none")
    folder = photo(tmp_path / "photos" / "FILE.png", 8, 8).parent
    (tmp_path / "empty").mkdir()
    for name, place in {"=FOLDER": folder, "=EMPTY": tmp_path / "empty", "=FILE": folder / "FILE.png"}.items():
        arguments = [argument.replace(name, f"={place}") for argument in arguments]
    tiny = [key for key in TINY_RUN if not key.startswith("data.") and "trainer=gpu" not in arguments]
    finished = run_here("train.py", *tiny, "max_steps=1", "init_from=null", f"hydra.run.dir={tmp_path}/run", *arguments)
    assert_one_line_error(finished, *parts)
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize("broken", ["the first, for training", "the last, held out"])
def test_photos_that_none_of_can_be_read_are_refused_before_the_training(run_here, photo, tmp_path, broken):
    names = [f"{index}.png" for index in range(4)]
    for name in names:
        photo(tmp_path / "photos" / name, 40, 40)
    for name in names[:2] if "first" in broken else names[2:]:
        (tmp_path / "photos" / name).write_bytes(b"damaged")
    data = ("data=folder", f"data.root={tmp_path}/photos", "data.validation_count=2", f"hydra.run.dir={tmp_path}/run")
    tiny = [key for key in TINY_RUN if not key.startswith("data.")]
    finished = run_here("train.py", *tiny, "max_steps=1", "init_from=null", *data)
    assert_one_line_error(finished, "none of the 2 images", str(tmp_path / "run" / "unreadable.txt"))
    assert not (tmp_path / "run" / "last.ckpt").exists(), "no step was taken"


def test_compiling_without_a_compiler_is_one_line(run, model, photo, tmp_path, monkeypatch):
    for name in ("CC", "CXX"):
        monkeypatch.setenv(name, "/bin/false")
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    finished = run("train.py", "compile=true", *TINY_RUN, "max_steps=1", f"hydra.run.dir={tmp_path}/run")
    assert_one_line_error(finished, "compile=true fails here", "compiler")
    finished = run(
        "infer.py", "compile=true", f"ckpt='{model}'", f"input={photo(tmp_path / 'a.png', 8, 8)}", "device=cpu"
    )
    assert_one_line_error(finished, "compile=true fails here", "compiler")
    assert not (tmp_path / "a_starry_night.png").exists()


def test_what_cannot_be_resumed_says_why(run_here, trained, tmp_path):
    for path, parts in {
        trained / "model.safetensors": ["goes on from its last.ckpt", "init_from="],
        trained: ["is a folder", f"ckpt_path={trained}/last.ckpt"],
        tmp_path / "none.ckpt": ["no such file"],
    }.items():
        options = (*TINY_RUN, "max_steps=1", f"hydra.run.dir={tmp_path}", f"ckpt_path={path}")
        assert_one_line_error(run_here("train.py", *options), f"ckpt_path={path}", *parts)


def test_the_other_commands_name_the_nearest_key_too(run_here):
    assert_one_line_error(run_here("infer.py", "ckpt=a", "imput=b"), "imput: no such key", "input=")
    assert_one_line_error(run_here("optimize.py", "contents=b"), "contents: no such key", "content=")


def test_what_train_prints_can_be_pasted(photo, tmp_path, shell):
    """With blanks, brackets and quotes in the names of the style, of the run's folder and of the photo."""
    name = "it's ${x} (1), \u00e9"
    painting = photo(tmp_path / f"{name}.png", 70, 80)
    options = [*TINY_RUN, "max_steps=1", "init_from=null"]
    trained = shell(f"python {ROOT}/train.py {for_shell('style.image', painting)} {shlex.join(options)}")
    (command,) = [line for line in trained.splitlines() if "infer.py" in line]
    photo(tmp_path / "photo.jpg", 20, 30)
    assert "wrote photo_it's {x} (1), \u00e9.jpg" in shell(command)
    assert "wrote" in shell(f"{command.split(' input=')[0]} {for_shell('input', painting)}")


# --- infer.py


@pytest.fixture
def shell(tmp_path):
    """shell(command): what it prints, pasted into a POSIX shell in a folder."""

    def paste(command):
        environment = os.environ | {"COLUMNS": "200", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        command = ["sh", "-c", command]
        finished = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    return paste


@pytest.fixture
def model(trained, tmp_path):
    """The trained model where a user might have put it."""
    return shutil.copy(trained / "model.safetensors", tmp_path / "a style.safetensors")


@pytest.fixture
def infer(run, tmp_path, model):
    """infer(*overrides) runs infer.py in a folder of its own, with the trained model."""
    (tmp_path / "work").mkdir()
    return lambda *overrides, ckpt=model: run(ROOT / "infer.py", f"ckpt='{ckpt}'", *overrides, cwd=tmp_path / "work")


def test_one_image(infer, photo, tmp_path, model):
    source = photo(tmp_path / "work" / "photo.png", 37, 53)
    finished = infer("input=photo.png", "precision=32-true", "device=cpu")
    assert finished.returncode == 0, finished.stderr
    left = sorted(path.name for path in (tmp_path / "work").iterdir())
    assert left == ["photo.png", "photo_starry_night.png"], "and no folders of Hydra's"
    assert "photo_starry_night.png" in finished.stdout
    stylized, _ = read_image(tmp_path / "work" / "photo_starry_night.png")
    expected = stylize(load_transformer(model)[0], read_image(source)[0][None])[0]
    np.testing.assert_allclose(stylized, expected, atol=1 / 255)


@pytest.mark.slow
def test_compiled(infer, photo, tmp_path, model):
    source = photo(tmp_path / "work" / "photo.png", 37, 53)
    finished = infer("input=photo.png", "precision=32-true", "device=cpu", "compile=true")
    assert finished.returncode == 0, finished.stderr
    stylized, _ = read_image(tmp_path / "work" / "photo_starry_night.png")
    expected = stylize(load_transformer(model)[0], read_image(source)[0][None])[0]
    np.testing.assert_allclose(stylized, expected, atol=2 / 255)


def test_folder_with_a_bad_file(infer, photo, tmp_path):
    photos = tmp_path / "photos"
    photo(photos / "a.jpg", 20, 30)
    photo(photos / "deep" / "b.png", 30, 20)
    photo(photos / "deep" / "c.png", 30, 20, mode="RGBA")
    (photos / "damaged.jpg").write_bytes(b"not a picture")
    finished = infer(f"input={photos}", "output=out")
    assert finished.returncode == 1
    reported = [line for line in finished.stderr.splitlines() if "damaged.jpg" in line]
    assert len(reported) == 1 and "Traceback" not in finished.stderr
    written = {str(path.relative_to(tmp_path / "work")): size_of(path) for path in tmp_path.rglob("work/**/*.*")}
    assert written == {"out/a.jpg": (20, 30), "out/deep/b.png": (30, 20), "out/deep/c.png": (30, 20)}


def test_what_is_left_out_is_told(run_here, model, photo, tmp_path, monkeypatch):
    photo(tmp_path / "photos" / "a.jpg", 8, 8)
    for name in ("clip.mov", "notes.txt"):
        (tmp_path / "photos" / name).write_text("no picture")
    monkeypatch.chdir(tmp_path)
    told = "left out 2 that are no pictures by their suffix (1 .mov, 1 .txt)"
    for pattern in ("photos", "'photos/*'"):
        finished = run_here("infer.py", f"ckpt='{model}'", f"input={pattern}", "output=out")
        assert finished.returncode == 0 and finished.stdout.count(told) == 1, finished.stdout + finished.stderr
    (tmp_path / "photos" / "a.jpg").unlink()
    assert_one_line_error(run_here("infer.py", f"ckpt='{model}'", "input=photos"), "no images in it", told)


def test_what_infer_made_is_no_input_and_stays(run_here, model, photo, tmp_path, monkeypatch):
    """Two models of one style, and one of another, on one folder: all pictures are made of originals."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "a.png", "a.webp", "a.tif", "a.bmp", "b_other.png"):  # the last only sounds like one of ours
        photo(tmp_path / "photos" / name, 12, 12)
    tensors, other = load_file(model), tmp_path / "other.safetensors"
    with safe_open(model, "pt") as file:
        metadata = file.metadata()
    save_file(tensors, other, metadata | {"style": json.dumps({"name": "other"})})
    rival = tmp_path / "rival.safetensors"
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, rival, metadata)

    def infer(ckpt, *keys):
        return run_here("infer.py", f"ckpt='{ckpt}'", "input=photos", *keys)

    assert "wrote 6 images" in infer(model).stdout
    finished = infer(other)
    assert "left out 6 that infer.py made" in finished.stdout and "wrote 6 images" in finished.stdout, finished.stderr
    finished = infer(model)
    assert "left out 12 that infer.py made" in finished.stdout
    assert "wrote 0 images, skipped 6 that were done before" in finished.stdout, "its own, again"
    finished = infer(model, "max_size=9")
    assert "wrote 6 images" in finished.stdout and "skipped" not in finished.stdout, "its own, with other keys"
    before = {path: path.read_bytes() for path in (tmp_path / "photos").iterdir()}
    assert len(before) == 18
    assert_one_line_error(infer(rival), "and 5 more are there already, not by this model")
    assert_one_line_error(
        run_here("infer.py", f"ckpt={rival}", "input=photos/a.png", "output=photos/a_other.png"), "is there already"
    )
    photo(tmp_path / "photos" / "c.png", 12, 12)
    mine = photo(tmp_path / "photos" / "c_other.png", 12, 12, seed=1).read_bytes()
    assert_one_line_error(infer(other), "c_other.png is there already, not by this model")
    assert mine == (tmp_path / "photos" / "c_other.png").read_bytes()
    assert {path: path.read_bytes() for path in before} == before
    chained = run_here("infer.py", f"ckpt={rival}", "input=photos/a_other.png", "output=chained.png")
    assert chained.returncode == 0, "one that is named is an input"


def test_what_is_done_is_skipped(run_here, model, photo, tmp_path, monkeypatch):
    """A list of photos in folders of their own: what is missing, older than its photo, or of another kind is done."""
    monkeypatch.chdir(tmp_path)
    names = ["a.png", "deep/b.jpg", "deep/c.png"]
    for name in names:
        photo(tmp_path / "photos" / name, 12, 12)
    (tmp_path / "photos" / "list.txt").write_text("a.png\n\n  deep/b.jpg  \ndeep/c.png\nnone.png\na.png\n")
    keys = (f"ckpt='{model}'", "input=photos/list.txt", "output=out", "precision=32-true")

    def written(*more, count, before):
        stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
        finished = run_here("infer.py", *keys, *more)
        told = f"skipped {before} that were done before" if before else "wrote"
        assert finished.returncode == 1 and told in finished.stdout, finished.stdout + finished.stderr
        assert "1 of 4 images failed" in finished.stderr and "none.png" in finished.stderr
        found = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
        assert sorted(str(path.relative_to(tmp_path / "out")) for path in found) == names
        new = sorted(path.name for path in found if found[path] != stamps.get(path))
        assert len(new) == count
        return new

    written(count=3, before=0)
    written(count=0, before=3)
    (tmp_path / "out" / "deep" / "b.jpg").unlink()
    future = (tmp_path / "out" / "deep" / "c.png").stat().st_mtime + 10
    os.utime(tmp_path / "photos" / "deep" / "c.png", (future, future))
    assert written(count=2, before=1) == ["b.jpg", "c.png"]
    os.utime(tmp_path / "photos" / "deep" / "c.png", (1, 1))
    written("preserve_color=true", count=3, before=0)
    written("preserve_color=true", "batch_size=1", count=0, before=3)


def test_several_models(run_here, model, photo, tmp_path, monkeypatch):
    """Each photo by each of them, or by one that follows from the seed and its name."""
    monkeypatch.chdir(tmp_path)
    with safe_open(model, "pt") as file:
        metadata = file.metadata()
    negated = {name: -tensor for name, tensor in load_file(model).items()}
    save_file(negated, tmp_path / "other.safetensors", metadata | {"style": json.dumps({"name": "other"})})
    for index in range(8):
        photo(tmp_path / "photos" / f"{index}.png", 8, 8, seed=index)
    both = (f"ckpt=['{model}',other.safetensors]", "input=photos", "precision=32-true")

    def pictures(output, *keys):
        finished = run_here("infer.py", *both, f"output={output}", *keys)
        assert finished.returncode == 0, finished.stderr
        return {path.name: path.read_bytes() for path in (tmp_path / output).iterdir()}

    every = pictures("every")
    assert sorted(every) == sorted(f"{index}_{style}.png" for index in range(8) for style in ("other", "starry_night"))
    alone = run_here("infer.py", "ckpt=other.safetensors", "input=photos", "output=alone", "precision=32-true")
    assert alone.returncode == 0 and (tmp_path / "alone" / "3.png").read_bytes() == every["3_other.png"]
    one = pictures("one", "style=random", "seed=3")
    chosen = {name: [style for style in ("other", "starry_night")
                     if same_pixels(every[f"{name[0]}_{style}.png"], one[name])] for name in one}  # fmt: skip
    assert sorted(one) == [f"{index}.png" for index in range(8)] and {len(found) for found in chosen.values()} == {1}
    assert {found[0] for found in chosen.values()} == {"other", "starry_night"}
    (tmp_path / "photos" / "0.png").unlink()
    again = pictures("again", "style=random", "seed=3")
    assert again == {name: data for name, data in one.items() if name != "0.png"}, "the others stay what they were"
    assert pictures("else", "style=random", "seed=4") != again
    twice = run_here("infer.py", f"ckpt=['{model}','{model}']", "input=photos")
    assert_one_line_error(twice, "two paint starry_night")


def same_pixels(one, other):
    return np.array_equal(*(np.asarray(Image.open(io.BytesIO(data))) for data in (one, other)))


def test_the_service_without_its_packages_says_what_to_install(run_here, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    finished = run_here("fast_style/commands/serve.py", "models=checkpoints")
    assert_one_line_error(finished, 'pip install "fast-style[serve]"')


def test_two_inputs_of_one_output(run_here, model, photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.gif", "a.gif.png"):
        photo(tmp_path / "photos" / name, 8, 8)
    assert_one_line_error(run_here("infer.py", f"ckpt='{model}'", "input=photos"), "would be written twice")


def test_an_animation_says_so(run_here, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save("a.gif", save_all=True, append_images=frames[1:])
    frames[0].save("b.tif", save_all=True, append_images=frames[1:])
    finished = run_here("infer.py", f"ckpt='{model}'", "input=b.tif")
    assert finished.returncode == 1 and "failed: b.tif: 2 frames or pages" in finished.stderr
    finished = run_here("infer.py", f"ckpt='{model}'", "input=a.gif")
    assert finished.returncode == 0 and "2 frames" in finished.stdout, "an animation is painted as one"
    with Image.open("a_starry_night.gif") as painted:
        assert painted.n_frames == 2
    again = run_here("infer.py", f"ckpt='{model}'", "input=a.gif")
    assert "skipped 1 that were done before" in again.stdout and "frames" not in again.stdout
    other = run_here("infer.py", f"ckpt='{model}'", "input=a.gif", "max_size=4")
    assert "2 frames" in other.stdout, "other keys paint another one"


def test_training_on_a_thumbnail_says_so(train_in_process, photo, tmp_path, capsys):
    small = photo(tmp_path / "small.png", 40, 50)
    train_in_process("run", f"style.image={small}", "max_steps=1")
    assert capsys.readouterr().out.count(f"{small} is only 50x40, and enlarged to style.style_size=64") == 1


def test_glob_from_a_lightning_checkpoint(infer, photo, tmp_path, trained):
    for name in ("a1.png", "a2.png", "b1.png"):
        photo(tmp_path / "work" / name, 16, 16)
    (tmp_path / "work" / "a3.txt").write_text("not a picture")
    finished = infer("input='a*'", "max_size=8", ckpt=trained / "last.ckpt")
    assert finished.returncode == 0, finished.stderr
    new = {path.name: size_of(path) for path in (tmp_path / "work").glob("*_starry_night.png")}
    assert new == {"a1_starry_night.png": (8, 8), "a2_starry_night.png": (8, 8)}


def test_output_file(infer, photo, tmp_path):
    source = photo(tmp_path / "photo.png", 9, 11)
    finished = infer(f"input={source}", "output=new/picture.jpg")
    assert finished.returncode == 0, finished.stderr
    assert size_of(tmp_path / "work" / "new" / "picture.jpg") == (9, 11)


@pytest.mark.parametrize(
    "overrides, parts",
    [
        (["input=none.jpg"], ["input=none.jpg"]),
        (["input=photo.png", "ckpt=none.safetensors"], ["ckpt=none.safetensors", "no such file"]),
        (["input=photo.png", "ckpt=photo.png"], ["photo.png"]),
        (["input=photo.png", "device=toaster"], ["device=toaster"]),
        (["input=photo.png", "compile=maybe"], ["compile=maybe", "choose from true, false"]),
        (["input=[photo.png]"], ["input=['photo.png']", "one name or path"]),
        (["input=photo.png", "batch_size=[4]"], ["batch_size=[4]", "whole number"]),
        (["input=photo.png", "modules=[no_such]"], ["modules=[no_such]", "No module named"]),
        ([], ["input"]),
        (["input='*.png'", "output=one.png"], ["output=one.png", "2 images"]),
        (["input=photo.png", "output=r.gif"], ["output=r.gif", "must end in one of", ".png"]),
        (["input=photo.png", "output=/dev/null/r.png"], ["output=/dev/null/r.png", "cannot write into /dev/null"]),
        (["input=photo.png", "output=/dev/null/folder"], ["output=/dev/null/folder", "cannot write into"]),
    ],
    ids=lambda value: value[-1] if value else "nothing",
)
def test_infer_errors_are_one_line(run_here, model, photo, tmp_path, monkeypatch, overrides, parts):
    for name in ("photo.png", "photo2.png"):
        photo(tmp_path / "work" / name, 8, 8)
    monkeypatch.chdir(tmp_path / "work")
    assert_one_line_error(run_here("infer.py", f"ckpt='{model}'", *overrides), *parts)
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["photo.png", "photo2.png"]


def test_errors_on_the_command_line(run, tmp_path):
    finished = run(ROOT / "infer.py", "ckpt=none.safetensors", "input=photo.png", cwd=tmp_path)
    assert_one_line_error(finished, "ckpt=none.safetensors", "no such file")
    assert finished.stdout == "" and list(tmp_path.iterdir()) == []


# --- textures and variants


TINY_GENERATOR = ("generator.channels=[6,4,3]", "generator.branch_channels=2", "max_steps=2", *TINY_RUN)


@pytest.fixture(scope="session")
def texture(tmp_path_factory, run):
    """The model of a finished `python train.py task=texture`."""
    folder = tmp_path_factory.mktemp("texture")
    finished = run("train.py", "task=texture", "style=mosaic", *TINY_GENERATOR, f"hydra.run.dir={folder}")
    assert finished.returncode == 0, finished.stderr
    assert size_of(folder / "texture.png") == (512, 512) and not (folder / "stylized.png").exists()
    assert size_of(folder / "previews" / "step_000002.png") == (40, 148), "four textures"
    assert f"python infer.py ckpt={folder}/model.safetensors count=4 size=512" in finished.stdout
    return folder / "model.safetensors"


@pytest.fixture(scope="session")
def diverse(tmp_path_factory, run):
    """The model of a finished `python train.py task=diverse_style_transfer`."""
    folder = tmp_path_factory.mktemp("diverse")
    finished = run(
        "train.py", "task=diverse_style_transfer", "style=mosaic", *TINY_GENERATOR, f"hydra.run.dir={folder}"
    )
    assert finished.returncode == 0, finished.stderr
    assert size_of(folder / "stylized.png") == (300, 451) and not (folder / "texture.png").exists()
    assert size_of(folder / "previews" / "step_000002.png") == (148, 148), "four photos, three variants"
    assert f"python infer.py ckpt={folder}/model.safetensors input=photo.jpg count=4" in finished.stdout
    return folder / "model.safetensors"


def test_textures_of_any_size(run_here, texture, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    finished = run_here("infer.py", f"ckpt={texture}", "count=3", "size=53x37", "seed=1")
    assert finished.returncode == 0 and "wrote 3 images" in finished.stdout, finished.stderr
    names = [f"mosaic_texture_{index}.png" for index in range(3)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert {size_of(tmp_path / name) for name in names} == {(37, 53)}
    assert len({(tmp_path / name).read_bytes() for name in names}) == 3
    finished = run_here("infer.py", f"ckpt={texture.parent}/last.ckpt", "size=53x37", "seed=1", "output=new/one.png")
    assert finished.returncode == 0 and "wrote new/one.png" in finished.stdout, finished.stderr
    assert (tmp_path / "new" / "one.png").read_bytes() == (tmp_path / names[0]).read_bytes()


def test_variants_of_photos(run_here, diverse, photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "photos" / "a.png", 21, 13)
    photo(tmp_path / "photos" / "b.png", 21, 13, mode="RGBA")
    for told in ("wrote 4 images", "skipped 4"):  # the first run's pictures are not inputs of the second
        finished = run_here("infer.py", f"ckpt={diverse}", "input=photos", "count=2")
        assert finished.returncode == 0 and told in finished.stdout, finished.stderr
    made = sorted(path for path in (tmp_path / "photos").iterdir() if "mosaic" in path.name)
    assert [path.name for path in made] == [f"{name}_mosaic_{index}.png" for name in "ab" for index in (0, 1)]
    assert {size_of(path) for path in made} == {(21, 13)}
    assert len({path.read_bytes() for path in made}) == 4
    finished = run_here("infer.py", f"ckpt={diverse}", "input=photos/a.png", "output=one.png")
    assert finished.returncode == 0 and (tmp_path / "one.png").read_bytes() == made[0].read_bytes(), finished.stderr


@pytest.fixture(scope="session")
def upscaler(tmp_path_factory, run):
    """The model of a finished `python train.py task=super_resolution`."""
    folder = tmp_path_factory.mktemp("upscaler")
    tiny = (*TINY_RUN, "short_side=36", "upscaler.width=4", "max_steps=2")
    finished = run("train.py", "task=super_resolution", "scale=4", *tiny, f"hydra.run.dir={folder}")
    assert finished.returncode == 0, finished.stderr
    assert size_of(folder / "enlarged.png") == (1200, 1804) and not (folder / "stylized.png").exists()
    assert size_of(folder / "previews" / "step_000002.png") == (148, 148), "four photos, four columns"
    assert f"python infer.py ckpt={folder}/model.safetensors input=photo.jpg" in finished.stdout
    return folder / "model.safetensors"


def test_enlarging(run_here, upscaler, photo, tmp_path, monkeypatch):
    """Four times the size to the pixel, alpha too; what has been enlarged is no input of the next run."""
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "photos" / "a.png", 21, 13)
    photo(tmp_path / "photos" / "b.png", 40, 20, mode="RGBA")
    for told in ("wrote 2 images", "skipped 2"):
        finished = run_here("infer.py", f"ckpt={upscaler}", "input=photos", "max_size=30", "precision=32-true")
        assert finished.returncode == 0 and told in finished.stdout, finished.stderr
    assert size_of(tmp_path / "photos" / "a_x4.png") == (84, 52)
    assert size_of(tmp_path / "photos" / "b_x4.png") == (120, 60)
    alpha = Image.open(tmp_path / "photos" / "b.png").resize((15, 30), Image.Resampling.BICUBIC, reducing_gap=3)
    expected = alpha.getchannel("A").resize((60, 120), Image.Resampling.BICUBIC)
    found = Image.open(tmp_path / "photos" / "b_x4.png").getchannel("A")
    assert np.abs(np.asarray(found, int) - np.asarray(expected, int)).max() <= 1


@pytest.mark.parametrize(
    "kind, overrides, parts",
    [
        ("upscaler", ["input=photo.png", "style=mosaic"], ["style=mosaic", "enlarges"]),
        ("upscaler", ["input=photo.png", "size=64"], ["size=64", "enlarges"]),
        ("upscaler", [], ["input="]),
        ("model", ["input=photo.png", "count=3"], ["count=3", "in one way"]),
        ("model", ["input=photo.png", "size=64"], ["size=64"]),
        ("texture", ["input=photo.png"], ["input=photo.png", "from noise alone"]),
        ("texture", ["max_size=64"], ["max_size=64"]),
        ("texture", ["style=mosaic"], ["style=mosaic", "from noise alone"]),
        ("upscaler", ["input=photo.png", "strength=0.5"], ["strength=0.5", "enlarges"]),
        ("texture", ["size=big"], ["size=big", "640x480"]),
        ("texture", ["output=r.gif"], ["output=r.gif", "must end in one of"]),
        ("texture", ["output=/dev/null/r.png"], ["cannot write into /dev/null"]),
        ("texture", ["count=0"], ["count=0", "at least 1"]),
        ("texture", ["seed=-1"], ["seed=-1", "at least 0"]),
        ("diverse", ["input=photo.png", "size=64"], ["size=64", "own size"]),
        ("diverse", ["count=2"], ["input="]),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else value,
)
def test_keys_that_mean_nothing_to_a_model(run_here, request, photo, tmp_path, monkeypatch, kind, overrides, parts):
    photo(tmp_path / "work" / "photo.png", 8, 8)
    monkeypatch.chdir(tmp_path / "work")
    assert_one_line_error(run_here("infer.py", f"ckpt='{request.getfixturevalue(kind)}'", *overrides), *parts)
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["photo.png"]


# --- outputs that would overwrite one another


def test_names_that_collide(photo, tmp_path):
    for name in ("a.png", "a.gif", "sub/a.png"):
        photo(tmp_path / name, 8, 8)
    inputs, root, _ = find_inputs(str(tmp_path))
    assert len(inputs) == 3
    for output in (None, str(tmp_path / "out")):
        outputs = name_outputs(inputs, root, output, "style")
        assert len(set(outputs.values())) == 3, "every picture has a place of its own"


# --- scripts and benchmarks


def test_distilling(run, vgg, photo, tmp_path):
    for index in range(104):
        photo(tmp_path / "photos" / f"{index:03d}.png", 24, 24, seed=index)
    output = tmp_path / "distilled.safetensors"
    options = ("--steps", "2", "--batch-size", "2", "--image-size", "32", "--output", output)
    teacher = ("--teacher", "vgg16", "--weights", vgg("quarter_vgg16")[1], "--licence", "none")
    finished = run("scripts/distill_loss_network.py", *teacher, "--images", tmp_path / "photos", *options)
    assert finished.returncode == 0, finished.stderr
    with safe_open(output, "pt") as file:
        metadata = file.metadata()
    assert metadata["teacher"] == "vgg16 (none)" and "--steps 2" in metadata["command"]
    assert metadata["data"] == "4 training and 100 validation images"
    layers = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
    features = load_loss_network("distilled", layers, str(output))(torch.rand(1, 3, 32, 32))
    assert all(maps.isfinite().all() for maps in features.values())


def test_judging(run, shared, trained, tmp_path):
    """A model and a finished picture, against numbers that another program made of the same files."""
    data, output = shared / "data", tmp_path / "result.json"
    published = (data / "styles/the_scream.jpg", data / "content/chicago.jpg", data / "published/chicago_scream.jpg")
    options = ("--vgg16", shared / "weights/vgg16_caffe.pth", "--pictures", ",".join(map(str, published)))
    model = ("--ckpt", trained / "model.safetensors", "--photos", data / "content/chicago.jpg")
    finished = run("-m", "benchmarks.quality", *options, *model, "--output", output)
    assert finished.returncode == 0, finished.stderr
    result = json.loads(output.read_text())
    assert [result["pictures"][0][name] for name in ("style", "content", "tone")] == pytest.approx(
        [0.42, 0.91, 0.88], abs=0.02
    )
    spreads = []
    for path in (published[2], published[0]):
        colors = np.asarray(Image.open(path).resize((400, 300))).reshape(-1, 3) / 255
        light = colors @ [0.299, 0.587, 0.114]
        spreads.append(np.array([light.std(), (colors - light[:, None]).var(0).sum() ** 0.5]))
    assert [result["pictures"][0][name] for name in ("contrast", "chroma")] == pytest.approx(
        spreads[0] / spreads[1], abs=0.06
    )
    (model,) = result["models"]
    assert model["photos as output"]["content"] == 0 < model["content"]
    assert model["photos as output"]["tone"] == pytest.approx(1, abs=0.01) and model["photos as output"]["style"] > 0


@pytest.mark.parametrize("options, named", [((), "--ckpt"), (("--pictures", "a.jpg,b.jpg"), "a.jpg,b.jpg")])
def test_judging_nothing(run, options, named):
    finished = run("-m", "benchmarks.quality", *options)
    assert finished.returncode == 1 and finished.stderr.startswith("error: ") and named in finished.stderr
