"""Callbacks: progress, previews of held-out images, throughput, a time budget, the last and the best checkpoint."""

import math
import re
import shutil
import signal
import statistics
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, RichProgressBar
from pytorch_lightning.plugins.io import TorchCheckpointIO
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torchvision.utils import make_grid

from fast_style.data.images import write_image
from fast_style.errors import FastStyleError
from fast_style.writing import save_whole, whole_file

AGREE_EVERY = 10  # steps after which the processes of one run ask each other whether to stop


class ProgressBar(RichProgressBar):
    """Steps, loss terms and images per second; no epochs, since there are none."""

    seconds_between, shown = 0.2, 0.0

    def get_metrics(self, trainer: pl.Trainer, module: pl.LightningModule) -> dict:
        metrics = super().get_metrics(trainer, module)
        return {name.removeprefix("train/").removesuffix("_loss"): value for name, value in metrics.items()}

    def _get_train_description(self, current_epoch: int) -> str:
        return "training"

    @property
    def total_train_batches(self) -> float:
        return self.trainer.max_steps if self.trainer.max_steps > 0 else float("inf")

    def on_train_batch_end(self, trainer: pl.Trainer, *args) -> None:
        # To show the losses is to wait for the GPU, which should go on with the next step.
        if time.monotonic() - self.shown < self.seconds_between and trainer.global_step != trainer.max_steps:
            return
        self.shown = time.monotonic()
        # A budget fits the number of steps as it goes.
        if self.is_enabled and self.train_progress_bar_id is not None and trainer.max_steps > 0:
            self.progress.update(self.train_progress_bar_id, total=trainer.max_steps)
        super().on_train_batch_end(trainer, *args)


class PreviewGrid(Callback):
    """After each validation the pictures that module.preview makes of the first of the batch, four a row."""

    def __init__(self, folder: str, count: int = 4):
        self.folder, self.count = Path(folder), count

    def on_validation_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs, batch: Tensor, batch_idx: int, *_
    ) -> None:
        if batch_idx or not trainer.is_global_zero:
            return
        with torch.no_grad():
            pictures = module.preview(batch[: self.count]).float().cpu()
        if not pictures.isfinite().all():
            raise diverged(trainer, "its pictures are no numbers any more")
        grid = make_grid(pictures.clamp(0, 1), nrow=4, padding=4, pad_value=1.0)
        path = self.folder / f"step_{trainer.global_step:06d}.png"
        write_image(path, grid)
        for logger in trainer.loggers:
            logger.log_preview(grid, path, trainer.global_step)


class Throughput(Callback):
    """Logs train/images_per_second over the steps since it was last logged."""

    def __init__(self, every_n_steps: int = 20):
        self.every_n_steps = every_n_steps

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.images, self.since = 0, time.perf_counter()

    # A pause for validation is no part of the training speed.
    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.on_train_start(trainer, module)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, outputs, batch: Tensor, *_) -> None:
        self.images += len(batch) * trainer.world_size
        if trainer.global_step % self.every_n_steps == 0:
            rate = self.images / (time.perf_counter() - self.since)
            module.log("train/images_per_second", rate, prog_bar=True)
            self.on_train_start(trainer, module)


