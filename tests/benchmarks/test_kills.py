"""The benchmark of kills: what it calls the same, how it kills, and in small the whole of it."""

import json
import subprocess
import sys
import time

import pytest
import torch

from benchmarks.kills import Training, differences, main
from fast_style.errors import FastStyleError


def test_differences():
    one = {"step": 3, "weights": {"a": torch.arange(3.0)}, "moments": [(torch.zeros(2), None), "x"]}
    other = {"step": 3, "weights": {"a": torch.arange(3.0)}, "moments": [(torch.zeros(2), None), "x"]}
    assert differences(one, other, "run") == []
    other["weights"]["a"][1] += 1e-7
    other["moments"][0] = (torch.zeros(2), 1)
    other["step"] = 4
    assert differences(one, other, "run") == ["run.step", "run.weights.a", "run.moments.0.1"]
    assert differences({"a": 1}, {"b": 1}, "run") == ["run"] == differences([1], [1, 2], "run")


@pytest.fixture
def training(tmp_path, monkeypatch):
    """training(code) -> a Training whose command is a little program in its folder."""

    def build(code):
        run = Training(tmp_path / "run", [])
        process = lambda: subprocess.Popen([sys.executable, "-S", "-c", code], cwd=run.folder)  # noqa: E731
        monkeypatch.setattr(run, "start", process)
        return run

    return build


def test_a_kill_waits_for_the_training(training):
    run = training("import time; time.sleep(0.3); open('last.ckpt', 'w'); time.sleep(60)")
    begun = time.monotonic()
    assert run.kill(trains=False, seconds=0.01) and run.written() is None
    assert run.kill(trains=True, seconds=0.01) and run.written() is not None
    assert time.monotonic() - begun < 30


def test_a_training_that_ends_by_itself(training, tmp_path):
    assert training("pass").kill(trains=True, seconds=60) is False
    (tmp_path / "run" / "output.txt").write_text("Traceback\nerror: no room\n")
    run = Training.__new__(Training)
    run.folder = tmp_path / "run"
    with pytest.raises(FastStyleError, match="ended with 1: error: no room"):
        run.check(1)


@pytest.mark.slow
def test_all_of_it(tmp_path, capsys):
    main(["--kills=2", "--steps=30", f"--output={tmp_path}/kills.json", f"--runs={tmp_path}/runs"])
    result = json.loads((tmp_path / "kills.json").read_text())
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == result
    assert result["kills"] == 2 and result["bit for bit the same"] and 0 < result["at steps"][-1] <= 30
    assert not any((tmp_path / "runs").iterdir())
