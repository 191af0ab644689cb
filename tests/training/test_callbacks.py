"""Previews and the checkpoint to resume from, with a trainer and a module of three lines."""

import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from pytorch_lightning.callbacks import LambdaCallback

from fast_style.errors import FastStyleError
from fast_style.training import callbacks
from fast_style.training.callbacks import (
    Best,
    Budget,
    Divergence,
    PreviewGrid,
    ResumePoint,
    Throughput,
    parse_duration,
)


class Negative(pl.LightningModule):
    """Previews images beside 1 - images; its one weight only gives the optimiser something to do."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def preview(self, images):
        return torch.stack([images, 1 - images], 1).flatten(0, 1)

    def training_step(self, batch, batch_index):
        return self.weight * batch.mean()

    def validation_step(self, batch, batch_index):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(tmp_path, *callbacks, max_steps=6, **options):
    images = torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    trainer = pl.Trainer(
        max_steps=max_steps,
        callbacks=list(callbacks),
        default_root_dir=tmp_path,
        logger=False,
        accelerator="cpu",
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )
    trainer.fit(Negative(), torch.utils.data.DataLoader(images[:32], 2), torch.utils.data.DataLoader(images[32:], 6))
    return trainer


def test_preview_grid(tmp_path):
    fit(tmp_path, PreviewGrid(tmp_path / "previews", count=3), max_steps=4, val_check_interval=2)
    previews = sorted((tmp_path / "previews").iterdir())
    assert [path.name for path in previews] == ["step_000002.png", "step_000004.png"], "one a validation"
    grid = np.array(Image.open(previews[0])).astype(int)
    assert grid.shape == (2 * 20 + 4, 4 * 20 + 4, 3), "two pairs a row"
    tile = lambda row, column: grid[4 + 20 * row : 20 + 20 * row, 4 + 20 * column : 20 + 20 * column]  # noqa: E731
    held_out = torch.rand(64, 3, 16, 16, generator=torch.Generator().manual_seed(0))[32:35].movedim(1, -1).numpy()
    for image, (row, column) in zip(held_out, [(0, 0), (0, 2), (1, 0)], strict=True):
        np.testing.assert_allclose(tile(row, column), image * 255, atol=0.51)
        np.testing.assert_allclose(tile(row, column + 1), 255 - image * 255, atol=0.51)


def test_preview_grid_clamps(tmp_path):
    trainer = SimpleNamespace(is_global_zero=True, global_step=0, loggers=[])
    module = SimpleNamespace(preview=lambda images: images * 10 - 5)
    PreviewGrid(tmp_path).on_validation_batch_end(trainer, module, None, torch.rand(1, 3, 16, 16), 0)
    picture = np.array(Image.open(tmp_path / "step_000000.png"))[4:20, 4:20]
    assert picture.min() == 0 and picture.max() == 255


@pytest.mark.parametrize("every_n_steps, max_steps, expected", [(2, 5, [2, 4, 5]), (100, 3, [3]), (3, 6, [3, 6])])
def test_resume_point_is_written_now_and_then_and_at_the_end(tmp_path, monkeypatch, every_n_steps, max_steps, expected):
    steps = []
    save = pl.Trainer.save_checkpoint
    monkeypatch.setattr(
        pl.Trainer, "save_checkpoint", lambda self, path, *_: steps.append(self.global_step) or save(self, path)
    )
    fit(tmp_path, ResumePoint(tmp_path / "last.ckpt", every_n_steps, Divergence()), max_steps=max_steps)
    assert steps == expected
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == max_steps


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_request_to_stop_leaves_a_resume_point(tmp_path, number):
    interrupt = LambdaCallback(
        on_train_batch_start=lambda trainer, *_: trainer.global_step == 3 and os.kill(os.getpid(), number)
    )
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    trainer = fit(tmp_path, interrupt, ResumePoint(tmp_path / "last.ckpt", 100, Divergence()), max_steps=10)
    assert trainer.global_step == 4, "the step under way is finished, and the run ends"
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["global_step"] == 4
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_second_request_is_python_s_own(tmp_path):
    def interrupt(trainer, *_):
        if trainer.global_step == 3:
            os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)

    trainer = fit(
        tmp_path, LambdaCallback(on_train_batch_start=interrupt), ResumePoint(tmp_path / "last.ckpt", 100, Divergence())
    )
    assert trainer.global_step == 4


@pytest.mark.parametrize("losses, expected", [([3, 1, 2, 4], 2), ([3, 2, 2, 1], 4), ([2, float("nan"), 3, 3], 1)])
def test_the_best_is_that_with_the_least_held_out_loss(tmp_path, monkeypatch, losses, expected):
    """After every second step, and once more after the last, of which there is a checkpoint."""
    values = iter(losses)
    step = lambda self, batch, index: self.log("val/total_loss", torch.tensor(float(next(values))))  # noqa: E731
    monkeypatch.setattr(Negative, "validation_step", step)
    best, last = tmp_path / "best.ckpt", tmp_path / "last.ckpt"
    keeps = [ResumePoint(last, 100, Divergence()), Best(best, last)]
    trainer = fit(tmp_path, *keeps, max_steps=6, val_check_interval=2, limit_val_batches=1)
    trainer.validate(trainer.lightning_module, torch.utils.data.DataLoader(torch.rand(1, 3, 16, 16)), verbose=False)
    kept = torch.load(best, weights_only=True)
    assert kept["global_step"] == min(2 * expected, 6)
    if expected < 4:
        other = Best(tmp_path / "elsewhere" / "best.ckpt", last)
        other.load_state_dict(kept["callbacks"]["Best"])
        keeps[1].load_state_dict(kept["callbacks"]["Best"])
        assert other.least == np.inf and keeps[1].least == min(losses), "a run in another folder has no best yet"


def test_throughput_counts_images(tmp_path, monkeypatch):
    clock, logged = iter(range(100)), []
    monkeypatch.setattr("fast_style.training.callbacks.time.perf_counter", lambda: next(clock))
    monkeypatch.setattr(Negative, "log", lambda self, name, value, **_: logged.append((name, value)))
    fit(tmp_path, Throughput(every_n_steps=3), max_steps=6, limit_val_batches=0)
    assert logged == [("train/images_per_second", 6.0)] * 2, "three batches of two in one tick of the clock"


@pytest.mark.parametrize("text, seconds", [("60s", 60), ("10min", 600), ("1.5h", 5400), ("90", 90), (45, 45)])
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10 m", "-5s", "0s", "1d", "ten", None])
def test_what_is_no_duration(text):
    with pytest.raises(FastStyleError, match="budget="):
        parse_duration(text)


def steps_within(tmp_path, monkeypatch, budget, seconds_of_step):
    """Steps that a budget allows when step i (from 1) takes seconds_of_step(i)."""
    clock = iter(np.cumsum([0, *(seconds_of_step(i) for i in range(1, 1000))]).tolist())
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    return fit(tmp_path, budget, max_steps=-1, max_epochs=1000, limit_val_batches=0).global_step


def test_a_budget_buys_steps(tmp_path, monkeypatch):
    assert steps_within(tmp_path, monkeypatch, Budget(100), lambda step: 1) == 100
    assert steps_within(tmp_path, monkeypatch, Budget(200), lambda step: 0.5) == 400


def test_a_budget_follows_a_machine_that_slows_down(tmp_path, monkeypatch):
    """40 seconds at one step a second, then 60 at one in two seconds."""
    seconds_of_step = lambda step: 1 if step <= 40 else 2  # noqa: E731
    steps = steps_within(tmp_path, monkeypatch, Budget(100, every_n_steps=5), seconds_of_step)
    assert steps == pytest.approx(70, abs=2)


def test_a_slow_first_step_does_not_count_as_the_speed(tmp_path, monkeypatch):
    steps = steps_within(tmp_path, monkeypatch, Budget(100, 10), lambda step: 50 if step == 1 else 1)
    assert steps == 51


def test_a_budget_is_continued(tmp_path, monkeypatch):
    budget = Budget(100)
    budget.load_state_dict({"elapsed": 70.0, "steps_per_second": 1.0})
    assert steps_within(tmp_path, monkeypatch, budget, lambda step: 1) == 30
    assert budget.state_dict() == {"elapsed": pytest.approx(100), "steps_per_second": pytest.approx(1)}


def test_a_budget_that_is_spent_buys_nothing(tmp_path, monkeypatch):
    budget = Budget(100)
    budget.load_state_dict({"elapsed": 100.5, "steps_per_second": 1.0})
    assert steps_within(tmp_path, monkeypatch, budget, lambda step: 1) == 0


def test_the_schedule_of_a_continued_budget_is_known_at_once(tmp_path, monkeypatch):
    """Before the first step, or it would be made at the full rate."""
    seen = []
    look = LambdaCallback(on_train_batch_start=lambda trainer, module, *_: seen.append(module.max_steps))
    budget = Budget(100)
    budget.load_state_dict({"elapsed": 70.0, "steps_per_second": 1.0})
    clock = iter(range(1000))
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    fit(tmp_path, budget, look, max_steps=-1, max_epochs=1000, limit_val_batches=0)
    assert seen == [30] * 30


WILD = [200, 230, 900, 40, 3000, 60, 90, 30, 20, 15, 12, 11, 10, 9, 40, 9, 8, 2000, 8, 7, 7, 6, 6, 5, 5]


@pytest.mark.parametrize(
    "losses, said",
    [
        (WILD, None),
        ([-1, -0.5, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], None),
        ([200, torch.nan], "the loss is nan"),
        ([200, 100, torch.inf, 1], "the loss is inf"),
        ([8, 7, 6, *[50] * 4], None),
        ([8, 7, 6, *[50] * 8], "climbed from 8 to 50"),
        ([8, *[700, 30] * 20], "climbed from 8 to 365"),
    ],
    ids=["wild and falling", "negative", "nan", "infinite", "a few high ones", "high", "high on average"],
)
def test_what_divergence_is(losses, said):
    """Whether the losses come one by one or ten at a time, or the run is resumed in between."""
    for size in (1, 10):
        divergence, reasons = Divergence(), []
        for start in range(0, len(losses), size):
            reasons.append(divergence.judge(losses[start : start + size]))
            resumed = Divergence()
            resumed.load_state_dict(divergence.state_dict())
            divergence = resumed
        assert any(said in reason for reason in reasons if reason) if said else not any(reasons)
