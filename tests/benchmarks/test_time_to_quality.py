"""The benchmark of time to quality, in small: its clock, its measures, and a whole run."""

import json
from types import SimpleNamespace

import pytest
import torch
from conftest import TINY_RUN
from PIL import Image

from benchmarks import time_to_quality
from benchmarks.time_to_quality import Benchmark, Clock, main, means, parse
from fast_style.errors import FastStyleError

TINY = (*TINY_RUN, "style=mosaic", "init_from=null", "data.num_workers=0")


@pytest.fixture
def photos(photo, tmp_path):
    for index in range(4):
        photo(tmp_path / "photos" / f"{index}.png", 40 + index, 48, seed=index)
    return tmp_path / "photos"


@pytest.fixture
def benchmark(photos, tmp_path):
    def build(*arguments):
        args = parse([*TINY, "--photos", str(photos), "--count=2", "--size=32", "--lbfgs-photos=1", *arguments])
        args.scratch = tmp_path
        return Benchmark(args)

    return build


def test_clock(monkeypatch):
    """Runs from the training's start to its end; stands still in a validation and while it looks."""
    seconds = iter(range(0, 1000, 10))
    monkeypatch.setattr(time_to_quality, "now", lambda: next(seconds))
    monkeypatch.setattr(time_to_quality.time, "perf_counter", lambda: 10**6)
    trainer = SimpleNamespace(should_stop=False)
    module = SimpleNamespace(transformer=torch.nn.Identity())
    clock = Clock([5, 15, 25], look=lambda transformer: [transformer.training])
    clock.on_train_start()  # 0
    clock.on_train_batch_end(trainer, module)  # stops at 10, starts at 20
    assert not trainer.should_stop
    clock.on_validation_start()  # 30
    clock.on_validation_end()  # 40
    clock.on_train_batch_end(trainer, module)  # stops at 50: 30 seconds are beyond the last two marks
    assert trainer.should_stop and module.transformer.training
    clock.on_train_end()
    assert clock.seen == [
        {"seconds": 10, "steps": 1, "photos": [False]},
        {"seconds": 30, "steps": 2, "photos": [False]},
    ]


def test_held_out_loss_is_that_of_the_objective(benchmark):
    """An identity has no content loss, and the style loss of the photo; L-BFGS starts from there."""
    small = benchmark("--iterations=0,6", "objective.tv_weight=0.01")
    seen = small.look(torch.nn.Conv2d(3, 3, 1).requires_grad_(False).apply(make_identity))
    for row, photo in zip(seen, small.photos, strict=True):
        assert photo.shape == (1, 3, 32, 32)
        assert row[0] == pytest.approx(0, abs=1e-5)
        terms = small.loss(photo, photo)
        others = terms["tv_loss"].item() + terms["tone_loss"].item()
        assert row[1:] == pytest.approx([terms["style_loss"].item(), others], abs=1e-5)
    lbfgs = small.lbfgs_from("photo")
    first, last = lbfgs["points"]
    torch.testing.assert_close(torch.tensor(first["photos"]), torch.tensor(seen[-1:]), atol=1e-4, rtol=1e-3)
    curve = lbfgs["mean_total_loss_by_iteration"]
    assert len(curve) == 7
    assert curve[6] == pytest.approx(means(last)[2], rel=1e-3) and curve[6] < curve[0]


def make_identity(convolution):
    torch.nn.init.dirac_(convolution.weight)
    torch.nn.init.zeros_(convolution.bias)


def test_means():
    point = {"photos": [[1, 2, 3], [3, 4, 0], [5, 0, 0]]}
    assert means(point) == pytest.approx((3, 2, 6))
    assert means(point, 2) == pytest.approx((4, 2, 6))


def test_same_numbers():
    rows = [[0.0, 0.2, 0.0], [0.0, 0.5, 0.0]]
    assert time_to_quality.same_numbers(rows, [[0.0, 0.2001, 0.0], [0.0, 0.5, 0.0]])
    for other in ([[0.0, 0.3, 0.0], [0.0, 0.5, 0.0]], rows[:1], None):
        assert not time_to_quality.same_numbers(other, rows)


