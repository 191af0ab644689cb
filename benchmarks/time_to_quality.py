"""How good a style is after how many seconds of training, and how many iterations of the slow way that is worth.

    python -m benchmarks.time_to_quality data=folder data.root=PHOTOS --photos PHOTOS

ours    train.py's own training, a separate run for each budget, since the schedule is fitted to it
ports   the way of the well-known ports: the full-width network, Adam at a constant 1e-3, batches of four 256-pixel
        crops, eager float32, NCHW; one run, looked at in between
lbfgs   optimisation of the pixels (Gatys et al. 2016), from noise, as Johnson et al. 2016 compare, and from the photo
plot    the curves, and the plane of style and content loss

The backbone of a warm start has seen the bundled styles; style.image=FILE measures one that it has not.

All three minimise the same objective on the same loss network and style picture, and the networks see the same
training images; arguments like style=mosaic go to both. The loss is that of the finished pictures (in [0, 1]), in
float32, on the middle of the last photos of the folder by name, at 256 px; a data.root of training photos gives these
up. The clock is that of the training steps, with loading, and stops for evaluation, validation and previews.

Ports have VGG-16 itself for a loss network, a download, and not the factors of it that ship here. The ports' network
trains on these, for the same objective, and a second clock shows what it would cost on VGG-16:
each step longer by the difference between the two, measured with random weights.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest.mock import patch

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Callback
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from benchmarks.objective_against_iterations import first_reached, held_out_photos, white_noise
from benchmarks.ports import no_style, ports_loss, ports_transformer, random_vgg16
from benchmarks.timing import environment, now
from fast_style.ancestors.optimization import optimize_pixels
from fast_style.commands import CONFIGS
from fast_style.errors import FastStyleError, exit_on_error
from fast_style.hardware import pick_device, pick_precision
from fast_style.inference.stylize import stylize
from fast_style.losses import PerceptualLoss
from fast_style.training.callbacks import ResumePoint
from fast_style.training.fit import fit
from fast_style.training.style_transfer import StyleTransfer
from fast_style.training.task import Task

ROOT = Path(__file__).resolve().parent.parent

PARTS = ("ours", "ports", "lbfgs", "plot")
BUDGETS = ["budget=60s", "budget=180s", "budget=600s"]
STARTS = ("noise", "photo")  # of L-BFGS
CURVES = ["from scratch:init_from=null", "warm start:init_from=auto"]
PORTS = [
    "init_from=null",
    "model=johnson",
    "batch_size=4",
    "image_size=256",
    "optimizer.lr=1e-3",
    "optimizer.schedule=constant",
    "optimizer.warmup_steps=0",
    "optimizer.gradient_clip=null",
    "precision=32-true",
    "channels_last=false",
    "data_parallel=false",
    # The clock ends it.
    "max_steps=1000000",
    "preview_every=1000000",
    "checkpoint_every=1000000",
]


class Clock(Callback):
    """Seconds and steps of training, without validation; at each of `marks` (seconds) it stops to call `look`.

    Ends the training at the last mark, if there are any.
    """

    def __init__(self, marks: list[float] = (), look: Callable[[nn.Module], list] | None = None):
        self.marks, self.look = list(marks), look
        self.seconds, self.steps, self.seen = 0.0, 0, []

    def start(self, *_) -> None:
        self.since = now()

    def stop(self, *_) -> None:
        if self.since is not None:  # the validation that follows is no training
            self.seconds += now() - self.since
        self.since = None

    on_train_start = on_validation_end = start
    on_train_end = on_validation_start = stop

    def on_train_batch_end(self, trainer: pl.Trainer, module: pl.LightningModule, *_) -> None:
        self.steps += 1
        if self.marks and self.seconds + time.perf_counter() - self.since >= self.marks[0]:
            self.stop()
            self.marks = [mark for mark in self.marks if mark > self.seconds]
            trainer.should_stop |= not self.marks
            module.transformer.eval()
            point = {"seconds": round(self.seconds, 2), "steps": self.steps}
            self.seen.append(point | {"photos": self.look(module.transformer)})
            module.transformer.train()
            self.start()


def fit_watched(cfg: DictConfig, clock: Clock) -> Task:
    """Train with the clock; the trained module."""
    trained = fit(cfg, [clock])
    # Ctrl-C ends a training as if it had been finished; a shorter one is no result here.
    callbacks = trained.module.trainer.callbacks
    if any(isinstance(callback, ResumePoint) and callback.stop_requested for callback in callbacks):
        raise KeyboardInterrupt
    return trained.module


class Benchmark:
    """The objective and the held-out photos that all parts share."""

    def __init__(self, args: argparse.Namespace):
        self.args = args
        config = plain(self.compose())
        self.style = config["style"]["name"]
        self.device = pick_device("cpu" if config["trainer"]["accelerator"] == "cpu" else "auto")
        self.loss: PerceptualLoss = StyleTransfer(config | {"init_from": None}).perceptual_loss.to(self.device)
        self.photos = held_out_photos(args.photos, args.count, args.size)

    def compose(self, *overrides: str) -> DictConfig:
        """The config of train.py, with the arguments of the command line and `overrides`."""
        args = self.args
        with initialize_config_dir(str(CONFIGS), version_base="1.3"):
            cfg = compose("train", [*args.overrides, *overrides, f"run_dir={args.scratch / 'run'}"])
        if "validation_count" in cfg.data:
            cfg.data.validation_count = max(cfg.data.validation_count, args.count)
        return cfg

    @torch.no_grad()
    def terms(self, image: Tensor, photo: Tensor) -> list[float]:
        """Content and style loss, and the sum of the other terms."""
        terms = {name: value.item() for name, value in self.loss(image.to(self.device), photo.to(self.device)).items()}
        content, style = terms.pop("content_loss"), terms.pop("style_loss")
        return [round(value, 5) for value in (content, style, sum(terms.values()))]

    def look(self, transformer: nn.Module) -> list[list[float]]:
        """The terms of each held-out photo, stylised."""
        return [self.terms(stylize(transformer, photo), photo) for photo in self.photos]

    def train(self, overrides: list[str], clock: Clock) -> tuple[nn.Module, dict]:
        """Train as train.py does; the transformer, and the config without folders."""
        cfg = self.compose(*overrides)
        return fit_watched(cfg, clock).transformer, published(plain(cfg), self.device)

    def ours(self) -> list[dict]:
        curves = []
        for name, overrides in self.args.curves.items():
            points = []
            for budget in self.args.budgets:
                clock, begun = Clock(), now()
                transformer, config = self.train([*overrides, budget], clock)
                whole = now() - begun
                point = {"budget": budget, "seconds": round(clock.seconds, 2), "command_seconds": round(whole, 2)}
                points.append(point | {"steps": clock.steps, "photos": self.look(transformer)})
            curves.append({"name": name, "config": config, "points": points})
        return curves

    def ports(self) -> dict:
        marks = [self.args.seconds / 2**halvings for halvings in reversed(range(self.args.marks))]
        clock = Clock(marks, self.look)
        with patch("fast_style.training.style_transfer.TransformerNet", ports_transformer):
            _, config = self.train(PORTS, clock)
        costs = self.loss_network_costs(config["batch_size"], config["image_size"])
        longer = costs["vgg16"]["median"] - costs["this"]["median"]
        points = [
            {"seconds_vgg16": round(point["seconds"] + point["steps"] * longer, 2)} | point for point in clock.seen
        ]
        return {"config": config, "loss_network_seconds_per_step": costs, "points": points}

    def loss_network_costs(self, batch_size: int, image_size: int) -> dict[str, dict]:
        """Seconds of one training step's loss and its gradient: this loss network's, and VGG-16's as ports use it."""
        photos, stylized = torch.rand(2, batch_size, 3, image_size, image_size, device=self.device)
        features = random_vgg16().to(self.device)
        losses = {"this": lambda: sum(self.loss(stylized, photos).values())}
        losses["vgg16"] = partial(ports_loss, features, stylized, photos, no_style(photos))
        return {name: self.seconds(loss, stylized) for name, loss in losses.items()}

    def seconds(self, loss: Callable[[], Tensor], stylized: Tensor) -> dict[str, float]:
        stylized.requires_grad_()
        times = []
        for repeat in track(range(3 + self.args.repeats), "cost of a loss network"):
            begun = now()
            torch.autograd.grad(loss(), stylized)
            if repeat >= 3:
                times.append(now() - begun)
        return {"median": statistics.median(times), "min": min(times), "max": max(times)}

    def lbfgs(self) -> dict:
        return {start: self.lbfgs_from(start) for start in STARTS}

    def lbfgs_from(self, start: str) -> dict:
        wanted = self.args.iterations
        subset = self.photos[-self.args.lbfgs_photos :]
        points = [{"iterations": iteration, "seconds_per_photo": 0.0, "photos": []} for iteration in wanted]
        totals = [0.0] * (max(wanted) + 1)
        for index, photo in enumerate(subset, start=1):
            on_device, seconds, begun = photo.to(self.device), 0.0, now()
            first = white_noise(photo.shape, index).to(self.device) if start == "noise" else on_device
            states = optimize_pixels(self.loss.for_content(on_device), first, max(wanted))
            label = f"L-BFGS from {start}, photo {index} of {len(subset)}"
            for iteration, terms, image in track(states, label, total=max(wanted) + 1):
                totals[iteration] += sum(terms.values()) / len(subset)
                if iteration in wanted:
                    seconds += now() - begun
                    point = points[wanted.index(iteration)]
                    point["photos"].append(self.terms(image, photo))
                    point["seconds_per_photo"] += seconds / len(subset)
                    begun = now()
        for point in points:
            point["seconds_per_photo"] = round(point["seconds_per_photo"], 2)
        return {"points": points, "mean_total_loss_by_iteration": [round(total, 5) for total in totals]}


