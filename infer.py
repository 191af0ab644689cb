"""Stylise images: python infer.py ckpt=model.safetensors input=photo.jpg"""

import glob
import os
import sys
from pathlib import Path

import hydra
from omegaconf import DictConfig, OmegaConf

from fast_style import FastStyleError, check_choice
from fast_style.checkpoint import load_transformer
from fast_style.hardware import pick_device, pick_precision
from fast_style.images import IMAGE_SUFFIXES, WRITABLE_SUFFIXES, find_images
from fast_style.stylize import stylize_files


def find_inputs(pattern: str) -> tuple[list[Path], Path]:
    """The images that `input=` means, and the folder that output names are relative to."""
    if Path(pattern).is_dir():
        return find_images(pattern), Path(pattern)
    if Path(pattern).exists():
        return [Path(pattern)], Path(pattern).parent
    found = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]
    found = [path for path in found if path.suffix.lower() in IMAGE_SUFFIXES]
    return found, Path(os.path.commonpath([path.parent for path in found] or ["."]))


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
    # What an earlier run left beside its inputs is no input.
    results = set(outputs.values())
    return {path: target for path, target in outputs.items() if path not in results}


def infer(cfg: DictConfig) -> int:
    """Stylise and report; the number of files that failed."""
    if missing := OmegaConf.missing_keys(cfg):
        raise FastStyleError(f"give {'=... and '.join(sorted(missing))}=... (python infer.py --help shows all keys)")
    check_choice("precision", cfg.precision, ("auto", "32-true", "bf16-mixed", "16-mixed"))
    for key in ("batch_size", "max_size"):
        if cfg[key] is not None and cfg[key] < 1:
            raise FastStyleError(f"{key}={cfg[key]}: must be at least 1")
    transformer, style = load_transformer(str(cfg.ckpt))
    inputs, root = find_inputs(str(cfg.input))
    if not inputs:
        raise FastStyleError(f"input={cfg.input}: no such image, and no images in it")
    outputs = name_outputs(inputs, root, cfg.output, style)
    device = pick_device(cfg.device)
    precision = pick_precision(cfg.precision, device)
    failures = stylize_files(transformer.to(device), outputs, cfg.max_size, cfg.batch_size, precision)
    written = [path for source, path in outputs.items() if source not in failures]
    print(f"wrote {written[0]}" if len(written) == 1 else f"wrote {len(written)} images")
    for reason in failures.values():
        print(f"failed: {reason}", file=sys.stderr)
    return len(failures)


@hydra.main(version_base="1.3", config_path="configs", config_name="infer")
def main(cfg: DictConfig) -> None:
    try:
        sys.exit(min(infer(cfg), 1))
    except FastStyleError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
