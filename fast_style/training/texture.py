"""TextureNetwork: trains a TextureGenerator to draw textures, or variants of photos, that have a picture's style.

Ulyanov et al., "Texture Networks" (ICML 2016), and "Improved Texture Networks: Maximizing Quality and Diversity in
Feed-forward Stylization and Texture Synthesis" (CVPR 2017).
"""

import sys

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fast_style.data.styles import find_style_image, read_style_image
from fast_style.errors import FastStyleError
from fast_style.losses import PerceptualLoss
from fast_style.networks.loss_network import load_loss_network
from fast_style.networks.texture_generator import TextureGenerator
from fast_style.training.style_transfer import adam

VARIANTS = 2  # of each photo in a training step: the fewest that have a distance
VALIDATION_COUNT = 8  # textures
VALIDATION_SEED = 2**32 - 1  # training may have any other
CLOSEST = 1e-3  # distance below which samples count as the same: a quarter of an 8-bit level


def pairwise_distances(samples: Tensor) -> Tensor:
    """Root mean squared difference of every two samples: (..., N, C, H, W) -> (..., N, N), in float32 or float64."""
    flat = (samples if samples.dtype == torch.float64 else samples.float()).flatten(-3)
    # Not by matrix products, which lose small distances to cancellation.
    return torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist") / flat.shape[-1] ** 0.5


def ensemble_entropy(samples: Tensor) -> Tensor:
    """Mean logarithm of the distance to the nearest other sample: (..., N, C, H, W) -> scalar.

    Ulyanov et al. 2017, section 3: up to a factor and a constant the estimate of Kozachenko & Leonenko (1987) of the
    entropy of a generator's samples. Distances below 1e-3 count as 1e-3, so that the value stays finite.
    """
    distances = pairwise_distances(samples)
    itself = torch.eye(distances.shape[-1], dtype=torch.bool, device=distances.device)
    return distances.masked_fill(itself, torch.inf).amin(-1).clamp_min(CLOSEST).log().mean()


def diversity(samples: Tensor) -> Tensor:
    """Mean distance of two samples, root mean squared over pixels in [0, 1]: (..., N, C, H, W) -> scalar."""
    distances, count = pairwise_distances(samples), samples.shape[-4]
    return (distances.sum((-2, -1)) / (count * (count - 1))).mean()


class NoContent(pl.LightningDataModule):
    """Batches for textures, which have no content images: nothing of a batch is read but its length."""

    def __init__(self, batch_size: int):
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self) -> DataLoader:
        return DataLoader(range(sys.maxsize), self.batch_size)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(range(VALIDATION_COUNT), VALIDATION_COUNT)


class TextureNetwork(pl.LightningModule):
    """task=texture and task=diverse_style_transfer. `config` is the resolved training config as plain data.

    Noise is a function of the seed, the step and the place in the batch alone, so that a resumed run sees the noise it
    would have seen.
    """

    def __init__(self, config: dict):
        super().__init__()
        self.save_hyperparameters()
        style, objective = dict(config["style"]), config["objective"]
        style_size = style.pop("style_size")
        self.style_image = find_style_image(**style)
        self.generator = TextureGenerator(**config["generator"], content=config["task"] != "texture")
        layers = [*objective["content_layers"], *objective["style_layers"]]
        self.perceptual_loss = PerceptualLoss(
            load_loss_network(**config["loss_network"], layers=layers),
            read_style_image(self.style_image, style_size),
            **objective,
        )
        self.diversity_weight = config["diversity_weight"]
        if self.diversity_weight and config["task"] == "texture" and config["batch_size"] < 2:
            raise FastStyleError("batch_size=1: the diversity term compares textures; give 2, or diversity_weight=0")
        self.size, self.seed = (config["image_size"], config["image_size"]), config["seed"]
        self.optimizer = config["optimizer"]
        self.max_steps = config["max_steps"]  # -1 until a budget sets it

    def forward(self, batch: Tensor, variants: int, seed: tuple[int, ...]) -> Tensor:
        """Samples (groups, N, 3, H, W) that compare with one another: all textures of a batch, or `variants` of each of
        its photos."""
        content_images = batch.repeat_interleave(variants, 0) if self.generator.content else None
        count = len(batch) if content_images is None else len(content_images)
        size = self.size if content_images is None else tuple(content_images.shape[-2:])
        noise = self.generator.draw_noise(size, [(*seed, index) for index in range(count)])
        groups = 1 if content_images is None else len(batch)
        return self.generator(noise, size, content_images).unflatten(0, (groups, -1))

    def training_step(self, batch: Tensor, batch_index: int) -> Tensor:
        return self._log_terms("train", batch, (self.seed, self.global_step, self.global_rank))

    def validation_step(self, batch: Tensor, batch_index: int) -> None:
        self._log_terms("val", batch, (VALIDATION_SEED, batch_index, self.global_rank))

    def preview(self, batch: Tensor) -> Tensor:
        """Textures, or each photo beside three variants of it: (N, 3, H, W)."""
        samples = self(batch, 3, (VALIDATION_SEED, 0, 0))
        return torch.cat([batch[:, None], samples], 1).flatten(0, 1) if self.generator.content else samples[0]

    def _log_terms(self, stage: str, batch: Tensor, seed: tuple[int, ...]) -> Tensor:
        samples = self(batch, VARIANTS, seed)
        images = samples.flatten(0, 1)
        if self.generator.content:
            terms = self.perceptual_loss(images, batch.repeat_interleave(VARIANTS, 0))
        else:
            terms = self.perceptual_loss.without_content(images)
        if self.diversity_weight:
            # Departs from Ulyanov et al. 2017 by a constant: their distance is a sum over pixels, not a mean.
            terms["diversity_loss"] = -self.diversity_weight * ensemble_entropy(samples)
        total = sum(terms.values())
        values = {f"{stage}/{name}": value.detach() for name, value in (terms | {"total_loss": total}).items()}
        if stage == "val":
            values["val/diversity"] = diversity(samples.clamp(0, 1))
        self.log_dict(values, prog_bar=stage == "train", batch_size=len(images), sync_dist=stage == "val")
        return total

    def configure_optimizers(self) -> dict:
        return adam(self, self.generator, **self.optimizer)
