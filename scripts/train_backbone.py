"""Train the backbone that new styles start from: one transformer for many styles at once.

    python scripts/train_backbone.py --photos /data/photos --styles paintings fast_style/assets/styles random_styles

Every image of a batch gets a style of its own: one of all pictures in the given folders; scripts/random_styles.py
paints as many as are wanted. What is written are running averages of the weights, so that the rate need not fall at
the end: a training goes on for as long as there is time, with --resume from the .resume file beside the output, which
has Adam's moments, with --start from what was written.
"""

import argparse
import platform
import shlex
import sys
import threading
import time
from pathlib import Path

import hydra
import numpy as np
import torch
from omegaconf import OmegaConf
from rich.progress import Progress, track
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchvision.transforms import v2
from torchvision.utils import make_grid

from fast_style.checkpoint import (
    BACKBONE_FORMAT,
    is_backbone,
    load_backbone,
    load_transformer,
    read_metadata,
    write_safetensors,
)
from fast_style.commands import CONFIGS
from fast_style.data.content import CROP_MARGIN, ImageFolder, RandomCrops
from fast_style.data.images import find_images, write_image
from fast_style.data.procedural import procedural_image
from fast_style.data.styles import read_style_image
from fast_style.errors import FastStyleError
from fast_style.hardware import keep_freed_memory, pick_device, pick_precision
from fast_style.losses import PerceptualLoss
from fast_style.networks.fast_layers import accelerate
from fast_style.networks.loss_network import load_loss_network
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.training.data_parallel import DataParallel
from fast_style.training.warm_start import STATISTICS_LAYERS, style_statistics
from fast_style.writing import save_whole

AVERAGING = 0.999  # decay of the running average of the weights, a step
SAVE_EVERY = 300  # seconds


@torch.no_grad()
def measure_styles(
    loss: PerceptualLoss, styles: list[Tensor], device: torch.device
) -> tuple[dict[str, Tensor], Tensor]:
    """Gram matrices (N, C, C) by name and statistics (N, S) of the styles."""
    grams, statistics = [], []
    for style in track(styles, "measuring styles"):
        grams.append(loss.style_grams(style.to(device)))
        statistics.append(style_statistics(loss.loss_network, style.to(device)))
    return {name: torch.cat([gram[name] for gram in grams]) for name in grams[0]}, torch.cat(statistics)


def read_photos(folder: str, short_side: int, unreadable_log: Path) -> list[np.ndarray]:
    """All photos of a folder but the last 100 by name, which are held out."""
    photos = ImageFolder(find_images(folder)[:-100], short_side, unreadable_log)
    return [photos[i] for i in track(range(len(photos)), "reading photos")]


def draw_procedural(count: int, side: int, seed: int) -> list[np.ndarray]:
    generators = [np.random.default_rng([seed, index]) for index in range(count)]
    return [procedural_image(side, generator) for generator in track(generators, "drawing procedural images")]


def save(path: Path, backbone: MultiStyleNet, model: dict, styles: list[str], history: list[dict]) -> None:
    """Write the backbone in half precision."""
    state_dict = {name: tensor.half() for name, tensor in backbone.state_dict().items()}
    metadata = {"format": BACKBONE_FORMAT, "model": model, "styles": styles, "training": history}
    write_safetensors(path, state_dict, metadata)


@torch.no_grad()
def preview(backbone: MultiStyleNet, photos: list[np.ndarray], styles: list[Tensor], side: int) -> Tensor:
    """The first eleven styles, each with three photos as the backbone paints them."""
    crops = [torch.from_numpy(photo[:side, :side].copy()).permute(2, 0, 1) / 255 for photo in photos[:3]]
    shown = torch.arange(min(len(styles), 11))
    columns = [torch.stack([v2.functional.resize(styles[style][0], [side, side]) for style in shown])]
    for crop in crops:
        content_images = crop.expand(len(shown), -1, -1, -1).to(backbone.statistics.device)
        columns.append(backbone.eval()(content_images, shown).float().clamp(0, 1).cpu())
    return make_grid(torch.stack(columns, 1).flatten(0, 1), nrow=8)


