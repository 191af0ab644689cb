"""StyleTransfer: trains a TransformerNet against a perceptual loss (Johnson et al. 2016)."""

import math

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from fast_style.data.styles import find_style_image, read_style_image
from fast_style.errors import check_choice
from fast_style.losses import PerceptualLoss
from fast_style.networks.loss_network import load_loss_network
from fast_style.networks.multi_style import initial_state
from fast_style.networks.transformer_net import TransformerNet
from fast_style.training.data_parallel import DataParallel


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
        self.max_steps = config["max_steps"]  # -1 until a budget sets it
        self.training_terms = self.terms

    def compile_training(self, **options) -> None:
        """Have torch.compile make training steps faster; validation, with its other batch sizes, stays as it is."""
        self.training_terms = torch.compile(self.terms, **options)

    def share_batches(self, count: int) -> None:
        """Have `count` cores of a CPU each compute training steps for images of their own."""
        self.training_terms = DataParallel(self.terms, self.transformer, count)

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

    def preview(self, content_images: Tensor) -> Tensor:
        """Each content image beside its stylised one: (2 B, 3, H, W)."""
        return torch.stack([content_images, self(content_images)], 1).flatten(0, 1)

    def configure_optimizers(self) -> dict:
        return adam(self, self.transformer, **self.optimizer)


def adam(module: pl.LightningModule, network: nn.Module, lr: float, schedule: str, warmup_steps: int) -> dict:
    """Adam for the parameters of `network`, and its learning rate, as Lightning wants them.

    Linear warm-up, then constant (the paper) or a cosine down to zero at module.max_steps, which suits a short budget.
    """
    check_choice("optimizer.schedule", schedule, ("constant", "cosine"))

    def factor(step: int) -> float:
        max_steps = module.max_steps
        warmup = min(warmup_steps, max_steps // 5) if max_steps > 0 else warmup_steps
        if step < warmup:
            return (step + 1) / warmup
        if schedule == "constant":
            return 1.0
        # While the speed is still measured there is no number of steps to fit the cosine to.
        progress = (step - warmup) / max(1, max_steps - warmup) if max_steps > 0 else 0.0
        return 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))

    optimizer = torch.optim.Adam(network.parameters(), lr=lr, fused=True)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
