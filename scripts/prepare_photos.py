"""Make photos fast to train from: every photo once decoded and shrunk, as a small JPEG in one of a few large files.

    python scripts/prepare_photos.py /data/coco/train2017.zip /data/coco288     # a zip archive, or any folder of photos
    python train.py data=shards data.root=/data/coco288 ...

The files may be copied to object storage, `aws s3 sync /data/coco288 s3://bucket/coco288`, and are read from there with
data.root=s3://bucket/coco288. manifest.json says what is in them, what was left out, and why. Needs LitData:
pip install -e ".[shards]".
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from rich.progress import track

from fast_style.data.content import Photos
from fast_style.data.images import ImageError, PackedPhoto, find_files, left_out, only_images, read_rgb
from fast_style.data.shards import write_shards
from fast_style.data.zipped import zipped_files
from fast_style.errors import FastStyleError, exit_on_error

QUALITY = 92


class Small(NamedTuple):
    """A photo that was made small, or why it was not."""

    jpeg: bytes = b""
    long_side: int = 0
    reason: str = ""


def shrink(photo: Path | PackedPhoto, short_side: int) -> Small:
    try:
        picture = Image.fromarray(read_rgb(photo, short_side))
    except ImageError as error:
        return Small(reason=str(error))
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY)
    return Small(buffer.getvalue(), max(picture.size))


def mixed(photos: Photos) -> Photos:
    """In a random order, always the same: a shard, from which a training reads for a while, is then a sample of all."""
    return [photos[index] for index in np.random.default_rng(0).permutation(len(photos))]


class Preparation:
    """Photos on their way into shards, and what the manifest says of them."""

    def __init__(self, source: Path, photos: Photos, short_side: int, workers: int | None):
        self.source, self.photos, self.short_side, self.workers = source, photos, short_side, workers
        self.count = self.bytes = self.longest_side = 0
        self.unreadable: list[str] = []

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        with ProcessPoolExecutor(self.workers) as pool:
            results = pool.map(partial(shrink, short_side=self.short_side), self.photos, chunksize=16)
            for photo, small in zip(self.photos, track(results, "preparing", len(self.photos)), strict=True):
                if small.reason:
                    self.unreadable.append(small.reason)
                    continue
                self.count, self.bytes = self.count + 1, self.bytes + len(small.jpeg)
                self.longest_side = max(self.longest_side, small.long_side)
                yield str(photo).removeprefix(f"{self.source}/"), small.jpeg

    def manifest(self, note: str | None) -> dict:
        return {
            "source": str(self.source.resolve()),
            "photos": self.count,
            "bytes": self.bytes,
            "short_side": self.short_side,
            "longest_side": self.longest_side,
            "jpeg_quality": QUALITY,
            "left_out": ([note] if note else []) + self.unreadable,
            "versions": {name: version(name) for name in ("litdata", "pillow")},
        }


def prepare(source: Path, target: Path, short_side: int, workers: int | None) -> dict:
    """Write the shards and their manifest, all of them or nothing; what the manifest says."""
    files = zipped_files(source) if source.suffix.lower() == ".zip" else find_files(source)
    preparation = Preparation(source, mixed(only_images(files)), short_side, workers)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as unfinished:
        shards = Path(unfinished, "shards")
        write_shards(shards, preparation)
        manifest = preparation.manifest(left_out(files))
        if not preparation.count:
            raise FastStyleError(f"{source}: has no photo that can be read; {'; '.join(manifest['left_out'][:3])}")
        (shards / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
        shards.replace(target)
    return manifest


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of photos, with subfolders, or a zip archive")
    parser.add_argument("target", type=Path, help="folder to write: a new one")
    parser.add_argument("--short-side", type=int, default=288, help="288 is for image_size=256: leaves room for crops")
    parser.add_argument("--workers", type=int, help="processes; default: one for each core")
    args = parser.parse_args(argv)
    if args.short_side < 1:
        raise FastStyleError(f"--short-side {args.short_side}: must be at least 1")
    if args.workers is not None and args.workers < 1:
        raise FastStyleError(f"--workers {args.workers}: must be at least 1")
    if args.target.exists() and (args.target.is_file() or any(args.target.iterdir())):
        raise FastStyleError(f"{args.target}: is there already: give a new folder, or remove it first")
    try:
        manifest = prepare(args.source, args.target, args.short_side, args.workers)
    except OSError as error:
        raise FastStyleError(f"{args.target}: cannot be written: {error.strerror or error}") from error
    print(f"{manifest['photos']:,} photos, {manifest['bytes'] / 1e6:,.1f} MB, in {args.target}")
    if manifest["left_out"]:
        print("left out, as its manifest.json says in full:", *manifest["left_out"][:10], sep="\n  ")
    print(f"\npython train.py data=shards data.root={args.target}")


if __name__ == "__main__":
    exit_on_error(lambda: main(sys.argv[1:]))
