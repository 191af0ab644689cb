"""Train the models that ship, and draw sheets of what models paint.

    python scripts/train_gallery.py
    python scripts/train_gallery.py --styles mosaic painting.jpg --budgets 60s 5min --sheet sheet.jpg

The first line trains every bundled style with train.py, one after another, and writes checkpoints/ (half precision, a
sample and a table) and docs/images/gallery.jpg, which show all models there. The second trains every style for every
budget and only draws them side by side. Arguments with a = in them, such as data.count=600, are overrides of train.py's
config, for all runs. A run that is in --runs already is not trained again, so a stopped call can be repeated.
"""

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from rich.progress import track
from safetensors.torch import load_file, save
from torch import Tensor
from torchvision.transforms.functional import center_crop, to_pil_image
from torchvision.utils import make_grid

from fast_style.checkpoint import load_transformer, read_metadata
from fast_style.data.images import find_images, read_image, read_on_white, resize_short_side, write_image
from fast_style.data.sample_photos import sample_photo
from fast_style.data.styles import file_sha256
from fast_style.errors import FastStyleError
from fast_style.hardware import describe_device, pick_device
from fast_style.inference.stylize import stylize
from fast_style.networks.transformer_net import TransformerNet
from fast_style.overrides import quoted
from fast_style.training.callbacks import parse_duration
from fast_style.training.record import commit
from fast_style.training.warm_start import SHIPPED
from fast_style.writing import write_whole

ROOT = Path(__file__).resolve().parent.parent
PHOTOS = ("chelsea.png", "coffee.png", "astronaut.png")
SAMPLE_PHOTO, SAMPLE_SIZE = "chelsea.png", 384
BUNDLED = {path.stem: path for path in find_images(ROOT / "fast_style" / "assets" / "styles")}
MODEL_BYTES, GALLERY_BYTES, SHEET_BYTES = 3_500_000, 700_000, 1_500_000
GAP, LABEL_HEIGHT = 4, 44

README = """\
# Models that ship

    python infer.py ckpt=checkpoints/{example}.safetensors input=photo.jpg

Written by `scripts/train_gallery.py`. Weights are in half precision and are computed with in float32; the losses are
those of the full model on the held-out images of its training data, times their weights (tone: less is better), and
total has the total variation, too. `python -m fast_style.checkpoint checkpoints/{example}.safetensors` shows
everything that is known about a model.

| style | | {sample} | content | style | tone | total | training | commit | file | command |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
{rows}

"+changes": with changes to the code that were not committed yet.

Licence: MIT, like the code. We trained these models ourselves, on style pictures that our own program painted
(`scripts/painting`).

- Content images: {data}.
- Loss network: {loss_network}.
- Start: {start}.

`multi_style/all_styles.safetensors` is one network of eleven styles, those above and three paintings in the public
domain (The Starry Night, The Great Wave, The Scream):
[docs/method.md](../docs/method.md#several-styles-in-one-network).

`super_resolution/x4.safetensors` enlarges pictures four times, photos or what a style paints of a small copy
(`infer.py upscale=`): [docs/method.md](../docs/method.md#super-resolution).
"""
ROW = (
    '| {name} | <img src="{picture}" height="128"> | <img src="{name}.jpg" height="128"> | {content:.3f} | {style:.3f} '
    "| {tone:.3f} | {total:.3f} | {seconds:.0f} s, {steps:,} steps; {machine} | {commit} | {kilobytes:.0f} KB "
    "| `{command}` |"
)
PROVENANCE = {
    "Samples": "procedural ones and photos that scikit-image carries (`data=samples`); chelsea and coffee are held out",
    "vgg16_lowrank": "`vgg16_lowrank`, low-rank factors of VGG-16 (Simonyan and Zisserman, CC BY 4.0) that ship here",
    "distilled": "`distilled`, the imitation of a small VGG-19 (Wang et al., Collaborative Distillation, CVPR 2020, "
    "MIT licence) that ships here",
    "backbone": "the backbone that ships here, which has learnt eleven styles, these eight among them, on ImageNet "
    "sample photos (docs/method.md)",
}


