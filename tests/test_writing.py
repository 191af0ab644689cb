"""Files that appear whole or not at all: on a full disk, and when the process is killed while it writes."""

import resource
import signal
import subprocess
import sys
import tempfile
from functools import partial

import pytest
import torch
from conftest import TINY_RUN

from fast_style.checkpoint import CheckpointError, read_metadata, write_safetensors
from fast_style.data.images import ImageError, write_image
from fast_style.writing import WriteError, save_whole, write_whole, write_whole_folder

WRITERS = {
    "bytes": lambda path, seed: write_whole(path, torch.manual_seed(seed).get_state().numpy().tobytes() * 20),
    "checkpoint": lambda path, seed: save_whole(path, {"x": torch.rand(30_000) + seed}),
    "release": lambda path, seed: write_safetensors(path, {"x": torch.rand(30_000) + seed}, {"format": "none"}),
    "picture": lambda path, seed: write_image(path.with_suffix(".png"), torch.rand(3, 200, 200)),
}


@pytest.fixture
def limit_files():
    """limit_files(size): no file of this process may grow beyond so many bytes, as on a disk that has no more left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_costs_no_earlier_file(tmp_path, limit_files, kind):
    write = WRITERS[kind]
    write(tmp_path / "file", 0)
    (written,) = tmp_path.iterdir()
    before = written.read_bytes()
    limit_files(len(before) // 2)
    with pytest.raises((WriteError, ImageError), match=rf"{written}.*File too large"):
        write(tmp_path / "file", 1)
    assert list(tmp_path.iterdir()) == [written] and written.read_bytes() == before


def test_a_folder_is_replaced_whole(tmp_path, limit_files):
    write_whole_folder(tmp_path / "a", {"old": b"1", "in/old": b"2"})
    write_whole_folder(tmp_path / "a", {"new": b"3", "in/new": b"4"})
    files = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"a/new": b"3", "a/in/new": b"4"}
    limit_files(2**19)
    with pytest.raises(WriteError, match="a: File too large"):
        write_whole_folder(tmp_path / "a", {"new": bytes(2**20)})
    assert (tmp_path / "a" / "new").read_bytes() == b"3" and len(list(tmp_path.iterdir())) == 1


def test_a_kill_in_the_middle_costs_no_earlier_file(tmp_path):
    """On whatever file system: nothing goes by way of the folder for temporary files."""
    killed = """
import os, sys, pathlib
from fast_style.writing import write_whole
path, write = sys.argv[1], pathlib.Path.write_bytes
write_whole(path, b"before")
def half(self, data):
    write(self, data[:3])
    os.kill(os.getpid(), 9)
pathlib.Path.write_bytes = half
write_whole(path, b"after!")
"""
    finished = subprocess.run([sys.executable, "-c", killed, tmp_path / "file"])
    assert finished.returncode == -signal.SIGKILL
    assert (tmp_path / "file").read_bytes() == b"before"


def test_training_writes_nothing_elsewhere(train_in_process, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a temporary file")

    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    folder = train_in_process("a", "max_steps=2", "checkpoint_every=1")
    assert torch.load(folder / "last.ckpt", weights_only=True)["global_step"] == 2
    assert not [path for path in folder.rglob(".*") if path.is_file()]


def test_a_disk_that_fills_up_leaves_the_model(run, train_in_process, photo, tmp_path):
    """The real command: room for the release file, but not for another last.ckpt, which is three times as large."""
    options = (
        "model.channels=[16,32]",
        f"photo={photo(tmp_path / 'photo.png', 8, 8)}",
        "checkpoint_every=2",
    )
    folder = train_in_process("run", *options, "max_steps=2")
    sizes = [(folder / name).stat().st_size for name in ("model.safetensors", "last.ckpt")]
    assert 2 * sizes[0] < sizes[1]
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (sum(sizes) // 2,) * 2)
    again = ("max_steps=6", f"ckpt_path={folder / 'last.ckpt'}", f"hydra.run.dir={folder}")
    full = run("train.py", *TINY_RUN, *options, *again, preexec_fn=limit)
    assert full.returncode == 1 and "Traceback" not in full.stderr
    (line,) = (line for line in full.stderr.splitlines() if line.startswith("error: "))
    assert f"{folder}/last.ckpt: File too large" in line and f"{folder}/model.safetensors" in line
    assert torch.load(folder / "last.ckpt", weights_only=True)["global_step"] == 2, "the earlier one"
    assert read_metadata(folder / "model.safetensors")["losses"]["steps"] == 4
    assert not [path for path in folder.glob(".*") if path.is_file()]


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_release_has_numbers(tmp_path, value):
    with pytest.raises(CheckpointError, match="a.safetensors: not written"):
        write_safetensors(tmp_path / "a.safetensors", {"x": torch.tensor([1, value])}, {"format": "none"})
    assert not list(tmp_path.iterdir())
