"""task=super_resolution: trains an Upscaler against features, or pixels, of the large photo (Johnson et al. 2016)."""

from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

from fast_style.checkpoint import build_network
from fast_style.data.images import read_image
from fast_style.errors import FastStyleError
from fast_style.inference.stylize import stylize_files
from fast_style.losses import ERRORS, ContentError, Seen, mean_squared_error
from fast_style.networks.loss_network import load_loss_network
from fast_style.networks.upscaler import Upscaler, resize_bicubic
from fast_style.overrides import infer_command
from fast_style.training.data_parallel import DataParallel, sharing_cores
from fast_style.training.style_transfer import photo_to_stylize
from fast_style.training.task import Task
from fast_style.training.validation import fidelity

SIGMA, RADIUS = 1.0, 4  # of the blur before the reduction
SMALLEST = 16  # side of a crop that blur and SSIM have room in


def degrade(images: Tensor, scale: int) -> Tensor:
    """What a photo is reduced to: a Gaussian blur of sigma 1, then bicubic interpolation.

    (B, 3, H, W) in [0, 1], sides of more than 4 pixels -> (B, 3, H // scale, W // scale) in [0, 1]. Johnson et al.
    2016, section 4.2, which leaves open whether its interpolation is antialiased: here it is, as it is in programs that
    make pictures smaller.
    """
    with torch.autocast(images.device.type, enabled=False):  # bfloat16 is coarser than 8 bits a channel
        blurred = gaussian_blur(images, [2 * RADIUS + 1, 2 * RADIUS + 1], [SIGMA, SIGMA])
    return resize_bicubic(blurred, tuple(side // scale for side in images.shape[-2:])).clamp(0, 1)


class SuperResolution(Task):
    """Photos are made small, and the network is to give back what they were."""

    def __init__(self, config: dict):
        super().__init__(config)
        self.upscaler, self.error = build_network(config), config["error"]
        objective = config["objective"]
        self.content_weight, self.layers = objective["content_weight"], objective["content_layers"]
        self.feature_error = ContentError(self.layers, ERRORS[objective["error"]])
        if self.error == "feature":
            self.loss_network = load_loss_network(**config["loss_network"], layers=self.layers)
        self.training_terms = self.enlarged_terms

    @staticmethod
    def check(config: dict) -> None:
        read_image(photo_to_stylize(config))
        if config["init_from"] not in (None, "auto"):
            raise FastStyleError(f"init_from={config['init_from']}: task=super_resolution starts from scratch")
        if config["compile"] is True:
            raise FastStyleError("compile=true: task=super_resolution is not compiled")
        if config["style"]["image"]:
            raise FastStyleError(f"style.image={config['style']['image']}: task=super_resolution has no style")
        weighted = [name for name in ("style", "tv", "tone") if config["objective"][f"{name}_weight"]]
        weighted = [f"objective.{name}_weight" for name in weighted]
        if weighted := weighted + ["objective.terms"] * bool(config["objective"]["terms"]):
            raise FastStyleError(f"{weighted[0]}: task=super_resolution has features alone: give objective=feature")
        size, scale = config["image_size"], config["upscaler"]["scale"]
        if size % scale or size < SMALLEST:
            raise FastStyleError(f"image_size={size}: must be a multiple of scale={scale}, and at least {SMALLEST}")

    @property
    def network(self) -> Upscaler:
        return self.upscaler

    def forward(self, images: Tensor) -> Tensor:
        return self.upscaler(images)

    def errors(self, enlarged: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """The term of enlarged images beside the truth, both (B, 3, H, W): scalars by name."""
        enlarged = enlarged.float()
        if self.error == "pixel":
            return {"pixel_loss": mean_squared_error(enlarged, truth).mean()}
        with torch.no_grad():
            wanted = self.loss_network(truth)
        found = Seen(enlarged, {1: self.loss_network(enlarged)}, {}, truth, wanted)
        return {"content_loss": self.content_weight * self.feature_error(found).mean()}

    def enlarged_terms(self, truth: Tensor) -> dict[str, Tensor]:
        """The term of images (B, 3, H, W), made small and enlarged again."""
        return self.errors(self(degrade(truth, self.upscaler.scale)), truth)

    def terms(self, batch: Tensor, stage: str, batch_index: int) -> dict[str, Tensor]:
        if stage == "train":
            return self.training_terms(batch)
        small = degrade(batch, self.upscaler.scale)
        enlarged, bicubic = self(small), resize_bicubic(small, tuple(batch.shape[-2:]))
        for prefix, images in (("", enlarged), ("bicubic_", bicubic)):
            values = fidelity(images, batch).items()
            self.log_held_out({f"{prefix}{name}": value.mean() for name, value in values}, len(batch))
        return self.errors(enlarged, batch)

    def speed_up(self, config: dict, device: torch.device) -> None:
        """On a CPU have every core compute steps for images of its own."""
        if (cores := sharing_cores(config, device)) > 1:
            self.training_terms = DataParallel(self.enlarged_terms, self.upscaler, cores)

    def preview(self, batch: Tensor) -> Tensor:
        """Each image as what is seen of it, pixel by pixel, by bicubic interpolation, enlarged, and as it was: (4 B, 3,
        H, W)."""
        small = degrade(batch, self.upscaler.scale)
        seen = small.repeat_interleave(self.upscaler.scale, -2).repeat_interleave(self.upscaler.scale, -1)
        return torch.stack([seen, resize_bicubic(small, tuple(batch.shape[-2:])), self(small), batch], 1).flatten(0, 1)

    def draw(self, config: dict, folder: Path) -> tuple[Path, list[str]]:
        picture = folder / "enlarged.png"
        failures = stylize_files(self.upscaler, {photo_to_stylize(config): picture})
        return picture, list(failures.values())

    def next_command(self, model: Path) -> str:
        return f"Enlarge a photo of your own:\n\n  {infer_command(model, 'input=photo.jpg')}"