def begin_from(path: Path, backbone: MultiStyleNet, model: dict, styles: list[str]) -> list[dict]:
    """Load an earlier backbone, or a trained style, which is then what all styles begin with; returns its history.

    Styles that the earlier backbone did not have begin as its average one. Raises FastStyleError for a file that is
    neither or has another model.
    """
    state_dict = backbone.state_dict()
    if is_backbone(path):
        started, metadata = load_backbone(path)
        history, found, offsets = metadata["training"], metadata["model"], started.offsets.detach()
        known = dict(zip(metadata["styles"], offsets, strict=True))
        state_dict |= {f"transformer.{name}": tensor for name, tensor in started.transformer.state_dict().items()}
        if found == model:
            state_dict["offsets"] = torch.stack([known.get(style, offsets.mean(0)) for style in styles])
    else:
        (transformer, _), metadata = load_transformer(path, "--start"), read_metadata(path)
        state_dict |= {f"transformer.{name}": tensor for name, tensor in transformer.state_dict().items()}
        keys = ("objective", "optimizer", "image_size", "batch_size")
        config = {key: metadata["config"][key] for key in keys}
        history, found = [{"style": metadata["style"], "losses": metadata["losses"], **config}], metadata["model"]
    if found != model:
        raise FastStyleError(f"--start {path} has another model than train.py's default")
    backbone.load_state_dict(state_dict)
    return history