@dataclass(frozen=True)
class Run:
    """One style, the name of a bundled one or a picture file, trained for one budget."""

    style: str
    budget: str | None
    overrides: tuple[str, ...]
    runs: Path

    @property
    def name(self) -> str:
        return Path(self.style).stem

    @property
    def picture(self) -> Path:
        return BUNDLED.get(self.style, Path(self.style))

    @property
    def model(self) -> Path:
        return self.runs / self.name / (self.budget or "default") / "model.safetensors"

    @property
    def arguments(self) -> list[str]:
        style = f"style={self.style}" if self.style in BUNDLED else f"style.image={quoted(self.style)}"
        return ["train.py", style, *([f"budget={self.budget}"] if self.budget else []), *self.overrides]

    @property
    def recipe(self) -> dict[str, str | None]:
        """What a kept run must agree in."""
        from_backbone = SHIPPED.is_file() and "init_from=null" not in self.overrides
        backbone = file_sha256(SHIPPED) if from_backbone else None
        return {"command": shlex.join(["python", *self.arguments]), "backbone": backbone}

    def record(self) -> dict:
        """The recipe, commit and machine of the run, kept beside its model."""
        return json.loads((self.model.parent / "recipe.json").read_text())


def train(run: Run) -> None:
    """Train a run unless its model is there. Raises FastStyleError if that is another run's, or the training fails."""
    folder = run.model.parent
    if run.model.exists():
        if not (folder / "recipe.json").exists() or run.recipe.items() - run.record().items():
            raise FastStyleError(f"{folder} holds the model of another command or backbone: delete it, or give --runs")
        return
    folder.mkdir(parents=True, exist_ok=True)
    device = pick_device("cpu" if "trainer.accelerator=cpu" in run.overrides else "auto")
    record = run.recipe | {"commit": commit() or "unknown", "machine": describe_device(device)}
    (folder / "recipe.json").write_text(json.dumps(record, indent=1) + "\n")
    run_training(run.arguments, folder)


def run_training(arguments: list[str], folder: Path) -> None:
    script, *overrides = arguments
    command = [sys.executable, str(ROOT / script), *overrides, f"hydra.run.dir={quoted(folder.resolve())}"]
    if subprocess.run(command).returncode:
        raise FastStyleError(f"the training failed, its reason is above: python {shlex.join(arguments)}")


def save_half(model: Path, target: Path, record: dict, most: int | None = None) -> None:
    """Write a release file in half precision, with the record of its run; folders of this machine are left out.

    Raises FastStyleError for a file that is too large, and for weights beyond half precision.
    """
    metadata = read_metadata(model)
    metadata["config"] = json.loads(json.dumps(metadata["config"]), object_hook=without_folders)
    metadata["training"] = record | {"start": start(metadata["config"], record)}
    halves = {name: value.half() if value.is_floating_point() else value for name, value in load_file(model).items()}
    if not all(value.isfinite().all() for value in halves.values()):
        raise FastStyleError(f"{model} has weights that half precision cannot hold")
    # safetensors' metadata maps strings to strings.
    strings = {key: value if key == "format" else json.dumps(value) for key, value in metadata.items()}
    data = save(halves, strings)
    most = most or MODEL_BYTES
    if len(data) > most:
        raise FastStyleError(f"{target} would have {len(data):,} bytes, more than {most:,}: use a smaller model")
    write_whole(target, data)


def without_folders(config: dict) -> dict:
    return {k: Path(v).name if isinstance(v, str) and Path(v).is_absolute() else v for k, v in config.items()}


def start(config: dict, record: dict) -> str:
    """What the training began with: backbone, scratch, or the name of a file."""
    if config["init_from"] == "auto":
        return "backbone" if record["backbone"] and read_metadata(SHIPPED)["model"] == config["model"] else "scratch"
    return "scratch" if config["init_from"] is None else config["init_from"]


