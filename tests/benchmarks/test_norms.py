"""The benchmark of batch norm and instance norm, in small: its curves, equal starts, and a whole run."""

import json

import pytest
import torch
from conftest import ROOT, TINY_RUN
from omegaconf import OmegaConf
from PIL import Image

from benchmarks.norms import (
    BATCH,
    CURVES,
    DIVERSE,
    INSTANCE,
    TRAINING,
    as_good_after,
    config_of,
    learning_curve,
    main,
    summary,
)
from fast_style.errors import FastStyleError
from fast_style.training.task import task_class

TINY = [*TINY_RUN, "generator.channels=[6,4,3]", "generator.branch_channels=2", "max_steps=5", "preview_every=2"]
RESULT = ROOT / "benchmarks" / "results" / "norms.json"


def test_learning_curve(tmp_path):
    """Steps are counted from 1, the training loss is a mean, and the validation after the training is the last one."""
    rows = ["step,train/total_loss,val/style_loss,val/total_loss", "0,8,,", "1,4,,", "1,,2,3", "2,5,,", "3,,1,2"]
    (tmp_path / "metrics.csv").write_text("\n".join(rows))
    assert learning_curve(tmp_path / "metrics.csv") == {
        "steps": [2, 3], "train/total_loss": [6, 5], "val/style_loss": [2, 1], "val/total_loss": [3, 2]
    }  # fmt: skip


def test_as_good_after():
    better, other = ({"steps": [2, 4, 6], "val/total_loss": losses} for losses in ([5.0, 3.0, 1.0], [9.0, 8.0, 3.0]))
    assert as_good_after(better, other) == 4
    assert as_good_after(other, better) is None


def test_summary_takes_the_last_values_by_seed():
    def run(curve, seed, losses):
        return {"curve": curve, "seed": seed, "steps": [2, 4], "val/total_loss": losses}

    runs = [run(INSTANCE, 1, [5, 1.5]), run(INSTANCE, 0, [4, 1]), run(BATCH, 0, [9, 4]), run(BATCH, 1, [7, 2])]
    assert summary({"texture": {"runs": runs}}) == {
        "texture": {
            INSTANCE: {"seeds": [0, 1], "steps": [4, 4], "val/total_loss": [1, 1.5]},
            BATCH: {"seeds": [0, 1], "steps": [4, 4], "val/total_loss": [4, 2]},
            "instance norm as good after": [2, 4],
        }
    }


@pytest.mark.parametrize("task", CURVES)
def test_curves_begin_with_the_same_weights(task, tmp_path):
    states = []
    for overrides in CURVES[task].values():
        config = OmegaConf.to_container(config_of(task, [*TINY, *overrides], tmp_path), resolve=True)
        torch.manual_seed(0)
        module = task_class(config)(config)
        states.append(dict((module.transformer if task == "style_transfer" else module.generator).named_parameters()))
    first, *others = states
    assert others
    for other in others:
        torch.testing.assert_close(other, first, rtol=0, atol=0)


def test_run(tmp_path, capsys):
    """All tasks in small; then no run again, and another seed; never runs of two configs in one file."""
    output, picture = tmp_path / "norms.json", tmp_path / "norms.png"
    arguments = [*TINY, f"--output={output}", f"--plot={picture}"]
    main([*arguments, "--seeds=0"])
    result = json.loads(output.read_text())
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == result["summary"] == summary(result)
    for task, curves in CURVES.items():
        assert [run["curve"] for run in result[task]["runs"]] == list(curves)
        for run in result[task]["runs"]:
            assert run["seed"] == 0 and run["steps"] == [2, 4, 5]
            assert all(len(values) == 3 for name, values in run.items() if "/" in name)
            assert ("val/diversity_loss" in run) == (run["curve"] == DIVERSE)
        assert result[task]["config"]["max_steps"] == 5 and result[task]["environment"]["versions"]["torch"]
    instance, batch = result["style_transfer"]["runs"]
    assert instance["val/total_loss"] != batch["val/total_loss"]
    with Image.open(picture) as plot:
        assert plot.size[0] > 1000

    main([*arguments, "--seeds=0,1", "--tasks=texture"])
    again = json.loads(output.read_text())
    assert again["style_transfer"] == result["style_transfer"]
    assert again["texture"]["runs"][:3] == result["texture"]["runs"]
    assert [run["seed"] for run in again["texture"]["runs"][3:]] == [1, 1, 1]
    with pytest.raises(FastStyleError, match="runs of texture with another config"):
        main([*arguments, "--seeds=2", "--tasks=texture", "optimizer.lr=1e-2"])


