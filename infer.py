"""Stylise images: python infer.py ckpt=model.safetensors input=photo.jpg, or draw textures: ... count=4 size=512"""

import glob
import os
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf
from torch import nn

from fast_style import FastStyleError, check_choice
from fast_style.checkpoint import load_network
from fast_style.hardware import keep_freed_memory, pick_device, pick_precision
from fast_style.images import IMAGE_SUFFIXES, WRITABLE_SUFFIXES, find_files, left_out, only_images
from fast_style.sampling import Variant, parse_size, sample_files
from fast_style.stylize import stylize_files
from fast_style.texture_generator import TextureGenerator
from fast_style.transformer_net import TransformerNet


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


def check_keys(cfg: DictConfig, network: nn.Module) -> None:
    """Refuse keys that mean nothing to the model, and one that draws on a photo without a photo."""
    if isinstance(network, TransformerNet):
        kind, foreign = "has no noise: it stylises each photo in one way", ("count", "seed", "size")
    elif network.content:
        kind, foreign = "stylises photos at their own size", ("size",)
    else:
        kind, foreign = "draws textures from noise alone", ("input", "max_size")
    for key in foreign:
        if cfg[key] is not None:
            raise FastStyleError(f"{key}={cfg[key]}: {cfg.ckpt} {kind}")
    if "input" not in foreign and cfg.input is None:
        raise FastStyleError("give input=... (python infer.py --help shows all keys)")


def infer(cfg: DictConfig) -> int:
    """Stylise, or draw textures, and report; the number of files that failed."""
    if OmegaConf.is_missing(cfg, "ckpt"):
        raise FastStyleError("give ckpt=... (python infer.py --help shows all keys)")
    check_choice("precision", cfg.precision, ("auto", "32-true", "bf16-mixed", "16-mixed"))
    check_choice("compile", cfg.compile, (True, False))
    for key, least in {"batch_size": 1, "max_size": 1, "count": 1, "seed": 0}.items():
        if cfg[key] is not None and (not isinstance(cfg[key], int) or cfg[key] < least):
            raise FastStyleError(f"{key}={cfg[key]}: must be a whole number, at least {least}")
    network, style = load_network(str(cfg.ckpt))
    check_keys(cfg, network)
    device = pick_device(cfg.device)
    if device.type == "cpu":
        keep_freed_memory()
    precision = pick_precision(cfg.precision, device)
    if cfg.compile:
        network.compile()
    draw = stylize_photos if cfg.input is not None else draw_textures
    written, failures = draw(cfg, network.to(device), style, precision)
    print(f"wrote {written[0]}" if len(written) == 1 else f"wrote {len(written)} images")
    for reason in failures:
        print(f"failed: {reason}", file=sys.stderr)
    return len(failures)


def draw_textures(
    cfg: DictConfig, generator: TextureGenerator, style: str, precision: str
) -> tuple[list[Path], list[str]]:
    """Write count= textures; the files, and no reasons for failures: the first would end the run."""
    paths = name_textures(cfg.output, style, cfg.count or 1)
    sample_files(generator, paths, parse_size(cfg.size or 512), cfg.seed or 0, precision)
    return paths, []


def stylize_photos(cfg: DictConfig, network: nn.Module, style: str, precision: str) -> tuple[list[Path], list[str]]:
    """Write count= variants of every photo of input=; the files written, and the reasons for those that failed."""
    inputs, root, note = find_inputs(str(cfg.input))
    if not inputs:
        raise FastStyleError(f"input={cfg.input}: no such image, and no images in it{f'; {note}' if note else ''}")
    if note:
        print(f"input={cfg.input}: {note}")
    count, outputs = cfg.count or 1, name_outputs(inputs, root, cfg.output, style)
    outputs = {path: numbered(target, count) for path, target in outputs.items()}
    # What an earlier run left beside its inputs is no input.
    earlier = {target for targets in outputs.values() for target in targets}
    written, failures = [], []
    for index in range(count):
        files = {path: targets[index] for path, targets in outputs.items() if path not in earlier}
        transformer = network if isinstance(network, TransformerNet) else Variant(network, cfg.seed or 0, index)
        failed = stylize_files(transformer, files, cfg.max_size, cfg.batch_size, precision)
        written += [target for path, target in files.items() if path not in failed]
        failures += failed.values()
    return written, failures


@hydra.main(version_base="1.3", config_path="configs", config_name="infer")
def main(cfg: DictConfig) -> None:
    try:
        sys.exit(min(infer(cfg), 1))
    except FastStyleError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