def plain(cfg: DictConfig) -> dict:
    return OmegaConf.to_container(cfg, resolve=True)


def published(config: dict, device: torch.device) -> dict:
    """A config with the precision that was picked and without what only says where files are on this machine."""
    left_out = ("trainer", "logger", "run_dir", "ckpt_path", "photo")
    config = {key: value for key, value in config.items() if key not in left_out}
    return without_folders(config | {"precision": pick_precision(config["precision"], device)})


def without_folders(value):
    """Plain data with absolute paths cut down to names."""
    if isinstance(value, dict):
        return {key: without_folders(item) for key, item in value.items()}
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def means(point: dict, count: int | None = None) -> tuple[float, float, float]:
    """Mean content, style and total loss of a point over its last `count` photos."""
    rows = point["photos"][-count:] if count else point["photos"]
    content, style, others = (statistics.mean(column) for column in zip(*rows, strict=True))
    return content, style, content + style + others


def named_means(point: dict) -> dict[str, float]:
    return {name: round(value, 4) for name, value in zip(("content", "style", "total"), means(point), strict=True)}


def networks(result: dict) -> list[tuple[str, dict]]:
    """All evaluated networks with the name of their curve."""
    curves = [*result.get("ours", []), {"name": "ports' way"} | result.get("ports", {"points": []})]
    return [(curve["name"], point) for curve in curves for point in curve["points"]]


