"""task=multi_style: trains one network for several styles (Dumoulin et al. 2017)."""

import threading
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from fast_style.data.images import read_image
from fast_style.data.styles import file_sha256, find_styles, read_style_images
from fast_style.errors import FastStyleError
from fast_style.inference.stylize import stylize_files
from fast_style.networks.loss_network import load_loss_network
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.overrides import infer_command
from fast_style.training.data_parallel import DataParallel, sharing_cores
from fast_style.training.style_transfer import photo_to_stylize
from fast_style.training.task import Task
from fast_style.training.warm_start import STATISTICS_LAYERS, start_styles, style_statistics

ROWS = 8  # styles that a preview shows


class MultiStyle(Task):
    """Every image of a batch gets a style of its own, a function of the seed, the step and the process alone."""

    def __init__(self, config: dict):
        styles = find_styles(config["styles"])
        first = next(iter(styles.values()))
        super().__init__(config | {"style": config["style"] | {"image": [str(path) for path in first]}})
        hashes = [file_sha256(path) for path in chain(*styles.values())]
        self.save_hyperparameters({"config": config, "names": list(styles), "style_sha256": hashes})
        self.styles = styles
        self.pictures = [read_style_images(paths, config["style"]["style_size"]) for paths in styles.values()]
        grams = [self.perceptual_loss.style_grams(pictures) for pictures in self.pictures]
        for name in grams[0]:
            self.register_buffer(f"all_{name}", torch.cat([gram[name] for gram in grams]), persistent=False)
        self.gram_names = list(grams[0])
        judge = load_loss_network("distilled", STATISTICS_LAYERS)
        statistics = torch.cat([style_statistics(judge, pictures) for pictures in self.pictures])
        self.multi_style_net = MultiStyleNet(config["model"], list(styles), statistics)
        start_styles(self.multi_style_net, config["init_from"])
        self.seed, self.local = config["seed"], threading.local()
        self.training_terms = self.styled_terms

    @staticmethod
    def check(config: dict) -> None:
        find_styles(config["styles"])
        read_image(photo_to_stylize(config))
        if config["compile"] is True:
            raise FastStyleError("compile=true: task=multi_style is not compiled")
        if config["model"].get("norm") != "instance":
            raise FastStyleError("model.norm must be instance: its scales and shifts make the styles")

    @property
    def network(self) -> MultiStyleNet:
        return self.multi_style_net

    def styled_terms(self, content_images: Tensor, styles: Tensor) -> dict[str, Tensor]:
        """The loss of images (B, 3, H, W) in styles (B,), and its terms without a graph, means over the images."""
        if not hasattr(self.local, "network"):
            self.local.network = self.multi_style_net.replica()
        self.local.network.train(self.training)
        mixtures = torch.eye(len(self.styles), device=content_images.device)[styles]
        stylized = self.local.network(content_images, mixtures)
        grams = {name: getattr(self, f"all_{name}")[styles] for name in self.gram_names}
        content_features = self.perceptual_loss.content_features(content_images)
        terms = self.perceptual_loss.per_image(stylized, content_images, content_features, grams)
        # The logarithm: a style with next to no energy in one layer has a huge relative error there, and its gradient
        # would drown the others'.
        loss = sum(terms.values()).log().mean()
        return {"loss": loss} | {name: value.detach().mean() for name, value in terms.items()}

    def training_step(self, batch: Tensor, batch_index: int) -> Tensor:
        generator = np.random.default_rng([self.seed, self.global_step, self.global_rank])
        styles = torch.from_numpy(generator.integers(len(self.styles), size=len(batch))).to(batch.device)
        terms = self.training_terms(batch, styles)
        loss = terms.pop("loss")
        # The value of the total, which says how far the training is, with the gradient of its logarithm.
        return self.log_terms("train", terms, len(batch)) + (loss - loss.detach())

    def validation_step(self, batch: Tensor, batch_index: int) -> None:
        styles = torch.arange(len(batch), device=batch.device) % len(self.styles)
        terms = self.styled_terms(batch, styles)
        terms.pop("loss")
        self.log_terms("val", terms, len(batch))

    def speed_up(self, config: dict, device: torch.device) -> None:
        """On a CPU have every core compute steps for images of its own."""
        if (cores := sharing_cores(config, device)) > 1:
            self.training_terms = DataParallel(self.styled_terms, self.multi_style_net, cores)

    def preview(self, batch: Tensor) -> Tensor:
        """A row of four for each of the first styles: its picture, or the first of them, and three photos."""
        rows = []
        for index, pictures in enumerate(self.pictures[:ROWS]):
            mixtures = torch.eye(len(self.pictures), device=batch.device)[index].expand(len(batch[:3]), -1)
            shown = resize(pictures[0], list(batch.shape[-2:])).to(batch.device)
            rows += [shown, self.multi_style_net(batch[:3], mixtures).float()]
        return torch.cat(rows)

    def draw(self, config: dict, folder: Path) -> tuple[Path, list[str]]:
        photo, failures = photo_to_stylize(config), []
        for name in self.styles:
            transformer = self.multi_style_net.transformer_for(name)
            failures += stylize_files(transformer, {photo: folder / "stylized" / f"{name}.png"}).values()
        return folder / "stylized", failures

    def next_command(self, model: Path) -> str:
        return f"Stylise a photo of your own:\n\n  {infer_command(model, 'input=photo.jpg', 'style=all')}"
