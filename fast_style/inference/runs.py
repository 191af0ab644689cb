"""The runs in a folder, those of a sweep or any others: how they differ, what they reached, what they paint."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from rich.progress import track
from torch import Tensor, nn

from fast_style.checkpoint import load_network, read_metadata
from fast_style.data.content import CentreCrops, Coco, ContentImages, Folder, Samples
from fast_style.data.images import read_on_white, resize_short_side
from fast_style.data.styles import bundled_styles, file_sha256, style_pictures
from fast_style.errors import FastStyleError
from fast_style.hardware import pick_device
from fast_style.inference.first_guess import predicted
from fast_style.inference.sampling import Variant
from fast_style.inference.stylize import stylize
from fast_style.keys import shown
from fast_style.losses import tone_error
from fast_style.networks.any_style import AnyStyleNet
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.texture_generator import TextureGenerator
from fast_style.networks.upscaler import Upscaler, resize_bicubic

MODEL, OVERRIDES, FAILURE = "model.safetensors", ".hydra/overrides.yaml", "error.txt"
SIDE = 256  # of the held-out crops that are painted
HELD_OUT = {f"{data.__module__}.{data.__name__}": data for data in (Samples, Folder, Coco)}


class Run(NamedTuple):
    """A run, and what it paints; or why there is nothing of it."""

    folder: Path
    overrides: dict[str, str]  # what its command line said, by key; nothing is known of a run without .hydra
    figures: dict[str, float] = {}  # held-out terms without their weights, the weighted total, tone, steps, seconds
    pictures: Sequence[Tensor] = ()  # (3, SIDE, SIDE) in [0, 1], one for each photo
    style: Path | None = None  # its style picture, if that is still where it was, and the same
    failure: str | None = None


def find_runs(folder: str | Path) -> list[Path]:
    """The folders of runs under a folder, 2_mosaic before 10_mosaic. Raises FastStyleError if it is none."""
    if not Path(folder).is_dir():
        raise FastStyleError(f"{folder}: no such folder")
    found = {path.parent for path in Path(folder).rglob(MODEL)}
    found |= {path.parent.parent for path in Path(folder).rglob(OVERRIDES)}
    natural = lambda path: [(len(part), part) if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path)]  # noqa: E731
    return sorted(found, key=lambda path: natural(str(path)))


def read_runs(folders: Sequence[Path], photos: Sequence[Tensor]) -> list[Run]:
    """What the runs in these folders paint of photos (3, H, W) in [0, 1], with a progress bar."""
    return [read_run(folder, photos) for folder in track(folders, "painting")]


def read_run(folder: Path, photos: Sequence[Tensor]) -> Run:
    overrides = overrides_of(folder)
    if (folder / FAILURE).is_file() and not (folder / MODEL).is_file():
        return Run(folder, overrides, failure=(folder / FAILURE).read_text().strip())
    if not (folder / MODEL).is_file():
        return Run(folder, overrides, failure="no model: it was stopped, or is not finished")
    try:
        network, metadata = load_network(folder / MODEL)[0], read_metadata(folder / MODEL)
        pictures = paint(network, photos)
        figures = figures_of(metadata)
        if not isinstance(network, TextureGenerator) or network.content:
            errors = tone_error(torch.stack(pictures), torch.stack(list(photos)))
            figures["tone"] = 1 - errors.mean().item()
    except (FastStyleError, RuntimeError, KeyError, TypeError) as error:
        return Run(folder, overrides, failure=str(error))
    return Run(folder, overrides, figures, pictures, known_style(metadata))


def overrides_of(folder: Path) -> dict[str, str]:
    """What the command line of a run said, {"style": "mosaic", "objective.style_weight": "5"}."""
    if not (folder / OVERRIDES).is_file():
        return {}
    said = OverridesParser.create().parse_overrides(list(OmegaConf.load(folder / OVERRIDES)))
    return {
        override.key_or_group: override.get_value_element_as_str()
        if isinstance(override.value(), list | dict)
        else shown(override.value())
        for override in said
    }


def figures_of(metadata: dict) -> dict[str, float]:
    """The losses of a release file; content and style without their weights, so that runs with others compare."""
    losses, objective = metadata["losses"], metadata["config"]["objective"] if "config" in metadata else {}
    found = {"total": "val/total_loss", "psnr": "val/psnr", "ssim": "val/ssim", "distance": "val/distance_to_ideal"}
    figures = {name: losses[key] for name, key in found.items() if key in losses}  # not in an imported model
    for term in ("content", "style"):
        if f"val/{term}_loss" in losses and objective[f"{term}_weight"]:
            figures[term] = losses[f"val/{term}_loss"] / objective[f"{term}_weight"]
    return figures | {name: losses[name] for name in ("steps", "seconds") if name in losses}


def paint(network: nn.Module, photos: Sequence[Tensor]) -> list[Tensor]:
    """A picture for each photo (3, H, W): in the styles of a network by turns, bundled ones where it predicts all;
    a texture where it sees no photo; the photo itself, made small and enlarged again."""
    if isinstance(network, AnyStyleNet):
        network = predicted(network, {name: [path] for name, path in bundled_styles().items()})
    network, pictures = network.to(pick_device("auto")), []
    for index, photo in enumerate(photos):
        if isinstance(network, MultiStyleNet):
            painter = network.transformer_for(network.names[index % len(network.names)])
        else:
            painter = Variant(network, 0, index) if isinstance(network, TextureGenerator) else network
        seen = photo[None]
        if isinstance(network, Upscaler):
            seen = resize_bicubic(seen, tuple(side // network.scale for side in seen.shape[-2:])).clamp(0, 1)
        pictures.append(stylize(painter, seen)[0].cpu())
    return pictures


def known_style(metadata: dict) -> Path | None:
    """The style picture of a run of one style, the first of several, if it is still there and the same."""
    try:
        paths = style_pictures(metadata["config"]["style"] | {"original_url": None})  # nothing is fetched for it
        sha256 = metadata["style"]["sha256"]
        first = sha256[0] if isinstance(sha256, list) else sha256
        return paths[0] if file_sha256(paths[0]) == first else None
    except (FastStyleError, KeyError, TypeError):
        return None


def photos_to_show(folders: Sequence[Path], count: int) -> list[Tensor]:
    """The first of the photos that the first of these runs held out, (3, SIDE, SIDE); those of data=samples where they
    are gone, or where data= is a class of the user's own, since nothing in a file is imported."""
    for folder in folders:
        if not (folder / MODEL).is_file():
            continue
        try:
            section = read_metadata(folder / MODEL)["config"]["data"] | {"image_size": SIDE, "short_side": None}
            return held_out(HELD_OUT[section.pop("_target_")](**section), count)
        except (FastStyleError, KeyError, TypeError):
            break
    return held_out(Samples(1, 0, image_size=SIDE, batch_size=1, seed=0), count)


def held_out(data: ContentImages, count: int) -> list[Tensor]:
    data.setup("validate")
    crops = CentreCrops(data.validation_images(), SIDE)
    return [crops[index].float() / 255 for index in range(min(count, len(crops)))]


def read_photos(paths: Sequence[Path]) -> list[Tensor]:
    """The middle of photos of the user's, (3, SIDE, SIDE). Raises FastStyleError."""
    photos = []
    for path in paths:
        photo = resize_short_side(read_on_white(path), SIDE)
        top, left = ((side - SIDE) // 2 for side in photo.shape[1:])
        photos.append(photo[:, top : top + SIDE, left : left + SIDE])
    return photos