def summarise(result: dict) -> None:
    """Write means, and what a network is worth in iterations, beside the raw numbers of `result`; print them."""
    lbfgs = result.get("lbfgs", {})
    starts = [f"L-BFGS from {start}" for start in lbfgs]
    table = Table("", "seconds", "VGG-16", "steps", "content", "style", "total", *starts)
    for name, point in networks(result):
        point["mean"] = named_means(point)
        row = [
            name,
            f"{point['seconds']:.0f}",
            f"{point['seconds_vgg16']:.0f}" if "seconds_vgg16" in point else "",
            str(point["steps"]),
        ]
        row += [f"{value:.3f}" for value in point["mean"].values()]
        point["worth_lbfgs_iterations"] = {}
        for start, curve in lbfgs.items():
            totals = curve["mean_total_loss_by_iteration"]
            # On the mean of the photos that L-BFGS had.
            iterations = first_reached(totals, means(point, len(curve["points"][0]["photos"]))[2])
            point["worth_lbfgs_iterations"][start] = iterations
            limit = len(totals) - 1
            row.append(f"> {limit}" if iterations is None else str(iterations))
        table.add_row(*row)
    for start, curve in lbfgs.items():
        for point in curve["points"]:
            point["mean"] = named_means(point)
            values = [f"{value:.3f}" for value in point["mean"].values()]
            seconds = f"{point['seconds_per_photo']:.0f} a photo"
            table.add_row(f"L-BFGS from {start}, {point['iterations']} iterations", seconds, "", "", *values)
    Console(width=110).print(table)


