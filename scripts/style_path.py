"""Draw the ways of a model: from a photo to each style and beyond, and from one style to another.

    python scripts/style_path.py outputs/.../model.safetensors --styles mosaic woodcut --photo photo.jpg

A row for each style at strengths from 0 to 1.5, as infer.py strength=0.25 paints them, and a row between every two
neighbours of --styles, as style="{mosaic: 0.75, woodcut: 0.25}" does. Of a model that has learnt no identity strengths
end at 1, and are blends of pixels.
"""

import argparse
import sys
import warnings
from itertools import pairwise
from pathlib import Path

from PIL import Image
from rich.progress import track
from torch import Tensor
from torchvision.transforms.functional import to_tensor
from train_gallery import draw_sheet, square

from fast_style.data.images import check_target, read_on_white, resize_short_side, write_image
from fast_style.data.sample_photos import sample_photo
from fast_style.errors import FastStyleError
from fast_style.inference.blending import has_identity
from fast_style.inference.stylizer import Stylizer
from fast_style.keys import STRONGEST

STEP = 0.25  # of strength
SAMPLE_PHOTO = "chelsea.png"


def rows_of(names: list[str], several: bool, most: float) -> list[dict[str, dict]]:
    """The rows of the sheet: what `Stylizer` is called with for every picture, by its label."""
    count = round(most / STEP) + 1
    strengths = [STEP * index for index in range(count)]
    rows = [
        {f"{name}\nstrength {s:g}": {"strength": s} | ({"style": name} if several else {}) for s in strengths}
        for name in names
    ]
    shares = [index / (count - 1) for index in range(count)]
    for one, other in pairwise(names):
        rows.append({f"{one} {1 - s:.2f}\n{other} {s:.2f}": {"style": {one: 1 - s, other: s}} for s in shares})
    return rows


def draw(paint: Stylizer, photo: Tensor, rows: list[dict[str, dict]], cell: int) -> Image.Image:
    """The sheet of a photo (3, H, W), painted at twice the size it is shown at, as the gallery is."""
    image, drawn = resize_short_side(photo, 2 * cell), []
    for row in track(rows, "painting"):
        pictures = [square(paint(image, **keys), cell) for keys in row.values()]
        drawn.append(draw_sheet([pictures], list(row)))
    sheet = Image.new("RGB", (drawn[0].width, sum(row.height for row in drawn)), "white")
    for index, row in enumerate(drawn):
        sheet.paste(row, (0, index * row.height))
    return sheet


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ckpt", help="a release file, the folder of a run, or a .ckpt")
    parser.add_argument("--styles", nargs="+", help="of a model of several (default: all)")
    parser.add_argument("--photo", type=Path, help="(default: scikit-image's cat)")
    parser.add_argument("--sheet", type=Path, default=Path("style_path.jpg"), help="what to write (%(default)s)")
    parser.add_argument("--cell", type=int, default=208, help="side of its pictures (%(default)s)")
    args = parser.parse_args(arguments)
    args.photo = args.photo or sample_photo(SAMPLE_PHOTO)
    return args


def main(arguments: list[str] | None = None) -> None:
    try:
        args = parse(sys.argv[1:] if arguments is None else arguments)
        if args.cell < 32:
            raise FastStyleError(f"--cell {args.cell}: must be at least 32")
        check_target("--sheet", args.sheet)
        paint, photo = Stylizer(args.ckpt), read_on_white(args.photo)
        names = args.styles or paint.names
        if unknown := [name for name in names if name not in paint.names]:
            raise FastStyleError(f"--styles {unknown[0]}: the model has {', '.join(paint.names)}")
        rows = rows_of(names, paint.several, STRONGEST if has_identity(paint.network) else 1)
        with warnings.catch_warnings(action="ignore"):  # that pixels are blended
            sheet = draw(paint, photo, rows, args.cell)
        write_image(args.sheet, to_tensor(sheet))
        print(f"wrote {args.sheet}")
    except FastStyleError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped")


if __name__ == "__main__":
    main()
