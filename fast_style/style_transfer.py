"""StyleTransfer: trains a TransformerNet against a perceptual loss (Johnson et al. 2016)."""

import math

import pytorch_lightning as pl
import torch
from torch import Tensor

from fast_style import check_choice
from fast_style.backbone import initial_state
from fast_style.loss_network import load_loss_network
from fast_style.losses import PerceptualLoss
from fast_style.styles import find_style_image, read_style_image
from fast_style.transformer_net import TransformerNet


class StyleTransfer(pl.LightningModule):
    """The main job. `config` is the resolved training config as plain data; it is stored in every checkpoint."""

    def __init__(self, config: dict):
        super().__init__()
        self.save_hyperparameters()
        style, objective = dict(config["style"]), config["objective"]
        style_size = style.pop("style_size")
        self.style_image = find_style_image(**style)
        self.transformer = TransformerNet(**config["model"])
        style_picture = read_style_image(self.style_image, style_size)
        if state_dict := initial_state(config["init_from"], config["model"], style_picture):
            self.transformer.load_state_dict(state_dict)
        layers = [*objective["content_layers"], *objective["style_layers"]]
        self.perceptual_loss = PerceptualLoss(
            load_loss_network(**config["loss_network"], layers=layers),
            style_picture,
            **objective,
        )
        self.optimizer = config["optimizer"]
        check_choice("optimizer.schedule", self.optimizer["schedule"], ("constant", "cosine"))
        self.max_steps = config["max_steps"]  # -1 until a budget sets it
        self.training_terms = self.terms

    def compile_training(self, **options) -> None:
        """Have torch.compile make training steps faster; validation, with its other batch sizes, stays as it is."""
        self.training_terms = torch.compile(self.terms, **options)

    def forward(self, content_images: Tensor) -> Tensor:
        return self.transformer(content_images)

    def terms(self, content_images: Tensor) -> dict[str, Tensor]:
        """Weighted terms of the objective on the stylised images (B, 3, H, W), scalars by name."""
        return self.perceptual_loss(self.transformer(content_images), content_images)

    def training_step(self, content_images: Tensor, batch_index: int) -> Tensor:
        return self._log("train", self.training_terms(content_images), len(content_images))

    def validation_step(self, content_images: Tensor, batch_index: int) -> None:
        self._log("val", self.terms(content_images), len(content_images))

    def _log(self, stage: str, terms: dict[str, Tensor], batch_size: int) -> Tensor:
        total = sum(terms.values())
        values = {f"{stage}/{name}": value.detach() for name, value in (terms | {"total_loss": total}).items()}
        self.log_dict(values, prog_bar=stage == "train", batch_size=batch_size, sync_dist=stage == "val")
        return total

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.Adam(self.transformer.parameters(), lr=self.optimizer["lr"], fused=True)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._lr_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _lr_factor(self, step: int) -> float:
        """Linear warm-up, then constant (the paper) or a cosine down to zero, which suits a short budget."""
        warmup = self.optimizer["warmup_steps"]
        if self.max_steps > 0:
            warmup = min(warmup, self.max_steps // 5)
        if step < warmup:
            return (step + 1) / warmup
        if self.optimizer["schedule"] == "constant":
            return 1.0
        # While the speed is still measured there is no number of steps to fit the cosine to.
        progress = (step - warmup) / max(1, self.max_steps - warmup) if self.max_steps > 0 else 0.0
        return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