def plot(result: dict, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import LogFormatter, ScalarFormatter

    figure, (time_axes, plane) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    lbfgs = result.get("lbfgs", {})
    count = len(lbfgs["noise"]["points"][0]["photos"]) if lbfgs else None

    def draw(points: list[dict], clock: str, label: str, **style) -> None:
        time_axes.plot([p[clock] for p in points], [means(p)[2] for p in points], label=label, **style)

    def draw_plane(points: list[dict], label: str, names: list[str], **style) -> None:
        content, style_loss, _ = zip(*(means(point, count) for point in points), strict=True)
        plane.plot(style_loss, content, label=label, **style)
        for x, y, name in zip(style_loss, content, names, strict=True):
            plane.annotate(name, (x, y), (4, 4), textcoords="offset points", fontsize=7, color=style["color"])

    for index, curve in enumerate(result.get("ours", [])):
        look = {"color": f"C{index}", "marker": "o"}
        draw(curve["points"], "seconds", curve["name"], **look)
        draw_plane(curve["points"], curve["name"], [f"{p['seconds']:.0f} s" for p in curve["points"]], **look)
    if "ports" in result:
        points, look = result["ports"]["points"], {"color": "0.45", "marker": "s", "markersize": 4}
        draw(points, "seconds", "ports' way, small loss network", **look)
        draw(points, "seconds_vgg16", "ports' way, cost of VGG-16", linestyle="--", **look)
        draw_plane(points, "ports' way", [f"{p['seconds']:.0f} s" for p in points], **look)
    for (start, curve), color in zip(lbfgs.items(), ("black", "tab:brown"), strict=False):
        look = {"color": color, "marker": "x", "linestyle": ":"}
        draw_plane(curve["points"], f"L-BFGS from {start}", [f"{p['iterations']}" for p in curve["points"]], **look)
    time_axes.set(xscale="log", yscale="log", xlabel="seconds of training", ylabel="loss on held-out photos")
    plane.set(xscale="log", xlabel="style loss", ylabel="content loss")
    machines = {environment["hardware"] for environment in result["environment"].values()}
    time_axes.set_title(f"{result['style']}, {' and '.join(sorted(machines))}", fontsize=9)
    plane.set_title("seconds of training; iterations of L-BFGS", fontsize=9)
    for axis in (time_axes.xaxis, time_axes.yaxis, plane.xaxis):
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
    for axes in (time_axes, plane):
        axes.grid(alpha=0.3, which="both")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def same_numbers(one: list[list[float]] | None, other: list[list[float]]) -> bool:
    """Whether terms of photos are the same but for the arithmetic of another machine."""
    return len(one or []) == len(other) and torch.allclose(torch.tensor(one), torch.tensor(other), 1e-2, 1e-4)


def comma_separated(kind: type) -> Callable[[str], list]:
    return lambda text: [kind(item) for item in text.split(",")]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "overrides", nargs="*", help="of train.py's config, for both sides: style=mosaic data=folder ..."
    )
    parser.add_argument("--photos", required=True, help="folder of photos whose last ones are held out")
    parser.add_argument("--count", type=int, default=20, help="how many (%(default)s)")
    parser.add_argument("--size", type=int, default=256, help="pixels of their sides (%(default)s)")
    parser.add_argument(
        "--parts",
        type=comma_separated(str),
        default=list(PARTS),
        help="run only these of ours,ports,lbfgs,plot, and keep the others' results",
    )
    parser.add_argument(
        "--budgets",
        type=comma_separated(str),
        default=BUDGETS,
        help=f"overrides of our runs, one each ({','.join(BUDGETS)})",
    )
    parser.add_argument(
        "--curve",
        dest="curves",
        action="append",
        metavar="NAME:OVERRIDE,...",
        help="one of our curves over all budgets, with these overrides; may be repeated "
        f"(default: {' and '.join(CURVES)})",
    )
    parser.add_argument("--seconds", type=float, default=600, help="of the ports' training (%(default)g)")
    parser.add_argument(
        "--marks", type=int, default=7, help="how often it is looked at, each time after twice as long (%(default)s)"
    )
    parser.add_argument("--repeats", type=int, default=20, help="measurements of a loss network's cost (%(default)s)")
    parser.add_argument(
        "--iterations", type=comma_separated(int), default=[20, 50, 100, 200, 500], help="of L-BFGS, that are plotted"
    )
    parser.add_argument(
        "--lbfgs-photos", type=int, default=5, help="how many of the held-out photos, the last, it gets (%(default)s)"
    )
    parser.add_argument("--output", type=Path, help="JSON (benchmarks/results/time_to_quality_STYLE.json)")
    parser.add_argument("--plot", type=Path, default=ROOT / "docs" / "images" / "time_to_quality.png")
    args = parser.parse_intermixed_args(arguments)
    if unknown := set(args.parts) - set(PARTS):
        parser.error(f"--parts: no {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    if not 0 < args.lbfgs_photos <= args.count:
        parser.error("--lbfgs-photos must be from 1 to --count")
    named = [curve.partition(":") for curve in args.curves or CURVES]
    args.curves = {name: [item for item in overrides.split(",") if item] for name, _, overrides in named}
    return args


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        args.scratch = Path(scratch)
        benchmark = Benchmark(args)
        output = args.output or ROOT / "benchmarks" / "results" / f"time_to_quality_{benchmark.style}.json"
        shared = {"style": benchmark.style, "held_out": args.count, "size": args.size}
        shared["photos_unstylised"] = [benchmark.terms(photo, photo) for photo in benchmark.photos]
        result = json.loads(output.read_text()) if output.exists() and set(args.parts) != set(PARTS) else shared
        if not same_numbers(result.get("photos_unstylised"), shared["photos_unstylised"]):
            raise FastStyleError(
                f"{output} has parts with other photos, style, objective or loss network: run all parts"
            )
        output.parent.mkdir(parents=True, exist_ok=True)
        for part in args.parts:
            if part != "plot":
                result[part] = getattr(benchmark, part)()
                result.setdefault("environment", {})[part] = environment(benchmark.device)
                output.write_text(json.dumps(result, indent=1) + "\n")
    summarise(result)
    output.write_text(json.dumps(result, indent=1) + "\n")
    if "plot" in args.parts:
        plot(result, args.plot)


if __name__ == "__main__":
    exit_on_error(main)
