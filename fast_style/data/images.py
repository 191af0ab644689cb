"""Files <-> RGB tensors in [0, 1]: the one place that knows files.

Everything else in the package sees (C, H, W) tensors: upright, sRGB, alpha apart.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

from fast_style.errors import FastStyleError

# Pillow would warn from 89 megapixels and refuse at twice that; prints for a wall are larger.
Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS and max(Image.MAX_IMAGE_PIXELS, 2**30)

# Only formats of pictures: left to itself, Pillow would also hand a "photo" that is PostScript to Ghostscript.
_FORMATS = {"AVIF", "BMP", "DIB", "GIF", "HEIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "QOI", "TGA", "TIFF", "WEBP"}
IMAGE_SUFFIXES = frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in _FORMATS)

_JPEG = ("JPEG", {"quality": 95, "subsampling": "4:4:4"})
_TIFF = ("TIFF", {"compression": "tiff_adobe_deflate"})
_WRITERS = {
    ".bmp": ("BMP", {}),
    ".jpeg": _JPEG,
    ".jpg": _JPEG,
    ".png": ("PNG", {}),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".webp": ("WEBP", {"quality": 95}),
}
WRITABLE_SUFFIXES = frozenset(_WRITERS)


class ImageError(FastStyleError):
    """An image file that cannot be read or written: one line that names the file and the reason."""


def find_images(root: str | Path) -> list[Path]:
    """All image files under a folder, sorted by path.

    Searches subfolders, through links too, and skips hidden files and folders. Files are told by suffix and not
    opened. Raises ImageError if `root` is not a folder.
    """
    if not os.path.isdir(root):
        raise ImageError(f"{root}: no such folder")
    found, seen = [], set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        if os.path.realpath(folder) in seen:  # a link to a parent folder would go round for ever
            subfolders.clear()
            continue
        seen.add(os.path.realpath(folder))
        paths = [Path(folder, name) for name in files if not name.startswith(".")]
        found += [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES]
    return sorted(found)


def read_image(path: str | Path | BytesIO, max_size: int | None = None) -> tuple[Tensor, Tensor | None]:
    """An image file as float32 RGB, and its alpha.

    Returns (3, H, W) sRGB and (1, H, W) alpha, both in [0, 1]; alpha is None if the file stores no transparency.
    The image is upright (EXIF) and the first frame of an animation. Grey of more than 8 bits keeps its precision:
    integers count as 16 bits, floats as [0, 1]. With `max_size` the longest side is at most that; never enlarged.
    Raises ImageError if the file is missing, damaged or not an image.
    """
    if max_size is not None and max_size < 1:
        raise ValueError(f"max_size must be at least 1, not {max_size}")
    limit = max_size or float("inf")
    colour, alpha = _decode(
        path, lambda size: _scaled(size, min(1, limit / max(size))), Image.Resampling.BICUBIC, margin=2
    )
    image = torch.from_numpy(colour).permute(2, 0, 1).contiguous().float()
    if colour.dtype == np.uint8:
        image.div_(255)
    return image, None if alpha is None else torch.from_numpy(alpha)[None].float().div_(255)


def read_rgb(path: str | Path, short_side: int) -> np.ndarray:
    """A training photo as 8-bit RGB, resized so that its short side is exactly `short_side`.

    Returns (H, W, 3) uint8, upright and sRGB; small photos are enlarged, transparency is laid on white.
    Raises ImageError if the file is missing, damaged or not an image.
    """
    colour, alpha = _decode(
        path, lambda size: _scaled(size, short_side / min(size)), Image.Resampling.BILINEAR, margin=1
    )
    if colour.dtype != np.uint8:
        colour = np.rint(colour * 255).astype(np.uint8)
    if alpha is not None:
        opacity = alpha[..., None].astype(np.float32) / 255
        colour = np.rint(colour * opacity + 255 * (1 - opacity)).astype(np.uint8)
    return colour


def write_image(path: str | Path, image: Tensor, alpha: Tensor | None = None) -> None:
    """Write an RGB tensor, rounded to 8 bits, in the format that the suffix names.

    Takes (3, H, W) and optionally alpha (1, H, W), any float type and device, clamped to [0, 1]. PNG, TIFF and WebP
    keep alpha; JPEG and BMP get the image laid on white. Missing folders are made. The file appears whole or not at
    all, so that it may replace the file the image was read from.
    Raises ImageError for an unknown suffix, values that are not finite, and whatever keeps the file from being written.
    """
    path = Path(path)
    if path.suffix.lower() not in _WRITERS:
        raise ImageError(f"{path}: cannot write {path.suffix or 'no suffix'!r}, only {' '.join(_WRITERS)}")
    if image.ndim != 3 or len(image) != 3 or (alpha is not None and alpha.shape != (1, *image.shape[1:])):
        shapes = f"{tuple(image.shape)}" if alpha is None else f"{tuple(image.shape)} and {tuple(alpha.shape)}"
        raise ValueError(f"{path}: image and alpha must be (3, H, W) and (1, H, W), not {shapes}")
    name, options = _WRITERS[path.suffix.lower()]
    pixels = _finite(path, image)
    if alpha is not None:
        opacity = _finite(path, alpha)
        if name in ("BMP", "JPEG"):
            pixels = pixels * opacity + (1 - opacity)
        else:
            pixels = torch.cat([pixels, opacity])
    picture = Image.fromarray(pixels.mul_(255).round_().byte().permute(1, 2, 0).contiguous().numpy())
    # Hidden, so that find_images never meets it, and next to the target, because a rename cannot cross file systems.
    temporary = path.with_name(f".{uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            picture.save(temporary, name, **options)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except Exception as error:
        raise ImageError(f"{path}: {_reason(error)}") from error


def resize_short_side(image: Tensor, short_side: int) -> Tensor:
    """Resize so that the short side is exactly `short_side`, bilinear and antialiased.

    (C, H, W) float -> (C, H', W'), the long side rounded to keep the aspect.
    """
    height, width = _scaled(image.shape[-2:], short_side / min(image.shape[-2:]))
    return F.interpolate(image[None], (height, width), mode="bilinear", antialias=True)[0]


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _finite(path: Path, image: Tensor) -> Tensor:
    """A clamped float32 copy of `image` on the CPU."""
    image = image.detach().to("cpu", torch.float32)
    if image.numel() == 0:
        raise ImageError(f"{path}: not written, the image has no pixels")
    if not all(extreme.isfinite() for extreme in image.aminmax()):
        raise ImageError(f"{path}: not written, the image has NaN or infinite values")
    return image.clamp(0, 1)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format, or damaged at its start"
    return " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())


def _decode(
    path: str | Path, fit: Callable[[tuple[int, int]], tuple[int, int]], resample: Image.Resampling, margin: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """The first frame of a file, upright, at the size `fit` makes of its own, in sRGB.

    Returns (H, W, 3), uint8 or for deep grey float32 in [0, 1], and alpha (H, W) uint8 or None.
    JPEG is decoded at a reduced scale that leaves both sides at least `margin` times their target.
    """
    try:
        with Image.open(path, formats=[name for name in _FORMATS if name in Image.OPEN]) as image:
            size = image.size
            target = fit(size)
            drafted = image.draft(None, (margin * target[0], margin * target[1]))
            image.load()
            image = _resizable(image)
            if target != size:
                image = image.resize(target, resample, drafted and drafted[1], reducing_gap=3)
            with suppress(Exception):  # a broken EXIF block costs the orientation, not the image
                ImageOps.exif_transpose(image, in_place=True)
            return _in_srgb(image), np.array(image.getchannel("A")) if image.mode in ("LA", "RGBA") else None
    except Exception as error:  # decoders raise whatever a damaged file makes them stumble over
        raise ImageError(f"{path}: {_reason(error)}") from error


def _resizable(image: Image.Image) -> Image.Image:
    """`image` in a mode whose numbers may be averaged: L, LA, RGB, RGBA, CMYK, or F in [0, 1]."""
    if image.mode.startswith("I"):  # to L, Pillow would clip these at 255
        return image.convert("F").point(lambda value: value * (1 / 65535))
    if image.has_transparency_data:
        return image.convert("LA" if image.mode in ("1", "L", "LA") else "RGBA")
    if image.mode in ("L", "RGB", "CMYK", "F"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _in_srgb(image: Image.Image) -> np.ndarray:
    """The colours of `image` by its embedded profile, if that is whole and for such colours; alpha is left out."""
    data = image.info.get("icc_profile")
    if image.mode == "F":
        grey = np.nan_to_num(np.array(image)).clip(0, 1)
        if data:  # the engine has no float grey: what the profile does to 256 greys, applied between them
            ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
            ramp.info["icc_profile"] = data
            grey = np.interp(grey, np.linspace(0, 1, 256), _in_srgb(ramp)[0, :, 1] / 255).astype(np.float32)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode in ("LA", "RGBA"):
        image = image.convert(image.mode[:-1])
    if data:
        with suppress(ImageCms.PyCMSError, OSError):  # so it also refuses a profile for other colours than these
            profile = ImageCms.ImageCmsProfile(BytesIO(data))
            # optimised, a grey curve is off by up to 10 levels in the shadows
            flags = ImageCms.Flags.NOOPTIMIZE if image.mode == "L" else ImageCms.Flags.NONE
            image = ImageCms.profileToProfile(image, profile, _srgb(), outputMode="RGB", flags=flags)
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


@cache
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