def test_held_out_photos_are_not_trained_on(photos, tmp_path):
    args = parse(["data=folder", f"data.root={photos}", "data.validation_count=1", "--photos=.", "--count=9"])
    args.scratch = tmp_path
    assert Benchmark.compose(SimpleNamespace(args=args)).data.validation_count == 9


def test_the_ports_way(compose_config, tmp_path):
    cfg = compose_config("train", *time_to_quality.PORTS, f"run_dir={tmp_path}")
    assert (cfg.model.channels, cfg.model.kernel_sizes) == ([32, 64, 128], [9, 9])
    assert (cfg.batch_size, cfg.image_size, cfg.data.image_size, cfg.precision) == (4, 256, 256, "32-true")
    assert (cfg.optimizer.lr, cfg.optimizer.schedule, cfg.optimizer.warmup_steps) == (1e-3, "constant", 0)
    assert cfg.init_from is None and cfg.channels_last is False and cfg.data_parallel is False


def test_too_few_photos(benchmark):
    with pytest.raises(FastStyleError, match="4 images, fewer than --count 9"):
        benchmark("--count=9")


def test_run(photos, tmp_path, monkeypatch, capsys):
    """All parts in small, then one part again with the others kept."""
    ports = [
        "model.channels=[4,6,8]",
        "batch_size=2",
        "max_steps=1000",
        "preview_every=2",
        "precision=32-true",
        "channels_last=false",
    ]
    monkeypatch.setattr(time_to_quality, "PORTS", ports)
    output, picture = tmp_path / "result.json", tmp_path / "plot.png"
    arguments = [*TINY, f"--photos={photos}", "--count=3", "--size=32", "--lbfgs-photos=2", "--iterations=1,3"]
    arguments += ["--seconds=0.4", "--marks=2", "--repeats=2", f"--output={output}", f"--plot={picture}"]
    curves = ["--curve=one:seed=1", "--curve=two:optimizer.lr=1e-2"]
    main([*arguments, "--budgets=max_steps=1,max_steps=3", *curves])
    result = json.loads(output.read_text())

    assert result["style"] == "mosaic" and str(tmp_path) not in output.read_text()
    assert [curve["name"] for curve in result["ours"]] == ["one", "two"]
    assert [curve["config"]["seed"] for curve in result["ours"]] == [1, 0]
    assert result["ours"][1]["config"]["optimizer"]["lr"] == 0.01
    for curve in result["ours"]:
        assert [point["steps"] for point in curve["points"]] == [1, 3]
        assert all(0 < point["seconds"] < point["command_seconds"] for point in curve["points"])
    points = result["ports"]["points"]
    assert len(points) in (1, 2) and points[0]["seconds"] >= 0.2 and points[-1]["seconds"] >= 0.4
    costs = result["ports"]["loss_network_seconds_per_step"]
    longer = costs["vgg16"]["median"] - costs["this"]["median"]
    assert points[-1]["seconds_vgg16"] == pytest.approx(points[-1]["seconds"] + points[-1]["steps"] * longer, abs=0.01)
    assert [point["iterations"] for point in result["lbfgs"]["noise"]["points"]] == [1, 3]
    assert {len(point["photos"]) for _, point in time_to_quality.networks(result)} == {3}
    for _, point in time_to_quality.networks(result):
        assert set(point["worth_lbfgs_iterations"]) == {"noise", "photo"}
        assert all(worth is None or 0 <= worth <= 3 for worth in point["worth_lbfgs_iterations"].values())
    assert "ports' way" in capsys.readouterr().out
    with Image.open(picture) as plot:
        assert plot.size[0] > 1000

    main([*arguments, "--parts=ours", "--budgets=max_steps=2", "--curve=three"])
    again = json.loads(output.read_text())
    assert [curve["name"] for curve in again["ours"]] == ["three"]
    assert again["ports"]["points"] == points and set(again["environment"]) == {"ours", "ports", "lbfgs"}

    with pytest.raises(FastStyleError, match="other photos, style, objective or loss network"):
        main([*arguments, "style.style_size=48", "--parts=plot"])
