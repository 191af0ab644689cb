"""How many training crops a second one core reads: from a folder, a zip archive, shards, and data=samples.

    python -m benchmarks.content_reading --photos PHOTOS [--output benchmarks/results/content_reading.json]

The zip archive and the shards are made of the folder's photos, the shards as scripts/prepare_photos.py makes them, with
a short side of 288 px. Seconds are those of the processor, so that other work on the machine counts little; the files
are in the system's memory, so that disks count not at all. The sides take turns. `samples` are drawn once, at
`samples_drawn_per_second`, and kept. `--enlarge 480` first brings the photos to COCO's usual short side, as JPEGs of
quality 90, where only smaller ones are at hand. Needs LitData: pip install -e ".[shards]".
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import torch
from PIL import Image
from rich.progress import track

from benchmarks.result import write_result
from benchmarks.timing import environment
from fast_style.data.content import ContentImages, Folder, RandomCrops, Samples
from fast_style.data.images import find_images, read_rgb
from fast_style.data.shards import Shards
from fast_style.errors import FastStyleError, exit_on_error
from scripts.prepare_photos import prepare


def sources(photos: Path, scratch: Path, options: dict) -> dict[str, ContentImages]:
    """The same photos as train.py would read them."""
    archive = shutil.make_archive(str(scratch / "photos"), "zip", photos)
    prepare(photos, scratch / "shards", short_side=288, workers=None)
    held_out = {"validation_count": 1, "unreadable_log": str(scratch / "unreadable.txt")}
    return {
        "folder": Folder(root=str(photos), **held_out, **options),
        "zip": Folder(root=archive, **held_out, **options),
        "shards": Shards(root=str(scratch / "shards"), **held_out, **options),
        "samples": Samples(count=100, photo_share=0.3, **options),
    }


def enlarged(photos: Path, target: Path, short_side: int) -> Path:
    for index, path in enumerate(track(find_images(photos), "enlarging")):
        target.mkdir(exist_ok=True)
        Image.fromarray(read_rgb(path, short_side)).save(target / f"{index:06d}.jpg", quality=90)
    return target


def seconds(crops: RandomCrops, count: int) -> float:
    begun = time.process_time()
    for position in range(count):
        crops[position]
    return time.process_time() - begun


def measure(args: argparse.Namespace, scratch: Path) -> dict:
    photos = enlarged(args.photos, scratch / "photos", args.enlarge) if args.enlarge else args.photos
    data = sources(photos, scratch, {"image_size": args.image_size, "batch_size": 4, "seed": 0})
    for images in data.values():
        images.setup("fit")
    crops = {
        name: RandomCrops(images.training_images(), args.image_size, 0, images.shards())
        for name, images in data.items()
    }
    first = {name: seconds(side, args.count) for name, side in crops.items()}  # opens files, and draws the samples
    turns = [{name: seconds(side, args.count) for name, side in crops.items()} for _ in range(args.repeats)]
    rates = {name: sorted(args.count / turn[name] for turn in turns) for name in crops}
    return {
        "photos": len(find_images(photos)),
        "short_side": args.enlarge or "as they are",
        "image_size": args.image_size,
        "bytes": {name: size_of(scratch / name) for name in ("photos.zip", "shards")},
        "images_per_second": {
            name: {"median": round(statistics.median(rate)), "min": round(rate[0]), "max": round(rate[-1])}
            for name, rate in rates.items()
        },
        "samples_drawn_per_second": round(min(args.count, 100) / first["samples"], 1),
    }


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.iterdir()))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos")
    parser.add_argument("--enlarge", type=int, metavar="PIXELS", help="short side to bring the photos to first")
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--count", type=int, default=200, help="crops a turn")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", type=Path, help="write the result as JSON too")
    args = parser.parse_args(arguments)
    if not find_images(args.photos):
        raise FastStyleError(f"--photos {args.photos}: has no images")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        result = environment(torch.device("cpu")) | measure(args, Path(scratch))
    write_result(result, args.output)
    print(json.dumps(result))


if __name__ == "__main__":
    exit_on_error(main)
