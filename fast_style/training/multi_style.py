"""task=multi_style: trains one network for several styles (Dumoulin et al. 2017)."""

import threading
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2.functional import resize

from fast_style.checkpoint import task_of
from fast_style.data.images import read_image
from fast_style.data.styles import file_sha256, find_styles, read_style_images
from fast_style.errors import FastStyleError
from fast_style.inference.stylize import stylize_files
from fast_style.losses import relative_error
from fast_style.networks.loss_network import load_loss_network
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.overrides import infer_command
from fast_style.training.data_parallel import DataParallel, sharing_cores
from fast_style.training.style_transfer import photo_to_stylize
from fast_style.training.task import StyleTask
from fast_style.training.validation import likeness
from fast_style.training.warm_start import STATISTICS_LAYERS, start_styles, style_statistics

ROWS = 8  # styles that a preview shows
PIXEL_WEIGHT = 10  # of a photo's relative squared error, beside the content term, where the identity is learnt


class ManyStyles(StyleTask):
    """Every image of a batch gets a style of its own, or, departing from Dumoulin et al. 2017, is to stay what it is:
    the network learns an identity beside the styles, and with it how strongly to paint."""

    @staticmethod
    def check(config: dict) -> None:
        find_styles(config["styles"])
        read_image(photo_to_stylize(config))
        if config["compile"] is True:
            raise FastStyleError(f"compile=true: task={task_of(config)} is not compiled")
        if config["identity_share"] and config["batch_size"] == 1:
            raise FastStyleError("batch_size=1: the identity is learnt beside a style; give 2, or identity_share=0")
        if config["objective"].get("match_colors"):
            raise FastStyleError(
                f"objective.match_colors=true: task={task_of(config)} paints styles in their own colours"
            )
        if config["model"].get("norm") != "instance":
            raise FastStyleError("model.norm must be instance: its scales and shifts make the styles")

    def mean_terms(
        self, stylized: Tensor, content_images: Tensor, style_grams: dict[str, Tensor], painted: Tensor
    ) -> dict[str, Tensor]:
        """The loss of what a network makes of images (B, 3, H, W), and its terms without a graph, means over them.

        What is not painted, (B,), is to keep features and pixels of its photo: features alone leave its colours open,
        pixels alone blur it.
        """
        content_features = self.perceptual_loss.content_features(content_images)
        terms = self.perceptual_loss.per_image(stylized, content_images, content_features, style_grams)
        change = terms["content_loss"] + PIXEL_WEIGHT * relative_error(stylized, content_images)
        # The logarithm: a style with next to no energy in one layer has a huge relative error there, and its gradient
        # would drown the others'. A photo can be kept as well as one likes: from 1, for its gradient to end, too.
        loss = torch.where(painted, sum(terms.values()).log(), change.log1p()).mean()
        shown = {name: value * painted for name, value in terms.items()} | {"identity_loss": change * ~painted}
        return {"loss": loss} | {name: value.detach().mean() for name, value in shown.items()}

    def generator(self) -> np.random.Generator:
        """What a step draws: a function of the seed, the step and the process alone."""
        return np.random.default_rng([self.hparams.config["seed"], self.global_step, self.global_rank])

    def draw_painted(self, generator: np.random.Generator, count: int) -> np.ndarray:
        """Which images (B,) of a step are painted. The first always is, so that each step has a loss to tell by how far
        the styles are."""
        painted = np.ones(count, bool)
        if share := self.hparams.config["identity_share"]:
            painted[1:] = generator.random(count - 1) >= share * count / (count - 1)
        return painted

    def log_means(self, terms: dict[str, Tensor], painted: Tensor) -> Tensor:
        """Log what `mean_terms` gives of a training step; what is to be differentiated."""
        loss, change = terms.pop("loss"), terms.pop("identity_loss")
        share = painted.float().mean()
        if share < 1:
            self.log("train/identity_loss", change / (1 - share), batch_size=len(painted))
        terms = {name: value / share for name, value in terms.items()}
        # The value of the total, which says how far the training is, with the gradient of its logarithm.
        return self.log_terms("train", terms, len(painted)) + (loss - loss.detach())


