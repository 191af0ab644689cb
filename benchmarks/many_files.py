"""A folder of photos through infer.py, killed on the way and started again: is anything lost, or done twice?

    python -m benchmarks.many_files PHOTOS --output benchmarks/results/many_files.json

Paints the first --count photos under a folder by checkpoints/mosaic.safetensors, with `kill -9` when a third is there,
once more to the end, and a third time, when there is nothing to do. No picture may be damaged, or be written again
after the kill. Images/s are of the second run without its start, which is what the third run takes, on a machine that
may be busy; so there are images for a second of processor time, too: what a core does that has nothing else to do.
"""

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from benchmarks.result import write_result
from benchmarks.timing import environment
from fast_style.data.images import find_images, read_image
from fast_style.errors import FastStyleError, exit_on_error
from fast_style.overrides import quoted

ROOT = Path(__file__).resolve().parent.parent
POLL = 0.1  # seconds


def start(photos: Path, target: Path, keys: list[str]) -> subprocess.Popen:
    line = [sys.executable, "infer.py", "ckpt=checkpoints/mosaic.safetensors", f"input={quoted(photos)}"]
    line += [f"output={quoted(target)}", *keys]
    return subprocess.Popen(
        line, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )


def run(photos: Path, target: Path, keys: list[str]) -> tuple[str, float, float]:
    """The last line of a run, its seconds, and its seconds of processor time. Raises FastStyleError if it fails."""
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = start(photos, target, keys)
    said = process.communicate()[0].splitlines()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        raise FastStyleError(f"infer.py ended with {process.returncode}: {said[-1:]}")
    work = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return said[-1], time.perf_counter() - begun, work


def measure(photos: list[Path], folder: Path, keys: list[str]) -> dict:
    target, listed = folder / "painted", folder / "photos.txt"
    listed.write_text("".join(f"{path.resolve()}\n" for path in photos))
    killed = start(listed, target, keys)
    while len(painted(target)) < len(photos) // 3 and killed.poll() is None:
        time.sleep(POLL)
    killed.kill()
    killed.communicate()
    before = {path: path.stat().st_mtime_ns for path in painted(target)}
    said, seconds, work = run(listed, target, keys)
    again, start_seconds, start_work = run(listed, target, keys)
    found = painted(target)
    for path in found:
        read_image(path)
    if len(found) != len(photos) or any(path.stat().st_mtime_ns != time for path, time in before.items()):
        raise FastStyleError(f"{len(found)} of {len(photos)} pictures, or some were written again")
    count = int(re.search(r"wrote (\d+) images", said)[1])
    return {
        "photos": len(photos),
        "there at the kill": len(before),
        "then": said,
        "and again": again,
        "images/s": round(count / max(0.01, seconds - start_seconds), 2),
        "images for a second of processor time": round(count / max(0.01, work - start_work), 1),
        "seconds of processor time of the start": round(start_work, 1),
    }


def painted(target: Path) -> list[Path]:
    return find_images(target) if target.is_dir() else []


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="a folder")
    parser.add_argument("keys", nargs="*", metavar="KEY=VALUE", help="more keys of infer.py")
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--output", type=Path, help="write the result as JSON too")
    return parser.parse_intermixed_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    result = environment(torch.device("cpu")) | {"load of the machine": round(os.getloadavg()[0], 1), "keys": args.keys}
    with tempfile.TemporaryDirectory() as folder:
        result["measured"] = measure(find_images(args.photos)[: args.count], Path(folder).resolve(), args.keys)
    write_result(result, args.output)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    exit_on_error(main)
