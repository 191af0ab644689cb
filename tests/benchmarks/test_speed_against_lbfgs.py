"""Seconds of L-BFGS against those of one forward pass, in small."""

import json

import pytest
import torch
from conftest import ROOT

from benchmarks import speed_against_lbfgs, timing
from benchmarks.speed_against_lbfgs import ITERATIONS, compare, lbfgs_seconds, main, parse, table
from fast_style.ancestors.optimization import HISTORY


class Loss:
    """An objective whose evaluations are counted."""

    evaluations = 0

    def for_content(self, photo):
        def objective(image):
            self.evaluations += 1
            return {"loss": (image - photo).pow(4).sum()}

        return objective


def test_the_clock_counts_every_evaluation(monkeypatch):
    """With a clock that ticks once an evaluation: the start and 100 iterations, then one each."""
    loss = Loss()
    monkeypatch.setattr(speed_against_lbfgs, "now", lambda: loss.evaluations)
    first, later = lbfgs_seconds(loss, torch.full((1, 3, 6, 6), 0.5), full_memory=4)
    assert first >= HISTORY + 1 and first < 1.1 * HISTORY
    assert later == pytest.approx(1, abs=0.5)


def test_more_iterations_are_computed(monkeypatch):
    monkeypatch.setattr(speed_against_lbfgs, "lbfgs_seconds", lambda *_: (30.0, 0.5))
    monkeypatch.setattr(speed_against_lbfgs, "alternate", fake_alternate)
    row = compare(parse(["--device=cpu"]), 32, torch.device("cpu"))
    assert row["lbfgs"] == {"100": 30, "300": 130, "500": 230}
    assert row["speedup"] == {"100": 300, "300": 1300, "500": 2300}
    assert row["speedup_float32"] == {"100": 150, "300": 650, "500": 1150}
    header, _, line = table({"sizes": [row]}).splitlines()
    assert header.count("|") == line.count("|") and line.endswith("| 300 | 1300 | 2300 | 1150 |")


def fake_alternate(sides, repeats):
    assert all(side().shape == (1, 3, 32, 32) for side in sides.values())
    return {name: {"median": median} for name, median in zip(sides, (0.1, 0.2), strict=True)}


def test_a_whole_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(timing, "SECONDS_A_TURN", 0)
    output = tmp_path / "results" / "out.json"
    main(["--sizes", "16", "24", "--repeats=1", "--full-memory=2", "--device=cpu", f"--output={output}"])
    printed = capsys.readouterr().out
    result = json.loads(printed.splitlines()[-1])
    assert result == json.loads(output.read_text()) and table(result) in printed
    assert [row["size"] for row in result["sizes"]] == [16, 24]
    for row in result["sizes"]:
        seconds = [row["lbfgs"][str(count)] for count in ITERATIONS]
        assert seconds == sorted(seconds) and 0 < row["lbfgs_iteration_full_memory"] < seconds[0]
    assert result["hardware"] and result["versions"]["torch"]


def test_figures_of_the_documentation_are_measured_ones():
    result = json.loads((ROOT / "benchmarks/results/speed_against_lbfgs_cpu.json").read_text())
    assert table(result) in (ROOT / "docs/comparisons.md").read_text()
