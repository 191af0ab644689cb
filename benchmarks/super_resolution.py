"""How good enlargements are, beside bicubic interpolation: Johnson et al. 2016, table 2 and figures 8 and 9.

    python -m benchmarks.super_resolution --ckpt perceptual.safetensors pixel.safetensors --photos FOLDER \\
        --vgg16 vgg16_caffe.pth --output result.json --sheet sheet.jpg

Photos are made small as in training (a Gaussian blur of sigma 1, bicubic interpolation), rounded to 8 bits as in files,
enlarged again, and compared with what they were, cut to a multiple of the scale:
  psnr     in decibels, of the luma (Y of YCbCr); the mean over photos
  ssim     of the same (Wang et al. 2004)
  feature  relative squared error of the features at relu2_2 of VGG-16 (Simonyan and Zisserman 2015, the Caffe weights),
           the layer that the paper trains on; its median over photos, too, since a flat photo has large ones
Without --vgg16, its low-rank factors that ship judge.
All models need one scale. The sheet has a row for each of the first photos: a part of the truth, of bicubic
interpolation, and of each model's enlargement, with PSNR and SSIM of the whole photo, as in the paper's figures.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from rich.progress import track
from torch import Tensor
from torchvision.transforms.functional import center_crop, to_pil_image

from benchmarks.result import write_result
from benchmarks.sheet import draw_sheet
from fast_style.checkpoint import find_model, load_network, read_metadata
from fast_style.data.images import check_target, find_images, read_on_white
from fast_style.errors import FastStyleError, exit_on_error
from fast_style.hardware import describe_device
from fast_style.inference.stylize import stylize
from fast_style.losses import relative_error
from fast_style.networks.loss_network import load_loss_network
from fast_style.networks.upscaler import Upscaler, resize_bicubic
from fast_style.training.super_resolution import degrade
from fast_style.training.validation import fidelity

LAYER = "relu2_2"


class Judge:
    """What is said of images beside the truth, all (1, 3, H, W) in [0, 1]."""

    def __init__(self, weights: str | None):
        self.name = "vgg16_caffe" if weights else "vgg16_lowrank"
        self.network = load_loss_network(self.name, [LAYER], weights)

    @torch.no_grad()
    def __call__(self, images: Tensor, truth: Tensor) -> dict[str, float]:
        found, wanted = (self.network(one)[LAYER] for one in (images, truth))
        values = fidelity(images, truth) | {"feature": relative_error(found, wanted)}
        return {name: value.item() for name, value in values.items()}


def load_upscalers(ckpts: Sequence[str]) -> dict[str, Upscaler]:
    """By a name for each: that of the file, or of a run's folder."""
    upscalers = {}
    for ckpt in ckpts:
        network, _ = load_network(ckpt, "--ckpt")
        if not isinstance(network, Upscaler):
            raise FastStyleError(f"--ckpt {ckpt}: is no model of task=super_resolution")
        name = Path(ckpt).parent.name if Path(ckpt).name == "model.safetensors" else Path(ckpt).stem
        if name in upscalers:
            raise FastStyleError(f"--ckpt {ckpt}: another model is named {name}, too")
        upscalers[name] = network
    if len({network.scale for network in upscalers.values()}) > 1:
        scales = ", ".join(f"{name} x{network.scale}" for name, network in upscalers.items())
        raise FastStyleError(f"--ckpt: the models have different scales ({scales})")
    return upscalers


def enlargements(truth: Tensor, upscalers: dict[str, Upscaler], scale: int) -> dict[str, Tensor]:
    """What becomes of a photo (1, 3, H, W), made small, by each way."""
    small = (degrade(truth, scale) * 255).round() / 255
    bicubic = resize_bicubic(small, tuple(truth.shape[-2:])).clamp(0, 1)
    return {"bicubic": bicubic} | {name: stylize(upscaler, small) for name, upscaler in upscalers.items()}


