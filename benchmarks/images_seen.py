"""Losses of a run against the images that it has seen: how far the paper's recipe has come.

    python train.py experiment=johnson2016 style.image=painting.jpg data.root=PHOTOS preview_every=100 run_dir=RUN
    python -m benchmarks.images_seen RUN --plot curve.png --output result.json

RUN is the folder of a run, which may have been interrupted and resumed there. Held-out losses are lines, those of
training steps dots.
"""

import argparse
import csv
import json
import math
from pathlib import Path

from omegaconf import OmegaConf

from benchmarks.result import write_result
from fast_style.checkpoint import read_metadata
from fast_style.errors import FastStyleError, exit_on_error

LOSSES = {"content_loss": "content", "style_loss": "style", "total_loss": "total"}


def read_losses(run: Path) -> dict[str, list[dict[str, float]]]:
    """{"train": [...], "val": [...]}, each a list of {"images": 800, "content_loss": ..., "style_loss": ..., ...}.

    Raises FastStyleError for a folder that holds no run.
    """
    try:
        config = OmegaConf.load(run / "config.yaml")
    except OSError as error:
        raise FastStyleError(f"{run}: not the folder of a run ({error.strerror})") from error
    finished = run / "model.safetensors"
    total = read_metadata(finished)["losses"]["steps"] if finished.exists() else math.inf
    losses = {"train": {}, "val": {}}
    for file in sorted(run.glob("logs/version_*/metrics.csv"), key=lambda path: int(path.parent.name[8:])):
        with file.open() as lines:
            for row in csv.DictReader(lines):
                # In a training steps count from 0; the last validation, after it, has their number.
                images = config.batch_size * min(int(row["step"]) + 1, total)
                for stage, points in losses.items():
                    if row.get(f"{stage}/total_loss"):
                        # What an interrupted run had done since its checkpoint is done again.
                        points[images] = {name: float(row[f"{stage}/{name}"]) for name in LOSSES}
    return {
        stage: [{"images": images, **points[images]} for images in sorted(points)] for stage, points in losses.items()
    }


def plot(losses: dict[str, list[dict[str, float]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    for color, (name, label) in zip(("tab:blue", "tab:orange", "black"), LOSSES.items(), strict=True):
        for stage, line in (("train", {"marker": ".", "linestyle": "none", "alpha": 0.3}), ("val", {"label": label})):
            points = losses[stage]
            axes.plot([p["images"] for p in points], [p[name] for p in points], color=color, **line)
    axes.set(xlabel="images seen", ylabel="weighted loss", xscale="log", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a run")
    parser.add_argument("--plot", type=Path, help="draw the losses, as PNG")
    parser.add_argument("--output", type=Path, help="write the losses as JSON")
    args = parser.parse_args()
    losses = read_losses(args.run)
    if args.plot:
        plot(losses, args.plot)
    write_result(losses, args.output)
    print(json.dumps(losses["val"][-1]))


if __name__ == "__main__":
    exit_on_error(main)
