"""From the files that `input=` means to those that `output=` means."""

import glob
import os
from pathlib import Path

from torch import nn

from fast_style.data.images import IMAGE_SUFFIXES, WRITABLE_SUFFIXES, find_files, left_out, only_images
from fast_style.errors import FastStyleError
from fast_style.inference.sampling import Variant, parse_size, sample_files
from fast_style.inference.stylize import stylize_files
from fast_style.networks.texture_generator import TextureGenerator


def find_inputs(pattern: str) -> tuple[list[Path], Path, str | None]:
    """The images that `input=` means, the folder that output names are relative to, and a line on what is left out."""
    if Path(pattern).is_dir():
        files = find_files(pattern)
        return only_images(files), Path(pattern), left_out(files)
    if Path(pattern).exists():
        return [Path(pattern)], Path(pattern).parent, None
    files = [path for path in map(Path, sorted(glob.glob(pattern, recursive=True))) if path.is_file()]
    found = only_images(files)
    return found, Path(os.path.commonpath([path.parent for path in found] or ["."])), left_out(files)


def name_outputs(inputs: list[Path], root: Path, output: str | None, style: str) -> dict[Path, Path]:
    """{input: output}: next to the input as NAME_STYLE.EXT, under a folder with the same names, or the file itself."""
    if output is not None and Path(output).suffix.lower() in IMAGE_SUFFIXES and not Path(output).is_dir():
        if len(inputs) > 1:
            raise FastStyleError(f"output={output} is one file, but input= means {len(inputs)} images: give a folder")
        return {inputs[0]: Path(output)}
    outputs = {}
    for path in inputs:
        # What is read but not written (photo.gif) becomes photo.gif.png, so as not to meet a photo.png.
        stem, suffix = (path.stem, path.suffix) if path.suffix.lower() in WRITABLE_SUFFIXES else (path.name, ".png")
        if output is None:
            outputs[path] = path.with_name(f"{stem}_{style}{suffix}")
        else:
            outputs[path] = Path(output) / path.relative_to(root).with_name(stem + suffix)
        if outputs[path].resolve() == path.resolve():
            raise FastStyleError(f"output={output} would overwrite {path}: give another folder")
    return outputs


def numbered(path: Path, count: int) -> list[Path]:
    """The file itself, or NAME_0.EXT, NAME_1.EXT, ... for more than one."""
    return [path] if count == 1 else [path.with_stem(f"{path.stem}_{index}") for index in range(count)]


def name_textures(output: str | None, style: str, count: int) -> list[Path]:
    """STYLE_texture.png here or in a folder, or the file itself."""
    path = Path(output or ".")
    if path.suffix.lower() not in IMAGE_SUFFIXES or path.is_dir():
        path /= f"{style}_texture.png"
    return numbered(path, count)


def draw_textures(
    config: dict, generator: TextureGenerator, style: str, precision: str
) -> tuple[list[Path], list[str]]:
    """Write count= textures; the files, and no reasons for failures: the first would end the run."""
    paths = name_textures(config["output"], style, config["count"] or 1)
    sample_files(generator, paths, parse_size(config["size"] or 512), config["seed"] or 0, precision)
    return paths, []


def stylize_photos(config: dict, network: nn.Module, style: str, precision: str) -> tuple[list[Path], list[str]]:
    """Write count= variants of every photo of input=; the files written, and the reasons for those that failed."""
    inputs, root, note = find_inputs(config["input"])
    if not inputs:
        raise FastStyleError(
            f"input={config['input']}: no such image, and no images in it{f'; {note}' if note else ''}"
        )
    if note:
        print(f"input={config['input']}: {note}")
    count, outputs = config["count"] or 1, name_outputs(inputs, root, config["output"], style)
    outputs = {path: numbered(target, count) for path, target in outputs.items()}
    # What an earlier run left beside its inputs is no input.
    earlier = {target for targets in outputs.values() for target in targets}
    written, failures = [], []
    for index in range(count):
        files = {path: targets[index] for path, targets in outputs.items() if path not in earlier}
        transformer = Variant(network, config["seed"] or 0, index) if isinstance(network, TextureGenerator) else network
        failed = stylize_files(transformer, files, config["max_size"], config["batch_size"], precision)
        written += [target for path, target in files.items() if path not in failed]
        failures += failed.values()
    return written, failures
