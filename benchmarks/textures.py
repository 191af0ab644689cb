"""Four ways to more of a texture, side by side: patches, wavelet statistics, Gram matrices, a texture network.

    python -m benchmarks.textures --output benchmarks/results/textures.json --picture docs/images/texture_comparison.jpg

Rows are textures, five of the bundled styles and scikit-image's gravel, or others with --textures, cut to a square.
Columns are the texture and, all of its size, what optimize.py and train.py make of it: task=quilting,
task=portilla_simoncelli (if plenoptic is installed), task=texture of optimize.py after --steps steps, and task=texture
of train.py after --network-steps steps. Under each picture: seconds, with loading, and the Gram error.

The Gram error is relative, a mean over relu1_1 ... relu5_1 of the distilled loss network. It is no judge of all four:
the texture network is trained on just that, at this size and at half of it, and Gatys et al. minimise the like of it on
VGG-16's factors, while quilting and Portilla and Simoncelli know nothing of it.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from PIL import Image
from torchvision.transforms.functional import center_crop

from benchmarks.result import write_result
from benchmarks.sheet import draw_sheet
from benchmarks.timing import environment, now
from fast_style.checkpoint import load_network
from fast_style.commands import CONFIGS
from fast_style.commands.optimize import optimize
from fast_style.data.images import read_image, write_image
from fast_style.data.sample_photos import sample_photo
from fast_style.data.styles import find_style_images, read_style_image
from fast_style.hardware import pick_device
from fast_style.inference.sampling import sample_files
from fast_style.losses import gram_matrix, relative_error
from fast_style.networks.loss_network import load_loss_network
from fast_style.training.fit import fit

ROOT = Path(__file__).resolve().parent.parent

LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
TEXTURES = ["composition", "great_wave", "ink_wash", "mosaic", "starry_night"]


def config(name: str, texture: Path, args: argparse.Namespace, *overrides: str) -> DictConfig:
    style = [f"style.image='{texture}'", f"style.style_size={args.size}"]
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose(name, ["task=texture", *style, *overrides])


def optimized(*overrides: str) -> Callable:
    """A task of optimize.py."""

    def draw(texture: Path, picture: Path, args: argparse.Namespace) -> dict:
        sizes = [f"image_size={args.size}", f"max_steps={args.steps}", f"output='{picture}'"]
        optimize(config("optimize", texture, args, *sizes, *overrides))
        return {}

    return draw


def trained(texture: Path, picture: Path, args: argparse.Namespace) -> dict:
    """A texture network, and its seconds for each of the pictures that it can draw then."""
    folder = picture.with_suffix("")
    fit(config("train", texture, args, f"max_steps={args.network_steps}", f"run_dir='{folder}'"))
    generator, _ = load_network(folder / "model.safetensors")
    begun = now()
    sample_files(generator.to(pick_device("auto")), [picture], (args.size, args.size), seed=0)
    return {"seconds_per_picture": round(now() - begun, 3)}


METHODS = {
    "quilting": optimized("task=quilting"),
    "Portilla, Simoncelli": optimized("task=portilla_simoncelli"),
    "Gatys et al.": optimized(),
    "texture network": trained,
}


def cut_square(texture: str, size: int, picture: Path) -> None:
    """Write the middle of a bundled style, or of an image file."""
    path = Path(texture) if Path(texture).suffix else find_style_images(texture)[0]
    write_image(picture, center_crop(read_style_image(path, size)[0], [size, size]))


@torch.no_grad()
def gram_error(picture: Path, texture: Path) -> float:
    loss_network = load_loss_network("distilled", LAYERS)
    grams, wanted = (
        {layer: gram_matrix(maps) for layer, maps in loss_network(read_image(path)[0][None]).items()}
        for path in (picture, texture)
    )
    return round(statistics.mean(float(relative_error(grams[layer], wanted[layer])) for layer in LAYERS), 4)


def draw_row(texture: str, methods: dict[str, Callable], args: argparse.Namespace, keep: Callable) -> list[tuple]:
    """[(picture, label)] of the texture and of each method; `keep` is given each method's figures."""
    name, folder = Path(texture).stem, args.runs / Path(texture).stem
    source = folder / "texture.png"
    cut_square(texture, args.size, source)
    row = [(source, name.replace("_", " "))]
    for method, draw in methods.items():
        picture = folder / f"{method.replace(', ', '_').replace(' ', '_').replace('.', '').lower()}.png"
        begun = now()
        figures = draw(source, picture, args)
        figures = {"seconds": round(now() - begun, 1)} | figures | {"gram_error": gram_error(picture, source)}
        keep(name, method, figures)
        row.append((picture, f"{figures['seconds']:.3g} s, error {figures['gram_error']:.2g}"))
    return [(Image.open(picture), label) for picture, label in row]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--textures", nargs="+", help="bundled styles, or image files (default: five styles, and gravel)"
    )
    parser.add_argument("--size", type=int, default=256, help="side of all pictures")
    parser.add_argument("--steps", type=int, default=100, help="of L-BFGS")
    parser.add_argument("--network-steps", type=int, default=250, help="of a texture network's training")
    parser.add_argument("--runs", type=Path, default=Path("outputs/textures"), help="folder for pictures and networks")
    parser.add_argument("--output", type=Path, help="write the result as JSON too, as it grows")
    parser.add_argument("--picture", type=Path, help="write the pictures as one, as it grows")
    args = parser.parse_args(arguments)
    args.textures = args.textures or [*TEXTURES, str(sample_photo("gravel.png"))]
    return args


def compare(args: argparse.Namespace) -> dict:
    methods = {name: draw for name, draw in METHODS.items() if name != "Portilla, Simoncelli" or find_spec("plenoptic")}
    settings = {"size": args.size, "steps": args.steps, "network_steps": args.network_steps}
    result, rows = environment(pick_device("auto")) | settings | {"textures": {}}, []

    def keep(texture: str, method: str, figures: dict) -> None:
        result["textures"].setdefault(texture, {})[method] = figures
        write_result(result, args.output)

    for texture in args.textures:
        rows.append(draw_row(texture, methods, args, keep))
        if args.picture:
            args.picture.parent.mkdir(parents=True, exist_ok=True)
            draw_sheet(rows, ["the texture", *methods], args.size).save(args.picture, quality=80)
    return result


def main() -> None:
    print(json.dumps(compare(parse())))


if __name__ == "__main__":
    main()
