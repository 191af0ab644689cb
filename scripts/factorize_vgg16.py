"""Make the low-rank VGG-16 that ships as the loss network, from the true one.

    python -m scripts.factorize_vgg16 --weights vgg16_caffe.pth --images PHOTOS PAINTINGS ...

Each 3x3 convolution becomes a 3x1 convolution to few channels and a 1x3 convolution from them (Jaderberg et al. 2014),
the best ones for inputs that vary as the teacher's do. Every layer keeps its name, its channels and its rectification,
and so its Gram matrix. Nothing is trained. The factors are stored as 8-bit integers, with a scale for each filter.
"""

import argparse
import json
import shlex
import sys
import time
from pathlib import Path

import torch
from rich.progress import track
from safetensors.torch import save_file
from torch import Tensor
from torchvision.transforms import v2

from fast_style.data.images import find_images
from fast_style.losses import gram_matrix, relative_error
from fast_style.networks.loss_network import LossNetwork, dequantize, load_loss_network
from scripts.distill_loss_network import Crops, read_images

DEEPEST = "relu4_3"  # of the paper's layers
# Channels between the two factors. conv1_1, of three channels, has nothing to gain. Shallow layers need few, deep ones
# decide the size of the file: 1.96 million weights of 7.63.
RANKS = {"1_2": 32, "2_1": 44, "2_2": 64, "3_1": 88, "3_2": 112, "3_3": 116, "4_1": 170, "4_2": 165, "4_3": 170}


@torch.no_grad()
def second_moments(teacher: LossNetwork, crops: Crops, batches: int) -> dict[str, Tensor]:
    """Uncentred second moments (C, C) of the channels of each stage."""
    moments = {}
    for _ in track(range(batches), "second moments"):
        for stage, maps in teacher(crops(), teacher.stages).items():
            rows = maps.movedim(1, -1).flatten(0, 2)
            moments[stage] = moments.get(stage, 0) + rows.T @ rows / (batches * len(rows))
    return moments


def factorize(teacher: LossNetwork, moments: dict[str, Tensor]) -> dict[str, Tensor]:
    """The teacher's weights with two factors in place of each convolution of RANKS."""
    weights = {f"input.{kind}": getattr(teacher, f"input_{kind}") for kind in ("weight", "bias")}
    for name in teacher.convolutions:
        weight, bias = getattr(teacher, f"conv{name}_weight"), getattr(teacher, f"conv{name}_bias")
        if name in RANKS:
            before = teacher.stages[teacher.stages.index(f"relu{name}") - 1]
            weights[f"columns{name}.weight"], weight = low_rank(weight, moments[before], RANKS[name])
        weights[f"conv{name}.weight"], weights[f"conv{name}.bias"] = weight, bias
    return weights


def low_rank(weight: Tensor, moment: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Factors (rank, I, 3, 1) and (O, rank, 1, 3) of filters (O, I, 3, 3) for inputs of second moment (I, I).

    The best in mean squared response, were neighbouring pixels independent: SVD of the filters times the moment's root.
    """
    outputs, inputs, height, width = weight.shape
    energies, axes = torch.linalg.eigh(moment.double())
    roots = energies.clamp_min(1e-6 * energies.max()).sqrt()
    weighted = torch.einsum("oikl,ij->kjol", weight.double(), axes * roots)
    left, sizes, right = torch.linalg.svd(weighted.reshape(height * inputs, outputs * width), full_matrices=False)
    sizes = sizes[:rank].sqrt()
    columns = torch.einsum("kjr,ij->rik", (left[:, :rank] * sizes).unflatten(0, (height, inputs)), axes / roots)
    rows = (sizes[:, None] * right[:rank]).unflatten(1, (outputs, width)).movedim(1, 0)
    return columns.unsqueeze(3).float().contiguous(), rows.unsqueeze(2).float().contiguous()


@torch.no_grad()
def validate(weights: dict[str, Tensor], teacher: LossNetwork, images: list[Tensor], side: int) -> dict[str, float]:
    """Squared error over squared norm of the features and of the Gram matrices of each layer, averaged over images."""
    layers = [f"relu{name}" for name in teacher.convolutions]
    student, errors = LossNetwork(weights, layers), {}
    for image in track(images, "validating"):
        crop = v2.functional.center_crop(image, [side, side])[None] / 255
        features, wanted = student(crop), teacher(crop, layers)
        for layer in layers:
            pairs = {"features": (features[layer], wanted[layer])}
            pairs["gram"] = tuple(map(gram_matrix, pairs["features"]))
            for kind, pair in pairs.items():
                errors.setdefault(f"{layer}/{kind}", []).append(float(relative_error(*pair)))
    return {name: round(sum(values) / len(values), 4) for name, values in errors.items()}


def quantize(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors to store: "conv3_1.weight" as int8, "conv3_1.scale" (O,) of each filter, what is small as it is."""
    tensors = {}
    for key, tensor in weights.items():
        name, kind = key.split(".")
        if kind == "weight" and name != "input":
            scale = tensor.abs().flatten(1).amax(1) / 127
            tensors[f"{name}.scale"] = scale
            tensor = (tensor / scale[:, None, None, None]).round().to(torch.int8)
        tensors[key] = tensor.contiguous()
    return tensors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", help="the teacher's: vgg16_caffe in torchvision's layout; default: downloaded")
    parser.add_argument("--images", nargs="+", required=True, help="folders; the last 100 files of the first validate")
    parser.add_argument("--batches", type=int, default=100, help="of crops whose activations are looked at")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=128, help="side of the crops")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("fast_style/assets/vgg16_lowrank.safetensors"))
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    first, *others = [find_images(folder) for folder in args.images]
    files = first[:-100] + [path for more in others for path in more]
    images, validation = read_images(files, "reading images"), read_images(first[-100:], "reading validation images")
    start = time.perf_counter()
    teacher = load_loss_network("vgg16_caffe", [DEEPEST], args.weights)
    moments = second_moments(teacher, Crops(images, args.image_size, args.batch_size), args.batches)
    tensors = quantize(factorize(teacher, moments))
    record = {
        "command": "python -m scripts.factorize_vgg16 " + shlex.join(sys.argv[1:]),
        "teacher": "VGG-16 (Simonyan and Zisserman 2015, CC BY 4.0, https://creativecommons.org/licenses/by/4.0/)",
        "changes": "up to relu4_3, convolutions in low-rank factors, 8-bit",
        "data": f"{len(images)} images, and {len(validation)} photos to validate",
        "seconds": f"{time.perf_counter() - start:.0f}",
        "relative validation errors": json.dumps(
            validate(dequantize(tensors), teacher, validation, 2 * args.image_size)
        ),
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, args.output, metadata=record)
    print(json.dumps(record, indent=1))
    print(f"wrote {args.output} ({args.output.stat().st_size / 1e6:.2f} MB)")


if __name__ == "__main__":
    main()