def parse_duration(text: str | float) -> float:
    """Seconds of "90s", "10min", "1.5h" or a bare number. Raises FastStyleError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|min|h|)", str(text))
    if not match or float(match[1]) == 0:
        raise FastStyleError(f"budget={text}: must be a time such as 60s, 10min or 1h")
    return float(match[1]) * {"": 1, "s": 1, "min": 60, "h": 3600}[match[2]]


class Budget(Callback):
    """Fits the number of steps, and with it the learning rate's schedule, to a training time in seconds.

    Fitted first when `every_n_steps` or a fifth of the time are over, and again every so many steps, since machines
    change their speed. Previews count as training time.
    """

    def __init__(self, seconds: float, every_n_steps: int = 50):
        self.seconds, self.every_n_steps = seconds, every_n_steps
        self.elapsed, self.steps_per_second = 0.0, None

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.start, self.since = time.perf_counter() - self.elapsed, None
        if self.steps_per_second:  # a run that is continued
            self._fit_steps(trainer, module)

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_) -> None:
        now = time.perf_counter()
        self.elapsed = now - self.start
        if self.since is None:  # the first step compiles and allocates
            self.since = now, trainer.global_step
            return
        before, step = self.since
        due = trainer.global_step - step >= self.every_n_steps
        if trainer.max_steps == -1:
            due |= trainer.strategy.broadcast(self.elapsed > self.seconds / 5)
        if due:
            self.steps_per_second = (trainer.global_step - step) / (now - before)
            self._fit_steps(trainer, module)
            self.since = now, trainer.global_step

    def _fit_steps(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        # Processes of one run stop at the same step.
        max_steps = trainer.global_step + trainer.strategy.broadcast(self.steps_left())
        trainer.fit_loop.epoch_loop.max_steps = module.max_steps = max_steps

    def steps_left(self) -> int | None:
        """Steps that the time left buys; None before the speed is known."""
        if self.steps_per_second is None:
            return None
        return max(0, round((self.seconds - self.elapsed) * self.steps_per_second))

    def state_dict(self) -> dict[str, float | None]:
        return {"elapsed": self.elapsed, "steps_per_second": self.steps_per_second}

    def load_state_dict(self, state_dict: dict[str, float | None]) -> None:
        self.elapsed, self.steps_per_second = state_dict["elapsed"], state_dict["steps_per_second"]


def diverged(trainer: pl.Trainer, reason: str) -> FastStyleError:
    """The error of a training that cannot be saved."""
    rate = trainer.optimizers[0].defaults["lr"]
    return FastStyleError(
        f"the training has diverged by step {trainer.global_step}, {reason}: give less than optimizer.lr={rate:g}"
    )


class Divergence(Callback):
    """Ends a training whose loss is no number, or has climbed far above the first and stayed there, with a
    FastStyleError: before the next checkpoint or preview, and at once where to look costs nothing."""

    FAR, MANY = 5, 10  # the median of so many losses may be so many times the first

    def __init__(self):
        self.first, self.latest, self.unseen = None, deque(maxlen=self.MANY), []

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, outputs: dict, *_) -> None:
        if outputs and "loss" in outputs:
            self.unseen.append(outputs["loss"])
        # To look at a loss is to wait for the GPU, or for the other processes.
        alone = trainer.world_size == 1 and module.device.type == "cpu"
        if alone or trainer.global_step % AGREE_EVERY == 0:
            self.look(trainer, module)

    def on_validation_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.look(trainer, module, weights=True)

    def on_save_checkpoint(self, trainer: pl.Trainer, module: pl.LightningModule, checkpoint: dict) -> None:
        self.look(trainer, module, weights=True)

    def look(self, trainer: pl.Trainer, module: pl.LightningModule, weights: bool = False) -> None:
        """Raise FastStyleError if the losses since the last look, or the weights, show that training has diverged."""
        losses = torch.stack(self.unseen).flatten().tolist() if self.unseen else []
        self.unseen.clear()
        reason = self.judge(losses)
        if weights and not all(tensor.isfinite().all() for tensor in module.state_dict().values()):
            reason = reason or "the weights are no numbers any more"
        if trainer.strategy.reduce_boolean_decision(reason is not None, all=False):
            raise diverged(trainer, reason or "in another process")

    def doubts(self, trainer: pl.Trainer, module: pl.LightningModule) -> bool:
        """Whether the last loss is so far above the first that the training may soon be found to have diverged."""
        self.look(trainer, module)
        far = bool(self.latest) and self.latest[-1] > self.FAR * self.first > 0
        return trainer.strategy.reduce_boolean_decision(far, all=False)

    def judge(self, losses: Sequence[float]) -> str | None:
        """What is wrong with the losses so far, of which these are new; None: nothing."""
        for loss in losses:
            if not math.isfinite(loss):
                return f"the loss is {loss}"
            self.first = loss if self.first is None else self.first
            self.latest.append(loss)
            median = statistics.median(self.latest)
            # A loss of less than zero, of a term that is to grow, has no size to compare with.
            if len(self.latest) == self.MANY and median > self.FAR * self.first > 0:
                return f"the loss has climbed from {self.first:.3g} to {median:.3g}"
        return None

    def state_dict(self) -> dict:
        return {"first": self.first, "latest": list(self.latest)}

    def load_state_dict(self, state_dict: dict) -> None:
        self.first = state_dict["first"]
        self.latest.extend(state_dict["latest"])


class WholeCheckpoints(TorchCheckpointIO):
    """Lightning's checkpoints, on a disk of this machine whole or as they were."""

    def save_checkpoint(self, checkpoint: dict, path: str | Path, storage_options: object = None) -> None:
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
        else:
            save_whole(path, checkpoint)


class ResumePoint(Callback):
    """Keeps `path` fit to resume from: written every N steps, after the last one, and when Ctrl-C or SIGTERM asks
    the run to stop, which then ends after the step under way, or with several processes at the next tenth one, as if it
    had been its last. A second Ctrl-C kills. What `divergence` doubts does not take the place of what is good."""

    def __init__(self, path: str, every_n_steps: int, divergence: Divergence):
        self.path, self.every_n_steps, self.divergence = path, every_n_steps, divergence
        self.stop_requested, self.previous_handlers = False, {}

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.previous_handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in self.previous_handlers:
            signal.signal(number, self._request_stop)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._restore_handlers()

    def on_exception(self, trainer: pl.Trainer, module: pl.LightningModule, exception: BaseException) -> None:
        self._restore_handlers()

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_) -> None:
        step = trainer.global_step
        # A signal may reach one process of several; they stop together. They do not wait for that in every step.
        stop = self.stop_requested and trainer.world_size == 1
        if trainer.world_size > 1 and step % AGREE_EVERY == 0:
            stop = trainer.strategy.reduce_boolean_decision(self.stop_requested, all=False)
        due = step % self.every_n_steps == 0 and not self.divergence.doubts(trainer, module)
        if stop or due or step == trainer.max_steps:
            trainer.save_checkpoint(self.path)
        trainer.should_stop |= stop

    def _request_stop(self, number: int, frame) -> None:
        print("\nstopping after this step; once more kills", flush=True)
        self.stop_requested = True
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        for number, handler in self.previous_handlers.items():
            signal.signal(number, handler)


class Best(Callback):
    """Keeps `path`, the checkpoint with the least held-out loss, beside `last`.

    The release file is of the last step: as the rate falls to zero that is nearly always the best one, and to pick
    another by the held-out photos is to learn from them.
    """

    def __init__(self, path: Path, last: Path):
        self.path, self.last, self.least = path, last, math.inf

    def on_validation_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        loss = float(trainer.callback_metrics["val/total_loss"])
        if not loss < self.least:
            return
        self.least = loss
        if trainer.state.fn == TrainerFn.FITTING:
            trainer.save_checkpoint(self.path)
        elif trainer.is_global_zero and self.last.exists():  # after the last step, of which there is a checkpoint
            with whole_file(self.path) as unfinished:
                shutil.copyfile(self.last, unfinished)

    def state_dict(self) -> dict:
        return {"path": str(self.path), "least": self.least}

    def load_state_dict(self, state_dict: dict) -> None:
        if state_dict["path"] == str(self.path):  # in another folder the run has no best yet
            self.least = state_dict["least"]