class Training:
    """The steps of a training, each image in a style of its own, and the running average of the weights."""

    def __init__(
        self,
        backbone: MultiStyleNet,
        loss: PerceptualLoss,
        grams: dict[str, Tensor],
        batch_size: int,
        lr: float,
    ):
        self.backbone, self.loss, self.grams, self.lr = backbone, loss, grams, lr
        self.optimizer = torch.optim.Adam(backbone.parameters(), fused=True)
        self.averaged = AveragedModel(backbone, multi_avg_fn=get_ema_multi_avg_fn(AVERAGING))
        self.steps = 0
        self.recent: dict[str, float] = {}  # running averages of the batches' mean terms
        self.device = backbone.statistics.device
        self.bfloat16 = pick_precision("auto", self.device) == "bf16-mixed"
        self.local = threading.local()
        cores = torch.get_num_threads()
        shared = self.device.type == "cpu" and cores > 1 and batch_size % cores == 0
        self.parallel_terms = DataParallel(self.terms, backbone, cores) if shared else self.terms

    def terms(self, content_images: Tensor, chosen: Tensor) -> dict[str, Tensor]:
        """The loss of images (B, 3, H, W) in [0, 1] in styles (B,), and what its terms are, without a graph."""
        if not hasattr(self.local, "backbone"):
            self.local.backbone = self.backbone.replica()
        stylized = self.local.backbone(content_images, chosen)
        grams = {name: gram[chosen] for name, gram in self.grams.items()}
        content_features = self.loss.content_features(content_images)
        terms = self.loss.per_image(stylized, content_images, content_features, grams)
        # The logarithm: a style with next to no energy in one layer has a huge relative error there, and its gradient
        # would drown the others'.
        loss = sum(terms.values()).log().mean()
        return {"loss": loss} | {name: value.detach().mean() for name, value in terms.items()}

    def step(self, content_images: Tensor) -> None:
        """One step on images (B, 3, H, W) in [0, 1], each in a random style."""
        chosen = torch.randint(len(self.backbone.statistics), (len(content_images),))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            terms = self.parallel_terms(content_images, chosen)
        self.optimizer.zero_grad()
        terms["loss"].backward()
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * min(1.0, (self.steps + 1) / 200)
        self.optimizer.step()
        self.averaged.update_parameters(self.backbone)
        self.steps += 1
        for name, value in terms.items():
            now = float(value.detach())
            self.recent[name] = 0.995 * self.recent.get(name, now) + 0.005 * now

    def state_dict(self) -> dict:
        return {
            "backbone": self.backbone.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
            "recent": self.recent,
            "random": torch.get_rng_state(),
        }

    def load_state_dict(self, state: dict) -> None:
        self.backbone.load_state_dict(state["backbone"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps, self.recent = state["steps"], state["recent"]
        torch.set_rng_state(state["random"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", required=True, help="folder of photos; the last 100 by name are left out")
    parser.add_argument("--procedural", type=int, default=0, help="how many procedural images beside them")
    parser.add_argument("--styles", required=True, nargs="+", help="folders of pictures, or single pictures")
    parser.add_argument("--minutes", type=float, default=60, help="training time of this call")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--image-size", type=int, default=256, help="side of the training crops")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    earlier = parser.add_mutually_exclusive_group()
    earlier.add_argument(
        "--start", type=Path, help="a backbone to go on from, without Adam's moments, or a trained style"
    )
    earlier.add_argument("--resume", type=Path, help="a .resume file; give the other options of its training, too")
    parser.add_argument("--output", type=Path, default=Path("outputs/backbone.safetensors"))
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    device = pick_device()
    if device.type == "cpu":
        keep_freed_memory()
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = OmegaConf.to_container(hydra.compose("train"))
    paths = [path for item in args.styles for path in (find_images(item) if Path(item).is_dir() else [Path(item)])]
    names = [path.stem for path in paths]
    size = config["style"]["style_size"]
    styles = [read_style_image(path, size) for path in track(paths, "reading styles")]
    objective = config["objective"]
    loss_network = load_loss_network(
        "distilled", {*objective["style_layers"], *objective["content_layers"], *STATISTICS_LAYERS}
    )
    loss = PerceptualLoss(loss_network, styles[0], **objective).to(device)
    grams, statistics = measure_styles(loss, styles, device)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    side = round(CROP_MARGIN * args.image_size)
    photos = read_photos(args.photos, side, args.output.with_suffix(".unreadable.txt"))
    if not photos:
        raise FastStyleError(f"--photos {args.photos}: training needs more than the 100 photos that are held out")
    crops = RandomCrops(photos + draw_procedural(args.procedural, side, args.seed), args.image_size, args.seed)

    backbone, history = MultiStyleNet(config["model"], statistics).to(device), []
    if args.start:
        history = begin_from(args.start, backbone, config["model"], names)
    accelerate(backbone).to(memory_format=torch.channels_last)
    training = Training(backbone, loss, grams, args.batch_size, args.lr)
    earlier_hours = 0.0
    if args.resume:
        state = torch.load(args.resume, weights_only=True)
        training.load_state_dict(state["training"])
        history, earlier_hours = state["history"], state["hours"]
    start, seconds = time.monotonic(), 60 * args.minutes
    saved = start

    def keep() -> None:
        hours = round(earlier_hours + (time.monotonic() - start) / 3600, 2)
        record = {
            "command": shlex.join(["python", *sys.argv]),
            "steps": training.steps,
            "crops": training.steps * args.batch_size,
            "hours": hours,
            "machine": f"{device}, {torch.get_num_threads()} threads, {platform.machine()}",
            "losses": {name: round(value, 4) for name, value in training.recent.items()},
        }
        save(args.output, training.averaged.module, config["model"], names, [*history, record])
        resume = {"training": training.state_dict(), "history": history, "hours": hours}
        save_whole(args.output.with_suffix(".resume"), resume)
        pictures = preview(training.averaged.module, photos, styles, args.image_size)
        write_image(args.output.with_suffix(".png"), pictures)

    losses = "no losses yet"
    with Progress(*Progress.get_default_columns()) as progress:
        task = progress.add_task("training", total=seconds)
        while (elapsed := time.monotonic() - start) < seconds:
            first = training.steps * args.batch_size
            content_images = torch.stack([crops[first + i] for i in range(args.batch_size)]).to(device).float() / 255
            training.step(content_images)
            losses = ", ".join(f"{name} {value:.3f}" for name, value in training.recent.items())
            progress.update(task, completed=elapsed, description=f"step {training.steps}: {losses}")
            if time.monotonic() - saved > SAVE_EVERY:
                print(training.steps, round(elapsed), losses, flush=True)
                keep()
                saved = time.monotonic()
    keep()
    print(f"{args.output}: {training.steps} steps, {losses}")


if __name__ == "__main__":
    try:
        main()
    except FastStyleError as error:
        sys.exit(f"error: {error}")
