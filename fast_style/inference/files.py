"""From the files that `input=` means to those that `output=` means."""

import glob
import hashlib
import json
import random
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path, PurePosixPath

from rich.progress import track
from torch import nn

from fast_style.data.images import (
    IMAGE_SUFFIXES,
    WRITABLE_SUFFIXES,
    check_folder,
    check_target,
    find_files,
    left_out,
    only_images,
    read_maker,
)
from fast_style.data.storage import already_there, common_folder, files_in, is_remote, is_url, located, reaching
from fast_style.errors import FastStyleError, one_line
from fast_style.inference.painters import painters
from fast_style.inference.sampling import parse_size, sample_files
from fast_style.inference.steady import is_steady
from fast_style.inference.stylize import in_threads, stylize_files
from fast_style.inference.tiles import tileable
from fast_style.inference.video import CAMERA, check_clip_target, clip_maker, is_clip, preview, stylize_clip
from fast_style.inference.workers import stylize_in_workers
from fast_style.keys import shown
from fast_style.networks.texture_generator import TextureGenerator
from fast_style.networks.upscaler import Upscaler

MAKER = "fast_style"  # the first word of what our pictures state: then the model, and what its keys and its style were
LIST_SUFFIX = ".txt"
OUTPUT_SUFFIXES = WRITABLE_SUFFIXES - {".bmp"}  # which has no room for it
# Keys that change no picture, and style, which is in the name of what paints one.
NEUTRAL = (
    "ckpt",
    "input",
    "output",
    "style",
    "count",
    "modules",
    "compile",
    "batch_size",
    "device",
    "max_memory",
    "workers",
)
MANY = 1000  # files that take seconds to look at
AT_ONCE = 16  # of them, which wait for a disk or a network


def find_inputs(pattern: str) -> tuple[list[Path], Path, str | None]:
    """The images that `input=` means, the folder that output names are relative to, and a line on what is left out.

    Of a folder and of a glob, pictures that infer.py made are left out; a single one is taken at its word, and so are
    those of a list.
    """
    place = located(pattern)
    folder = place.is_dir()
    if place.suffix == LIST_SUFFIX and place.is_file():
        listed = read_list(place)
        return listed, common_folder(listed), None
    if place.exists() and not folder:
        return [place], place.parent, None
    if is_remote(place):
        if not folder and glob.has_magic(pattern):
            raise FastStyleError(f"input={pattern}: globs are of this machine's files: give a folder, or a list.txt")
        files = files_in(place)
    else:
        matches = find_files(pattern) if folder else map(Path, sorted(glob.glob(pattern, recursive=True)))
        files = [path for path in matches if path.is_file()]
    images = only_images(files)
    makers = read_makers(images, "looking for what is no original")
    found = [path for path in images if not makers[path].startswith(MAKER)]
    made = f"left out {len(images) - len(found)} that infer.py made" if len(found) < len(images) else None
    root = place if folder else common_folder(found)
    return found, root, "; ".join(filter(None, [left_out(files), made])) or None


def read_makers(paths: Collection[Path], doing: str) -> dict[Path, str]:
    """What each file states as the program that wrote it; of object storage many are asked for at a time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        makers = in_threads(pool, read_maker, paths, AT_ONCE)
        makers = track(makers, doing, total=len(paths), disable=len(paths) < MANY)
        return {path: maker or "" for path, maker in zip(paths, makers, strict=True)}


def read_list(path: Path) -> list[Path]:
    """The files that a text file names, one a line, relative to where it lies, or by a URL. Raises FastStyleError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FastStyleError(f"{path}: cannot be read as a list, one path a line: {one_line(error)}") from error
    named = [line.strip() for line in lines if line.strip()]
    return list(dict.fromkeys(located(name) if is_url(name) else path.parent / name for name in named))


def is_file_name(output: str | None) -> bool:
    """Whether `output=` means a picture, not a folder."""
    return output is not None and Path(output).suffix.lower() in IMAGE_SUFFIXES and not located(output).is_dir()


