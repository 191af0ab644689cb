"""Photos shared out among processes: the same pictures, each photo once, a damaged one costs itself alone."""

import sys

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from fast_style.checkpoint import load_network
from fast_style.inference.workers import Worker

COMMAND = ("infer.py", f"ckpt={ROOT}/checkpoints/mosaic.safetensors", "device=cpu", "input=in")
LIMITS = {"max_size": 16, "batch_size": 2, "precision": "32-true", "tile": "auto", "max_memory": None, "maker": None}


def test_a_worker_paints_what_it_gets(photo, tmp_path):
    photo(tmp_path / "a.png", 20, 24)
    (tmp_path / "b.png").write_bytes(b"none")
    network, _ = load_network(ROOT / "checkpoints" / "mosaic.safetensors")
    worker = Worker(network, "cpu", 2, LIMITS)
    names = np.array([f"{tmp_path}/{name}.png" for name in "abc"])
    done = worker({"source": names[:2], "target": np.array([f"{tmp_path}/out/{name}.png" for name in "ab"])})
    assert done["source"] == list(names[:2]) and done["failure"][0] == "" and "b.png" in done["failure"][1]
    with Image.open(tmp_path / "out" / "a.png") as picture:
        assert picture.size == (16, 13)
    assert worker.limits["max_memory"] > 0


def test_what_workers_cannot_do_is_one_line(run_here, photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "in" / "a.png", 8, 8)
    monkeypatch.setitem(sys.modules, "ray", None)
    finished = run_here(*COMMAND, "workers=2")
    assert finished.returncode == 1 and 'pip install "fast-style[ray]"' in finished.stderr
    Image.new("RGB", (8, 8)).save("a.gif", save_all=True, append_images=[Image.new("RGB", (8, 8), "red")])
    finished = run_here(*COMMAND, "workers=2", "input=a.gif")
    assert finished.returncode == 1 and "only photos are shared out" in finished.stderr


@pytest.mark.slow
def test_two_workers_paint_what_one_process_paints(run_here, photo, tmp_path, monkeypatch):
    pytest.importorskip("ray.data", reason='workers= needs the extra: pip install "ray[data]"')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for index in range(70):
        photo(tmp_path / "in" / str(index % 3) / f"{index}.png", 20, 24, seed=index)
    (tmp_path / "in" / "b.png").write_bytes(b"none")
    assert run_here(*COMMAND, "output=one").returncode == 1
    finished = run_here(*COMMAND, "output=two", "workers=2")
    assert finished.returncode == 1 and finished.stderr.count("b.png") == 1 and "wrote 70 images" in finished.stdout
    for path in (tmp_path / "one").rglob("*.png"):
        same = tmp_path / "two" / path.relative_to(tmp_path / "one")
        np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(Image.open(same)))
    again = run_here(*COMMAND, "output=two", "workers=2")
    assert "wrote 0 images, skipped 70" in again.stdout
    too_many = run_here(*COMMAND, "output=three", "workers=1000")
    assert "each takes one of" in too_many.stderr
