"""A long video through infer.py, killed on the way and started again: does memory grow, and is work done twice?

    python -m benchmarks.long_video [--frames 10000] [--output benchmarks/results/long_video.json]

The frames are small (a window that moves over a photo), so that there can be many. `memory` is the resident memory of
the whole process, Python and PyTorch included, in MB: when so many frames are done, and at its highest, also while the
parts are joined. Once the run is not disturbed; once it gets `kill -9` when half of the parts are there, and the next
goes on. Both files must have the same frames at the same times, and the same sound; `levels`: by how many of 255, on
average over its pixels, a frame differs at most. It is not 0, because x264 does not always make the same of the same
frames; so small, they lose ten levels by being encoded, and two undisturbed runs differ by as much. Needs the extra
`video`.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.result import write_result
from benchmarks.timing import environment
from fast_style.data.images import read_rgb
from fast_style.data.sample_photos import sample_photo
from fast_style.errors import FastStyleError, exit_on_error
from fast_style.inference.video import PART, load_av, opened
from fast_style.overrides import quoted

ROOT = Path(__file__).resolve().parent.parent
WIDTH, HEIGHT = 32, 24
POLL = 0.2  # seconds
SHOWN = (1000, 2500, 5000, 7500, 10000)  # frames at which memory is stated


def write_clip(path: Path, frames: int) -> Path:
    """A window that goes round over a photo, with a sound of one tone."""
    av = load_av()
    photo = read_rgb(sample_photo("coffee.png"), 128)
    with av.open(str(path), "w") as container:
        stream, sound = container.add_stream("libx264", rate=25), container.add_stream("aac", rate=48000)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(frames):
            top = round((1 + np.sin(index / 50)) / 2 * (photo.shape[0] - HEIGHT))
            left = round((1 + np.cos(index / 50)) / 2 * (photo.shape[1] - WIDTH))
            window = np.ascontiguousarray(photo[top : top + HEIGHT, left : left + WIDTH])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(window, "rgb24")))
            tone = np.sin(np.arange(1920, dtype=np.float32) / 20)[None] / 2
            samples = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
            samples.sample_rate, samples.pts = 48000, index * 1920
            container.mux(sound.encode(samples))
        for one in (stream, sound):
            container.mux(one.encode())
    return path


class Run:
    """infer.py in a process of its own, and its memory by the parts that are there."""

    def __init__(self, clip: Path, target: Path, keys: list[str]):
        line = [sys.executable, "infer.py", "ckpt=checkpoints/mosaic.safetensors", f"input={quoted(clip)}"]
        self.process = subprocess.Popen(
            [*line, f"output={quoted(target)}", *keys],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        self.folder, self.memory, self.highest = target.with_name(f".{target.name}.parts"), {}, 0.0
        self.there = self.parts()

    def parts(self) -> int:
        return len(list(self.folder.glob("*.mp4")))

    def watch(self, until: float = float("inf")) -> None:
        """Wait until so many parts are there, or for the end."""
        while self.process.poll() is None and self.parts() < until:
            try:
                status = Path(f"/proc/{self.process.pid}/status").read_text()
                resident, highest = (int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) for name in ("VmRSS", "VmHWM"))
            except (OSError, TypeError):  # it has just ended
                continue
            frames, self.highest = PART * self.parts(), max(self.highest, highest / 1e3)
            if frames > PART * self.there:  # the start is over
                self.memory.setdefault(frames, round(resident / 1e3))
            time.sleep(POLL)

    def end(self) -> dict:
        self.watch()
        said = self.process.communicate()[0].splitlines()
        if self.process.returncode:
            raise FastStyleError(f"infer.py ended with {self.process.returncode}: {said[-1:]}")
        return {
            "said": said[-2:],
            "parts that were there": self.there,
            "memory by frames, MB": {frames: mb for frames, mb in self.memory.items() if frames in SHOWN},
            "memory at most, MB": round(self.highest),
        }


def packets(path: Path) -> list[tuple]:
    """Times of all, and what the sound is."""
    with load_av().open(str(path)) as container:
        return [(one.pts, one.dts, bytes(one) if one.stream.type == "audio" else b"") for one in container.demux()]


def levels(one: Path, other: Path) -> float:
    with opened(str(one)) as first, opened(str(other)) as second:
        differences = [
            float((frame.image.float() - same.image.float()).abs().mean())
            for frame, same in zip(first.frames, second.frames, strict=True)
        ]
    return round(max(differences), 3)


def measure(frames: int, folder: Path, keys: list[str]) -> dict:
    clip, once, target = write_clip(folder / "clip.mp4", frames), folder / "once.mp4", folder / "out.mp4"
    undisturbed = Run(clip, once, keys).end()
    killed = Run(clip, target, keys)
    killed.watch(until=frames / PART / 2)
    killed.process.kill()
    killed.process.communicate()
    if target.exists():
        raise FastStyleError("there is a file of a run that was killed")
    resumed = Run(clip, target, keys).end()
    if packets(once) != packets(target):
        raise FastStyleError("what was made in two runs differs from what was made in one")
    return {"undisturbed": undisturbed, "after a kill": resumed, "levels": levels(once, target)}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("keys", nargs="*", metavar="KEY=VALUE", help="more keys of infer.py")
    parser.add_argument("--frames", type=int, default=10000)
    parser.add_argument("--output", type=Path, help="write the result as JSON too")
    return parser.parse_intermixed_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    result = environment(torch.device("cpu")) | {"load of the machine": round(os.getloadavg()[0], 1)}
    result |= {"frames": args.frames, "size": [WIDTH, HEIGHT], "frames a part": PART, "keys": args.keys}
    with tempfile.TemporaryDirectory() as folder:
        result["measured"] = measure(args.frames, Path(folder).resolve(), args.keys)
    write_result(result, args.output)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    exit_on_error(main)
