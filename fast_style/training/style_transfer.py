"""task=style_transfer: trains a TransformerNet against a perceptual loss (Johnson et al. 2016)."""

from pathlib import Path

import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from fast_style.checkpoint import build_network
from fast_style.data.images import read_image
from fast_style.data.sample_photos import sample_photo
from fast_style.errors import FastStyleError
from fast_style.hardware import why_not_compiled
from fast_style.inference.stylize import stylize_files
from fast_style.networks.transformer_net import TransformerNet
from fast_style.overrides import infer_command
from fast_style.training.data_parallel import DataParallel, sharing_cores
from fast_style.training.stability import stability_error
from fast_style.training.task import StyleTask
from fast_style.training.validation import DistanceToIdeal, likeness
from fast_style.training.warm_start import initial_state

SAMPLE_PHOTO = "chelsea.png"


def photo_to_stylize(config: dict) -> Path:
    """The photo that a training ends with: the user's, or one that scikit-image carries."""
    return Path(config["photo"]) if config["photo"] else sample_photo(SAMPLE_PHOTO)


class StyleTransfer(StyleTask):
    """The main job."""

    def __init__(self, config: dict):
        super().__init__(config)
        own = config["model"].get("_target_", "").rpartition(".")[0]
        self.transformer = build_network(config, modules=[own])
        if state_dict := initial_state(config["init_from"], config["model"], self.style_images):
            self.transformer.load_state_dict(state_dict)
        self.stability_weight = config.get("stability_weight", 0)  # a task of the user's may lack it
        self.training_terms = self.stylized_terms
        self.distance_to_ideal = DistanceToIdeal(self.perceptual_loss, self.style_images)

    @staticmethod
    def check(config: dict) -> None:
        read_image(photo_to_stylize(config))

    @property
    def network(self) -> TransformerNet:
        return self.transformer

    def forward(self, content_images: Tensor) -> Tensor:
        return self.transformer(content_images)

    def stylized_terms(self, content_images: Tensor) -> dict[str, Tensor]:
        """Weighted terms of the objective on the stylised images (B, 3, H, W), scalars by name."""
        stylized = self.transformer(content_images)
        terms = self.perceptual_loss(stylized, content_images)
        if self.stability_weight:
            error = stability_error(self.transformer, content_images, stylized)
            terms["stability_loss"] = self.stability_weight * error
        return terms

    def terms(self, batch: Tensor, stage: str, batch_index: int) -> dict[str, Tensor]:
        # Validation, with its other batch sizes, is neither compiled nor shared out.
        return self.training_terms(batch) if stage == "train" else self.held_out_terms(batch, batch_index)

    def held_out_terms(self, photos: Tensor, batch_index: int) -> dict[str, Tensor]:
        """The same as `stylized_terms`; logs what else is known of the pictures."""
        stylized, features = self.transformer(photos), self.perceptual_loss.content_features(photos)
        terms = self.perceptual_loss.per_image(stylized, photos, features)
        values = likeness(stylized, photos)
        distance = self.distance_to_ideal(terms, photos, features, values["tone"], batch_index)
        if distance is not None:
            values["distance_to_ideal"] = distance
        self.log_held_out(values, len(photos))
        return {name: value.mean() for name, value in terms.items()}

    def speed_up(self, config: dict, device: torch.device) -> None:
        """Compile the steps on a GPU; on a CPU have every core compute steps for images of its own."""
        compiled = device.type == "cuda" if config["compile"] == "auto" else config["compile"]
        if compiled and (reason := why_not_compiled(device)):
            if config["compile"] is True:
                raise FastStyleError(f"compile=true fails here: {reason}")
            rank_zero_only(print)(f"compile=auto: this training is not compiled: {reason}")
            compiled = False
        if compiled:
            self.training_terms = torch.compile(self.stylized_terms)
        elif (cores := sharing_cores(config, device)) > 1:
            self.training_terms = DataParallel(self.stylized_terms, self.transformer, cores)

    def preview(self, batch: Tensor) -> Tensor:
        """Each content image beside its stylised one: (2 B, 3, H, W)."""
        return torch.stack([batch, self(batch)], 1).flatten(0, 1)

    def draw(self, config: dict, folder: Path) -> tuple[Path, list[str]]:
        picture = folder / "stylized.png"
        failures = stylize_files(self.transformer, {photo_to_stylize(config): picture})
        return picture, list(failures.values())

    def next_command(self, model: Path) -> str:
        return f"Stylise a photo of your own:\n\n  {infer_command(model, 'input=photo.jpg')}"
