"""Seconds of L-BFGS against those of one forward pass (Johnson et al. 2016, table 1).

    python -m benchmarks.speed_against_lbfgs --output benchmarks/results/speed_against_lbfgs_cpu.json

lbfgs     optimises the pixels for a trained model's own objective, from white noise, at one size, in float32
network   one forward pass of that model, as infer.py runs it on this machine, and in float32

An iteration of L-BFGS gets slower until its memory is full after 100. Therefore the first 100 iterations are timed as
they are, and some more with full memory; 300 and 500 iterations are not run, their seconds are those of the first 100
and 200 or 400 times the mean of the iterations with full memory.
"""

import argparse
import json
from functools import partial
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from benchmarks.objective_against_iterations import load_objective, white_noise
from benchmarks.result import write_result
from benchmarks.timing import alternate, environment, now
from fast_style.ancestors.optimization import HISTORY, evaluate, optimize_pixels
from fast_style.checkpoint import load_transformer
from fast_style.data.procedural import procedural_image
from fast_style.errors import exit_on_error
from fast_style.hardware import keep_freed_memory, pick_device, pick_precision
from fast_style.inference.stylize import stylize
from fast_style.losses import PerceptualLoss

ROOT = Path(__file__).resolve().parent.parent

ITERATIONS = (100, 300, 500)  # the paper's


def synthetic_photo(size: int) -> Tensor:
    return torch.from_numpy(procedural_image(size, np.random.default_rng(0))).permute(2, 0, 1)[None] / 255


def lbfgs_seconds(loss: PerceptualLoss, photo: Tensor, full_memory: int) -> tuple[float, float]:
    """Seconds of the first HISTORY iterations, and of one of the `full_memory` iterations after them."""
    noise = white_noise(photo.shape, seed=0).to(photo.device)
    evaluate(loss.for_content(photo), noise)  # warm-up
    begun, seconds = now(), []
    states = optimize_pixels(loss.for_content(photo), noise, HISTORY + full_memory)
    for _ in track(states, f"L-BFGS at {photo.shape[-1]} px", total=HISTORY + full_memory + 1):
        seconds.append(now() - begun)
    return seconds[HISTORY], (seconds[-1] - seconds[HISTORY]) / full_memory


def compare(args: argparse.Namespace, size: int, device: torch.device) -> dict:
    photo, loss = synthetic_photo(size).to(device), load_objective(args.ckpt).to(device)
    transformer, _ = load_transformer(args.ckpt, "--ckpt")
    network = partial(stylize, transformer.to(device, memory_format=torch.channels_last), photo)
    precisions = {"network": pick_precision("auto", device), "network_float32": "32-true"}
    sides = {name: partial(network, precision=precision) for name, precision in precisions.items()}
    passes = alternate(sides, args.repeats)
    first, later = lbfgs_seconds(loss, photo, args.full_memory)
    lbfgs = {count: first + (count - HISTORY) * later for count in ITERATIONS}
    return {
        "size": size,
        "precision": precisions["network"],
        "lbfgs": {str(count): round(seconds, 2) for count, seconds in lbfgs.items()},
        "lbfgs_iteration_full_memory": round(later, 4),
        **passes,
        "speedup": {str(count): round(seconds / passes["network"]["median"]) for count, seconds in lbfgs.items()},
        "speedup_float32": {
            str(count): round(seconds / passes["network_float32"]["median"]) for count, seconds in lbfgs.items()
        },
    }


def table(result: dict) -> str:
    """The result as a table in Markdown."""
    counts = [str(count) for count in ITERATIONS]
    columns = ["", *(f"L-BFGS, {count}" for count in counts), "network", *(f"speed-up, {count}" for count in counts)]
    columns += ["speed-up in float32, 500"]
    lines = ["| " + " | ".join(columns) + " |", "| --- " * len(columns) + "|"]
    for row in result["sizes"]:
        cells = [f"{row['size']} px", *(f"{row['lbfgs'][count]:.1f} s" for count in counts)]
        cells += [f"{row['network']['median']:.3g} s", *(str(row["speedup"][count]) for count in counts)]
        lines.append("| " + " | ".join([*cells, str(row["speedup_float32"][counts[-1]])]) + " |")
    return "\n".join(lines)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt", default=ROOT / "checkpoints" / "starry_night.safetensors", help="release file")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024], help="sides of the image in pixels")
    parser.add_argument("--full-memory", type=int, default=5, help="iterations timed with full memory (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="of the forward pass (%(default)s)")
    parser.add_argument("--output", type=Path, help="a JSON file to write as well")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    device = pick_device(args.device)
    if device.type == "cpu":  # as infer.py and optimize.py do
        keep_freed_memory()
    result = {"ckpt": Path(args.ckpt).name} | environment(device) | {"full_memory": args.full_memory, "sizes": []}
    for size in args.sizes:
        result["sizes"].append(compare(args, size, device))
        write_result(result, args.output)
    print(table(result))
    print(json.dumps(result))


if __name__ == "__main__":
    exit_on_error(main)