def write_table(models: list[Path], folder: Path) -> None:
    """README.md of the models in `folder`."""
    rows, provenance = [], {"data": set(), "loss_network": set(), "start": set()}
    for model in models:
        metadata = read_metadata(model)
        if "training" not in metadata:
            raise FastStyleError(f"{model} was not written by this script: move it elsewhere")
        config, losses, training = metadata["config"], metadata["losses"], metadata["training"]
        row = ROW.format(
            name=model.stem,
            picture=os.path.relpath(BUNDLED[model.stem], folder),
            # An objective without a tone term has none of it.
            **{term: losses.get(f"val/{term}_loss", 0.0) for term in ("content", "style", "tone", "total")},
            **{key: losses[key] for key in ("seconds", "steps")},
            **{key: training[key].replace("|", "\\|") for key in ("machine", "commit", "command")},
            kilobytes=model.stat().st_size / 1000,
        )
        rows.append(row)
        provenance["data"].add(config["data"]["_target_"].rpartition(".")[2])
        provenance["loss_network"].add(config["loss_network"]["name"])
        provenance["start"].add(training["start"])
    sources = {
        key: "; ".join(PROVENANCE.get(name, name) for name in sorted(names)) for key, names in provenance.items()
    }
    text = README.format(example=models[0].stem, sample=Path(SAMPLE_PHOTO).stem, rows="\n".join(rows), **sources)
    (folder / "README.md").write_text(text)


def square(image: Tensor, side: int) -> Tensor:
    """The middle of an image (3, H, W)."""
    return center_crop(resize_short_side(image, side), [side, side])


def paint(transformer: TransformerNet, photo: Path, side: int) -> Tensor:
    """The middle of a photo, stylised at twice the size it is shown at: strokes are as fine as on a real picture."""
    image = resize_short_side(read_on_white(photo), 2 * side)
    return square(stylize(transformer, image[None])[0], side)


def draw_row(style_picture: Path, models: list[Path], photos: list[Path], side: int) -> list[Tensor]:
    """The style picture, then every photo as each model paints it."""
    transformers = [load_transformer(model)[0] for model in models]
    painted = [paint(transformer, photo, side) for photo in photos for transformer in transformers]
    return [square(read_on_white(style_picture), side), *painted]


def draw_sheet(rows: list[list[Tensor]], labels: list[str] = ()) -> Image.Image:
    """Squares of equal size in rows, with a label of at most two lines above every column, if there are any."""
    grid = to_pil_image(make_grid([cell for row in rows for cell in row], len(rows[0]), GAP, pad_value=1.0))
    if not labels:
        return grid
    side = rows[0][0].shape[-1]
    sheet = Image.new("RGB", (grid.width, grid.height + LABEL_HEIGHT), "white")
    sheet.paste(grid, (0, LABEL_HEIGHT))
    for column, label in enumerate(labels):
        # Each in a box of its own, so that a long name stays above its column.
        box = Image.new("RGB", (side, LABEL_HEIGHT), "white")
        centre, font = (side / 2, LABEL_HEIGHT / 2), ImageFont.load_default(16)
        ImageDraw.Draw(box).multiline_text(centre, label, "black", font, "mm", align="center")
        sheet.paste(box, (GAP + column * (side + GAP), GAP // 2))
    return sheet


def save_jpeg(path: Path, picture: Image.Image, max_bytes: int) -> None:
    """Write a picture as well as it fits into `max_bytes`. Raises FastStyleError if that would spoil it."""
    for quality in range(92, 39, -4):
        buffer = BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= max_bytes:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(buffer.getvalue())
            print(f"wrote {path} ({buffer.tell() / 1000:.0f} KB, quality {quality})")
            return
    raise FastStyleError(f"{path} would have more than {max_bytes:,} bytes: give a smaller --cell, or fewer photos")


def write_contact_sheet(runs: list[Run], args: argparse.Namespace) -> None:
    """One row per style, one column per photo and budget."""
    groups = [runs[first : first + len(args.budgets)] for first in range(0, len(runs), len(args.budgets))]
    configs = [read_metadata(run.model)["config"] for run in groups[0]]
    budgets = [config["budget"] or f"{config['max_steps']:,} steps" for config in configs]
    labels = ["style", *(f"{photo.stem}\n{budget}" for photo in args.photos for budget in budgets)]
    rows = [
        draw_row(group[0].picture, [run.model for run in group], args.photos, args.cell)
        for group in track(groups, "painting")
    ]
    save_jpeg(args.sheet, draw_sheet(rows, labels), SHEET_BYTES)


def write_release(runs: list[Run], args: argparse.Namespace) -> None:
    """Models and samples of the runs; a table and a gallery of all the models there are."""
    for run in track(runs, "painting"):
        target = args.checkpoints / f"{run.name}.safetensors"
        save_half(run.model, target, run.record())
        sample, _ = read_image(sample_photo(SAMPLE_PHOTO), SAMPLE_SIZE)
        write_image(target.with_suffix(".jpg"), stylize(load_transformer(target)[0], sample[None])[0])
    models = sorted(path for path in args.checkpoints.glob("*.safetensors") if path.stem in BUNDLED)
    write_table(models, args.checkpoints)
    print(f"wrote {args.checkpoints / 'README.md'} and {len(runs)} models")
    rows = [draw_row(BUNDLED[model.stem], [model], args.photos, args.cell) for model in models]
    save_jpeg(args.docs / "images" / "gallery.jpg", draw_sheet(rows), GALLERY_BYTES)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [options] [KEY=VALUE ...]",
    )
    parser.add_argument("--styles", nargs="+", default=list(BUNDLED), help=f"of {', '.join(BUNDLED)}, or picture files")
    parser.add_argument("--budgets", nargs="+", default=[None], help="such as 60s 5min (train.py's own default)")
    parser.add_argument("--photos", nargs="+", type=Path, help="on the sheet (default: three of scikit-image's)")
    parser.add_argument("--sheet", type=Path, help="write only this contact sheet, a .jpg; nothing that ships")
    parser.add_argument("--cell", type=int, default=208, help="side of its pictures (%(default)s)")
    parser.add_argument("--runs", type=Path, default=ROOT / "outputs" / "gallery", help="folder that keeps the runs")
    parser.add_argument("--checkpoints", type=Path, default=ROOT / "checkpoints", help="folder of models that ship")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="folder of images/gallery.jpg")
    # Apart, because --styles and its like would take them.
    overrides = tuple(argument for argument in arguments if "=" in argument and not argument.startswith("-"))
    args = parser.parse_args([argument for argument in arguments if argument not in overrides])
    args.overrides, args.photos = overrides, args.photos or [sample_photo(name) for name in PHOTOS]
    return args


