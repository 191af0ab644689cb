"""Task: what a training learns. A subclass names its network, the terms of a batch, its pictures."""

import math
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra.utils import get_class
from torch import Tensor, nn

from fast_style.data.styles import file_sha256, read_style_images, style_pictures
from fast_style.keys import build
from fast_style.losses import load_perceptual_loss


class Task(pl.LightningModule):
    """A network that learns. `config` is the resolved training config as plain data, kept in checkpoints.

    A subclass sets `network` and has `terms`; what else it may say is below, with what most tasks say.
    """

    styles: dict[str, list[Path]] = {}  # the pictures of each that it learns, by name

    def __init__(self, config: dict):
        super().__init__()
        self.save_hyperparameters({"config": config})
        self.optimizer = config["optimizer"]
        self.max_steps = config["max_steps"]  # -1 until a budget sets it

    @staticmethod
    def check(config: dict) -> None:
        """Raise FastStyleError for values that would only fail, or be ignored, after the training."""

    @property
    def network(self) -> nn.Module:
        """What the optimiser changes, and what the release file holds."""
        raise NotImplementedError

    def data(self, config: dict) -> pl.LightningDataModule:
        """What the training sees: batches (B, 3, H, W) RGB in [0, 1]."""
        return build("data", config["data"])

    def terms(self, batch: Tensor, stage: str, batch_index: int) -> dict[str, Tensor]:
        """Weighted terms whose sum is the loss, scalars by name; stage: train | val."""
        raise NotImplementedError

    def speed_up(self, config: dict, device: torch.device) -> None:
        """Make training steps faster on this device, by what only this task can do."""

    def preview(self, batch: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) that show how far the training is."""
        raise NotImplementedError

    def draw(self, config: dict, folder: Path) -> tuple[Path, list[str]]:
        """Write the last picture; its file, and why that failed, if it did."""
        raise NotImplementedError

    def next_command(self, model: Path) -> str:
        """What to do with the release file, in words and as a command."""
        raise NotImplementedError

    def training_step(self, batch: Tensor, batch_index: int) -> Tensor:
        return self.log_terms("train", self.terms(batch, "train", batch_index), len(batch))

    def validation_step(self, batch: Tensor, batch_index: int) -> None:
        self.log_terms("val", self.terms(batch, "val", batch_index), len(batch))

    def log_terms(self, stage: str, terms: dict[str, Tensor], batch_size: int) -> Tensor:
        """Log weighted terms, scalars by name, and their sum, which is returned."""
        total = sum(terms.values())
        values = {f"{stage}/{name}": value.detach() for name, value in (terms | {"total_loss": total}).items()}
        self.log_dict(values, prog_bar=stage == "train", batch_size=batch_size, sync_dist=stage == "val")
        return total

    def log_held_out(self, values: dict[str, Tensor], batch_size: int) -> None:
        """Log what is measured of a held-out batch beside the terms, scalars by name."""
        self.log_dict({f"val/{name}": value for name, value in values.items()}, batch_size=batch_size, sync_dist=True)

    def configure_optimizers(self) -> dict:
        """Adam, and its rate: linear warm-up, then constant (the paper), or a cosine down to zero at max_steps, which
        suits a short budget, or stairs, 0.8 times as much after every 2,000 steps (Ulyanov et al.'s code)."""
        # With float16 a fused Adam undoes the scaling of the gradients itself: too late to clip them.
        fused = self.trainer.precision != "16-mixed"
        optimizer = torch.optim.Adam(self.network.parameters(), lr=self.optimizer["lr"], fused=fused)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, **_: object) -> None:
        """Shorten the gradient of all parameters to the norm optimizer.gradient_clip, if it is longer."""
        if self.optimizer["gradient_clip"] is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.optimizer["gradient_clip"])

    def _rate(self, step: int) -> float:
        """The rate of a step as a part of the highest."""
        max_steps, warmup = self.max_steps, self.optimizer["warmup_steps"]
        if max_steps > 0:
            warmup = min(warmup, max_steps // 5)
        if step < warmup:
            return (step + 1) / warmup
        if self.optimizer["schedule"] == "constant":
            return 1.0
        if self.optimizer["schedule"] == "stairs":
            return 0.8 ** (step // 2000)
        # While the speed is still measured there is no number of steps to fit the cosine to.
        progress = (step - warmup) / max(1, max_steps - warmup) if max_steps > 0 else 0.0
        return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


class StyleTask(Task):
    """A network that learns one style."""

    def __init__(self, config: dict):
        super().__init__(config)
        paths, style_size = style_pictures(config["style"]), config["style"]["style_size"]
        self.styles = {config["style"]["name"]: paths}
        self.style_images = read_style_images(paths, style_size)
        self.save_hyperparameters({"style_sha256": [file_sha256(path) for path in paths]})
        self.perceptual_loss = load_perceptual_loss(config["loss_network"], config["objective"], self.style_images)


def task_class(config: dict) -> type[Task]:
    """The class that `task=` means."""
    return get_class(config["task"]["_target_"])
