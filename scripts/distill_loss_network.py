"""Train the small loss network that ships with the package to imitate a VGG.

    python scripts/distill_loss_network.py --teacher vgg19 --images /data/photos /data/paintings

The student has the teacher's depth and a fraction of its channels. What it learns at each of relu1_1 ... relu5_1 is
the teacher's activation projected on its leading principal axes (PCA without centring, over the training images). The
projection is orthonormal, so distances between Gram matrices and between features carry over from the teacher, less the
energy of the axes left out; Gatys et al. 2015 reduce the parameters of their texture model in the same way.
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

from fast_style.images import find_images, read_rgb
from fast_style.loss_network import LossNetwork, load_loss_network
from fast_style.losses import gram_matrix, relative_error

LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
CHANNELS = {"1": 16, "2": 32, "3": 64, "4": 128, "5": 128}  # by block


def build_student(teacher: LossNetwork, crops: "Crops") -> LossNetwork:
    """The teacher pruned to the student's channels: each convolution keeps its most active filters (Li et al. 2017)."""
    energies = {}
    layers = [f"relu{name}" for name in teacher.convolutions]
    for _ in range(20):
        for layer, features in teacher(crops(), layers).items():
            energies[layer] = energies.get(layer, 0) + features.square().mean((0, 2, 3))
    weights = {f"input.{kind}": getattr(teacher, f"input_{kind}") for kind in ("weight", "bias")}
    kept_before = torch.arange(3)
    for name in teacher.convolutions:
        channels = CHANNELS[name[0]]
        kept = energies[f"relu{name}"].topk(channels).indices.sort().values
        weights[f"conv{name}.weight"] = getattr(teacher, f"conv{name}_weight")[kept][:, kept_before].clone()
        weights[f"conv{name}.bias"] = getattr(teacher, f"conv{name}_bias")[kept].clone()
        if f"relu{name}" in LAYERS:
            weights[f"head{name}.weight"] = torch.eye(channels)[..., None, None]
            weights[f"head{name}.bias"] = torch.zeros(channels)
        kept_before = kept
    return LossNetwork(weights, LAYERS, padding="reflect")


@torch.no_grad()
def fit_heads(student: LossNetwork, teacher: LossNetwork, axes: dict[str, Tensor], crops: "Crops") -> None:
    """Set the heads, in place, to the least-squares map from the student's features to the projected teacher's."""
    normal = {layer: 0.0 for layer in LAYERS}
    for _ in range(40):
        images = crops()
        target = teacher(images)
        for layer, features in student(images).items():
            wanted = project(target[layer], axes[layer])
            rows = torch.cat([features, torch.ones_like(features[:, :1]), wanted], 1).movedim(1, -1).flatten(0, 2)
            normal[layer] = normal[layer] + rows.T @ rows / len(rows)
    for layer, matrix in normal.items():
        n = CHANNELS[layer[4]] + 1
        solution = torch.linalg.solve(matrix[:n, :n] + 1e-4 * matrix.trace() / n * torch.eye(n), matrix[:n, n:]).T
        getattr(student, f"head{layer[4:]}_weight").copy_(solution[:, :-1, None, None])
        getattr(student, f"head{layer[4:]}_bias").copy_(solution[:, -1])