def name_outputs(
    inputs: list[Path], root: Path, output: str | None, style: str, several: bool = False
) -> dict[Path, Path]:
    """{input: output}: next to the input as NAME_STYLE.EXT, under a folder with the same names, or the file itself.

    Where every input has pictures in several styles, they are NAME_STYLE.EXT under a folder, too.
    """
    if is_file_name(output):
        if len(inputs) > 1:
            raise FastStyleError(f"output={output} is one file, but input= means {len(inputs)} images: give a folder")
        if several:
            raise FastStyleError(f"output={output} is one file, but style= means several: give a folder, or one style")
        return {inputs[0]: located(output)}
    outputs = {}
    for path in inputs:
        # What is not written (photo.gif) becomes photo.gif.png, so as not to meet a photo.png.
        stem, suffix = (path.stem, path.suffix) if path.suffix.lower() in OUTPUT_SUFFIXES else (path.name, ".png")
        styled = f"{stem}_{style}{suffix}"
        if output is None:
            outputs[path] = path.with_name(styled)
        else:
            # Not UPath.with_name, which doubles relative names of a single part: a.png becomes a.pnga.png.
            name = PurePosixPath(path.relative_to(root).as_posix()).with_name(styled if several else stem + suffix)
            outputs[path] = located(output) / str(name)
        if outputs[path].resolve() == path.resolve():
            raise FastStyleError(f"output={output} would overwrite {path}: give another folder")
    return outputs


def check_outputs(paths: list[Path], output: str | None, models: set[str]) -> dict[Path, str]:
    """What made the files that are there already. Raises FastStyleError, before the work, for files that cannot be
    written, and for those that are to stay.

    A model overwrites its own pictures; of others only a file that `output=` names, unless another model made it.
    """
    if is_file_name(output):
        check_target("output", located(output))
    for folder in {path.parent for path in paths if not is_remote(path)} | {paths[0].parent}:
        check_folder(f"output={shown(output)}", folder)
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise FastStyleError(f"{twice} would be written twice: rename one of the inputs")
    makers = read_makers(already_there(paths), "looking for what is done")
    if is_file_name(output):
        makers = {path: made for path, made in makers.items() if made.startswith(MAKER)}
    if taken := [path for path, made in makers.items() if made.rpartition(" ")[0] not in models]:
        more = f" and {len(taken) - 1} more are" if len(taken) > 1 else " is"
        raise FastStyleError(f"{taken[0]}{more} there already, not by this model: give another output=, or move it")
    return makers


def numbered(path: Path, count: int) -> list[Path]:
    """The file itself, or NAME_0.EXT, NAME_1.EXT, ... for more than one."""
    return [path] if count == 1 else [path.with_stem(f"{path.stem}_{index}") for index in range(count)]


def name_textures(output: str | None, style: str, count: int) -> list[Path]:
    """STYLE_texture.png here or in a folder, or the file itself."""
    path = located(output) if is_file_name(output) else located(output or ".") / f"{style}_texture.png"
    return numbered(path, count)


def draw_textures(config: dict, generator: TextureGenerator, style: str, precision: str, maker: str) -> list[Path]:
    """Write count= textures; their files."""
    paths, size = name_textures(config["output"], style, config["count"] or 1), parse_size(config["size"] or 512)
    check_outputs(paths, config["output"], {maker})
    sample_files(generator, paths, size, config["seed"] or 0, precision, maker)
    return paths


def with_keys(model: str, config: dict, style: str) -> str:
    """What a picture states: which model made it, and a hash of all else that it follows from."""
    keys = {key: value for key, value in config.items() if key not in NEUTRAL}
    if config["style"] == "random":
        keys.pop("seed")  # which has only decided on the style
    told = json.dumps([version("fast-style"), style, keys], sort_keys=True)
    return f"{model} {hashlib.sha256(told.encode()).hexdigest()[:8]}"


def is_done(source: Path, target: Path, config: dict) -> bool:
    """Whether a picture that is there is no older than what it was made of."""
    mask = config["mask"]
    others = [*(mask.values() if isinstance(mask, dict) else [mask]), config["upscale"]]
    sources = [path for path in (source, *map(Path, filter(None, others))) if path.exists()]
    return all(target.stat().st_mtime >= path.stat().st_mtime for path in sources)


