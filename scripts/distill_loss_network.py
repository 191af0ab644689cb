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
from collections.abc import Collection, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.progress import track
from safetensors.torch import save_file
from torch import Tensor
from torchvision.transforms import v2

from fast_style.data.images import find_images, read_rgb
from fast_style.losses import gram_matrix, relative_error
from fast_style.networks.loss_network import LossNetwork, load_loss_network

LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
CHANNELS = {"1": 16, "2": 32, "3": 64, "4": 128, "5": 128}  # by block
MATCHED = {"both": ("/features", "/gram"), "features": "/features", "gram": "/gram"}  # ends of names of errors


@torch.no_grad()
def build_student(
    teacher: LossNetwork,
    crops: "Crops",
    channels: dict[str, int],
    dropped: Collection[str] = (),
    prune: str = "active",
) -> LossNetwork:
    """The teacher pruned to `channels` by block, without the convolutions named in `dropped`.

    prune="active" keeps the most active filters of each convolution (Li et al. 2017). "predictive" keeps the filters
    from which all of them are predicted best, and folds that least-squares prediction into the next convolution, as it
    does with a dropped convolution's output (He et al. 2017 and Luo et al. 2017 prune by reconstruction, too).
    """
    moments = second_moments(teacher, crops)
    weights = {f"input.{kind}": getattr(teacher, f"input_{kind}") for kind in ("weight", "bias")}
    source, kept = None, torch.arange(3)  # the convolution that the next one reads, and its filters that are left
    for name, previous in zip(teacher.convolutions, [None, *teacher.convolutions], strict=False):
        if name in dropped:
            continue
        weight, bias = getattr(teacher, f"conv{name}_weight"), getattr(teacher, f"conv{name}_bias")
        exact = source == previous and len(kept) == weight.shape[1]
        if prune == "predictive" and source and not exact:
            prediction = predict(moments[source, previous], moments[source, source], kept)
            bias = bias + (weight.sum((2, 3)) @ prediction[:, -1])
            weight = torch.einsum("oihw,ik->okhw", weight, prediction[:, :-1])
        else:
            weight = weight[:, kept]
        moment, count = moments[name, name], channels[name[0]]
        energies = moment.diagonal()[:-1]
        filters = energies.topk(count).indices if prune == "active" else most_predictive(moment, count)
        source, kept = name, filters.sort().values
        weights[f"conv{name}.weight"], weights[f"conv{name}.bias"] = weight[kept].clone(), bias[kept].clone()
        if f"relu{name}" in LAYERS:
            weights[f"head{name}.weight"] = torch.eye(count)[..., None, None]
            weights[f"head{name}.bias"] = torch.zeros(count)
    return LossNetwork(weights, LAYERS, padding="reflect")


def second_moments(teacher: LossNetwork, crops: "Crops") -> dict[tuple[str, str], Tensor]:
    """Uncentred moments of the activations, and a constant 1, of each two convolutions of one block."""
    moments = {}
    for _ in range(20):
        features = teacher(crops(), [f"relu{name}" for name in teacher.convolutions])
        rows = {name[4:]: F.pad(maps.movedim(1, -1).flatten(0, 2), (0, 1), value=1) for name, maps in features.items()}
        for a, b in ((a, b) for a in rows for b in rows if a[0] == b[0] and a <= b):
            moments[a, b] = moments.get((a, b), 0) + rows[a].T @ rows[b] / len(rows[a])
    return moments


def predict(cross: Tensor, own: Tensor, kept: Tensor) -> Tensor:
    """Least-squares map (C', kept + 1) from kept activations and a 1 to the C' activations whose moment is `cross`."""
    index = torch.cat([kept, torch.tensor([len(own) - 1])])
    normal = own[index][:, index].double()
    normal += 1e-6 * normal.diagonal().mean() * torch.eye(len(index))
    return torch.linalg.solve(normal, cross[index, :-1].double()).T.float()


def most_predictive(moment: Tensor, count: int) -> Tensor:
    """`count` channels chosen greedily: each leaves the least energy of all channels unexplained."""
    residual, chosen = moment.double(), []
    # The constant comes first: the bias of the next convolution predicts it.
    residual = residual - torch.outer(residual[-1], residual[-1]) / residual[-1, -1]
    residual = residual[:-1, :-1]
    for _ in range(count):
        own = residual.diagonal()
        gain = residual.square().sum(0) / own.clamp_min(1e-12 * float(moment.trace()))
        gain[chosen] = -1
        best = int(gain.argmax())
        chosen.append(best)
        if own[best] > 0:
            residual = residual - torch.outer(residual[best], residual[best]) / own[best]
    return torch.tensor(chosen)


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
        n = axes[layer].shape[1] + 1
        solution = torch.linalg.solve(matrix[:n, :n] + 1e-4 * matrix.trace() / n * torch.eye(n), matrix[:n, n:]).T
        getattr(student, f"head{layer[4:]}_weight").copy_(solution[:, :-1, None, None])
        getattr(student, f"head{layer[4:]}_bias").copy_(solution[:, -1])


