"""Which style weight a painting wants: what models paint of held-out photos, by figures that no weight is a part of.

    python -m benchmarks.which_weights --ckpt outputs/*/*/model.safetensors

On the eight photos that data=samples holds out, in float32, by the loss network and the layers of each model:

  variation  of the painting: the style error of its quarters, without the style weight
  content    error, over that of the photos upside down
  style      error, over the variation
  tone       correlation of light and dark with the photos
  ssim       of luma, to the photos
  distance   fast_style.training.validation.DistanceToIdeal: what scripts/tune.py makes small
"""

import argparse
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor

from benchmarks.objective_against_iterations import load_objective
from benchmarks.result import write_result
from benchmarks.timing import environment
from fast_style.checkpoint import load_transformer, read_metadata
from fast_style.data.content import Samples
from fast_style.data.styles import read_style_images, style_pictures
from fast_style.errors import exit_on_error
from fast_style.training.validation import DistanceToIdeal, likeness, own_variation

ROOT = Path(__file__).resolve().parent.parent
SIDE = 256


def held_out() -> list[Tensor]:
    """Batches (4, 3, SIDE, SIDE) in [0, 1]."""
    data = Samples(count=1, photo_share=0, image_size=SIDE, batch_size=4, seed=0)
    return [batch.float() / 255 for batch in data.val_dataloader()]


@torch.no_grad()
def judge(ckpt: str, batches: list[Tensor]) -> dict:
    """The figures of one model. Raises FastStyleError if its style picture is another one here."""
    metadata, loss, transformer = read_metadata(ckpt), load_objective(ckpt), load_transformer(ckpt, "--ckpt")[0]
    config, rows = metadata["config"], []
    pictures = read_style_images(style_pictures(config["style"]), config["style"]["style_size"])
    distance = DistanceToIdeal(loss, pictures)
    for index, photos in enumerate(batches):
        stylized, features = transformer(photos), loss.content_features(photos)
        terms, left = loss.per_image(stylized, photos, features), likeness(stylized, photos)
        shares = distance.shares(terms, photos, features, index)
        rows.append(torch.stack([*shares, *left.values(), distance(terms, photos, features, left["tone"], index)]))
    weight, values = config["objective"]["style_weight"], torch.stack(rows).mean(0).tolist()
    return {
        "painting": metadata["style"]["image"],
        "style_weight": weight,
        "steps": metadata["losses"]["steps"],
        "variation": round(own_variation(loss, pictures).item() / weight, 4),
    } | {
        name: round(value, 4)
        for name, value in zip(("content", "style", "tone", "ssim", "distance"), values, strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt", nargs="+", required=True, help="release files of one style")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "which_weights.json")
    args = parser.parse_args()
    result, batches = environment(torch.device("cpu")) | {"models": []}, held_out()
    for ckpt in track(args.ckpt, "judging"):
        result["models"].append(judge(ckpt, batches))
        write_result(result, args.output)
    names = list(result["models"][0])
    print("|", " | ".join(names), "|\n|", "--- | " * len(names))
    for model in sorted(result["models"], key=lambda model: (model["variation"], model["style_weight"])):
        print("|", " | ".join(str(model[name]) for name in names), "|")


if __name__ == "__main__":
    exit_on_error(main)