def names_of_pictures(config: dict, models: list[tuple[str, dict[str, list[nn.Module]]]]) -> list[str]:
    """What the pictures of models, as of `stylize_photos`, are called. Raises FastStyleError if two have one name."""
    styles = [style for _, by_style in models for style in by_style]
    if len(set(styles)) < len(styles):
        twice = next(style for style in styles if styles.count(style) > 1)
        raise FastStyleError(f"ckpt={shown(config['ckpt'])}: two paint {twice}, by which pictures are called")
    return styles


def in_styles(inputs: list[Path], root: Path, styles: list[str], config: dict) -> dict[str, list[Path]]:
    """The photos that are painted in each style: all, or with style=random each photo in one style, which follows from
    seed=, from what output names it, and from nothing else."""
    if config["style"] != "random":
        return {style: inputs for style in styles}
    chosen = {style: [] for style in styles}
    for path in inputs:
        relative = path.relative_to(root).as_posix()
        chosen[random.Random(f"{config['seed'] or 0} {relative}").choice(styles)].append(path)
    return chosen


def stylize_photos(
    config: dict, models: list[tuple[str, dict[str, list[nn.Module]]]], precision: str
) -> tuple[list[Path], list[Path], list[str]]:
    """Write the pictures that models make of every photo of input=.

    models  what each states in its pictures, and what paints, by the name of a style
    Returns the files written, those that were done before, by the same model with the same keys, and the reasons for
    those that failed.
    """
    config = config | {"steady": "auto"}  # which changes no photo
    with reaching("input", config["input"]):
        inputs, root, note = find_inputs(config["input"])
    if not inputs:
        raise FastStyleError(
            f"input={config['input']}: no such image, and no images in it{f'; {note}' if note else ''}"
        )
    if note:
        print(f"input={config['input']}: {note}")
    styles = names_of_pictures(config, models)
    photos, several = in_styles(inputs, root, styles, config), len(styles) > 1 and config["style"] != "random"
    work = []
    for model, by_style in models:
        for style, variants in by_style.items():
            outputs = name_outputs(photos[style], root, config["output"], style, several)
            numbers = {path: numbered(target, len(variants)) for path, target in outputs.items()}
            work += [
                (painter, with_keys(model, config, style), {path: targets[index] for path, targets in numbers.items()})
                for index, painter in enumerate(variants)
            ]
    targets = [target for _, _, files in work for target in files.values()]
    with reaching("output", config["output"] or config["input"]):
        makers = check_outputs(targets, config["output"], {model for model, _ in models})
        done_before = [  # before any is written, after which a store would be asked for each
            {path for path, target in files.items() if makers.get(target) == maker and is_done(path, target, config)}
            for _, maker, files in work
        ]
    written, skipped, failures = [], [], []
    for (painter, maker, files), done in zip(work, done_before, strict=True):
        skipped += [files[path] for path in done]
        files = {path: target for path, target in files.items() if path not in done}
        if not files:
            continue
        if config["tile"] not in ("auto", "off") and not tileable(painter):
            raise FastStyleError(f"tile={config['tile']}: the model paints a picture only as a whole")
        limits = {key: config[key] for key in ("max_size", "batch_size", "tile", "max_memory")}
        paint = stylize_files if config["workers"] == 1 else partial(stylize_in_workers, workers=config["workers"])
        failed = paint(painter, files, precision=precision, maker=maker, **limits)
        written += [target for path, target in files.items() if path not in failed]
        failures += failed.values()
    return written, skipped, failures


def name_clip(source: str, output: str | None, style: str, several: bool) -> Path | None:
    """The file of moving pictures, as `name_outputs` names others; None of a camera's that are only shown."""
    camera = source.startswith(CAMERA)
    if output is not None and Path(output).suffix and not Path(output).is_dir():
        if several:
            raise FastStyleError(f"output={output} is one file, but the model paints several pictures: give a folder")
        check_clip_target(Path(output))
        return Path(output)
    if camera and output is None:
        return None
    path = Path("camera.mp4" if camera else source)
    folder = path.parent if output is None else Path(output)
    return folder / (f"{path.stem}_{style}{path.suffix}" if output is None or several else path.name)


