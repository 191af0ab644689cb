"""Pictures of any size in bounded memory: seconds, peak memory, and what tiles differ from the whole by.

    python -m benchmarks.large_pictures --photo PHOTO [--ckpt MODEL] [--parts equality 12 png 100]

equality  the photo at 2048x1536, painted in tiles of 512 and of 1024 pixels, beside the same painted at once: PSNR in
          dB, most levels of 255, and the seam, the mean step between neighbours across the borders of tiles over that
          elsewhere, less that of the whole picture (0: there is none). `alone`: tiles painted each for itself, as is
          often done; `reduced`: by the statistics of a copy of 768 pixels. In float32 and in bfloat16.
files     infer.py's own way from a file to a file, each in a process of its own, under max_memory=: the photo at 12
          megapixels (4000x3000) and at 100 (16384x6144), and a PNG of 30000x30000 with max_size=512. Resident memory at
          its highest, of the process with all of Python and PyTorch; at once where tile=off is named. As they are
          (stroke_size=null), and with the strokes of a copy of 1024 pixels (auto).
"""

import argparse
import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from benchmarks.result import write_result
from benchmarks.stylize import psnr
from benchmarks.timing import environment
from fast_style.checkpoint import load_network
from fast_style.data.images import read_image, write_image
from fast_style.errors import exit_on_error
from fast_style.inference.stylize import stylize
from fast_style.inference.tiles import stylize_in_tiles
from fast_style.inference.windows import cut, windows
from fast_style.networks.fast_layers import accelerate
from fast_style.networks.transformer_net import InstanceNorm

ROOT = Path(__file__).resolve().parent.parent
RUN = """
import re, sys, time
from pathlib import Path
from fast_style.commands.infer import main
begun = time.perf_counter()
try:
    main()
finally:
    peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]
    print("measured", int(peak) / 1e6, time.perf_counter() - begun, time.process_time())
"""


def seams(picture: Tensor, side: int) -> float:
    """Mean step between neighbours (3, H, W) across the borders of tiles, over that of all others."""
    across, others = [], []
    for axis in (1, 2):
        steps = picture.diff(dim=axis).abs().mean(0).mean(2 - axis)
        border = torch.arange(1, len(steps) + 1) % side == 0
        across.append(steps[border].mean())
        others.append(steps[~border].mean())
    return float(sum(across) / sum(others))


def alone(transformer: nn.Module, image: Tensor, side: int, precision: str, margin: int = 64) -> Tensor:
    """Tiles with a margin, each with statistics of its own."""
    found = torch.empty_like(image)
    for window in windows(tuple(image.shape[1:]), side):
        wider = [range(max(0, part.start - margin), part.stop + margin) for part in window]
        painted = stylize(transformer, cut(image, wider)[None], precision)[0]
        inner = [
            range(part.start - more.start, part.stop - more.start) for part, more in zip(window, wider, strict=True)
        ]
        cut(found, window).copy_(cut(painted, inner))
    return found


