"""A training that is killed again and again, and goes on each time: are its weights those of one that never was?

    python -m benchmarks.kills --output benchmarks/results/kills.json

Trains once undisturbed, and once more with `kill -9` at --kills random moments: one in five while it starts, the others
while it trains and writes last.ckpt in every step, so that some fall into the writing. After every kill last.ckpt is to
be whole, and no step behind what it was; at the end weights, Adam's moments and held-out losses are to be those of the
undisturbed run bit for bit, which holds on a CPU. KEY=VALUE are more overrides of train.py's config, for both.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor

from benchmarks.result import write_result
from benchmarks.timing import environment
from fast_style.checkpoint import read_lightning, read_metadata
from fast_style.errors import FastStyleError, exit_on_error
from fast_style.overrides import quoted

ROOT = Path(__file__).resolve().parent.parent

SMALL = ["model=slim", "init_from=null", "image_size=32", "batch_size=2", "data.count=16", "style.style_size=64",
         "checkpoint_every=1", "preview_every=1000000", "trainer.accelerator=cpu", "precision=32-true"]  # fmt: skip
STARTING = 0.2  # share of the kills that do not wait for the training
PACE = 0.6  # of the steps that would be done at the last kill, if each came after so many as the average
POLL = 0.002  # seconds


class Training:
    """The command in a folder: from the start, or from where its last.ckpt is."""

    def __init__(self, folder: Path, overrides: list[str]):
        self.folder, self.last = folder, folder / "last.ckpt"
        self.arguments = [*SMALL, *overrides, f"hydra.run.dir={quoted(folder)}"]
        folder.mkdir(parents=True)

    def start(self) -> subprocess.Popen:
        resume = [f"ckpt_path={quoted(self.last)}"] if self.last.exists() else []
        with (self.folder / "output.txt").open("w") as output:
            line = [sys.executable, "train.py", *self.arguments, *resume]
            path = os.environ | {"PYTHONPATH": str(ROOT)}
            return subprocess.Popen(line, cwd=ROOT, env=path, stdout=output, stderr=subprocess.STDOUT)

    def finish(self) -> float:
        """Go on to the end; the seconds. Raises FastStyleError if it fails."""
        begun = time.monotonic()
        self.check(self.start().wait())
        return time.monotonic() - begun

    def check(self, code: int) -> None:
        if code:
            lines = (self.folder / "output.txt").read_text().strip().splitlines()
            raise FastStyleError(f"{self.folder}: a training ended with {code}: {lines[-1] if lines else 'no word'}")

    def kill(self, trains: bool, seconds: float) -> bool:
        """Kill it `seconds` after its start, or, if it `trains`, after its first step. False: it had ended by then."""
        process, before = self.start(), self.written()
        try:
            while trains and self.written() == before and process.poll() is None:
                time.sleep(POLL)
            self.check(process.wait(timeout=seconds))
            return False
        except subprocess.TimeoutExpired:
            return True
        finally:
            process.kill()
            process.wait()

    def written(self) -> int | None:
        return self.last.stat().st_mtime_ns if self.last.exists() else None

    def step(self) -> int:
        """The step of last.ckpt, 0 before there is one. Raises FastStyleError for a damaged file."""
        return read_lightning(self.last)[0]["global_step"] if self.last.exists() else 0

    def half_written(self) -> int:
        """Files that a kill left beside what they were to become."""
        return len(list(self.folder.glob(".*.tmp")))


def differences(one: object, other: object, name: str = "") -> list[str]:
    """The places where two checkpoints, plain data and tensors, are not bit-equal."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return [] if torch.equal(one, other) else [name]
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [place for key in one for place in differences(one[key], other[key], f"{name}.{key}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [place for index, pair in pairs for place in differences(*pair, f"{name}.{index}")]
    return [] if one == other else [name]


def compare(one: Training, other: Training) -> list[str]:
    """What of two trainings is not the same: the checkpoint but for times, and the held-out losses."""
    parts = ("global_step", "state_dict", "optimizer_states", "lr_schedulers")
    checkpoints = [{part: read_lightning(run.last)[0][part] for part in parts} for run in (one, other)]
    losses = [read_metadata(run.folder / "model.safetensors")["losses"] for run in (one, other)]
    held_out = [{name: value for name, value in found.items() if name != "seconds"} for found in losses]
    return differences(*checkpoints, "checkpoint") + differences(*held_out, "losses")


def measure(args: argparse.Namespace, folder: Path) -> dict:
    overrides = [f"max_steps={args.steps}", *args.overrides]
    straight, killed = (Training(folder / name, overrides) for name in ("straight", "killed"))
    whole = straight.finish()
    training = read_metadata(straight.folder / "model.safetensors")["losses"]["seconds"]
    between = 2 * PACE * training / args.kills  # seconds between a start and a kill are even up to this
    chance, kills = random.Random(args.seed), []
    for _ in track(range(args.kills), "killing"):
        trains = chance.random() >= STARTING
        seconds = chance.uniform(0, between if trains else whole - training)
        before, left = killed.step(), killed.half_written()
        if not killed.kill(trains, seconds):
            raise FastStyleError(f"the training was done after {len(kills)} kills: give more --steps")
        step = killed.step()
        if step < before:
            raise FastStyleError(f"{killed.last}: is back at step {step}, after {before}")
        kills.append({"training": trains, "step": step, "while writing": killed.half_written() > left})
    killed.finish()
    if other := compare(straight, killed):
        raise FastStyleError(f"after {len(kills)} kills another result: {', '.join(other[:5])}")
    return {
        "kills": len(kills),
        "while training": sum(kill["training"] for kill in kills),
        "while writing last.ckpt": sum(kill["while writing"] for kill in kills),
        "damaged checkpoints": 0,
        "bit for bit the same": True,
        "steps": args.steps,
        "at steps": [kill["step"] for kill in kills],
    }


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=1500, help="of the whole training")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument(
        "--runs", type=Path, help="a folder to train in, on another disk, say (default: a temporary one)"
    )
    parser.add_argument("--output", type=Path, help="write the result as JSON too")
    return parser.parse_intermixed_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    if args.runs:
        args.runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.runs) as folder:
        result = environment(torch.device("cpu")) | {"overrides": args.overrides, "seed": args.seed}
        result |= measure(args, Path(folder).resolve())
    write_result(result, args.output)
    print(json.dumps(result))


if __name__ == "__main__":
    exit_on_error(main)
