"""How many iterations of L-BFGS one forward pass is worth (Johnson et al. 2016, figure 5).

    python -m benchmarks.objective_against_iterations --photos PHOTOS

The objective of a trained model, rebuilt from its release file, on held-out photos: of what the network paints, of the
photo as it is, and of an image that L-BFGS optimises from white noise, after every iteration. The photos are the last
of the folder by name, the middle of each at every size; smaller ones are enlarged. Everything in float32.

The curve is that of fast_style.ancestors.optimization, which keeps to the colours that exist. The paper's clips the
image after every iteration instead; it runs beside, as far as it takes to reach the network's objective.

Writes the result after every photo; Ctrl-C ends it with the photos that are finished.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor

from benchmarks.result import write_result
from benchmarks.timing import environment
from fast_style.ancestors.optimization import HISTORY, Objective, evaluate, optimize_pixels
from fast_style.checkpoint import describe_style, load_transformer, read_metadata
from fast_style.data.content import CROP_MARGIN, CentreCrops, ImageFolder
from fast_style.data.images import find_images
from fast_style.errors import FastStyleError, exit_on_error
from fast_style.hardware import pick_device
from fast_style.inference.stylize import stylize
from fast_style.losses import PerceptualLoss
from fast_style.networks.transformer_net import TransformerNet
from fast_style.training.style_transfer import StyleTransfer

ROOT = Path(__file__).resolve().parent.parent


def load_objective(ckpt: str | Path) -> PerceptualLoss:
    """What a release file was trained to minimise. Raises FastStyleError if its style picture is another one here."""
    metadata = read_metadata(ckpt)
    module = StyleTransfer(metadata["config"] | {"init_from": None})
    (pictures,) = module.styles.values()
    if describe_style("", pictures)["sha256"] != metadata["style"]["sha256"]:
        raise FastStyleError(f"{', '.join(map(str, pictures))}: not what {ckpt} was trained with")
    return module.perceptual_loss


def held_out_photos(folder: str | Path, count: int, size: int) -> list[Tensor]:
    """The middle of the last photos of a folder by name: (1, 3, size, size), RGB in [0, 1]."""
    paths = find_images(folder)[-count:]
    if len(paths) < count:
        raise FastStyleError(f"--photos {folder} holds {len(paths)} images, fewer than --count {count}")
    with tempfile.TemporaryDirectory() as scratch:
        images = ImageFolder(paths, round(size * CROP_MARGIN), Path(scratch) / "unreadable.txt")
        return [crop[None].float() / 255 for crop in track(CentreCrops(images, size), "held-out photos")]


def white_noise(shape: Sequence[int], seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def clipped_lbfgs(objective: Objective, start: Tensor, iterations: int) -> Iterator[float]:
    """The objective before and after each iteration of PyTorch's L-BFGS, with the image clipped to [0, 1] in between.

    Johnson et al. 2016, section 4.1.
    """
    image = start.clone()
    lbfgs = torch.optim.LBFGS([image], max_iter=1, history_size=HISTORY, tolerance_grad=0, tolerance_change=0)

    def closure() -> float:
        terms, image.grad = evaluate(objective, image)
        return sum(terms.values())

    for _ in range(iterations + 1):
        yield lbfgs.step(closure)
        image.clamp_(0, 1)


def first_reached(curve: Sequence[float], value: float) -> int | None:
    """The first iteration whose objective is no more than `value`; None if there is none."""
    return next((iteration for iteration, objective in enumerate(curve) if objective <= value), None)


def until(curve: Iterator[float], value: float) -> list[float]:
    """A curve up to the first iteration that is as good as `value`."""
    values = []
    for objective in curve:
        values.append(objective)
        if objective <= value:
            break
    return values


def compare(loss: PerceptualLoss, transformer: TransformerNet, photo: Tensor, noise: Tensor, iterations: int) -> dict:
    """The objective for one photo: of the stylised photo, of the photo, and after every iteration."""
    objective = loss.for_content(photo)
    with torch.no_grad():
        network, unstylised = (
            sum(objective(image.to(photo.device)).values()).item() for image in (stylize(transformer, photo), photo)
        )
    lbfgs = [sum(terms.values()) for _, terms, _ in optimize_pixels(objective, noise, iterations)]
    clipped = until(clipped_lbfgs(objective, noise, iterations), network)
    return {"network": network, "unstylised": unstylised, "lbfgs": lbfgs, "clipped": clipped}


def summarise(photos: list[dict]) -> dict:
    """What the objective is over the photos, and how many iterations it takes to be as good as the network."""
    network, unstylised = (describe([photo[name] for photo in photos]) for name in ("network", "unstylised"))
    lbfgs = [describe(values) for values in zip(*(photo["lbfgs"] for photo in photos), strict=True)]
    means = [point["mean"] for point in lbfgs]
    return {
        "photos": len(photos),
        "network": network,
        "unstylised": unstylised,
        "iterations_to_network": first_reached(means, network["mean"]),
        "iterations_to_network_by_photo": [first_reached(p["lbfgs"], p["network"]) for p in photos],
        "clipped_iterations_to_network_by_photo": [first_reached(p["clipped"], p["network"]) for p in photos],
        "lbfgs": {"mean": means, "std": [point["std"] for point in lbfgs]},
    }


def describe(values: Sequence[float]) -> dict[str, float]:
    kinds = {"mean": statistics.mean, "std": statistics.pstdev, "median": statistics.median}
    return {name: round(kind(values), 5) for name, kind in kinds.items()}


def measure(args: argparse.Namespace, result: dict) -> None:
    """Fill `result`, and write it to args.output after every photo."""
    device = pick_device(args.device)
    loss, transformer = load_objective(args.ckpt).to(device), load_transformer(args.ckpt, "--ckpt")[0].to(device)
    result |= {"ckpt": Path(args.ckpt).name} | environment(device) | {"sizes": {}}
    for size, iterations in zip(args.sizes, args.iterations, strict=True):
        finished = []
        for photo in track(held_out_photos(args.photos, args.count, size), f"L-BFGS at {size} px"):
            noise = white_noise(photo.shape, seed=len(finished) + 1).to(device)
            finished.append(compare(loss, transformer, photo.to(device), noise, iterations))
            result["sizes"][str(size)] = summarise(finished)
            write_result(result, args.output)


def table(result: dict) -> str:
    """The result as a table in Markdown."""
    lines = [
        "| | photo, median | network | L-BFGS is as good after | per photo | clipped L-BFGS, per photo |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for size in sorted(result["sizes"], key=int):
        row = result["sizes"][size]
        network, photo = row["network"], row["unstylised"]["median"]
        cells = [f"{size} px", f"{photo:.2f}", f"{network['mean']:.2f} ± {network['std']:.2f}"]
        cells += [f"{reached(row)} iterations"]
        cells += [interval(row[f"{name}iterations_to_network_by_photo"]) for name in ("", "clipped_")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def reached(row: dict) -> str:
    count = row["iterations_to_network"]
    return f"> {len(row['lbfgs']['mean']) - 1}" if count is None else str(count)


def interval(counts: list[int | None]) -> str:
    """Median, least and most of numbers of iterations, where None is more than were made."""
    ordered = ["never" if c is None else c for c in sorted(counts, key=lambda count: (count is None, count))]
    return f"{ordered[len(ordered) // 2]} ({ordered[0]} - {ordered[-1]})"


def plot(result: dict, path: Path) -> None:
    """The objective against iterations, a panel for each size."""
    from matplotlib.figure import Figure  # only here: an optional dependency

    sizes = sorted(result["sizes"], key=int)
    figure = Figure(figsize=(1 + 3.4 * len(sizes), 4.1), layout="constrained")
    figure.get_layout_engine().set(wspace=0.06)
    for axes, size in zip(figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0], sizes, strict=True):
        draw(axes, result["sizes"][size])
        axes.set(title=f"{size} x {size} pixels", xlabel="iterations of L-BFGS")
        if size == sizes[0]:
            axes.set_ylabel("objective")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=len(sizes), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def draw(axes, row: dict) -> None:
    from matplotlib.ticker import LogLocator, ScalarFormatter

    iterations = range(len(row["lbfgs"]["mean"]))
    network = {name: [row["network"][name]] * len(iterations) for name in ("mean", "std")}
    # The median: a single photo can have thirty times the others' objective.
    axes.axhline(row["unstylised"]["median"], color="C7", linestyle="--", label="photo, unstylised (median)")
    for label, curve, color in (("network", network, "C0"), ("L-BFGS from white noise", row["lbfgs"], "C3")):
        mean, std = torch.tensor(curve["mean"]), torch.tensor(curve["std"])
        axes.plot(iterations, mean, color=color, label=f"{label} (mean and standard deviation)")
        axes.fill_between(iterations, mean - std, mean + std, color=color, alpha=0.15, linewidth=0)
    if (count := row["iterations_to_network"]) is not None:
        axes.plot(count, mean[count], "o", color="black", markersize=4)
        axes.annotate(f"{count} iterations", (count, mean[count]), (8, 10), textcoords="offset points")
    axes.set(xlim=(0, len(iterations) - 1), yscale="log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.minorticks_off()
    axes.grid(alpha=0.3)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ckpt", default=ROOT / "checkpoints" / "starry_night.safetensors", help="release file")
    parser.add_argument("--photos", required=True, help="folder of photos whose last ones are held out")
    parser.add_argument("--count", type=int, default=20, help="how many (%(default)s)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 128, 512], help="pixels of their sides")
    parser.add_argument("--iterations", type=int, nargs="+", default=[200, 200, 60], help="of L-BFGS, at each size")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--output", type=Path, help="JSON (benchmarks/results/objective_against_iterations.json)")
    parser.add_argument("--plot", type=Path, help="picture (docs/images/objective_against_iterations.png)")
    parser.set_defaults(output=ROOT / "benchmarks/results/objective_against_iterations.json")
    parser.set_defaults(plot=ROOT / "docs/images/objective_against_iterations.png")
    args = parser.parse_args(argv)
    if len(args.sizes) != len(args.iterations):
        parser.error("--iterations needs one number for each of --sizes")
    return args


def main(argv: list[str] | None = None) -> None:
    args, result = parse(argv), {}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    try:
        measure(args, result)
    except KeyboardInterrupt:
        if not result.get("sizes"):
            raise
        print("stopped early: the finished photos count")
    plot(result, args.plot)
    print(table(result))
    print(json.dumps(result))


if __name__ == "__main__":
    exit_on_error(main)
