"""The style image of a config, at its style_size."""

import hashlib
from importlib.resources import files
from pathlib import Path

import torch
from omegaconf import OmegaConf
from torch import Tensor

from fast_style.data.images import find_images, read_image, read_on_white, resize_short_side
from fast_style.errors import FastStyleError


def style_name(name: str, image: str | None) -> str:
    """A picture of the user's names its style; used by configs/style/*.yaml."""
    # The name is part of folders, in which Hydra would take ${ for a reference to a key.
    return Path(str(image)).stem.replace("${", "{") if image else name


OmegaConf.register_new_resolver("style_name", style_name, replace=True)


class StyleError(FastStyleError):
    """A style picture that does not exist or cannot be fetched."""


def find_style_image(
    name: str,
    image: str | None = None,
    original: bool = False,
    original_url: str | None = None,
    original_sha256: str | None = None,
) -> Path:
    """Path of the picture that a style config means.

    `image` is any picture of the user's; without it, `original` fetches the real painting once into torch.hub's
    cache and checks its SHA-256; otherwise it is the study that ships with the package under the style's name.
    Raises StyleError where none of them is to be had.
    """
    if image is not None:
        if Path(image).is_dir():
            raise StyleError(f"style.image={image}: is a folder, give a picture in it")
        if not Path(image).is_file():
            raise StyleError(f"style.image={image}: no such file")
        return Path(image)
    if original:
        return _fetch_original(name, original_url, original_sha256)
    studies = bundled_styles()
    if name in studies:
        return studies[name]
    names = ", ".join(studies)
    raise StyleError(f"no picture ships for style {name!r}: give one with style.image=FILE, or use one of {names}")


def bundled_styles() -> dict[str, Path]:
    """The studies that ship with the package, by name."""
    return {path.stem: path for path in sorted(Path(str(files("fast_style") / "assets" / "styles")).iterdir())}


def find_styles(styles: list[str] | str | None) -> list[Path]:
    """The pictures of `styles=`: names of bundled ones, files, or folders. Raises StyleError."""
    paths = []
    for style in [styles] if isinstance(styles, str) else styles or []:
        if Path(style).is_dir():
            paths += find_images(style)
        elif Path(style).is_file():
            paths.append(Path(style))
        elif style in bundled_styles():
            paths.append(bundled_styles()[style])
        else:
            raise StyleError(f"styles={style}: no such file or folder, and none of {', '.join(bundled_styles())}")
    names = [path.stem for path in paths]
    if len(paths) < 1:
        raise StyleError("task=multi_style needs styles=[NAME,FILE,FOLDER,...]")
    if twice := {name for name in names if names.count(name) > 1}:
        raise StyleError(f"styles=: two pictures are named {min(twice)}; a style is called by the name of its file")
    return paths


def style_picture(style: dict) -> Path:
    """Path of the picture that a config's section `style` means. Raises StyleError."""
    return find_style_image(**{key: value for key, value in style.items() if key != "style_size"})


def read_style_image(path: Path, style_size: int) -> Tensor:
    """The picture as a batch of one, (1, 3, H, W) RGB in [0, 1], short side `style_size`: it sets the stroke scale.

    Transparency is laid on white. Raises StyleError for a strip that would have to be enlarged.
    """
    try:
        return resize_short_side(read_on_white(path), style_size)[None]
    except ValueError as error:
        raise StyleError(f"{path}: {error}, or give a smaller style.style_size") from error


def enlargement(path: Path, style_size: int) -> str | None:
    """One line if the picture is smaller than `style_size`, with the style_size that is its own."""
    height, width = read_image(path)[0].shape[1:]
    if min(height, width) >= style_size:
        return None
    return (
        f"{path} is only {width}x{height}, and enlarged to style.style_size={style_size}: "
        f"style.style_size={min(height, width)} is its own"
    )


def file_sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _fetch_original(name: str, url: str | None, sha256: str | None) -> Path:
    if url is None or sha256 is None:
        raise StyleError(f"no original is known for style {name!r}: drop style.original=true or give style.image=FILE")
    path = Path(torch.hub.get_dir()) / "fast_style" / f"{sha256[:16]}{Path(url).suffix}"
    if path.is_file() and file_sha256(path) == sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(path), hash_prefix=sha256)
    except (OSError, RuntimeError, ValueError) as error:
        raise StyleError(
            f"cannot fetch the original of {name!r} from {url} ({error}): go online, pass style.image=FILE, or drop "
            f"style.original=true to use the study that ships with the package"
        ) from error
    return path
