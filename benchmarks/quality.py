"""Style and content error of a trained model, seen by a loss network it was not trained with.

    python benchmarks/quality.py --ckpt model.safetensors --photos FOLDER --judge vgg19_small.safetensors

On the last photos of the folder by name, at 256 px short side: the relative squared error of the Gram matrices
against the style picture's (256 px short side), averaged over relu1_1 ... relu5_1, and of the features at relu4_1
against the photo's. The unstylised photos are measured too, as the zero of the style scale.
"""

import argparse
import json
import platform
import statistics
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor

from fast_style.checkpoint import load_transformer, read_metadata
from fast_style.images import find_images, read_image, resize_short_side
from fast_style.loss_network import LossNetwork, load_loss_network
from fast_style.losses import gram_matrix, relative_error
from fast_style.styles import find_style_image, read_style_image
from fast_style.stylize import stylize

STYLE_LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
CONTENT_LAYER = "relu4_1"


@torch.no_grad()
def errors(judge: LossNetwork, stylized: Tensor, photo: Tensor, style_grams: dict[str, Tensor]) -> tuple[float, float]:
    """Relative style and content error of one stylised photo."""
    features, wanted = judge(stylized), judge(photo, [CONTENT_LAYER])[CONTENT_LAYER]
    style = [float(relative_error(gram_matrix(features[layer]), style_grams[layer])) for layer in STYLE_LAYERS]
    return statistics.mean(style), float(relative_error(features[CONTENT_LAYER], wanted))


def summary(values: list[tuple[float, float]]) -> dict[str, float]:
    style, content = zip(*values, strict=True)
    return {
        "style_error": round(statistics.mean(style), 4),
        "style_error_std": round(statistics.pstdev(style), 4),
        "content_error": round(statistics.mean(content), 4),
        "content_error_std": round(statistics.pstdev(content), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt", required=True, help="release file")
    parser.add_argument("--photos", required=True, help="folder of photos")
    parser.add_argument("--count", type=int, default=20, help="how many of them, from the end by name")
    parser.add_argument("--judge", required=True, help="vgg19_small weights (Wang et al., CVPR 2020)")
    parser.add_argument("--style-image", help="default: the picture the model was trained on")
    parser.add_argument("--output", type=Path, help="write the result as JSON too")
    args = parser.parse_args()

    metadata = read_metadata(args.ckpt)
    style = {key: value for key, value in metadata["config"]["style"].items() if key != "style_size"}
    style_image = Path(args.style_image) if args.style_image else find_style_image(**style)
    transformer, _ = load_transformer(args.ckpt)
    judge = load_loss_network("vgg19_small", STYLE_LAYERS, args.judge)
    with torch.no_grad():
        style_grams = {k: gram_matrix(f) for k, f in judge(read_style_image(style_image, 256)).items()}

    stylized_errors, photo_errors = [], []
    for path in track(find_images(args.photos)[-args.count :], "judging"):
        photo = resize_short_side(read_image(path)[0], 256)[None]
        stylized_errors.append(errors(judge, stylize(transformer, photo), photo, style_grams))
        photo_errors.append(errors(judge, photo, photo, style_grams))
    result = {
        "style": metadata["style"],
        "photos": args.count,
        "model": summary(stylized_errors),
        "photos as output": summary(photo_errors),
        "losses": metadata["losses"],
        "versions": metadata["versions"],
        "machine": f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads",
    }
    print(json.dumps(result, indent=1))
    if args.output:
        args.output.parent.mkdir(parents=True, exist_ok=True)
        args.output.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
