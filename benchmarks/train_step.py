"""How long a training step takes: ours, at equal architecture and as it is by default, beside the ports' way.

    python -m benchmarks.train_step [--device cuda] [--output benchmarks/results/train_step_cpu.json]

ports    eager float32, NCHW, batch 4 of 256 px, the paper's network, all of VGG-16 to relu4_3 (benchmarks/ports.py)
kept     the same with freed memory kept as ours is (hardware.keep_freed_memory): what of the ratio is the C library's
equal    the same network, loss network, layers, crops and batch, as train.py runs them on this machine
default  what `python train.py style=...` does: its own network, loss network, crops and batch

VGG-16 has random weights here: the cost is the same. The sides take turns, each in a process of its own. `ratio` and
`ratio_default` are the ports' seconds per image over ours. `share_of_peak` counts the operations that are done (torch's
FlopCounterMode), against the product of two large matrices in the same precision. The photos lie ready; `lightning` is
the default step inside of pl.Trainer, and with --photos `loader` says how many crops a second one process reads. On a
GPU, also larger batches.

    python -m benchmarks.train_step --device cuda --photos COCO --weights VGG16_CAFFE.pth --whole 4 64

trains `experiment=johnson2016` besides, once for each batch size, on as many images as the paper (40,000 steps of 4),
with the learning rate times the root of the batches' ratio: `whole` has the seconds and the held-out losses.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from rich.progress import track
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.ports import PortsTraining, random_vgg16
from benchmarks.result import write_result
from benchmarks.timing import OwnProcess, alternate, environment, matrix_peak, now, spread
from fast_style.checkpoint import read_metadata
from fast_style.commands import CONFIGS
from fast_style.data.content import CROP_MARGIN, ImageFolder, RandomCrops, SampleImages
from fast_style.data.images import find_images
from fast_style.hardware import keep_freed_memory, pick_device, pick_precision
from fast_style.training.fit import fit, speed_up
from fast_style.training.style_transfer import StyleTransfer

ROOT = Path(__file__).resolve().parent.parent

EQUAL = ["model=johnson", "loss_network=vgg16", "objective=pytorch_examples", "batch_size=4", "image_size=256"]
BATCH_SIZES = (4, 16, 32, 64)  # on a GPU


class Training:
    """A training step of train.py without Lightning, on photos that lie ready."""

    def __init__(self, photos: Tensor, overrides: list[str]):
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            cfg = compose("train", [*overrides, "init_from=null", "run_dir=."])
        self.config = OmegaConf.to_container(cfg, resolve=True)
        side = self.config["image_size"]
        self.photos = photos[: self.config["batch_size"], :, :side, :side]
        self.device = photos.device
        self.module = StyleTransfer(self.config).to(self.device)
        speed_up(self.module, self.config, self.device)
        # As Task.configure_optimizers, which asks its trainer for the precision, makes it.
        rate = self.config["optimizer"]["lr"]
        self.optimizer = torch.optim.Adam(self.module.network.parameters(), lr=rate, fused=True)
        self.bfloat16 = pick_precision("auto", self.device) == "bf16-mixed"

    def step(self) -> None:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            loss = sum(self.module.training_terms(self.photos).values())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def parts(self) -> list[float]:
        """Seconds of the transformer, the loss, the backward pass of both, and the optimiser, where they come one after
        the other: without torch.compile and data parallelism, which cannot be seen into."""
        marks = [now()]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            stylized = self.module.transformer(self.photos)
            marks.append(now())
            loss = sum(self.module.perceptual_loss(stylized, self.photos).values())
            marks.append(now())
        self.optimizer.zero_grad()
        loss.backward()
        marks.append(now())
        self.optimizer.step()
        marks.append(now())
        return [end - begin for begin, end in pairwise(marks)]

    def flops(self) -> int:
        with (
            FlopCounterMode(display=False) as counter,
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16),
        ):
            sum(self.module.stylized_terms(self.photos).values()).backward()
        return counter.get_total_flops()


def our_step(photos: Tensor, overrides: list[str], device: torch.device) -> Callable[[], None]:
    """A training step as train.py has it on this device."""
    return Training(photos.to(device), overrides).step


def ports_step(photos: Tensor, features: nn.Sequential, device: torch.device, kept: bool) -> Callable[[], float]:
    if kept:
        keep_freed_memory()
    return PortsTraining(photos.to(device), features.to(device)).step


class StepTimes(pl.Callback):
    """When each training step ended."""

    def __init__(self):
        self.ends = []

    def on_train_batch_end(self, *_) -> None:
        self.ends.append(now())


def lightning(training: Training, steps: int) -> dict[str, float]:
    """Seconds of a step inside of Lightning, on the same photos."""
    times = StepTimes()
    precision = "bf16-mixed" if training.bfloat16 else "32-true"
    options = {"logger": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = pl.Trainer(
        max_steps=steps + 3,
        precision=precision,
        accelerator=training.device.type,
        devices=1,
        callbacks=[times],
        **options,
    )
    trainer.fit(training.module, DataLoader([*training.photos] * (steps + 3), batch_size=len(training.photos)))
    return spread([end - begin for begin, end in pairwise(times.ends[2:])])


def loader(folder: Path, image_size: int, count: int = 256) -> float:
    """Training crops a second that one process reads from photos that the system has in memory."""
    with tempfile.TemporaryDirectory() as scratch:
        images = ImageFolder(find_images(folder), round(CROP_MARGIN * image_size), Path(scratch) / "unreadable.txt")
        crops = RandomCrops(images, image_size, seed=0)
        for index in range(count):  # from the disk, once
            crops[index]
        begun = now()
        for index in track(range(count), "reading photos"):
            crops[index]
        return round(count / (now() - begun), 1)


def whole(args: argparse.Namespace, batch_size: int) -> dict:
    """Train the paper's recipe on args.images images in batches of this size, as train.py does."""
    learning_rate = 1e-3 * (batch_size / 4) ** 0.5
    with tempfile.TemporaryDirectory() as folder:
        overrides = [
            "experiment=johnson2016",
            f"data.root={args.photos}",
            f"loss_network.weights={args.weights or 'null'}",
            f"batch_size={batch_size}",
            f"optimizer.lr={learning_rate}",
            f"max_steps={args.images // batch_size}",
            "precision=auto",
            "preview_every=1000000000",
            "checkpoint_every=1000000000",
            f"run_dir={folder}",
        ]
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            fit(compose("train", [*overrides, f"trainer.accelerator={pick_device(args.device).type}"]))
        losses = read_metadata(Path(folder) / "model.safetensors")["losses"]
    rate = round(losses["steps"] * batch_size / losses["seconds"], 1)
    return {"batch_size": batch_size, "learning_rate": learning_rate, "images_per_second": rate} | losses