def test_ctrl_c_keeps_finished_runs(tmp_path, monkeypatch):
    output = tmp_path / "norms.json"
    runs = iter([{"steps": [5], "val/total_loss": [1.0]}])
    monkeypatch.setattr("benchmarks.norms.run", lambda *_: next(runs, None) or stop())
    with pytest.raises(KeyboardInterrupt):
        main([*TINY, f"--output={output}", "--seeds=0"])
    (run,) = json.loads(output.read_text())["style_transfer"]["runs"]
    assert run == {"curve": INSTANCE, "seed": 0, "steps": [5], "val/total_loss": [1.0]}


def stop():
    raise KeyboardInterrupt


@pytest.fixture
def measured():
    return json.loads(RESULT.read_text())


def words(page):
    return " ".join((ROOT / "docs" / page).read_text().split())


def pair(numbers, form=".3f"):
    return " and ".join(format(number, form) for number in numbers)


def change(curves, metric, one, other):
    """Per cent by which `one` differs from `other`, for each seed."""
    return [100 * abs(a / b - 1) for a, b in zip(curves[one][metric], curves[other][metric], strict=True)]


def test_table_of_the_documentation_is_measured(measured):
    text = words("comparisons.md")
    names = (TRAINING, "val/total_loss", "val/content_loss", "val/style_loss", "val/diversity")
    for task in CURVES:
        for curve in CURVES[task]:
            last = measured["summary"][task][curve]
            cells = [", ".join(f"{value:.3f}" for value in last.get(name, ())) for name in names]
            assert " ".join(f"| {task} | {curve} | {' | '.join(cells)} |".split()) in text


def test_sentences_of_the_documentation_are_measured(measured):
    text, method = words("comparisons.md"), words("method.md")
    style_transfer, texture, variants = (measured["summary"][task] for task in CURVES)
    for curves in (style_transfer, texture):
        steps = curves["instance norm as good after"]
        assert f"after {pair(steps, 'd')} steps of the {curves[BATCH]['steps'][0]}" in text
    assert change(style_transfer, "val/total_loss", INSTANCE, BATCH) == pytest.approx([100 / 7] * 2, abs=1)
    assert f"{pair(change(texture, 'val/style_loss', INSTANCE, BATCH), '.0f')} % lower" in text
    assert f"{pair(change(variants, 'val/diversity', DIVERSE, INSTANCE), '.0f')} % more diversity" in text
    assert f"Textures gain {pair(change(texture, 'val/diversity', DIVERSE, INSTANCE), '.0f')} %" in text
    first = [run["val/total_loss"][:3] for run in measured["texture"]["runs"] if run["curve"] == BATCH]
    assert f"up to {max(map(max, first)):,.0f}" in text
    run = next(run for run in measured["style_transfer"]["runs"] if run["curve"] == BATCH and run["seed"] == 0)
    before, once, after = run["val/total_loss"][4:7]
    assert f"once {once:.0f}, between {before:.1f} before and {after:.1f} after" in text
    for curves, what in ((texture, "textures"), (variants, "variants of photos")):
        diverse, plain = (pair(curves[curve]["val/diversity"]) for curve in (DIVERSE, INSTANCE))
        assert f"{diverse} instead of {plain} for {what}" in method
