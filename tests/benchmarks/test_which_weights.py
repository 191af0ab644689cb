"""Models by figures that no weight is a part of: those that their own trainings logged."""

import pytest

from benchmarks import which_weights
from fast_style.checkpoint import read_metadata


def test_the_figures_are_those_of_the_training(trained, monkeypatch):
    monkeypatch.setattr(which_weights, "SIDE", 64)
    judged = which_weights.judge(str(trained / "model.safetensors"), which_weights.held_out())
    losses = read_metadata(trained / "model.safetensors")["losses"]
    names = {"tone": "tone", "ssim": "ssim", "distance": "distance_to_ideal"}
    assert {name: judged[name] for name in names} == pytest.approx(
        {name: losses[f"val/{key}"] for name, key in names.items()}, rel=1e-3, abs=1e-3
    )
    assert judged["distance"] ** 2 == pytest.approx(
        judged["content"] ** 2 + judged["style"] ** 2 + (1 - judged["tone"]) ** 2, rel=0.05
    ), "means over batches"
    assert judged["painting"] == "starry_night.jpg" and judged["style_weight"] == 1 and judged["steps"] == 4
