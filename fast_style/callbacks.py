"""Callbacks: previews of fixed held-out images, throughput, and a checkpoint that is always there to resume from."""

import signal
import time
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, RichProgressBar
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from torch import Tensor
from torchvision.utils import make_grid

from fast_style.images import write_image


class ProgressBar(RichProgressBar):
    """Steps, loss terms and images per second; no epochs, since there are none."""

    def get_metrics(self, trainer: pl.Trainer, module: pl.LightningModule) -> dict:
        metrics = super().get_metrics(trainer, module)
        metrics.pop("v_num", None)
        return {name.removeprefix("train/").removesuffix("_loss"): value for name, value in metrics.items()}

    def _get_train_description(self, current_epoch: int) -> str:
        return "training"


class PreviewGrid(Callback):
    """After each validation a picture of held-out images, content beside stylised, two pairs a row."""

    def __init__(self, folder: str, count: int = 4):
        self.folder, self.count = Path(folder), count

    def on_validation_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs, batch: Tensor, batch_idx: int, *_
    ) -> None:
        if batch_idx or not trainer.is_global_zero:
            return
        content_images = batch[: self.count]
        with torch.no_grad():
            stylized = module(content_images).clamp(0, 1)
        pairs = torch.stack([content_images, stylized], 1).flatten(0, 1)
        grid = make_grid(pairs.float().cpu(), nrow=4, padding=4, pad_value=1.0)
        write_image(self.folder / f"step_{trainer.global_step:06d}.png", grid)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("preview", grid, trainer.global_step)
            elif isinstance(logger, WandbLogger):
                logger.log_image("preview", [grid], step=trainer.global_step)


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


class ResumePoint(Callback):
    """Keeps `path` fit to resume from: written every N steps, after the last one, and when Ctrl-C or SIGTERM asks
    the run to stop, which then ends after the step under way as if it had been its last. A second Ctrl-C kills."""

    def __init__(self, path: str, every_n_steps: int):
        self.path, self.every_n_steps = path, every_n_steps
        self.stop_requested = False

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self.previous_handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in self.previous_handlers:
            signal.signal(number, self._request_stop)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._restore_handlers()

    def on_train_batch_end(self, trainer: pl.Trainer, *_) -> None:
        step = trainer.global_step
        # A signal may reach one process of several; they stop together.
        self.stop_requested = trainer.strategy.reduce_boolean_decision(self.stop_requested, all=False)
        if self.stop_requested or step % self.every_n_steps == 0 or step == trainer.max_steps:
            trainer.save_checkpoint(self.path)
        trainer.should_stop |= self.stop_requested

    def _request_stop(self, number: int, frame) -> None:
        print("\nstopping after this step; once more kills", flush=True)
        self.stop_requested = True
        self._restore_handlers()

    def _restore_handlers(self) -> None:
        for number, handler in self.previous_handlers.items():
            signal.signal(number, handler)
