"""How far a first guess is from a training: held-out paintings, judged as benchmarks/quality does.

    python -m benchmarks.style_at_once --trained 60s=FILE 1h=FILE ... --photos FOLDER --vgg16 vgg16_caffe.pth

FILE is a release file of one style; its painting is held out if the network that predicts styles was not trained with
it. Every painting has a row: the photos as they are, the first guess, and the trainings of its painting, by their
labels. "seconds" is a first guess in this process, from its release file to the picture of a photo whose long side is
512; importing torch is no part of it.
"""

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn
from torchvision.transforms.functional import center_crop, to_pil_image

from benchmarks.objective_against_iterations import load_objective
from benchmarks.quality import Judge, judged_size, resized, summary
from benchmarks.result import write_result
from benchmarks.sheet import draw_sheet
from benchmarks.timing import environment
from fast_style.ancestors.optimization import optimize_pixels
from fast_style.checkpoint import load_network, load_transformer, read_metadata
from fast_style.data.images import find_images, read_image, read_on_white
from fast_style.data.styles import style_pictures
from fast_style.errors import FastStyleError, exit_on_error
from fast_style.hardware import pick_device
from fast_style.inference.first_guess import predicted
from fast_style.inference.stylize import stylize
from fast_style.networks.fast_layers import accelerate
from fast_style.training.warm_start import FIRST_GUESS

PHOTO, LBFGS, GUESS, LONG_SIDE = "photo", "L-BFGS", "first guess", 512

Painter = Callable[[Tensor], Tensor]  # (1, 3, H, W) -> (1, 3, H, W)


def first_guess(network_file: Path, painting: Path) -> nn.Module:
    network = predicted(load_network(network_file)[0], {painting.stem: [painting]})
    return accelerate(network.transformer_for(painting.stem))


def lbfgs(ckpt: Path, iterations: int) -> Painter:
    """Optimises the pixels of a photo by the objective of a release file."""
    loss = load_objective(ckpt)

    def paint(photo: Tensor) -> Tensor:
        states = optimize_pixels(loss.for_content(photo), photo, iterations)
        *_, (_, _, image) = track(states, f"L-BFGS {ckpt.parent.name}", total=iterations + 1)
        return image

    return paint


def seconds(network_file: Path, painting: Path, photo: Path, repeats: int = 3) -> dict[str, float]:
    """Median seconds of a first guess: from its file to a network, and the network's picture of a photo."""
    image, times = read_image(photo, LONG_SIDE)[0], []
    for _ in range(repeats):
        begun = time.perf_counter()
        network = first_guess(network_file, painting)
        ready = time.perf_counter()
        stylize(network, image[None])
        times.append((ready - begun, time.perf_counter() - ready))
    load, paint = (statistics.median(column) for column in zip(*times, strict=True))
    return {"network": round(load, 2), "picture": round(paint, 2), "total": round(load + paint, 2)}


def read_trained(items: list[str]) -> dict[Path, dict[str, Path]]:
    """{painting: {label: release file}} of LABEL=FILE, in order. Raises FastStyleError."""
    found: dict[Path, dict[str, Path]] = defaultdict(dict)
    for item in items:
        label, equals, file = item.partition("=")
        if not equals or label in (PHOTO, LBFGS, GUESS):
            raise FastStyleError(f"--trained {item}: must be LABEL=FILE")
        paintings = style_pictures(read_metadata(file)["config"]["style"])
        if len(paintings) != 1:
            raise FastStyleError(f"--trained {item}: its style is {len(paintings)} pictures, not one")
        found[paintings[0]][label] = Path(file)
    return found


def judge_painting(
    judge: Judge, painting: Path, painters: dict[str, Painter], photos: list[Tensor]
) -> tuple[dict[str, dict], dict[str, Tensor]]:
    """What the judge says of the photos and of what each painter makes of them; the pictures of the first photo."""
    image, rows, shown = read_on_white(painting), defaultdict(list), {}
    for photo in track(photos, f"judging {painting.stem}"):
        pictures = {PHOTO: photo} | {name: paint(photo[None])[0] for name, paint in painters.items()}
        shown = shown or pictures
        for name, picture in pictures.items():
            rows[name].append(judge([image], photo, picture))
    return {name: summary(each) for name, each in rows.items()}, {"painting": image} | shown


