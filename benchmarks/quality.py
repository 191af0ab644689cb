"""How good pictures are: style, content, tone, contrast and chroma, seen by a loss network they were not trained with.

    python -m benchmarks.quality --ckpt model.safetensors --photos FOLDER --vgg16 vgg16_caffe.pth
    python -m benchmarks.quality --pictures painting.jpg,photo.jpg,picture.jpg --vgg16 vgg16_caffe.pth

Of painting, photo and picture, all reduced to a short side of 384 px:
  style    relative squared error of the Gram matrices against the painting's, the mean over relu1_2, relu2_2, relu3_3
           and relu4_3 of VGG-16 (Simonyan and Zisserman 2015, the Caffe weights), as in Johnson et al. 2016
  content  relative squared error of the features at relu3_3 against the photo's
  tone     correlation of the luminance of photo and picture, in blocks of a 24th of the short side
  contrast deviation of the luminance over all pixels, as a share of the painting's
  chroma   the same of what the luminance leaves of red, green and blue: a dull picture has less than 1
Without the file its low-rank factors that ship judge: a model trained with them is then judged by its teacher. The
unstylised photos are measured too, as the zero of the style scale.
"""

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image
from rich.progress import track
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

from benchmarks.result import write_result
from fast_style.checkpoint import load_network, read_metadata
from fast_style.data.images import find_images, read_on_white
from fast_style.data.styles import find_styles, style_pictures
from fast_style.errors import FastStyleError, exit_on_error
from fast_style.hardware import describe_device
from fast_style.inference.stylize import stylize
from fast_style.losses import gram_matrix, luminance, relative_error, tone_error
from fast_style.networks.loss_network import LossNetwork, load_loss_network
from fast_style.networks.multi_style import MultiStyleNet

SIDE = 384
STYLE_LAYERS, CONTENT_LAYER = ["relu1_2", "relu2_2", "relu3_3", "relu4_3"], "relu3_3"


class Judge:
    """A loss network, and what it says of a picture beside its paintings and its photo, (3, H, W) in [0, 1] each."""

    def __init__(self, weights: str | None):
        self.name = "vgg16_caffe" if weights else "vgg16_lowrank"
        self.network: LossNetwork = load_loss_network(self.name, STYLE_LAYERS, weights)

    @torch.no_grad()
    def __call__(self, paintings: Sequence[Tensor], photo: Tensor, picture: Tensor) -> dict[str, float]:
        photo, picture = (resized(image, judged_size(photo)) for image in (photo, picture))
        paintings = [resized(one, judged_size(one)) for one in paintings]
        of_each = [self.network(one, STYLE_LAYERS) for one in paintings]
        wanted = {name: sum(gram_matrix(maps[name]) for maps in of_each) / len(of_each) for name in STYLE_LAYERS}
        found = self.network(picture)
        errors = [relative_error(gram_matrix(found[name]), wanted[name]) for name in STYLE_LAYERS]
        content = relative_error(found[CONTENT_LAYER], self.network(photo)[CONTENT_LAYER])
        return {
            "style": float(torch.cat(errors).mean()),
            "content": float(content),
            "tone": float(1 - tone_error(picture, photo)),
            "contrast": contrast(picture) / statistics.mean(map(contrast, paintings)),
            "chroma": chroma(picture) / statistics.mean(map(chroma, paintings)),
        }


def contrast(image: Tensor) -> float:
    """Deviation of the luminance of an image (1, 3, H, W) in [0, 1]."""
    return float(luminance(image).std(correction=0))


def chroma(image: Tensor) -> float:
    """Deviation of what is left of an image (1, 3, H, W) in [0, 1] without its luminance."""
    left = image - luminance(image)
    return float(left.var((-2, -1), correction=0).sum().sqrt())


def resized(image: Tensor, size: tuple[int, int]) -> Tensor:
    """An image (3, H, W) in [0, 1] at a height and width, as (1, 3, H', W')."""
    picture = to_pil_image(image).resize(size[::-1], Image.Resampling.LANCZOS)
    return pil_to_tensor(picture)[None] / 255


def judged_size(photo: Tensor) -> tuple[int, int]:
    return tuple(round(side * SIDE / min(photo.shape[1:])) for side in photo.shape[1:])


def summary(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means, and deviations where there are several."""
    result = {name: round(statistics.mean(row[name] for row in rows), 3) for name in rows[0]}
    if len(rows) > 1:
        result |= {f"{name}_std": round(statistics.pstdev(row[name] for row in rows), 3) for name in rows[0]}
    return result


def judge_model(judge: Judge, ckpt: str, photos: Sequence[Path]) -> Iterator[dict]:
    """What is found of each style of a release file."""
    network, metadata = load_network(ckpt)[0], read_metadata(ckpt)
    if isinstance(network, MultiStyleNet):
        found, of_name = (
            find_styles(metadata["config"]["styles"]),
            {style["name"]: style for style in metadata["styles"]},
        )
        styles = [(of_name[name], paths, network.transformer_for(name)) for name, paths in found.items()]
    else:
        styles = [(metadata["style"], style_pictures(metadata["config"]["style"]), network)]
    for style, paths, transformer in styles:
        paintings = [read_on_white(path) for path in paths]
        pictures, originals = [], []
        for path in track(photos, f"judging {style['name']}"):
            photo = read_on_white(path)
            pictures.append(judge(paintings, photo, stylize(transformer, photo[None])[0]))
            originals.append(judge(paintings, photo, photo))
        yield {
            "model": ckpt,
            "painting": style,
            **summary(pictures),
            "photos as output": summary(originals),
            "losses": metadata["losses"],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt", nargs="+", default=[], help="release files")
    parser.add_argument("--photos", nargs="+", default=[], help="photos, or folders of photos")
    parser.add_argument("--count", type=int, default=20, help="how many photos of a folder, from the end by name")
    parser.add_argument("--pictures", nargs="+", default=[], metavar="PAINTING,PHOTO,PICTURE", help="finished pictures")
    parser.add_argument("--vgg16", help="weights of vgg16_caffe; without, the network that ships judges")
    parser.add_argument("--output", type=Path, help="write the result as JSON too")
    args = parser.parse_args()
    if not args.pictures and not (args.ckpt and args.photos):
        raise FastStyleError("give --ckpt and --photos, or --pictures")
    judge, models, pictures = Judge(args.vgg16), [], []
    photos = [
        path
        for item in args.photos
        for path in (find_images(item)[-args.count :] if Path(item).is_dir() else [Path(item)])
    ]
    for ckpt in args.ckpt:
        for found in judge_model(judge, ckpt, photos):
            models.append(found)
            print(json.dumps(found, indent=1), flush=True)
    for triple in args.pictures:
        if triple.count(",") != 2:
            raise FastStyleError(f"--pictures {triple}: must be PAINTING,PHOTO,PICTURE")
        painting, photo, picture = (read_on_white(path) for path in triple.split(","))
        pictures.append({"picture": Path(triple.split(",")[2]).name} | summary([judge([painting], photo, picture)]))
        print(json.dumps(pictures[-1]))
    machine = describe_device(torch.device("cpu"))
    result = {"judge": judge.name, "photos": len(photos), "models": models, "pictures": pictures, "machine": machine}
    write_result(result, args.output)


if __name__ == "__main__":
    exit_on_error(main)
