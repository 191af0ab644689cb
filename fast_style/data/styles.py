"""The style images of a config, at its style_size."""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import torch
from omegaconf import OmegaConf
from torch import Tensor

from fast_style.data.images import (
    ImageError,
    find_files,
    left_out,
    only_images,
    read_image,
    read_on_white,
    resize_short_side,
)
from fast_style.errors import FastStyleError


def style_name(name: str, image: str | Sequence[str] | None) -> str:
    """Pictures of the user's name their style; used by configs/style/*.yaml.

    A folder its name, a picture its stem, several the first one's with "_and_others".
    """
    if not image:
        return name
    several = isinstance(image, Sequence) and not isinstance(image, str)
    first = Path(str(image[0] if several else image))
    called = first.resolve().name if first.is_dir() else first.stem
    # The name is part of folders, in which Hydra would take ${ for a reference to a key.
    return called.replace("${", "{") + ("_and_others" if several and len(image) > 1 else "")


OmegaConf.register_new_resolver("style_name", style_name, replace=True)


class StyleError(FastStyleError):
    """A style picture that does not exist or cannot be fetched."""


def find_style_images(
    name: str,
    image: str | Sequence[str] | None = None,
    original: bool = False,
    original_url: str | None = None,
    original_sha256: str | None = None,
) -> list[Path]:
    """Paths of the pictures that a style config means; several are one style, an artist's hand.

    `image` is any picture of the user's, a folder of them, or a list of these; without it, `original` fetches the real
    painting once into torch.hub's cache and checks its SHA-256; otherwise it is the study that ships with the package
    under the style's name. Raises StyleError where none of them is to be had.
    """
    if image is not None:
        return find_pictures("style.image", image)
    if original:
        return [_fetch_original(name, original_url, original_sha256)]
    studies = bundled_styles()
    if name in studies:
        return [studies[name]]
    names = ", ".join(studies)
    raise StyleError(f"no picture ships for style {name!r}: give one with style.image=FILE, or use one of {names}")


def find_pictures(key: str, images: str | Path | Sequence[str | Path], bundled: bool = False) -> list[Path]:
    """The picture files, those in folders, and the bundled studies if they count, that a config key names. Raises
    StyleError for what has none."""
    paths, studies = [], bundled_styles() if bundled else {}
    for image in [images] if isinstance(images, str | Path) else images:
        if Path(image).is_dir():
            files = find_files(image)
            paths += only_images(files)
            if not only_images(files):
                raise StyleError(f"{key}={image}: {'; '.join(filter(None, ['no pictures in it', left_out(files)]))}")
        elif Path(image).is_file():
            paths.append(Path(image))
        elif image in studies:
            paths.append(studies[image])
        else:
            or_study = f" or folder, and none of {', '.join(studies)}" if studies else ""
            raise StyleError(f"{key}={image}: no such file{or_study}")
    return paths


def bundled_styles() -> dict[str, Path]:
    """The studies that ship with the package, by name."""
    return {path.stem: path for path in sorted(Path(str(files("fast_style") / "assets" / "styles")).iterdir())}


def find_styles(styles: Sequence[str] | Mapping[str, str | Sequence[str]] | str | None) -> dict[str, list[Path]]:
    """The styles of `styles=`, each with its pictures. Raises StyleError.

    Of a list of names of bundled ones, files and folders every picture is a style by the name of its file. Of a mapping
    every entry is one, however many pictures it has.
    """
    if isinstance(styles, Mapping):
        found = {name: find_pictures("styles", images, bundled=True) for name, images in styles.items()}
        if wrong := [name for name in found if Path(name).name != name or name == "all"]:
            raise StyleError(f"styles={{{wrong[0]}: ...}}: a style is part of file names, and all means every one")
    else:
        paths = find_pictures("styles", styles or [], bundled=True)
        names, found = [path.stem for path in paths], {path.stem: [path] for path in paths}
        if twice := {name for name in names if names.count(name) > 1}:
            raise StyleError(f"styles=: two pictures are named {min(twice)}; name them: styles={{NAME: FILE, ...}}")
    if not found:
        raise StyleError("the task needs styles=[NAME,FILE,FOLDER,...], or {NAME: FILE, NAME: FOLDER, ...}")
    return found


def style_pictures(style: dict) -> list[Path]:
    """Paths of the pictures that a config's section `style` means. Raises StyleError."""
    return find_style_images(**{key: value for key, value in style.items() if key != "style_size"})


def read_style_image(path: Path, style_size: int) -> Tensor:
    """The picture as a batch of one, (1, 3, H, W) RGB in [0, 1], short side `style_size`: it sets the stroke scale.

    Transparency is laid on white. Raises StyleError for a strip that would have to be enlarged.
    """
    picture = read_on_white(path)
    try:
        return resize_short_side(picture, style_size)[None]
    except ImageError as error:
        raise StyleError(f"{path}: {error}, or give a smaller style.style_size") from error


def read_style_images(paths: Sequence[Path], style_size: int) -> list[Tensor]:
    """The pictures of one style, each as `read_style_image` reads it: their shapes differ."""
    return [read_style_image(path, style_size) for path in paths]


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