def read_images(paths: Sequence[Path], task: str) -> list[Tensor]:
    """Images (3, H, W) uint8, each with a short side of 288."""
    return [torch.from_numpy(read_rgb(path, 288)).permute(2, 0, 1) for path in track(paths, task)]


class Crops:
    """Random augmented crops (B, 3, size, size) in [0, 1] of uint8 images, a quarter of them of `styles` if given."""

    def __init__(self, images: list[Tensor], size: int, batch_size: int, styles: Sequence[Tensor] = ()):
        self.images, self.batch_size, self.styles = images, batch_size, styles
        self.crop = v2.Compose(
            [
                v2.RandomResizedCrop(size, scale=(0.15, 1.0), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.RandomApply([v2.ColorJitter(0.4, 0.5, 0.5, 0.1)], 0.5),
                v2.ToDtype(torch.float32, scale=True),
            ]
        )

    def __call__(self) -> Tensor:
        chosen = [self.images[i] for i in torch.randint(len(self.images), (self.batch_size,)).tolist()]
        if self.styles:
            quarter = max(1, self.batch_size // 4)
            chosen[:quarter] = [self.styles[i] for i in torch.randint(len(self.styles), (quarter,)).tolist()]
        batch = torch.stack([self.crop(image) for image in chosen])
        # Networks in training produce noise, grain and overshoot that no photo has; the student must judge them too.
        amount = 0.15 * torch.rand(self.batch_size, 1, 1, 1) * (torch.rand(self.batch_size, 1, 1, 1) < 0.4)
        noise = torch.randn(self.batch_size, 3, *batch.shape[2:])
        coarse = F.avg_pool2d(noise, 3, 1, 1) * 3
        return batch + amount * torch.where(torch.rand(self.batch_size, 1, 1, 1) < 0.5, noise, coarse)


@torch.no_grad()
def principal_axes(
    teacher: LossNetwork, crops: Crops, channels: dict[str, int]
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Per layer the leading axes (channels of the teacher, of the student) and the share of energy that they keep."""
    batches = 30
    moments = {layer: 0.0 for layer in LAYERS}
    for _ in track(range(batches), "principal axes"):
        for layer, features in teacher(crops()).items():
            moments[layer] = moments[layer] + gram_matrix(features).mean(0) / batches
    axes, energy_kept = {}, {}
    for layer, moment in moments.items():
        energies, vectors = torch.linalg.eigh(moment)
        kept = channels[layer[4]]
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
    parser.add_argument("--styles", nargs="+", default=[], help="folders of paintings: a quarter of the training crops")
    parser.add_argument("--width", type=float, default=1.0, help="channels, as a multiple of 16, 32, 64, 128, 128")
    parser.add_argument("--drop", nargs="+", default=[], help="convolutions to leave out, such as 3_4 4_4")
    parser.add_argument("--prune", choices=("active", "predictive"), default="active", help="filters that are kept")
    parser.add_argument("--match", choices=MATCHED, default="both", help="whose relative errors are trained on")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=128, help="side of the training crops")
    parser.add_argument("--lr", type=float, default=2e-5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("fast_style/assets/distilled.safetensors"))
    args = parser.parse_args()
    channels = {block: round(args.width * count) for block, count in CHANNELS.items()}
    if min(channels.values()) < 1:
        parser.error(f"--width {args.width:g} leaves a block without channels")
    if any(f"relu{name}" in LAYERS for name in args.drop):
        parser.error(f"--drop cannot leave out the layers that are read: {' '.join(layer[4:] for layer in LAYERS)}")

    torch.manual_seed(args.seed)
    first, *others = [find_images(folder) for folder in args.images]
    style_files = [path for folder in args.styles for path in find_images(folder)]
    validation_files, training_files = first[-100:], first[:-100] + [path for more in others for path in more]
    training, validation = (
        read_images(training_files, "reading images"),
        read_images(validation_files, "reading validation images"),
    )
    styles = read_images(style_files, "reading paintings") if style_files else []
    crops = Crops(training, args.image_size, args.batch_size, styles)
    teacher = load_loss_network(args.teacher, LAYERS, args.weights)
    axes, energy_kept = principal_axes(teacher, crops, channels)
    filters = load_loss_network(args.teacher, LAYERS[-1:], args.weights, heads=False)
    if unknown := set(args.drop) - set(filters.convolutions):
        parser.error(f"--drop {' '.join(sorted(unknown))}: this teacher has {' '.join(filters.convolutions)}")
    for name in filters.convolutions:
        if len(getattr(filters, f"conv{name}_weight")) < channels[name[0]]:
            parser.error(f"--width {args.width:g} needs {channels[name[0]]} channels, more than conv{name} has")
    student = build_student(filters, crops, channels, args.drop, args.prune)
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
        loss = sum(value for name, value in errors.items() if name.endswith(MATCHED[args.match]))
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
        "data": f"{len(training)} training and {len(validation)} validation images"
        + (f", {len(styles)} paintings" if styles else ""),
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
