"""task=texture and task=diverse_style_transfer: train a TextureGenerator to draw textures, or variants of photos.

Ulyanov et al., "Texture Networks" (ICML 2016), and "Improved Texture Networks: Maximizing Quality and Diversity in
Feed-forward Stylization and Texture Synthesis" (CVPR 2017).
"""

import sys
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from fast_style.data.images import read_image
from fast_style.errors import FastStyleError
from fast_style.inference.sampling import Variant, sample_files
from fast_style.inference.stylize import stylize_files
from fast_style.networks.texture_generator import TextureGenerator
from fast_style.overrides import infer_command
from fast_style.training.style_transfer import photo_to_stylize
from fast_style.training.task import StyleTask
from fast_style.training.validation import likeness

PICTURE_SIZE = (512, 512)  # of the texture that a training ends with
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


class GeneratorTask(StyleTask):
    """What both tasks of a TextureGenerator share.

    Noise is a function of the seed, the step and the place in the batch alone, so that a resumed run sees the noise it
    would have seen.
    """

    content: bool  # whether the generator sees a photo beside the noise

    def __init__(self, config: dict):
        super().__init__(config)
        self.generator = TextureGenerator(**config["generator"], content=self.content)
        self.diversity_weight, self.seed = config["diversity_weight"], config["seed"]

    @staticmethod
    def check(config: dict) -> None:
        name = config["task"]["name"]
        if config["init_from"] not in (None, "auto"):
            raise FastStyleError(f"init_from={config['init_from']}: task={name} starts from scratch")
        if config["compile"] is True:
            raise FastStyleError(f"compile=true: task={name} is not compiled")

    @property
    def network(self) -> TextureGenerator:
        return self.generator

    def seeds(self, stage: str, batch_index: int, count: int) -> list[tuple[int, ...]]:
        seed = (VALIDATION_SEED, batch_index) if stage == "val" else (self.seed, self.global_step)
        return [(*seed, self.global_rank, index) for index in range(count)]

    def add_diversity(self, terms: dict[str, Tensor], samples: Tensor, stage: str) -> dict[str, Tensor]:
        """The terms and that of diversity, if it has a weight, for samples (groups, N, 3, H, W)."""
        if stage == "val":
            self.log_held_out({"diversity": diversity(samples.detach().clamp(0, 1))}, len(samples))
        if not self.diversity_weight:
            return terms
        # Departs from Ulyanov et al. 2017 by a constant: their distance is a sum over pixels, not a mean.
        return terms | {"diversity_loss": -self.diversity_weight * ensemble_entropy(samples)}


class Texture(GeneratorTask):
    """task=texture (Ulyanov et al. 2016): noise becomes a texture."""

    content = False

    def __init__(self, config: dict):
        super().__init__(config)
        self.size = (config["image_size"], config["image_size"])

    @staticmethod
    def check(config: dict) -> None:
        GeneratorTask.check(config)
        if config["photo"]:
            raise FastStyleError(f"photo={config['photo']}: task=texture has no photo to stylise")
        if config["objective"].get("match_colors"):
            raise FastStyleError("objective.match_colors=true: task=texture has no photo whose colours it could have")
        if config["diversity_weight"] and config["batch_size"] < 2:
            raise FastStyleError("batch_size=1: the diversity term compares textures; give 2, or diversity_weight=0")

    def data(self, config: dict) -> "BatchSizes":
        return BatchSizes(config["batch_size"])

    def forward(self, count: int, stage: str, batch_index: int) -> Tensor:
        """Textures (count, 3, H, W)."""
        return self.generator(self.generator.draw_noise(self.size, self.seeds(stage, batch_index, count)), self.size)

    def terms(self, batch: Tensor, stage: str, batch_index: int) -> dict[str, Tensor]:
        textures = self(len(batch), stage, batch_index)
        return self.add_diversity(self.perceptual_loss.without_content(textures), textures[None], stage)

    def preview(self, batch: Tensor) -> Tensor:
        return self(len(batch), "val", 0)

    def draw(self, config: dict, folder: Path) -> tuple[Path, list[str]]:
        sample_files(self.generator, [folder / "texture.png"], PICTURE_SIZE, config["seed"])
        return folder / "texture.png", []

    def next_command(self, model: Path) -> str:
        return f"Draw more of it:\n\n  {infer_command(model, 'count=4', 'size=512')}"


class DiverseStyleTransfer(GeneratorTask):
    """task=diverse_style_transfer (Ulyanov et al. 2017): a photo and noise become one of many stylised photos."""

    content = True

    @staticmethod
    def check(config: dict) -> None:
        GeneratorTask.check(config)
        read_image(photo_to_stylize(config))

    def forward(self, content_images: Tensor, variants: int, stage: str, batch_index: int) -> Tensor:
        """Each of the photos (B, 3, H, W) in so many ways: (B, variants, 3, H, W)."""
        repeated = content_images.repeat_interleave(variants, 0)
        size = tuple(repeated.shape[-2:])
        noise = self.generator.draw_noise(size, self.seeds(stage, batch_index, len(repeated)))
        return self.generator(noise, size, repeated).unflatten(0, (len(content_images), variants))

    def terms(self, batch: Tensor, stage: str, batch_index: int) -> dict[str, Tensor]:
        samples = self(batch, VARIANTS, stage, batch_index)
        pictures, photos = samples.flatten(0, 1), batch.repeat_interleave(VARIANTS, 0)
        terms = self.perceptual_loss(pictures, photos)
        if stage == "val":
            self.log_held_out(likeness(pictures, photos), len(batch))
        return self.add_diversity(terms, samples, stage)

    def preview(self, batch: Tensor) -> Tensor:
        """Each photo beside three variants of it: (4 B, 3, H, W)."""
        return torch.cat([batch[:, None], self(batch, 3, "val", 0)], 1).flatten(0, 1)

    def draw(self, config: dict, folder: Path) -> tuple[Path, list[str]]:
        picture = folder / "stylized.png"
        variant = Variant(self.generator, config["seed"], 0)
        failures = stylize_files(variant, {photo_to_stylize(config): picture})
        return picture, list(failures.values())

    def next_command(self, model: Path) -> str:
        return f"Stylise a photo of your own:\n\n  {infer_command(model, 'input=photo.jpg', 'count=4')}"


class BatchSizes(pl.LightningDataModule):
    """Batches for textures, which see no photos: nothing of a batch is read but its length."""

    def __init__(self, batch_size: int):
        super().__init__()
        self.batch_size = batch_size

    def train_dataloader(self) -> DataLoader:
        return DataLoader(range(sys.maxsize), self.batch_size)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(range(VALIDATION_COUNT), VALIDATION_COUNT)