def by_reduced(transformer: nn.Module, image: Tensor, precision: str, longest: int = 768) -> Tensor:
    """The whole, by the statistics that a reduced copy has."""
    norms = [module for module in transformer.modules() if isinstance(module, InstanceNorm)]
    measured = {}

    def measure(norm: nn.Module, inputs: tuple[Tensor]) -> None:
        variance, mean = torch.var_mean(inputs[0].float(), (0, 2, 3), correction=0)
        measured[norm] = mean, variance

    def apply(norm: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
        return F.batch_norm(inputs[0], *measured[norm], norm.weight, norm.bias, False, 0.0, norm.eps)

    for hook in ("register_forward_pre_hook", "register_forward_hook"):
        handles = [getattr(norm, hook)(measure if hook.endswith("pre_hook") else apply) for norm in norms]
        seen = image
        if hook.endswith("pre_hook"):
            size = [round(length * longest / max(image.shape)) for length in image.shape[1:]]
            seen = F.interpolate(image[None], size, mode="bicubic", antialias=True)[0].clamp(0, 1)
        picture = stylize(transformer, seen[None], precision)[0]
        for handle in handles:
            handle.remove()
    return picture


def equality(transformer: nn.Module, image: Tensor) -> list[dict]:
    rows = []
    for precision in ("32-true", "bf16-mixed"):
        begun = time.process_time()
        whole = stylize(transformer, image[None], precision)[0]
        whole_seconds = time.process_time() - begun
        ways = {
            f"tiles of {side}": partial(stylize_in_tiles, transformer, image, side, precision) for side in (512, 1024)
        }
        ways["alone, tiles of 512"] = partial(alone, transformer, image, 512, precision)
        ways["reduced"] = partial(by_reduced, transformer, image, precision)
        for name, paint in ways.items():
            begun = time.process_time()
            picture = paint()
            seconds = time.process_time() - begun
            picture = picture / 255 if picture.dtype == torch.uint8 else picture
            rounded = (whole * 255).round() / 255
            rows.append({
                "precision": precision, "way": name, "psnr": psnr(picture, rounded),
                "most_levels": round(float((picture - rounded).abs().max() * 255)),
                "seam": round(seams(picture, 512) - seams(whole, 512), 4),
                "cpu_seconds": round(seconds, 1), "cpu_seconds_at_once": round(whole_seconds, 1),
            })  # fmt: skip
            print(rows[-1], flush=True)
    return rows


def run_file(ckpt: str, source: Path, target: Path, *keys: str) -> dict:
    command = [sys.executable, "-c", RUN, f"ckpt={ckpt}", f"input={source}", f"output={target}", *keys]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    found = re.search(r"measured (\S+) (\S+) (\S+)", finished.stdout)
    with Image.open(source) as image:
        row = {"pixels": f"{image.width}x{image.height}", "keys": list(keys)}
    if finished.returncode or not found:
        return row | {"failed": (finished.stderr.strip().splitlines() or [str(finished.returncode)])[-1]}
    names = "peak_gb", "seconds", "cpu_seconds"
    return row | {name: round(float(value), 2) for name, value in zip(names, found.groups(), strict=True)}


def measure(args: argparse.Namespace) -> dict:
    transformer = accelerate(load_network(args.ckpt)[0]).to(memory_format=torch.channels_last)
    photo = read_image(args.photo)[0][None]

    def of_size(width: int, height: int) -> Tensor:
        scale = max(width / photo.shape[3], height / photo.shape[2])
        size = [-(-round(length * scale) // 1) for length in photo.shape[2:]]
        enlarged = F.interpolate(photo, size, mode="bicubic", antialias=True)[0, :, :height, :width]
        return enlarged.clamp_(0, 1)

    result = environment(torch.device("cpu")) | {"ckpt": Path(args.ckpt).name}
    if "equality" in args.parts:
        result["equality"] = equality(transformer, of_size(2048, 1536))
    result["files"] = rows = []
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        if "12" in args.parts:
            write_image(folder / "12.jpg", of_size(4000, 3000))
            for keys in itertools.product(("tile=off", "max_memory=1500MB"), ("stroke_size=null", "stroke_size=auto")):
                rows.append(run_file(args.ckpt, folder / "12.jpg", folder / "out.jpg", *keys))
                print(rows[-1], flush=True)
        if "100" in args.parts:
            write_image(folder / "100.jpg", (of_size(16384, 6144) * 255).byte())
            for strokes in ("stroke_size=null", "stroke_size=auto"):
                rows.append(run_file(args.ckpt, folder / "100.jpg", folder / "out.jpg", "max_memory=4GB", strokes))
                print(rows[-1], flush=True)
        if "png" in args.parts:
            Image.new("RGB", (30000, 30000), (90, 140, 200)).save(folder / "large.png")
            rows.append(run_file(args.ckpt, folder / "large.png", folder / "out.png", "max_size=512"))
            print(rows[-1], flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt", default=str(ROOT / "checkpoints/starry_night.safetensors"))
    parser.add_argument("--photo", required=True)
    parser.add_argument("--parts", nargs="+", default=["equality", "12", "png", "100"], help="which to measure")
    parser.add_argument("--folder", default="/var/tmp", help="for the files, on a disk")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/large_pictures.json")
    args = parser.parse_args()
    result = measure(args)
    if args.output.exists():  # what is not measured again stays
        old = json.loads(args.output.read_text())
        again = {(row["pixels"], *row["keys"]) for row in result["files"]}
        kept = [row for row in old["files"] if (row["pixels"], *row["keys"]) not in again]
        result = {"equality": old.get("equality")} | result | {"files": kept + result["files"]}
    write_result(result, args.output)


if __name__ == "__main__":
    exit_on_error(main)
