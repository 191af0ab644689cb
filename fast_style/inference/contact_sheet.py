"""Runs side by side: a picture of them all, and a page with a table that can be sorted."""

import base64
import html
import itertools
import math
from collections.abc import Sequence
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from string import Template
from urllib.parse import quote

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from fast_style.data.images import read_on_white
from fast_style.errors import FastStyleError
from fast_style.inference.runs import SIDE, Run, find_runs, photos_to_show, read_photos, read_runs
from fast_style.writing import write_whole

PHOTOS = 2  # that every run paints
WIDEST, NARROWEST = 2400, 128  # of the sheet, and of a picture on it, in pixels
GAP, SEAM, LABEL_WIDTH, THUMBNAIL = 18, 4, 200, 96
INK, FAINT, BAD = "#1b1b1b", "#6a6a6a", "#b3261e"
TITLE, LABEL, FIGURE = (ImageFont.load_default(size) for size in (22, 17, 15))
FIGURES = {
    "total": ".4g", "content": ".3g", "style": ".3g", "tone": ".2f", "psnr": ".2f", "ssim": ".2f", "distance": ".2f",
    "steps": ",.0f", "seconds": ",.0f",
}  # fmt: skip
NOTE = (
    "Every run paints the same photos. Held-out losses: total as it was minimised, content and style without their "
    "weights. Tone is the correlation of light and dark in these pictures with the photos', 1 where nothing moved. "
    "Distance is how far they are from having all of the painting and all of the photo."
)


def write_contact_sheet(folder: Path, photos: Sequence[Path] = ()) -> tuple[Path, Path]:
    """Paint photos, or those that the runs under a folder held out, with every run: contact_sheet.png and .html there.

    Raises FastStyleError if there are no runs, or a photo cannot be read; a run that fails is a cell that says why.
    """
    folders = find_runs(folder)
    if not folders:
        raise FastStyleError(f"{folder}: no runs, folders with a model.safetensors or a .hydra, are under it")
    content = read_photos(photos) if photos else photos_to_show(folders, PHOTOS)
    runs = read_runs(folders, content)
    picture, page = folder / "contact_sheet.png", folder / "contact_sheet.html"
    buffer = BytesIO()
    draw_sheet(folder, runs, content).save(buffer, "PNG")
    write_whole(picture, buffer.getvalue())
    write_whole(page, draw_page(folder, runs, content).encode())
    return picture, page


# --- rows and columns


def axes_of(runs: Sequence[Run]) -> dict[str, list[str]]:
    """The keys of the command lines that differ, and their values in the order of the runs; "" where one has none."""
    keys = dict.fromkeys(key for run in runs for key in run.overrides if key != "run_dir")
    values = {key: list(dict.fromkeys(run.overrides.get(key, "") for run in runs)) for key in keys}
    return {key: found for key, found in values.items() if len(found) > 1}


def arrange(folder: Path, runs: Sequence[Run]) -> tuple[dict, dict, dict[tuple, Run]]:
    """The labels of rows and of columns by their values, and runs by both.

    The first axis makes rows, the second columns, further ones further rows. Runs that are no grid, as those of a
    search, or some that were made by hand, have a row each.
    """
    axes = axes_of(runs)
    names = short_names(axes)

    def values_of(run: Run, keys: Sequence[str]) -> tuple[str, ...]:
        return tuple(run.overrides.get(key, "") for key in keys)

    def labels(keys: Sequence[str], values: Sequence[str]) -> list[str]:
        return [f"{names[key]}={short_value(value)}" for key, value in zip(keys, values, strict=True) if value]

    cells = math.prod(map(len, axes.values()))
    if not axes or cells > 2 * len(runs) or len({values_of(run, axes) for run in runs}) < len(runs):
        places = [(str(run.folder.relative_to(folder)), run) for run in runs]
        rows = {(place,): [place, *labels(axes, values_of(run, axes))] for place, run in places}
        return rows, {(): []}, {((place,), ()): run for place, run in places}
    down, across = [key for index, key in enumerate(axes) if index != 1], list(axes)[1:2]
    rows, columns = (
        {values: labels(keys, values) for values in itertools.product(*(axes[key] for key in keys))}
        for keys in (down, across)
    )
    return rows, columns, {(values_of(run, down), values_of(run, across)): run for run in runs}


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """The last part of every key where that tells it from the others, else the whole key."""
    last = [key.rpartition(".")[2] for key in keys]
    return {key: name if last.count(name) == 1 else key for key, name in zip(keys, last, strict=True)}


