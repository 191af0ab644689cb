"""What an exported model weighs, how fast it is, and how nearly it paints what the model does.

    python -m benchmarks.export [--ckpt checkpoints/mosaic.safetensors] [--output benchmarks/results/export.json]
                                [--picture docs/images/export.jpg]

eager       infer.py's way, in float32, and in bfloat16 where the hardware multiplies it
onnx        files of fast-style-export in float32, float16 and int8, run by ONNX Runtime on the CPU
executorch  the same in float32, run by ExecuTorch's runtime on the CPU; left out where it is not installed

Megabytes of each file; seconds a picture of 512 px, the sides taking turns, and seconds of processor time, which say
something on a machine that is busy, too; against eager float32, on a photo that no
shipped model was trained on, the largest difference and the mean in levels of 255, and PSNR in dB. ONNX Runtime has no
convolutions in float16 for CPUs and computes them in float32: that file is for GPUs, and `float16_psnr` is between
torch's pictures in both, of a quarter of the size, since it takes long.
"""

import argparse
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor
from torchvision.transforms.functional import center_crop
from torchvision.utils import make_grid

from benchmarks.result import write_result
from benchmarks.stylize import psnr
from benchmarks.timing import alternate, environment
from fast_style.checkpoint import load_network
from fast_style.data.images import read_image, write_image
from fast_style.data.sample_photos import sample_photo
from fast_style.hardware import keep_freed_memory, pick_precision
from fast_style.inference.export import PACKAGES, PAINTERS, checked_file
from fast_style.inference.stylize import stylize
from fast_style.networks.exportable import exportable
from fast_style.networks.fast_layers import accelerate

EXPORTED = (("onnx", "float32"), ("onnx", "float16"), ("onnx", "int8"), ("executorch", "float32"))
INSTALLED = [form for form, names in PACKAGES.items() if all(map(importlib.util.find_spec, names))]
SHOWN, CROP = ("eager float32", "onnx int8"), 320  # what the picture has beside the photo, the middle of each
PHOTO = "coffee.png"  # held out of the training of the shipped models


def painters(ckpt: Path) -> tuple[dict, dict[str, int]]:
    """What paints, by the name of the side, and the bytes of what it is loaded from."""
    network, _ = load_network(ckpt)
    paint, size = {}, {"eager": ckpt.stat().st_size}
    for form, precision in EXPORTED:
        if form in INSTALLED:
            file, _ = checked_file(network, form, precision, integer=False)
            paint[f"{form} {precision}"], size[f"{form} {precision}"] = PAINTERS[form](file), len(file)
    fast = accelerate(network).to(memory_format=torch.channels_last)
    eager = {"eager float32": partial(stylize, fast)}
    if pick_precision("auto", torch.device("cpu")) == "bf16-mixed":
        eager["eager bfloat16"] = partial(stylize, fast, precision="bf16-mixed")
    return eager | paint, size


def photo_of(side: int) -> Tensor:
    """The middle of a photo, (1, 3, side, side)."""
    photo, _ = read_image(sample_photo(PHOTO))
    scale = side / min(photo.shape[1:])
    size = [round(scale * length) for length in photo.shape[1:]]
    photo = torch.nn.functional.interpolate(photo[None], size, mode="bilinear", antialias=True)
    top, left = ((length - side) // 2 for length in size)
    return photo[..., top : top + side, left : left + side].contiguous()


def float16_psnr(ckpt: Path, side: int) -> float:
    """Between what a network paints with convolutions in float32 and in float16, in dB."""
    network, images = load_network(ckpt)[0], photo_of(side)
    exact = stylize(network, images)
    return psnr(stylize(exportable(network, "float16"), images), exact)


def processor_seconds(run: Callable[[], object]) -> float:
    """Of all threads of this process, after one run that is not counted."""
    run()
    begun = time.process_time()
    run()
    return round(time.process_time() - begun, 3)


def measure(args: argparse.Namespace) -> tuple[dict, Tensor]:
    """Figures, and the photo with what some sides painted."""
    sides, sizes = painters(args.ckpt)
    images = photo_of(args.size)
    pictures = {name: paint(images).clamp(0, 1) for name, paint in sides.items()}
    exact = pictures["eager float32"]
    rows = {}
    for name, picture in pictures.items():
        difference = 255 * (picture - exact).abs()
        rows[name] = {
            "megabytes": round(sizes.get(name, sizes["eager"]) / 1e6, 2),
            "largest_levels": round(float(difference.max()), 3),
            "mean_levels": round(float(difference.mean()), 4),
            "psnr": None if name == "eager float32" else psnr(picture, exact),
        }
        print(name, rows[name], flush=True)
    for name, seconds in alternate(
        {name: partial(paint, images) for name, paint in sides.items()}, args.repeats, 1
    ).items():
        rows[name] |= {"seconds": seconds, "processor_seconds": processor_seconds(partial(sides[name], images))}
        print(name, seconds, flush=True)
    result = environment(torch.device("cpu"))
    result["versions"] |= {name: version(name) for form in INSTALLED for name in PACKAGES[form] if form != "coreml"}
    result |= {"ckpt": args.ckpt.name, "size": args.size, "repeats": args.repeats, "note": args.note, "sides": rows}
    result["float16_psnr"] = float16_psnr(args.ckpt, args.size // 4)
    return result, torch.cat([images, *(pictures[name] for name in SHOWN)])


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt", type=Path, default=Path("checkpoints/mosaic.safetensors"), help="a release file")
    parser.add_argument("--size", type=int, default=512, help="side of the picture")
    parser.add_argument("--repeats", type=int, default=5, help="of every side")
    parser.add_argument("--note", help="on the machine, for the results")
    parser.add_argument("--output", type=Path, help="a JSON file to write as well")
    parser.add_argument("--picture", type=Path, help="the photo and what sides paint of it, side by side")
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    args = parse(argv)
    keep_freed_memory()
    result, pictures = measure(args)
    write_result(result, args.output)
    if args.picture:
        write_image(args.picture, make_grid(center_crop(pictures, [CROP, CROP]), nrow=3, padding=4, pad_value=1))
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