class Crops:
    """Random augmented crops (B, 3, size, size) in [0, 1] of a list of uint8 images."""

    def __init__(self, images: list[Tensor], size: int, batch_size: int):
        self.images, self.batch_size = images, batch_size
        self.crop = v2.Compose(
            [
                v2.RandomResizedCrop(size, scale=(0.15, 1.0), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.RandomApply([v2.ColorJitter(0.4, 0.5, 0.5, 0.1)], 0.5),
                v2.ToDtype(torch.float32, scale=True),
            ]
        )

    def __call__(self) -> Tensor:
        chosen = torch.randint(len(self.images), (self.batch_size,)).tolist()
        batch = torch.stack([self.crop(self.images[i]) for i in chosen])
        # Networks in training produce noise, grain and overshoot that no photo has; the student must judge them too.
        amount = 0.15 * torch.rand(self.batch_size, 1, 1, 1) * (torch.rand(self.batch_size, 1, 1, 1) < 0.4)
        noise = torch.randn(self.batch_size, 3, *batch.shape[2:])
        coarse = torch.nn.functional.avg_pool2d(noise, 3, 1, 1) * 3
        return batch + amount * torch.where(torch.rand(self.batch_size, 1, 1, 1) < 0.5, noise, coarse)


@torch.no_grad()
def principal_axes(teacher: LossNetwork, crops: Crops) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Per layer the leading axes (channels of the teacher, of the student) and the share of energy that they keep."""
    batches = 30
    moments = {layer: 0.0 for layer in LAYERS}
    for _ in track(range(batches), "principal axes"):
        for layer, features in teacher(crops()).items():
            moments[layer] = moments[layer] + gram_matrix(features).mean(0) / batches
    axes, energy_kept = {}, {}
    for layer, moment in moments.items():
        energies, vectors = torch.linalg.eigh(moment)
        kept = CHANNELS[layer[4]]
        # Scaled so that a target has unit mean square: relative errors do not depend on it, half precision does.
        axes[layer] = vectors[:, -kept:] * (moment.trace() * len(moment) / kept) ** -0.5
        energy_kept[layer] = round(float(energies[-kept:].sum() / energies.sum()), 4)
    return axes, energy_kept


def project(features: Tensor, axes: Tensor) -> Tensor:
    return torch.einsum("bchw,ck->bkhw", features.float(), axes)


def relative_errors(student: dict[str, Tensor], target: dict[str, Tensor]) -> dict[str, Tensor]:
    """Squared error over squared norm, of features and of Gram matrices, per layer."""
    errors = {}
    for layer in LAYERS:
        features, wanted = student[layer].float(), target[layer]
        errors[f"{layer}/features"] = (features - wanted).square().mean() / wanted.square().mean()
        errors[f"{layer}/gram"] = relative_error(gram_matrix(features), gram_matrix(wanted)).mean()
    return errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", default="vgg19", help="vgg16, vgg19 or vgg19_small (needs --weights)")
    parser.add_argument("--weights", help="local weights of the teacher")
    parser.add_argument("--licence", default="see torchvision", help="licence of the teacher, for the record")
    parser.add_argument("--images", nargs="+", required=True, help="folders; the last 100 files of the first validate")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=128, help="side of the training crops")
    parser.add_argument("--lr", type=float, default=2e-5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("fast_style/assets/distilled.safetensors"))
    args = parser.parse_args()

    torch.manual_seed(args.seed)
    first, *others = [find_images(folder) for folder in args.images]
    validation_files, training_files = first[-100:], first[:-100] + [path for more in others for path in more]
    read = lambda paths, task: [torch.from_numpy(read_rgb(p, 288)).permute(2, 0, 1) for p in track(paths, task)]  # noqa: E731
    training, validation = read(training_files, "reading images"), read(validation_files, "reading validation images")
    crops = Crops(training, args.image_size, args.batch_size)
    teacher = load_loss_network(args.teacher, LAYERS, args.weights)
    axes, energy_kept = principal_axes(teacher, crops)
    filters = load_loss_network(args.teacher, LAYERS[-1:], args.weights, heads=False)
    student = build_student(filters, crops)
    fit_heads(student, teacher, axes, crops)

    parameters = [t.requires_grad_() for name, t in student.named_buffers() if not name.startswith("input")]
    optimizer = torch.optim.Adam(parameters, lr=args.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.steps)
    start = time.perf_counter()
    for step in track(range(args.steps), "distilling"):
        images = crops()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            target = teacher(images)
        target = {layer: project(target[layer], axes[layer]) for layer in LAYERS}
        with torch.autocast("cpu", torch.bfloat16):
            features = student(images)
        errors = relative_errors(features, target)
        loss = sum(errors.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 200 == 0:
            print(f"step {step}: " + "  ".join(f"{name} {value:.4f}" for name, value in errors.items()), flush=True)

    totals = dict.fromkeys(errors, 0.0)
    with torch.no_grad():
        for image in track(validation, "validating"):
            images = v2.functional.center_crop(image, [256, 256])[None] / 255
            target = {layer: project(f, axes[layer]) for layer, f in teacher(images).items()}
            for name, value in relative_errors(student(images), target).items():
                totals[name] += float(value) / len(validation)
    record = {
        "command": "python " + shlex.join(sys.argv),
        "teacher": f"{args.teacher} ({args.licence})",
        "data": f"{len(training)} training and {len(validation)} validation images",
        "seconds": f"{time.perf_counter() - start:.0f}",
        "energy kept by the principal axes": json.dumps(energy_kept),
        "relative validation errors": json.dumps({k: round(v, 4) for k, v in totals.items()}),
    }
    weights = {
        "{}.{}".format(*name.rsplit("_", 1)): tensor.detach().half().contiguous()
        for name, tensor in student.named_buffers()
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, args.output, metadata=record)
    print(json.dumps(record, indent=1))
    print(f"wrote {args.output} ({args.output.stat().st_size / 1e6:.2f} MB)")


if __name__ == "__main__":
    main()