def check(args: argparse.Namespace) -> None:
    """Refuse what would only fail after hours of training."""
    for style in args.styles:
        if style not in BUNDLED and not Path(style).is_file():
            raise FastStyleError(f"--styles {style}: no such picture file, and none of {', '.join(BUNDLED)}")
        read_image(BUNDLED.get(style, style))
    for photo in args.photos:
        read_image(photo)
    for budget in args.budgets:
        parse_duration(budget or 1)
    # Their runs are kept by these names.
    for option, names in (("--styles", [Path(style).stem for style in args.styles]), ("--budgets", args.budgets)):
        if len(set(names)) < len(names):
            raise FastStyleError(f"{option} has one name twice: {', '.join(names)}")
    if args.cell < 32:
        raise FastStyleError(f"--cell {args.cell}: must be at least 32")
    if args.sheet:
        if args.sheet.suffix.lower() not in (".jpg", ".jpeg"):
            raise FastStyleError(f"--sheet {args.sheet}: must be a .jpg")
    elif len(args.budgets) > 1:
        raise FastStyleError("--budgets takes one for the models that ship; several need --sheet")
    elif set(args.styles) - set(BUNDLED) or re.search(r"\bstyle\.(image|original)", " ".join(args.overrides)):
        raise FastStyleError("only the bundled style pictures may ship, as they are; others need --sheet")


def main(arguments: list[str] | None = None) -> None:
    try:
        args = parse(sys.argv[1:] if arguments is None else arguments)
        check(args)
        runs = [Run(style, budget, args.overrides, args.runs) for style in args.styles for budget in args.budgets]
        for number, run in enumerate(runs, start=1):
            done = "kept" if run.model.exists() else "training"
            print(f"\n{number} of {len(runs)}: {done}  {run.recipe['command']}", flush=True)
            train(run)
        if args.sheet:
            write_contact_sheet(runs, args)
        else:
            write_release(runs, args)
    except FastStyleError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped; the same command goes on with the run that was stopped, from its start")


if __name__ == "__main__":
    main()