class MultiStyle(ManyStyles):
    """The styles are those of some pictures."""

    def __init__(self, config: dict):
        styles = find_styles(config["styles"])
        first = next(iter(styles.values()))
        super().__init__(config | {"style": config["style"] | {"image": [str(path) for path in first]}})
        hashes = [[file_sha256(path) for path in paths] for paths in styles.values()]
        self.save_hyperparameters({"config": config, "names": list(styles), "style_sha256": hashes})
        self.styles = styles
        self.pictures = [read_style_images(paths, config["style"]["style_size"]) for paths in styles.values()]
        grams = [self.perceptual_loss.style_grams(pictures) for pictures in self.pictures]
        for name in grams[0]:
            self.register_buffer(f"all_{name}", torch.cat([gram[name] for gram in grams]), persistent=False)
        self.gram_names = list(grams[0])
        judge = load_loss_network("distilled", STATISTICS_LAYERS)
        statistics = torch.cat([style_statistics(judge, pictures) for pictures in self.pictures])
        self.multi_style_net = MultiStyleNet(config["model"], list(styles), statistics, config["identity_share"] > 0)
        start_styles(self.multi_style_net, config["init_from"])
        self.identity_share, self.local = config["identity_share"], threading.local()
        self.training_terms = self.styled_terms

    @property
    def network(self) -> MultiStyleNet:
        return self.multi_style_net

    def styled_terms(self, content_images: Tensor, styles: Tensor) -> dict[str, Tensor]:
        """The loss of images (B, 3, H, W) in styles (B,), of which one beyond the last is the identity."""
        if not hasattr(self.local, "network"):
            self.local.network = self.multi_style_net.replica()
        self.local.network.train(self.training)
        stylized = self.local.network(content_images, self.one_each(styles)).float()
        # The identity has no Gram matrices; those of the last style are there to be left out.
        grams = {name: getattr(self, f"all_{name}")[styles.clamp_max(len(self.styles) - 1)] for name in self.gram_names}
        return self.mean_terms(stylized, content_images, grams, styles < len(self.styles))

    def one_each(self, styles: Tensor) -> Tensor:
        """The mixtures (B, N or N + 1) of styles (B,)."""
        return torch.eye(len(self.multi_style_net.offsets), device=styles.device)[styles]

    def draw_styles(self, count: int) -> Tensor:
        """A style (B,) for every image of a step, or the identity."""
        generator = self.generator()
        styles = generator.integers(len(self.styles), size=count)
        styles[~self.draw_painted(generator, count)] = len(self.styles)
        return torch.from_numpy(styles)

    def training_step(self, batch: Tensor, batch_index: int) -> Tensor:
        styles = self.draw_styles(len(batch)).to(batch.device)
        return self.log_means(self.training_terms(batch, styles), styles < len(self.styles))

    def validation_step(self, batch: Tensor, batch_index: int) -> None:
        styles = torch.arange(len(batch), device=batch.device) % len(self.styles)
        terms = self.styled_terms(batch, styles)
        self.log_terms("val", {name: terms[name] for name in self.perceptual_loss.terms}, len(batch))
        values = likeness(self.multi_style_net(batch, self.one_each(styles)), batch)
        self.log_held_out(values, len(batch))
        if self.identity_share:
            change = self.styled_terms(batch, torch.full_like(styles, len(self.styles)))["identity_loss"]
            self.log("val/identity_loss", change, batch_size=len(batch), sync_dist=True)

    def speed_up(self, config: dict, device: torch.device) -> None:
        """On a CPU have every core compute steps for images of its own."""
        if (cores := sharing_cores(config, device)) > 1:
            self.training_terms = DataParallel(self.styled_terms, self.multi_style_net, cores)

    def preview(self, batch: Tensor) -> Tensor:
        """A row of four for each of the first styles: its picture, or the first of them, and three photos; and a row of
        two photos, each beside what the identity makes of it."""
        rows = []
        for index, pictures in enumerate(self.pictures[:ROWS]):
            shown = resize(pictures[0], list(batch.shape[-2:])).to(batch.device)
            rows += [shown, self.stylize(batch[:3], index)]
        if self.identity_share:
            photos = batch[:2]
            rows.append(torch.stack([photos, self.stylize(photos, len(self.styles))], 1).flatten(0, 1))
        return torch.cat(rows)

    def stylize(self, content_images: Tensor, style: int) -> Tensor:
        """Images (B, 3, H, W) in one style, or as the identity leaves them."""
        styles = torch.full((len(content_images),), style, device=content_images.device)
        return self.multi_style_net(content_images, self.one_each(styles)).float()

    def draw(self, config: dict, folder: Path) -> tuple[Path, list[str]]:
        photo, failures = photo_to_stylize(config), []
        for name in self.styles:
            transformer = self.multi_style_net.transformer_for(name)
            failures += stylize_files(transformer, {photo: folder / "stylized" / f"{name}.png"}).values()
        return folder / "stylized", failures

    def next_command(self, model: Path) -> str:
        return f"Stylise a photo of your own:\n\n  {infer_command(model, 'input=photo.jpg', 'style=all')}"