def stylize_moving(
    config: dict, models: list[tuple[str, dict[str, list[nn.Module]]]], precision: str
) -> tuple[list[Path], list[Path]]:
    """Write the moving pictures that models, as of `stylize_photos`, make of those of input=; the files written, and
    those that were done before. Raises FastStyleError."""
    enlarging = any(isinstance(one, Upscaler) for _, by_style in models for (one, *_) in by_style.values())
    steady = not enlarging and is_steady(config["steady"])
    if config["steady"] == "auto" and not enlarging and not steady:
        print('frames are painted each by itself: after pip install "fast-style[video]" strokes move with the picture')
    config = config | {"steady": steady}
    source, work, skipped = config["input"], [], []
    styles = names_of_pictures(config, models)
    chosen = in_styles([Path(source)], Path(source).parent, styles, config)
    models = [(model, {style: by_style[style] for style in by_style if chosen[style]}) for model, by_style in models]
    several = sum(len(variants) for _, by_style in models for variants in by_style.values()) > 1
    for model, by_style in models:
        for style, variants in by_style.items():
            target = name_clip(source, config["output"], style, several)
            targets = [None] if target is None else numbered(target, len(variants))
            made = [(model, with_keys(model, config, style))] * len(targets)
            work += zip(variants, targets, made, strict=target is not None)
    for _, target, (model, maker) in work:
        if target is None:
            continue
        check_folder(f"output={shown(config['output'])}", target.parent)
        if target.resolve() == Path(source).resolve():
            raise FastStyleError(f"output={config['output']} would overwrite {source}: give another")
        if not target.exists():
            continue
        made = clip_maker(target) or ""
        if config["output"] is None and made.rpartition(" ")[0] != model:
            raise FastStyleError(f"{target} is there already, not by this model: give output=, or move it")
        if made == maker and not source.startswith(CAMERA) and is_done(Path(source), target, config):
            skipped.append(target)
    show = preview(source) if source.startswith(CAMERA) else None
    if show is None and any(target is None for _, target, _ in work):
        raise FastStyleError(f"input={source}: there is no screen to show it on, give output=clip.mp4")
    written = [(painter, target, maker) for painter, target, (_, maker) in work if target not in skipped]
    for painter, target, maker in written:
        frames = stylize_clip(
            painter,
            source,
            target,
            config["max_size"],
            config["batch_size"],
            precision,
            maker,
            show or (lambda _: None),
            config["steady"],
        )
        print(f"{frames} frames")
    return [target for _, target, _ in written if target is not None], skipped


def write_pictures(
    config: dict,
    networks: list[tuple[nn.Module, str]],
    makers: list[str],
    ready: Callable[[nn.Module], nn.Module],
    precision: str,
) -> tuple[list[Path], list[Path], list[str]]:
    """Do what the keys of infer.py mean by networks, each with the name of its style; the files that are written, those
    that were there, and why others failed. Raises FastStyleError."""
    moving = isinstance(config["input"], str) and is_clip(config["input"])
    if config["steady"] is True and not moving:
        raise FastStyleError(f"steady=true: input={config['input']} does not move")
    if config["workers"] > 1 and (config["input"] is None or moving or config["compile"]):
        raise FastStyleError(f"workers={config['workers']}: only photos are shared out, and compile= must be false")
    if config["input"] is None:
        each = zip(networks, makers, strict=True)
        textures = [draw_textures(config, ready(one), own, precision, maker) for (one, own), maker in each]
        return sum(textures, []), [], []
    models = [(maker, painters(config, *one, ready)) for one, maker in zip(networks, makers, strict=True)]
    if moving:
        if is_url(config["input"]) or is_url(config["output"]):
            raise FastStyleError(f"input={config['input']}: moving pictures are files of this machine, copy them here")
        return *stylize_moving(config, models, precision), []
    return stylize_photos(config, models, precision)
