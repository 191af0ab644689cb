"""How much a picture flickers where its photo moves: warping errors on clips whose motion is known.

    python -m benchmarks.flicker --ckpt MODEL ... --vgg16 vgg16_caffe.pth [--photos FILE ...] [--output FILE.json]

A clip is a window that moves over a photo (bicubic): it pans by (1.3, 0.7) pixels a frame, it zooms in by 1 % a frame
with a turn of half a degree, or it stands still while every frame has other noise, of a deviation of one level of 255.
The motion is affine, so where a pixel was in the frame before is known exactly. The warping error (Lai et al. 2018) is
the root mean square, in levels of 255, of what a picture differs by from the one before moved along, over all pixels
that both have; `photo` is that of the clip itself, which interpolation and noise cost. `most`: the largest difference
under noise.

Every model paints the frames each by itself, and as inference/steady.py does, which finds out by itself how they move;
of the last picture of the pan, whose photo is the same for both, `style`, `content` and `tone` are those of
benchmarks/quality.
"""

import argparse
import math
import statistics
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.quality import Judge
from benchmarks.result import write_result
from benchmarks.timing import environment
from fast_style.checkpoint import load_network, read_metadata
from fast_style.data.images import read_image, read_on_white, resize_short_side
from fast_style.data.sample_photos import sample_photo
from fast_style.data.styles import style_pictures
from fast_style.errors import exit_on_error
from fast_style.inference.steady import Steady
from fast_style.inference.stylize import stylize
from fast_style.networks.fast_layers import accelerate

ROOT = Path(__file__).resolve().parent.parent
PAN, ZOOM, TURN = (1.3, 0.7), 1.01, math.radians(0.5)  # a frame
NOISE = 1 / 255


def pan(frame: int, size: int) -> Tensor:
    shift = torch.tensor(PAN) * frame * 2 / size
    return torch.tensor([[1, 0, shift[0]], [0, 1, shift[1]], [0, 0, 1.0]])


def zoom(frame: int, size: int) -> Tensor:
    scale, angle = ZOOM**-frame, TURN * frame
    sine, cosine = scale * math.sin(angle), scale * math.cos(angle)
    return torch.tensor([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])


def still(frame: int, size: int) -> Tensor:
    return torch.eye(3)


MOTIONS = {"pan": (pan, 0.0), "zoom": (zoom, 0.0), "noise": (still, NOISE)}


def seen(image: Tensor, motion: Tensor, size: int) -> Tensor:
    """What a window (1, 3, size, size) sees of an image, with corners at -1 and 1, where `motion` (3, 3) puts it."""
    grid = F.affine_grid(motion[None, :2], (1, 3, size, size), align_corners=False)
    return F.grid_sample(image, grid, "bicubic", align_corners=False)


def clip(photo: Tensor, move: Callable[[int, int], Tensor], noise: float, size: int, frames: int) -> Tensor:
    """(frames, 3, size, size) of a photo (1, 3, H, W), in its middle, at its own resolution."""
    window = torch.diag(torch.tensor([size / photo.shape[3], size / photo.shape[2], 1.0]))
    images = torch.cat([seen(photo, window @ move(frame, size), size) for frame in range(frames)])
    return (images + noise * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)


def warping_error(images: Tensor, move: Callable[[int, int], Tensor]) -> tuple[float, float]:
    """The root mean square and the largest difference of frames (T, 3, size, size) from those before, moved along."""
    size, squares, most = images.shape[-1], [], 0.0
    for frame in range(1, len(images)):
        # A place in this frame, as a place in the photo, as a place in the frame before.
        back = move(frame - 1, size).inverse() @ move(frame, size)
        before = seen(images[frame - 1 : frame], back, size)
        inside = seen(torch.ones(1, 3, size, size), back, size) > 0.999
        difference = (images[frame : frame + 1] - before)[inside]
        squares.append(float(difference.square().mean()))
        most = max(most, float(difference.abs().max()))
    return 255 * math.sqrt(statistics.mean(squares)), 255 * most


def flicker(
    painter: Callable[[], Callable[[Tensor], Tensor]],
    photos: list[Tensor],
    size: int,
    frames: int,
    judged: Callable[[Tensor, Tensor], dict[str, float]] | None = None,
) -> dict[str, float]:
    """Means over photos, by motion, for noise the largest difference of all, and what a judge says of photo and picture
    at the end of the pan; painter makes what paints a clip."""
    found = {}
    for name, (move, noise) in MOTIONS.items():
        errors, said = [], defaultdict(list)
        for photo in photos:
            images = (clip(photo, move, noise, size, frames) * 255).round() / 255
            paint = painter()
            pictures = torch.cat([paint(image[None]) for image in images])
            errors.append(warping_error(pictures, move))
            if judged and move is pan:
                for figure, value in judged(images[-1], pictures[-1]).items():
                    said[figure].append(value)
        found[name] = round(statistics.mean(error for error, _ in errors), 2)
        if noise:
            found["most"] = round(max(most for _, most in errors), 1)
        found |= {figure: round(statistics.mean(values), 3) for figure, values in said.items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt", nargs="+", default=sorted(map(str, (ROOT / "checkpoints").glob("*.safetensors"))))
    parser.add_argument("--photos", nargs="+", default=[sample_photo(name) for name in ("chelsea.png", "coffee.png")])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--vgg16", help="weights of vgg16_caffe; without, the network that ships judges")
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/flicker.json")
    args = parser.parse_args()
    judge = Judge(args.vgg16)
    photos = [resize_short_side(read_image(path)[0], args.size + 32)[None] for path in args.photos]
    result = environment(torch.device("cpu")) | {"size": args.size, "frames": args.frames, "precision": args.precision}
    result["levels"] = levels = {"photo": flicker(lambda: lambda image: image, photos, args.size, args.frames)}
    print("photo", levels["photo"], flush=True)
    for ckpt in args.ckpt:
        network, style = load_network(ckpt)
        paint = partial(stylize, accelerate(network), precision=args.precision)
        paintings = [read_on_white(path) for path in style_pictures(read_metadata(ckpt)["config"]["style"])]
        judged = partial(judge, paintings)
        levels[Path(ckpt).stem] = found = {}
        for way, painter in {"alone": lambda paint=paint: paint, "steady": partial(Steady, paint)}.items():
            found[way] = flicker(painter, photos, args.size, args.frames, judged)
            print(style, way, found[way], flush=True)
    write_result(result, args.output)


if __name__ == "__main__":
    exit_on_error(main)
