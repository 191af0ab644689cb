"""Make a folder of photos fast to train from: every photo once decoded and shrunk, as a small JPEG.

    python scripts/prepare_photos.py /data/coco/train2017 /data/coco288
    python train.py data=folder data.root=/data/coco288 ...

Started again, it goes on where it was.
"""

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from PIL import Image
from rich.progress import track

from fast_style.data.images import ImageError, find_files, left_out, only_images, read_rgb
from fast_style.errors import FastStyleError, exit_on_error

QUALITY = 92


def prepare(paths: tuple[Path, Path], short_side: int) -> str | None:
    """Write one small photo, whole or not at all; the reason if it cannot be read."""
    source, target = paths
    try:
        picture = Image.fromarray(read_rgb(source, short_side))
    except ImageError as error:
        return str(error)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    picture.save(temporary, "JPEG", quality=QUALITY)
    temporary.replace(target)
    return None


def still_to_do(photos: list[Path], source: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    for path in photos:
        # With its suffix, so that a.png and a.jpg stay two photos.
        small = target / path.relative_to(source).with_name(f"{path.name}.jpg")
        if not small.exists():
            yield path, small


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of photos, with subfolders")
    parser.add_argument("target", type=Path, help="folder to write; it must not lie in the first one")
    parser.add_argument("--short-side", type=int, default=288, help="288 is for image_size=256: leaves room for crops")
    parser.add_argument("--workers", type=int, help="processes; default: one for each core")
    args = parser.parse_args(argv)
    if args.target.resolve().is_relative_to(args.source.resolve()):
        raise FastStyleError(f"{args.target} lies in {args.source}: its pictures would be prepared again")
    if args.short_side < 1:
        raise FastStyleError(f"--short-side {args.short_side}: must be at least 1")
    files = find_files(args.source)
    pairs = list(still_to_do(only_images(files), args.source, args.target))
    with ProcessPoolExecutor(args.workers) as pool:
        results = pool.map(partial(prepare, short_side=args.short_side), pairs, chunksize=16)
        failures = [reason for reason in track(results, "preparing", total=len(pairs)) if reason]
    print(f"{len(pairs) - len(failures)} photos in {args.target}", *failures, sep="\n")
    if note := left_out(files):
        print(f"{args.source}: {note}")


if __name__ == "__main__":
    exit_on_error(lambda: main(sys.argv[1:]))
