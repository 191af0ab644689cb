"""The benchmark of hostile input: that each kind of fault is found where there is one, and in small the whole of it."""

import json
import multiprocessing
import os
import pickle
import random
from pathlib import Path

import pytest

from benchmarks import hostile_input
from benchmarks.hostile_input import Reader, executing, main, model_mutants, picture_mutants, verdict
from fast_style.errors import FastStyleError


def endless(path):
    while True:
        pass


def greedy(path):
    return len(bytearray(300 * 2**20)) and "picture"


def long_winded(path):
    raise FastStyleError("two\nlines")


@pytest.mark.parametrize(
    "read, outcome",
    [
        (lambda path: "picture", "picture"),
        (lambda path: {}[path], "fault: foreign exception"),
        (long_winded, "fault: not one line"),
        (endless, "fault: no end"),
        (greedy, "fault: memory"),
        (lambda path: os._exit(3), "fault: died"),
    ],
    ids=["picture", "foreign", "lines", "endless", "greedy", "dies"],
)
def test_faults_are_found(monkeypatch, tmp_path, read, outcome):
    """Where reading has one, in a process of its own; the next file has a process again."""
    monkeypatch.setattr(hostile_input, "read_picture", read)
    seconds = 0.3 if outcome == "fault: no end" else 5  # to fill memory takes a while on a busy machine
    reader = Reader(multiprocessing.get_context("fork"), seconds=seconds, memory=2**27)
    assert [reader.read("png", tmp_path / "a.png")[0] for _ in range(2)] == [outcome] * 2
    if reader.process:
        reader.process.kill()


def test_what_wants_to_run_a_command_would_run_it(tmp_path):
    """Unpickled as it was never meant to be, so that a canary that stays away says something."""
    ran = 0
    for data in executing(tmp_path / "canary"):
        try:
            pickle.loads(data)
        except Exception:  # an archive, or what the command leaves is no state
            pass
        for path in tmp_path.iterdir():
            ran += 1
            path.rmdir() if path.is_dir() else path.unlink()
    assert ran > 20


@pytest.mark.parametrize("make, kind", [(picture_mutants, "gif"), (model_mutants, "pth")])
def test_a_seed_is_its_mutants(monkeypatch, tmp_path, make, kind):
    monkeypatch.setattr(hostile_input, "bomb", lambda kind, chance: b"bomb")
    monkeypatch.setattr(hostile_input, "zip_bomb", lambda: b"bomb")

    def mutants(seed):
        return [(way, suffix) for way, _, suffix in make(kind, 40, random.Random(seed), tmp_path / "canary")]

    assert mutants(0) == mutants(0) != mutants(1)
    assert len(set(mutants(0))) > 8, "of many ways"


def test_all_of_it(monkeypatch, tmp_path):
    monkeypatch.setattr(hostile_input, "bomb", lambda kind, chance: b"bomb")
    arguments = ["--count=30", "--kinds", "bmp", "safetensors", f"--faults={tmp_path}/faults"]
    main([*arguments, f"--output={tmp_path}/a.json"])
    result = json.loads((tmp_path / "a.json").read_text())
    assert result["faults"] == [] and [sum(found.values()) for found in result["counts"].values()] == [30, 30]
    assert result["counts"]["bmp"]["picture"] > 3 and result["counts"]["safetensors"]["error"] > 15

    def faulty(path: Path) -> str:
        raise KeyError(path.name)

    assert verdict(faulty, Path("a"))[0] == "fault: foreign exception"
    monkeypatch.setattr(hostile_input, "read_picture", faulty)
    with pytest.raises(FastStyleError, match="2 faults, in"):
        main(["--count=2", "--kinds", "bmp", f"--faults={tmp_path}/faults"])
    assert sorted(path.name for path in (tmp_path / "faults").iterdir())[0].startswith("bmp_")