def random_photos(count: int, side: int) -> Tensor:
    images = SampleImages(max(2 * count, 4), round(1.125 * side), 0.5, seed=0)
    crops = RandomCrops(images, side, seed=0)
    return torch.stack([crops[i] for i in track(range(count), "images")]) / 255


def figures(training: Training, seconds: dict[str, float], peak: float) -> dict:
    """What is published of one side of ours."""
    images = len(training.photos)
    flops = training.flops()
    return {
        "batch_size": images,
        "image_size": training.photos.shape[-1],
        "precision": "bf16-mixed" if training.bfloat16 else "32-true",
        "seconds_per_step": seconds,
        "images_per_second": round(images / seconds["median"], 2),
        "gflop_per_image": round(flops / images / 1e9, 2),
        "share_of_peak": round(flops / seconds["median"] / 1e9 / peak, 3),
    }


def measure(args: argparse.Namespace) -> dict:
    device = pick_device(args.device)
    torch.manual_seed(0)
    on_gpu = device.type == "cuda"
    photos = random_photos(max(BATCH_SIZES) if on_gpu else 4, 256)
    features = random_vgg16()
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "vgg16.pth"
        torch.save({f"features.{key}": value for key, value in features.state_dict().items()}, weights)
        options = {"equal": [*EQUAL, f"loss_network.weights={weights}"], "default": []}
        options |= {f"equal {b}": [*options["equal"], f"batch_size={b}"] for b in BATCH_SIZES[1:] if on_gpu}
        sides = {"ports": OwnProcess(ports_step, photos[:4], features, device, False)}
        sides["kept"] = OwnProcess(ports_step, photos[:4], features, device, True)
        sides |= {name: OwnProcess(our_step, photos, overrides, device) for name, overrides in options.items()}
        seconds = alternate(sides, args.repeats)
        trainings = {name: Training(photos.to(device), overrides) for name, overrides in options.items()}
    for side in sides.values():
        side.process.terminate()
    equal, default = trainings["equal"], trainings["default"]
    ports = PortsTraining(photos[:4].to(device), features.to(device))
    bfloat16 = torch.bfloat16 if equal.bfloat16 else torch.float32
    peaks = {str(dtype).removeprefix("torch."): matrix_peak(device, dtype) for dtype in {torch.float32, bfloat16}}
    peak = peaks[str(bfloat16).removeprefix("torch.")]
    result = environment(device) | {"matrix_peak_gflops": peaks, "repeats": args.repeats}
    with FlopCounterMode(display=False) as counter:
        ports.step()
    result["ports"] = {
        "batch_size": 4,
        "image_size": 256,
        "seconds_per_step": seconds["ports"],
        "images_per_second": round(4 / seconds["ports"]["median"], 2),
        "gflop_per_image": round(counter.get_total_flops() / 4 / 1e9, 2),
        "share_of_peak": round(counter.get_total_flops() / seconds["ports"]["median"] / 1e9 / peaks["float32"], 3),
    }
    result["ports"]["seconds_per_step_memory_kept"] = seconds["kept"]
    result["equal"] = figures(equal, seconds["equal"], peak)
    result["equal_batches"] = [figures(trainings[name], seconds[name], peak) for name in list(options)[2:]]
    result["default"] = figures(default, seconds["default"], peak) | {
        "parts": parts(default, args.repeats),
        "lightning": lightning(default, 3 * args.repeats),
    }
    if args.photos:
        result["loader"] = {"crops_per_second": loader(args.photos, 256), "image_size": 256}
    if args.whole:
        result["whole"] = [whole(args, batch_size) for batch_size in args.whole]
    if on_gpu:
        result["peak_memory_gib"] = round(torch.cuda.max_memory_allocated(device) / 2**30, 2)
    per_image = {name: seconds[name]["median"] / len(training.photos) for name, training in trainings.items()}
    ports_per_image = seconds["ports"]["median"] / 4
    result["ratio_default"] = round(ports_per_image / per_image.pop("default"), 2)
    result["ratio"] = round(ports_per_image / min(per_image.values()), 2)
    return result


def parts(training: Training, repeats: int) -> dict[str, float]:
    """Median seconds of the parts of a step."""
    names = ("transformer", "loss", "backward", "optimizer")
    rows = [training.parts() for _ in track(range(2 * repeats), "parts of a step")]
    return {name: spread(list(column))["median"] for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--repeats", type=int, default=7, help="of every side")
    parser.add_argument("--photos", type=Path, help="a folder of photos, to measure how fast they are read")
    parser.add_argument("--whole", type=int, nargs="+", metavar="BATCH_SIZE", help="train the paper's recipe as well")
    parser.add_argument("--images", type=int, default=160_000, help="of such a run")
    parser.add_argument("--weights", type=Path, help="of its loss network, vgg16_caffe; default: download")
    parser.add_argument("--output", type=Path, help="a JSON file to write as well")
    args = parser.parse_args(argv)
    if args.whole and not args.photos:
        parser.error("--whole needs --photos")
    return args


def main(argv: list[str]) -> None:
    args = parse(argv)
    result = measure(args)
    write_result(result, args.output)
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