def square(image: Tensor, size: int) -> Image.Image:
    picture = to_pil_image(center_crop(image, min(image.shape[1:])))
    return picture.resize((size, size), Image.Resampling.LANCZOS)


def sheet_rows(shown: dict[str, Tensor], found: dict[str, dict], columns: list[str], cell: int, crops: bool) -> list:
    """A painting's rows of the sheet: what is shown in each column, and, if asked for, its middle pixel by pixel."""
    white = Image.new("RGB", (cell, cell), "white")
    labels = {name: f"style {means['style']}" for name, means in found.items()}
    rows = [[(square(shown[name], cell) if name in shown else white, labels.get(name, "")) for name in columns]]
    if crops:
        sized = shown | {"painting": resized(shown["painting"], judged_size(shown["painting"]))[0]}
        rows += [[(to_pil_image(center_crop(sized[name], cell)) if name in sized else white, "") for name in columns]]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trained", nargs="+", required=True, metavar="LABEL=FILE", help="release files of one style")
    parser.add_argument("--photos", nargs="+", required=True, help="photos, or folders of photos")
    parser.add_argument("--count", type=int, default=20, help="how many photos of a folder, from the end by name")
    parser.add_argument("--lbfgs", type=int, default=0, metavar="ITERATIONS", help="from the photo; 0: no such column")
    parser.add_argument("--network", type=Path, default=FIRST_GUESS, help="what predicts; the one that ships")
    parser.add_argument("--vgg16", help="weights of vgg16_caffe; without, the network that ships judges")
    parser.add_argument("--output", type=Path, help="write the result as JSON")
    parser.add_argument("--sheet", type=Path, help="and the pictures of the first photo")
    parser.add_argument("--cell", type=int, default=256, help="side of a picture of the sheet")
    parser.add_argument("--crops", action="store_true", help="and below each its middle, pixel by pixel")
    args = parser.parse_args()
    trained, judge = read_trained(args.trained), Judge(args.vgg16)
    files = [
        path
        for item in args.photos
        for path in (find_images(item)[-args.count :] if Path(item).is_dir() else [Path(item)])
    ]
    photos, paintings, rows = [read_on_white(path) for path in files], {}, []
    columns = ["painting", PHOTO, *[LBFGS] * bool(args.lbfgs), GUESS]
    columns = list(dict.fromkeys([*columns, *(label for models in trained.values() for label in models)]))
    for painting, models in trained.items():
        networks = {GUESS: first_guess(args.network, painting)}
        networks |= {label: accelerate(load_transformer(file)[0]) for label, file in models.items()}
        painters = {LBFGS: lbfgs(list(models.values())[-1], args.lbfgs)} if args.lbfgs else {}
        painters |= {label: partial(stylize, network) for label, network in networks.items()}
        paintings[painting.stem], shown = judge_painting(judge, painting, painters, photos)
        rows += sheet_rows(shown, paintings[painting.stem], columns, args.cell, args.crops)
    result = {
        "judge": judge.name,
        "photos": len(photos),
        "network": {key: read_metadata(args.network)["losses"].get(key) for key in ("steps", "seconds")},
        "paintings": paintings,
        "seconds": seconds(args.network, next(iter(trained)), files[0]),
        "machine": environment(pick_device("cpu")),
    }
    table = Table("painting", "", "style", "content", "tone")
    for painting, found in paintings.items():
        for name, means in found.items():
            table.add_row(painting, name, *(f"{means[key]:.3f}" for key in ("style", "content", "tone")))
    Console().print(table)
    print(f"seconds of a first guess: {result['seconds']}")
    write_result(result, args.output)
    if args.sheet:
        draw_sheet(rows, columns, args.cell).save(args.sheet, quality=88)


if __name__ == "__main__":
    exit_on_error(main)