def short_value(value: str) -> str:
    return Path(value).name if "/" in value else value


# --- the picture


def draw_sheet(folder: Path, runs: Sequence[Run], photos: Sequence[Tensor]) -> Image.Image:
    rows, columns, cells = arrange(folder, runs)
    room = (WIDEST - LABEL_WIDTH) // len(columns) - GAP
    side = min(SIDE, max(NARROWEST, room // len(photos) - SEAM))
    width = len(photos) * (side + SEAM) - SEAM
    blank = Image.new("RGB", (LABEL_WIDTH, 1), "white")
    body = [[blank, *(written(labels, LABEL, width) for labels in columns.values())]] if any(columns.values()) else []
    for row, labels in rows.items():
        found = [cells.get((row, column)) for column in columns]
        styles = {run.style for run in found if run and run.style}
        thumbnails = [[style_thumbnail(styles.pop())]] if len(styles) == 1 else []
        label = table([*thumbnails, [written(labels, LABEL, LABEL_WIDTH)]], SEAM)
        body.append([label, *(draw_cell(run, side, width) for run in found)])
    grid = table(body, GAP)
    small = max(1, (LABEL_WIDTH - SEAM * (len(photos) - 1)) // len(photos))
    corner = table([[blank], [table([[as_picture(photo, small) for photo in photos]], SEAM)]], 0)
    room = grid.width - LABEL_WIDTH - GAP
    words = table([[written([str(folder)], TITLE, room)], [written([NOTE], FIGURE, room, FAINT)]], SEAM)
    margin = Image.new("RGB", (1, 1), "white")
    return table([[margin], [margin, table([[table([[corner, words]], GAP)], [grid]], GAP), margin], [margin]], GAP)


def draw_cell(run: Run | None, side: int, width: int) -> Image.Image:
    """What a run painted, above its figures; or why there is nothing."""
    if run is None:
        return written(["no such run"], FIGURE, width, FAINT)
    if run.failure:
        return written([run.failure], FIGURE, width, BAD)
    pictures = table([[as_picture(picture, side) for picture in run.pictures]], SEAM)
    figures = "   ".join(f"{name} {run.figures[name]:{form}}" for name, form in FIGURES.items() if name in run.figures)
    return table([[pictures], [written([figures], FIGURE, width)]], SEAM)


def table(rows: Sequence[Sequence[Image.Image]], gap: int) -> Image.Image:
    """Pictures in rows and columns that are as wide and as high as they need to be, on white."""
    heights = [max(picture.height for picture in row) for row in rows]
    widths = [max(picture.width for picture in column if picture) for column in itertools.zip_longest(*rows)]
    size = (sum(widths) + gap * (len(widths) - 1), sum(heights) + gap * (len(heights) - 1))
    whole, top = Image.new("RGB", size, "white"), 0
    for row, height in zip(rows, heights, strict=True):
        left = 0
        for picture, width in zip(row, widths, strict=False):
            whole.paste(picture, (left, top))
            left += width + gap
        top += height + gap
    return whole


def written(lines: Sequence[str], font: ImageFont.FreeTypeFont, width: int, colour: str = INK) -> Image.Image:
    """Lines of text as a picture of this width; what is longer goes on in the next line."""
    text = "\n".join(itertools.chain.from_iterable(wrapped(line, font, width) for line in lines))
    box = ImageDraw.Draw(Image.new("RGB", (1, 1))).multiline_textbbox((0, 0), text, font) if text else (0, 0, 0, 0)
    picture = Image.new("RGB", (width, math.ceil(box[3]) + SEAM), "white")
    ImageDraw.Draw(picture).multiline_text((0, 0), text, colour, font)
    return picture


def wrapped(line: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """A line broken between words, or within one that is too long."""
    lines = []
    while font.getlength(line) > width:
        fits = max(count for count in range(1, len(line)) if count == 1 or font.getlength(line[:count]) <= width)
        end = max(line.rfind(mark, 0, fits) + 1 for mark in " /_,=") or fits
        lines.append(line[:end].rstrip())
        line = line[end:].lstrip()
    return [*lines, line]


def as_picture(image: Tensor, side: int) -> Image.Image:
    picture = to_pil_image(image.clamp(0, 1))
    return picture if side == picture.width else picture.resize((side, side), Image.Resampling.LANCZOS)


def style_thumbnail(path: Path) -> Image.Image:
    picture = to_pil_image(read_on_white(path).clamp(0, 1))
    picture.thumbnail((LABEL_WIDTH, THUMBNAIL), Image.Resampling.LANCZOS)
    return picture


# --- the page


def draw_page(folder: Path, runs: Sequence[Run], photos: Sequence[Tensor]) -> str:
    axes = axes_of(runs)
    names = short_names(axes)
    figures = [name for name in FIGURES if any(name in run.figures for run in runs)]
    heads = ["run", *(names[key] for key in axes), "style picture", "pictures", *figures]
    template = Template((files("fast_style") / "assets" / "contact_sheet.html").read_text())
    return template.substitute(
        title=html.escape(str(folder)),
        note=html.escape(NOTE),
        photos="".join(inlined(as_picture(photo, SIDE), f"photo {index}") for index, photo in enumerate(photos, 1)),
        head="".join(f'<th scope="col"><button type="button">{html.escape(name)}</button></th>' for name in heads),
        rows="\n".join(page_row(folder, run, axes, figures) for run in runs),
    )


def page_row(folder: Path, run: Run, axes: Sequence[str], figures: Sequence[str]) -> str:
    name = str(run.folder.relative_to(folder))
    values = [run.overrides.get(key, "") for key in axes]
    said = ", ".join(map(short_value, values)) or name
    style = inlined(style_thumbnail(run.style), f"style picture {run.style.stem}", "style") if run.style else ""
    if run.failure:
        shown = f'<span class="failed">{html.escape(run.failure)}</span>'
    else:
        pictures = enumerate(run.pictures, 1)
        shown = "\n".join(inlined(as_picture(picture, SIDE), f"photo {index} by {said}") for index, picture in pictures)
    cells = [
        cell(f'<a href="{html.escape(quote(name))}/">{html.escape(name)}</a>', name),
        *(cell(html.escape(short_value(value)), value) for value in values),
        cell(style, run.style.stem if run.style else ""),
        cell(shown, run.failure or "", "pictures"),
        *(cell(f"{run.figures[key]:{FIGURES[key]}}" if key in run.figures else "", run.figures.get(key, ""), "number")
          for key in figures),
    ]  # fmt: skip
    return f"<tr>{''.join(cells)}</tr>"


def cell(shown: str, value: object, kind: str = "") -> str:
    return f'<td{class_of(kind)} data-value="{html.escape(str(value))}">{shown}</td>'


def inlined(picture: Image.Image, alt: str, kind: str = "") -> str:
    """An <img> that holds its picture."""
    buffer = BytesIO()
    picture.save(buffer, "JPEG", quality=88)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img{class_of(kind)} alt="{html.escape(alt)}" src="data:image/jpeg;base64,{data}">'


def class_of(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
