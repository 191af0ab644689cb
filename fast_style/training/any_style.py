"""task=any_style: trains one network for every style, which it predicts from a picture (Ghiasi et al. 2017)."""

import threading
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor
from torchvision.transforms.v2.functional import adjust_contrast, adjust_hue, adjust_saturation, resize

from fast_style.data.styles import StyleError, file_sha256, find_styles, read_style_image
from fast_style.inference.stylize import stylize_files
from fast_style.networks.any_style import AnyStyleNet
from fast_style.networks.loss_network import load_loss_network
from fast_style.overrides import infer_command
from fast_style.training.data_parallel import DataParallel, sharing_cores
from fast_style.training.multi_style import ManyStyles
from fast_style.training.style_transfer import photo_to_stylize
from fast_style.training.warm_start import STATISTICS_LAYERS, start_any_style, style_statistics

HELD_OUT = 8  # pictures at most, evenly among all of them, and at most one in four
CROPS, CROPS_EACH = 1000, 4  # of the pictures, at most; 1.4 MB each are kept


class AnyStyle(ManyStyles):
    """The styles are crops of many pictures, in random sizes and colours; some pictures are held out.

    The crops are drawn once, and their Gram matrices kept: to compute these takes a fifth of a step.
    """

    def __init__(self, config: dict):
        pictures = [path for paths in find_styles(config["styles"]).values() for path in paths]
        every = max(4, -(-len(pictures) // HELD_OUT))
        self.held_out = pictures[every // 2 :: every]
        self.pictures = [path for path in pictures if path not in self.held_out]
        super().__init__(config | {"style": config["style"] | {"image": str(self.pictures[0])}})
        self.styles = {}  # not for the release file: there may be thousands
        hashes = [[file_sha256(path)] for path in pictures]
        self.save_hyperparameters({"config": config, "style_sha256": hashes})
        self.judge = load_loss_network("distilled", STATISTICS_LAYERS)
        size = style_statistics(self.judge, [torch.zeros(1, 3, 32, 32)]).shape[1]
        self.any_style_net = AnyStyleNet(config["model"], size)
        self.see_crops(config)
        if not start_any_style(self.any_style_net, config["init_from"]):
            self.any_style_net.predictor.fit_bottleneck(self.all_statistics)
        self.local = threading.local()
        self.training_terms = self.styled_terms

    @staticmethod
    def check(config: dict) -> None:
        ManyStyles.check(config)
        if len(find_styles(config["styles"])) < 4:
            raise StyleError("task=any_style learns from many pictures: give styles=FOLDER, or a list of at least 4")

    @property
    def network(self) -> AnyStyleNet:
        return self.any_style_net

    def see_crops(self, config: dict) -> None:
        """Keep statistics (N, S) and Gram matrices (N, C, C), in bfloat16, of crops of all pictures to learn from."""
        generator = np.random.default_rng(config["seed"])
        order = generator.permutation(len(self.pictures))
        chosen = [self.pictures[index] for index in np.tile(order, CROPS_EACH)[:CROPS]]
        size = config["style"]["style_size"]
        crops = (style_crop(path, size, 2 * size // 3, generator) for path in chosen)
        statistics, seen = [], []
        for crop in track(crops, "seeing the style pictures", total=len(chosen)):
            of_crop, *grams = self.targets([crop])
            statistics.append(of_crop)
            seen.append([gram.bfloat16() for gram in grams])
        self.register_buffer("all_statistics", torch.cat(statistics), persistent=False)
        for name, grams in zip(self.gram_names, zip(*seen, strict=True), strict=True):
            self.register_buffer(f"all_{name}", torch.cat(grams), persistent=False)

    def styled_terms(
        self, content_images: Tensor, painted: Tensor, statistics: Tensor, *grams: Tensor
    ) -> dict[str, Tensor]:
        """The loss of images (B, 3, H, W) in the styles of pictures with statistics (B, S) and Gram matrices (B, C, C),
        or, where they are not painted (B,), of the identity."""
        if not hasattr(self.local, "network"):
            self.local.network = self.any_style_net.replica()
        self.local.network.train(self.training)
        stylized = self.local.network(content_images, statistics, painted).float()
        return self.mean_terms(stylized, content_images, dict(zip(self.gram_names, grams, strict=True)), painted)

    @property
    def gram_names(self) -> list[str]:
        return [name for name, _ in self.perceptual_loss.named_buffers(recurse=False)]

    @torch.no_grad()
    def targets(self, pictures: list[Tensor]) -> list[Tensor]:
        """Statistics (B, S) and Gram matrices (B, C, C) of style pictures (1, 3, H, W)."""
        statistics = torch.cat([style_statistics(self.judge, [picture]) for picture in pictures])
        grams = [self.perceptual_loss.style_grams([picture]) for picture in pictures]
        return [statistics, *(torch.cat([gram[name] for gram in grams]) for name in self.gram_names)]

    def training_step(self, batch: Tensor, batch_index: int) -> Tensor:
        generator = self.generator()
        painted = torch.from_numpy(self.draw_painted(generator, len(batch))).to(batch.device)
        drawn = torch.from_numpy(generator.integers(len(self.all_statistics), size=len(batch))).to(batch.device)
        targets = [getattr(self, f"all_{name}")[drawn].float() for name in ("statistics", *self.gram_names)]
        return self.log_means(self.training_terms(batch, painted, *targets), painted)

    def held_out_targets(self, count: int, device: torch.device) -> list[Tensor]:
        size = self.hparams.config["style"]["style_size"]
        chosen = [self.held_out[index % len(self.held_out)] for index in range(count)]
        return self.targets([read_style_image(path, size).to(device) for path in chosen])

    def validation_step(self, batch: Tensor, batch_index: int) -> None:
        targets = self.held_out_targets(len(batch), batch.device)
        painted = torch.ones(len(batch), dtype=torch.bool, device=batch.device)
        terms = self.styled_terms(batch, painted, *targets)
        self.log_terms("val", {name: terms[name] for name in self.perceptual_loss.terms}, len(batch))
        if self.hparams.config["identity_share"]:
            change = self.styled_terms(batch, ~painted, *targets)["identity_loss"]
            self.log("val/identity_loss", change, batch_size=len(batch), sync_dist=True)

    def speed_up(self, config: dict, device: torch.device) -> None:
        """On a CPU have every core compute steps for images of its own."""
        if (cores := sharing_cores(config, device)) > 1:
            self.training_terms = DataParallel(self.styled_terms, self.any_style_net, cores)

    def preview(self, batch: Tensor) -> Tensor:
        """A row of four for each held-out picture: itself and three photos; and a row of two photos, each beside what
        the identity makes of it."""
        rows, size = [], self.hparams.config["style"]["style_size"]
        for path in self.held_out:
            picture = read_style_image(path, size).to(batch.device)
            rows += [resize(picture, list(batch.shape[-2:])), self.stylize(batch[:3], picture)]
        if self.hparams.config["identity_share"]:
            rows.append(torch.stack([batch[:2], self.stylize(batch[:2], None)], 1).flatten(0, 1))
        return torch.cat(rows)

    def stylize(self, content_images: Tensor, picture: Tensor | None) -> Tensor:
        """Images (B, 3, H, W) in the style of a picture (1, 3, H, W), or as the identity leaves them."""
        count, predictor = len(content_images), self.any_style_net.predictor
        statistics = predictor.mean[None] if picture is None else style_statistics(self.judge, [picture])
        painted = torch.full((count,), picture is not None, device=content_images.device)
        return self.any_style_net(content_images, statistics.expand(count, -1), painted).float()

    def draw(self, config: dict, folder: Path) -> tuple[Path, list[str]]:
        photo, failures = photo_to_stylize(config), []
        for path in self.held_out:
            statistics = style_statistics(self.judge, [read_style_image(path, config["style"]["style_size"])])
            transformer = self.any_style_net.predict([path.stem], statistics).transformer_for(path.stem)
            failures += stylize_files(transformer, {photo: folder / "stylized" / f"{path.stem}.png"}).values()
        return folder / "stylized", failures

    def next_command(self, model: Path) -> str:
        return (
            "Stylise a photo of your own by a painting of your own:\n\n  "
            f"{infer_command(model, 'input=photo.jpg', 'style.image=painting.jpg')}"
        )


def style_crop(path: Path, style_size: int, size: int, generator: np.random.Generator) -> Tensor:
    """A random part of a picture as a style of its own, (1, 3, size, size) at most: strokes from 0.7 to 1.3 times as
    large as at `style_size`, mirrored or not, half of them in other colours. Raises StyleError."""
    picture = read_style_image(path, max(size, round(style_size * generator.uniform(0.7, 1.3))))
    height, width = (min(size, side) for side in picture.shape[-2:])
    sides = zip(picture.shape[-2:], (height, width), strict=True)
    top, left = (generator.integers(side - part + 1) for side, part in sides)
    crop = picture[..., top : top + height, left : left + width]
    if generator.random() < 0.5:
        crop = crop.flip(-1)
    if generator.random() < 0.5:
        crop = adjust_hue(crop, generator.uniform(-0.5, 0.5))
        crop = adjust_saturation(crop, generator.uniform(0.4, 1.4))
        crop = adjust_contrast(crop, generator.uniform(0.7, 1.3))
        crop = crop.clamp(0, 1) ** np.exp(generator.uniform(-0.4, 0.4))
    return crop
