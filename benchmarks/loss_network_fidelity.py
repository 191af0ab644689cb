"""How a small loss network ranks pictures by style, against its teacher, and what it costs.

    python -m benchmarks.loss_network_fidelity --teacher vgg19_small.safetensors --photos FOLDER --styles FOLDER

For many pairs (picture, style) and each of relu1_1 ... relu5_1: the relative squared error of the picture's Gram
matrix against the style's, seen by the teacher and by each candidate, and Spearman's rank correlation of the two. A
training compares pictures for one style, so the correlation is also taken within each style. Pictures:

    photos       the last photos of the folder by name
    crops        of the paintings that are not the style
    recoloured   every other photo with the mean and the covariance of the style's colours
    optimised    photos whose pixels were optimised toward the style through the teacher and through the candidate
                 itself, at several steps, with and without a content term: what a training sees, and where a candidate
                 that is wrong somewhere is exploited
    stylised     the photos by trained networks (--ckpt), and any pictures of others (--pictures)

A candidate is compared on the pairs that all of them share and on those optimised through itself.
GFLOP: two per multiplication and addition, a 256 x 256 image, through all five layers with their heads.
"""

import argparse
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.progress import track
from scipy.stats import spearmanr
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.result import write_result
from fast_style.checkpoint import load_transformer
from fast_style.data.images import find_images, read_on_white, resize_short_side
from fast_style.data.styles import read_style_image
from fast_style.errors import FastStyleError
from fast_style.hardware import describe_device
from fast_style.inference.stylize import stylize
from fast_style.losses import gram_matrix, relative_error
from fast_style.networks.loss_network import LOSS_NETWORKS, LossNetwork, load_loss_network

LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
CONTENT_LAYER = "relu4_1"
SHIPPED = Path(str(files("fast_style") / "assets" / "distilled.safetensors"))
TARGET_CORRELATION, TARGET_GFLOP = 0.95, 3.6  # a tenth of VGG-16 to relu4_3
CLOSE = 0.5  # relative error of a Gram matrix below which a picture counts as close to the style

Grams = dict[str, Tensor]
Distances = dict[str, float]  # by layer, and "mean" over them


@torch.no_grad()
def grams(network: LossNetwork, images: Tensor) -> Grams:
    return {layer: gram_matrix(maps) for layer, maps in network(images, LAYERS).items()}


def distances(seen: Grams, wanted: Grams) -> Distances:
    """Relative error of one picture's Gram matrices against a style's, per layer and on average."""
    errors = {layer: float(relative_error(seen[layer], wanted[layer])) for layer in LAYERS}
    return errors | {"mean": statistics.mean(errors.values())}


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Spearman's; None where a side is constant or fewer than three values are given."""
    if len(one) < 3 or min(one) == max(one) or min(other) == max(other):
        return None
    return round(float(spearmanr(one, other).statistic), 4)


def mean_and_least(values: Iterable[float | None]) -> tuple[float | None, float | None]:
    """Of the values that are defined."""
    defined = [value for value in values if value is not None]
    return (round(statistics.mean(defined), 4), min(defined)) if defined else (None, None)


@torch.no_grad()
def recolour(photo: Tensor, style: Tensor) -> Tensor:
    """The photo (1, 3, H, W) with mean and covariance of the style's colours (Gatys et al. 2017, section 6.2)."""
    pixels, wanted = photo[0].flatten(1), style[0].flatten(1)
    spread = torch.linalg.cholesky(wanted.cov() + 1e-5 * torch.eye(3))
    whiten = torch.linalg.inv(torch.linalg.cholesky(pixels.cov() + 1e-5 * torch.eye(3)))
    matched = spread @ whiten @ (pixels - pixels.mean(1, keepdim=True)) + wanted.mean(1, keepdim=True)
    return matched.reshape(photo.shape).clamp(0, 1)


def optimise(
    network: LossNetwork, photos: Tensor, wanted: Grams, content_weights: Tensor, snapshots: Sequence[int]
) -> Iterator[Tensor]:
    """Adam on pixels toward a style; the batch after each of `snapshots` steps, clamped to [0, 1]."""
    with torch.no_grad():
        content = network(photos, [CONTENT_LAYER])[CONTENT_LAYER]
    images = photos.clone().requires_grad_()
    optimizer = torch.optim.Adam([images], lr=0.04)
    for step in range(1, max(snapshots, default=0) + 1):
        features = network(images, LAYERS)
        style_errors = sum(relative_error(gram_matrix(features[layer]), wanted[layer]) for layer in LAYERS)
        loss = style_errors + content_weights * relative_error(features[CONTENT_LAYER], content)
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        if step in snapshots:
            yield images.detach().clamp(0, 1)


def cost(path: Path, network: LossNetwork) -> dict[str, float]:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, 256, 256))
    return {
        "gflop": round(counter.get_total_flops() / 1e9, 4),
        "parameters": sum(buffer.numel() for buffer in network.buffers()),
        "megabytes": round(path.stat().st_size / 1e6, 3),
    }