def read_truth(path: Path, scale: int) -> Tensor:
    """A photo (1, 3, H, W), cut in the middle to multiples of the scale."""
    photo = read_on_white(path)
    size = [side - side % scale for side in photo.shape[-2:]]
    if min(size) < 16:
        raise FastStyleError(f"{path}: is too small, it needs 16 pixels")
    return center_crop(photo, size)[None]


def part(image: Tensor, side: int, size: int) -> Image.Image:
    """The middle of an image (1, 3, H, W), each pixel a square of them."""
    return to_pil_image(center_crop(image, [side, side])[0]).resize((size, size), Image.Resampling.NEAREST)


def summary(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    result = {name: statistics.mean(row[name] for row in rows) for name in rows[0]}
    result["feature_median"] = statistics.median(row["feature"] for row in rows)
    return {name: round(value, 4) for name, value in result.items()}


def find_photos(items: Sequence[str], count: int) -> list[Path]:
    """Files, and the last of every folder by name."""
    photos = [path for item in items for path in (find_images(item)[-count:] if Path(item).is_dir() else [Path(item)])]
    if not photos:
        raise FastStyleError(f"--photos {' '.join(items)}: no images there")
    return photos


def compare(args: argparse.Namespace) -> tuple[dict, Image.Image]:
    """The figures, and the sheet."""
    upscalers, judge = load_upscalers(args.ckpt), Judge(args.vgg16)
    scale, photos = next(iter(upscalers.values())).scale, find_photos(args.photos, args.count)
    figures, rows = {name: [] for name in ("bicubic", *upscalers)}, []
    for index, path in enumerate(track(photos, "enlarging")):
        truth = read_truth(path, scale)
        images = enlargements(truth, upscalers, scale)
        for name, image in images.items():
            figures[name].append(judge(image, truth))
        if index < args.rows:
            row = [(part(truth, args.part, args.cell), path.stem)]
            for name, image in images.items():
                label = f"{figures[name][-1]['psnr']:.2f} dB, {figures[name][-1]['ssim']:.3f}"
                row.append((part(image, args.part, args.cell), label))
            rows.append(row)
    result = {
        "scale": scale,
        "photos": len(photos),
        "judge": f"{judge.name} {LAYER}",
        "ways": {name: summary(values) for name, values in figures.items()},
        "models": {
            name: {"ckpt": ckpt, "error": metadata["config"]["error"], "losses": metadata["losses"]}
            for name, ckpt in zip(upscalers, args.ckpt, strict=True)
            if (metadata := read_metadata(find_model(ckpt)))
        },
        "machine": describe_device(torch.device("cpu")),
    }
    return result, draw_sheet(rows, ["truth", *figures], args.cell)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt", nargs="+", required=True, help="release files of task=super_resolution")
    parser.add_argument("--photos", nargs="+", required=True, help="photos, or folders of photos")
    parser.add_argument("--count", type=int, default=100, help="how many photos of a folder, from the end by name")
    parser.add_argument("--vgg16", help="weights of vgg16_caffe; without, the network that ships judges")
    parser.add_argument("--output", type=Path, help="write the result as JSON too")
    parser.add_argument("--sheet", type=Path, help="write pictures side by side, as JPEG or PNG")
    parser.add_argument("--rows", type=int, default=6, help="photos on the sheet")
    parser.add_argument("--part", type=int, default=144, help="side of the part of a photo that is shown, in pixels")
    parser.add_argument("--cell", type=int, default=288, help="side that it is shown at")
    return parser.parse_args(arguments)


def main() -> None:
    args = parse()
    if args.sheet:
        check_target("--sheet", args.sheet)
    result, sheet = compare(args)
    print(json.dumps(result["ways"], indent=1))
    write_result(result, args.output)
    if args.sheet:
        args.sheet.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(args.sheet, quality=88)


if __name__ == "__main__":
    exit_on_error(main)
