"""What task=any_style learns from, and the file of it that ships.

    python -m scripts.any_style pictures --photos PHOTOS --output STYLES
    python train.py task=any_style styles=STYLES data=folder data.root=PHOTOS budget=...
    python -m scripts.any_style ship outputs/any/.../model.safetensors

The pictures are random paintings, the bundled studies and paintings of your own, several times each, photos painted by
the models that ship, and photos as they are.
"""

import argparse
import platform
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track
from torchvision.transforms.functional import to_pil_image

from fast_style import Stylizer
from fast_style.data.images import find_images, read_on_white, resize_short_side
from fast_style.data.styles import bundled_styles, file_sha256
from fast_style.errors import FastStyleError, exit_on_error
from fast_style.training.warm_start import FIRST_GUESS, SHIPPED
from scripts.painting.random_styles import JPEG_QUALITY, numbered_painting
from scripts.train_gallery import ROOT, commit, save_half

SIDE = 384
REPEATED = 8  # times that a true painting counts as one
PAINTED, PHOTOS = 14, 60  # photos that each model paints, and that are styles themselves
SHIPPED_BYTES = 6_000_000


def write_pictures(output: Path, photos: list[Path], paintings: list[Path], models: list[Path], count: int) -> None:
    """Fill a folder with pictures to learn styles from, a name each. Raises FastStyleError."""
    output.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for number, path in enumerate([*bundled_styles().values(), *paintings]):  # two may have one name
        for copy in range(REPEATED):
            shutil.copyfile(path, output / f"{number}_{path.stem}_{copy}{path.suffix}")

    def drawn(number: int) -> list[Path]:
        return [photos[index] for index in generator.permutation(len(photos))[:number]]

    for path in drawn(PHOTOS):
        write(output / f"photo_{path.stem}.jpg", shrunk(path))
    for model in track(models, "painting photos"):
        paint = Stylizer(model)
        for path in drawn(PAINTED):
            write(output / f"{model.stem}_{path.stem}.jpg", paint(shrunk(path)))
    for number in track(range(count), "painting at random"):
        write(output / f"random_{number:05d}.jpg", numbered_painting(0, number))


def shrunk(path: Path) -> Image.Image:
    return to_pil_image(resize_short_side(read_on_white(path), SIDE).clamp(0, 1))


def write(path: Path, picture: Image.Image) -> None:
    picture.save(path, quality=JPEG_QUALITY, subsampling=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    pictures = commands.add_parser("pictures", help="fill a folder with pictures to learn from")
    pictures.add_argument("--photos", type=Path, required=True, help="a folder of photos")
    pictures.add_argument("--paintings", nargs="*", type=Path, default=[], help="more paintings to learn from")
    pictures.add_argument("--count", type=int, default=600, help="of random paintings")
    pictures.add_argument("--output", type=Path, required=True, metavar="FOLDER")
    ship = commands.add_parser("ship", help="write the file that ships, in half precision")
    ship.add_argument("model", type=Path, help="the release file of a training")
    ship.add_argument("--output", type=Path, default=FIRST_GUESS, metavar="FILE")
    args = parser.parse_args()
    if args.command == "ship":
        record = {"commit": commit(), "machine": platform.machine(), "backbone": file_sha256(SHIPPED)}
        save_half(args.model, args.output, record, SHIPPED_BYTES)
        print(f"wrote {args.output}, {args.output.stat().st_size:,} bytes")
        return
    if not (photos := find_images(args.photos)):
        raise FastStyleError(f"--photos {args.photos}: no images in it")
    models = sorted((ROOT / "checkpoints").glob("*.safetensors"))
    write_pictures(args.output, photos, args.paintings, models, args.count)
    print(f"wrote {len(find_images(args.output))} pictures into {args.output}")


if __name__ == "__main__":
    exit_on_error(main)