def read_square(path: Path, size: int) -> Tensor:
    """The middle of a picture, (1, 3, size, size)."""
    image = resize_short_side(read_on_white(path), size)
    top, left = (image.shape[1] - size) // 2, (image.shape[2] - size) // 2
    return image[None, :, top : top + size, left : left + size]


def crops_of(image: Tensor, size: int) -> list[Tensor]:
    """Two quarters of the style picture, enlarged: top left and bottom right."""
    half = size // 2
    corners = image[..., :half, :half], image[..., -half:, -half:]
    return [F.interpolate(c, (size, size), mode="bilinear", antialias=True) for c in corners]


def find_styles(folders: Sequence[str | Path]) -> dict[str, Path]:
    """Pictures by name; of two with one name the later is a "(study)": the bundled ones come last."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in find_images(folder):
            name = path.stem
            while name in found:
                name += " (study)"
            found[name] = path
    return found


def measure(
    networks: dict[str, LossNetwork],
    styles: dict[str, Tensor],
    photos: list[Tensor],
    stylised: list[Tensor],
    transformers: dict[str, torch.nn.Module],
    size: int,
    snapshots: Sequence[int],
) -> list[dict]:
    """One row a pair: {"style", "kind", "by network": {name: distances}}.

    The first of `networks` is the teacher. Pictures optimised through a candidate are seen by it and the teacher.
    """
    wanted = {style: {name: grams(net, image) for name, net in networks.items()} for style, image in styles.items()}
    rows = []

    def add(picture: Tensor, kind: str, against: Sequence[str], seers: Sequence[str] = tuple(networks)) -> None:
        seen = {name: grams(networks[name], picture) for name in seers}
        for style in against:
            by_network = {name: distances(seen[name], wanted[style][name]) for name in seers}
            rows.append({"style": style, "kind": kind, "by network": by_network})

    for photo in track(photos, "photos"):
        add(photo, "photos", list(styles))
    for picture in track(stylised, "pictures of others"):
        add(picture, "stylised", list(styles))
    for name, transformer in transformers.items():
        for photo in track(photos, f"stylised by {name}"):
            add(stylize(transformer, photo), "stylised", list(styles))
    for painting, image in track(styles.items(), "crops"):
        for crop in crops_of(image, size):
            add(crop, "crops", [style for style in styles if style != painting])
    for index, (style, image) in enumerate(track(styles.items(), "recoloured")):
        for photo in photos[index % 2 :: 2]:
            add(recolour(photo, image), "recoloured", [style])
    teacher = next(iter(networks))
    content_weights = torch.tensor([0.0, 1.0])
    for index, style in enumerate(track(styles, "optimised")):
        # Two photos a style, not the same for all of them.
        pair = torch.cat([photos[(2 * index + i) % len(photos)] for i in range(2)])
        for name, network in networks.items():
            for batch in optimise(network, pair, wanted[style][name], content_weights, snapshots):
                for picture in batch.split(1):
                    if name == teacher:
                        add(picture, "optimised", [style])
                    else:
                        add(picture, f"optimised through {name}", [style], [teacher, name])
    return rows


def fidelity(rows: list[dict], teacher: str, candidate: str, held_out: Sequence[str]) -> dict[str, dict]:
    """Rank correlations of a candidate with the teacher, per layer and for the mean over layers."""
    own = f"optimised through {candidate}"
    rows = [row for row in rows if candidate in row["by network"]]
    result = {}
    for layer in [*LAYERS, "mean"]:
        pairs = [
            (row["style"], row["kind"], row["by network"][teacher][layer], row["by network"][candidate][layer])
            for row in rows
        ]
        by_style = {
            style: correlate(pair for pair in pairs if pair[0] == style) for style in dict.fromkeys(p[0] for p in pairs)
        }
        within, least = mean_and_least(by_style.values())
        result[layer] = {
            "all pairs": correlate(pairs),
            "held-out styles": correlate(pair for pair in pairs if pair[0] in held_out),
            "within a style": within,
            "within a style, least": least,
            "within a held-out style, least": mean_and_least(by_style[style] for style in held_out)[1],
            "close pairs": correlate(pair for pair in pairs if pair[2] < CLOSE),
            "optimised through itself": correlate(pair for pair in pairs if pair[1] == own),
            "by style": by_style,
        }
    return result


def correlate(pairs: Iterable[tuple]) -> float | None:
    """Rank correlation of the last two entries of (style, kind, teacher's distance, candidate's distance)."""
    chosen = list(pairs)
    return rank_correlation([pair[2] for pair in chosen], [pair[3] for pair in chosen])


def markdown(candidates: dict[str, dict]) -> str:
    """Costs and the correlation of each layer within a style, mean (least); then every statistic at its worst layer."""
    number = lambda value: "" if value is None else f"{value:.3f}"  # noqa: E731
    header = ["loss network", "GFLOP", "parameters", "MB", *LAYERS, "mean of layers"]
    lines = [table_row(header), table_row(["---"] * len(header))]
    for name, entry in candidates.items():
        layers = [
            f"{number(found['within a style'])} ({number(found['within a style, least'])})"
            for found in entry["fidelity"].values()
        ]
        lines.append(
            table_row([name, f"{entry['gflop']:.2f}", f"{entry['parameters']:,}", f"{entry['megabytes']:.2f}", *layers])
        )
    keys = [key for key in next(iter(candidates.values()))["fidelity"]["mean"] if key != "by style"]
    lines += ["", table_row(["at the worst layer", *keys]), table_row(["---"] * (len(keys) + 1))]
    for name, entry in candidates.items():
        worst = [mean_and_least(entry["fidelity"][layer][key] for layer in LAYERS)[1] for key in keys]
        lines.append(table_row([name, *map(number, worst)]))
    return "\n".join(lines)


def table_row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", nargs="+", type=Path, default=[SHIPPED], help="default: the file that ships")
    parser.add_argument("--teacher", required=True, help="weights of the teacher")
    parser.add_argument("--teacher-name", default="vgg19_small", choices=LOSS_NETWORKS)
    parser.add_argument("--photos", required=True, help="folder; the last 100 by name are no training data")
    parser.add_argument("--count", type=int, default=40, help="how many photos, spread over those 100")
    parser.add_argument("--styles", nargs="*", default=[], help="folders of paintings, besides the bundled ones")
    parser.add_argument("--held-out", nargs="*", default=[], help="styles that candidates did not train on, by name")
    parser.add_argument("--ckpt", nargs="*", default=[], help="release files that stylise the photos")
    parser.add_argument("--pictures", nargs="*", default=[], help="folders of stylised pictures")
    parser.add_argument("--size", type=int, default=192, help="side of pictures and short side of styles")
    parser.add_argument("--snapshots", type=int, nargs="*", default=[4, 8, 16], help="steps of pixel optimisation")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/loss_network_fidelity.json"))
    args = parser.parse_args()
    try:
        result = benchmark(args)
    except FastStyleError as error:
        sys.exit(f"error: {error}")
    write_result(result, args.output)
    print(markdown(result["candidates"]))
    print(f"\nwrote {args.output}")


def benchmark(args: argparse.Namespace) -> dict:
    start = time.perf_counter()
    style_files = find_styles([*args.styles, files("fast_style") / "assets" / "styles"])
    if unknown := set(args.held_out) - set(style_files):
        raise FastStyleError(f"--held-out {' '.join(sorted(unknown))}: choose from {', '.join(style_files)}")
    photo_files = find_images(args.photos)[-100:]
    if len(photo_files) < 2 or args.count < 2:
        raise FastStyleError(f"--photos {args.photos} --count {args.count}: two photos at least are needed")
    photo_files = photo_files[:: max(1, len(photo_files) // args.count)][: args.count]
    teacher = f"teacher: {args.teacher_name}"
    networks = {teacher: load_loss_network(args.teacher_name, LAYERS, args.teacher)}
    for path in args.candidates:
        if path.stem in networks:
            raise FastStyleError(f"--candidates: two files are named {path.stem}")
        networks[path.stem] = load_loss_network("distilled", LAYERS, str(path))
    rows = measure(
        networks,
        {name: read_style_image(path, args.size) for name, path in style_files.items()},
        [read_square(path, args.size) for path in photo_files],
        [read_square(path, args.size) for folder in args.pictures for path in find_images(folder)],
        {Path(path).stem: load_transformer(path)[0] for path in args.ckpt},
        args.size,
        args.snapshots,
    )
    kinds = [row["kind"] for row in rows]
    candidates = {
        path.stem: cost(path, networks[path.stem]) | {"fidelity": fidelity(rows, teacher, path.stem, args.held_out)}
        for path in args.candidates
    }
    for entry in candidates.values():
        chosen = "held-out styles" if args.held_out else "all pairs"
        least = mean_and_least(entry["fidelity"][layer][chosen] for layer in LAYERS)[1]
        close_enough = least is not None and least >= TARGET_CORRELATION
        entry["meets the target"] = close_enough and entry["gflop"] <= TARGET_GFLOP
    return {
        "command": "python " + shlex.join(sys.argv),
        "target": {"least rank correlation of a layer": TARGET_CORRELATION, "gflop": TARGET_GFLOP},
        "teacher": {"name": args.teacher_name} | cost(Path(args.teacher), networks[teacher]),
        "pairs": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        "styles": list(style_files),
        "held-out styles": args.held_out,
        "size": args.size,
        "candidates": candidates,
        "seconds": round(time.perf_counter() - start),
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("torch", "torchvision", "scipy", "fast-style")},
        "machine": describe_device(torch.device("cpu")),
    }


if __name__ == "__main__":
    main()
