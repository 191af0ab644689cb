"""Files <-> RGB tensors in [0, 1]: the one place that knows files.

Everything else in the package sees (C, H, W) tensors: upright, sRGB, alpha apart.
"""

import errno
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from io import BytesIO
from itertools import count
from pathlib import Path
from tempfile import TemporaryFile
from typing import Protocol
from uuid import uuid4

import numpy as np
import torch
from PIL import ExifTags, Image, ImageCms, ImageOps, TiffImagePlugin, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

from fast_style.data.large_png import has_strips, png_strips
from fast_style.data.storage import is_remote, located
from fast_style.errors import FastStyleError
from fast_style.hardware import free_memory
from fast_style.writing import whole_file

# Pillow would warn from 89 megapixels and refuse at twice that; prints for a wall are larger.
Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS and max(Image.MAX_IMAGE_PIXELS, 2**30)

with suppress(ImportError):  # the extra `heif`
    import pillow_heif

    pillow_heif.register_heif_opener()

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

_HEIC_SUFFIXES = frozenset({".heic", ".heif", ".hif"}) - IMAGE_SUFFIXES
_HEIC_HINT = "HEIC is read after: pip install pillow-heif; or save it as JPEG"
# How pictures begin that Pillow does not read, and the way out.
_UNREAD = {
    rb"....ftyp(hei|hev|mif1|msf1)": "a HEIC picture, damaged" if "HEIF" in Image.OPEN else _HEIC_HINT,
    rb"....ftypavi": "an AVIF picture, damaged or of a kind that this Pillow does not read: save it as PNG or JPEG",
    rb"....ftyp": "a video or a raw photo, which are not read: save a picture of it as PNG or JPEG",
    rb"II\*\0|MM\0\*|II\+\0|MM\0\+": "damaged, or a kind of TIFF that is not read: save it with 8 bits a channel",
    rb"\xff\x0a|\0\0\0\x0cJXL ": "a JPEG XL picture, which is not read: save it as PNG or JPEG",
    rb"8BPS": "a Photoshop document, which is not read: save it as PNG or JPEG",
    rb"\Z": "the file is empty",
}

BEGINNING = 2**16  # bytes of a file in object storage, in which what wrote it is stated
ROWS = 1024  # of an image that is laid on white, at a time
LARGE, STRIP = 2**25, 2**22  # pixels of what may be too large for the memory, and of a large PNG at a time
# A picture that takes more memory than this, in a file of fewer bytes for each of its pixels, is a trap, or next to
# empty: photos have 0.1 to 10 of them.
MOST_MEMORY, LEAST_BYTES = 2**30, 0.02

# Enlarged to a short side, a picture is at most this many times as long: a line of pixels would fill the memory.
LONGEST_ENLARGED = 10


class ImageError(FastStyleError):
    """An image file that cannot be read or written: one line that names the file and the reason."""


class StorageError(FastStyleError):
    """Photos that cannot be fetched, which is no fault of theirs: where they lie cannot be reached."""


class PackedPhoto(Protocol):
    """An image file within a larger file; as text, its name."""

    def read_bytes(self) -> bytes: ...


def find_files(root: str | Path) -> list[Path]:
    """All files under a folder, sorted by path.

    Searches subfolders, through links too, and skips hidden files and folders. Raises ImageError if `root` is not a
    folder.
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
        found += [Path(folder, name) for name in files if not name.startswith(".")]
    return sorted(found)


def only_images(files: Iterable[Path]) -> list[Path]:
    """Those of `files` that are images by their suffix; none is opened."""
    return [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]


def find_images(root: str | Path) -> list[Path]:
    """All image files under a folder, as `find_files` sorts them and `only_images` tells them."""
    return only_images(find_files(root))


def left_out(files: Iterable[Path]) -> str | None:
    """One line that counts, by suffix and with the reason, those of `files` that `only_images` leaves out, if any."""
    counts = Counter(path.suffix.lower() for path in files if path.suffix.lower() not in IMAGE_SUFFIXES)
    heic = sum(counts.pop(suffix, 0) for suffix in _HEIC_SUFFIXES)
    reasons = [f"{heic} HEIC ({_HEIC_HINT})"] if heic else []
    if counts:
        kinds = ", ".join(f"{number} {suffix or 'without suffix'}" for suffix, number in counts.most_common(5))
        reasons.append(f"{counts.total()} that are no pictures by their suffix ({kinds}{', ...' * (len(counts) > 5)})")
    return f"left out {' and '.join(reasons)}" if reasons else None


def read_image(path: str | Path | BytesIO, max_size: int | None = None) -> tuple[Tensor, Tensor | None]:
    """An image file as float32 RGB, and its alpha.

    Returns (3, H, W) sRGB and (1, H, W) alpha, both in [0, 1]; alpha is None if the file stores no transparency.
    The image is upright (EXIF), and white where alpha is 0, whatever colours the file hides there. Grey of more than 8
    bits keeps its precision: integers count as 16 bits, floats as [0, 1]. With `max_size` the longest side is at most
    that; never enlarged.
    Raises ImageError if the file is missing, damaged, not an image, or one of several frames or pages.
    """
    image, alpha = read_pixels(path, max_size)
    image = image.contiguous()
    image = image.float().div_(255) if image.dtype == torch.uint8 else image
    return image, None if alpha is None else alpha.float().div_(255)


def read_pixels(path: str | Path | BytesIO, max_size: int | None = None) -> tuple[Tensor, Tensor | None]:
    """As `read_image`, in a quarter of the memory: (3, H, W) and alpha (1, H, W) uint8; deep grey stays float32."""
    if max_size is not None and max_size < 1:
        raise ValueError(f"max_size must be at least 1, not {max_size}")
    colour, alpha = _decode(path, partial(_within, max_size), Image.Resampling.BICUBIC, margin=2)
    image = torch.from_numpy(colour).permute(2, 0, 1)
    if alpha is None:
        return image, None
    alpha = torch.from_numpy(alpha)[None]
    return image.masked_fill_(alpha == 0, 255 if image.dtype == torch.uint8 else 1), alpha


def read_size(path: str | Path | BytesIO, max_size: int | None = None) -> tuple[int, int]:
    """Width and height of what `read_image` would read, before it is turned upright, by the file's own word. Raises
    ImageError."""
    with _opened(path) as (_, image):
        return _within(max_size, image.size)


def read_on_white(path: str | Path) -> Tensor:
    """An image file as a viewer shows it: as `read_image`, (3, H, W), with transparency laid on white."""
    image, alpha = read_image(path)
    return image if alpha is None else _on_white(image, alpha)


def read_mask(path: str | Path | BytesIO) -> Tensor:
    """An image file as weights (1, H, W): 1 where it is white, 0 where it is black or transparent."""
    image, alpha = read_image(path)
    grey = image.mean(0, keepdim=True)
    return grey if alpha is None else grey * alpha


def read_rgb(path: str | Path | PackedPhoto, short_side: int) -> np.ndarray:
    """A training photo as 8-bit RGB, resized so that its short side is exactly `short_side`.

    Returns (H, W, 3) uint8, upright and sRGB; small photos are enlarged, transparency is laid on white.
    Raises ImageError if the file is missing, damaged, not an image, one of several frames or pages, or a strip to be
    enlarged.
    """
    colour, alpha = _decode(path, lambda size: _short_side_to(short_side, size), Image.Resampling.BILINEAR, margin=1)
    if colour.dtype != np.uint8:
        colour = np.rint(colour * 255).astype(np.uint8)
    if alpha is not None:
        opacity = alpha[..., None].astype(np.float32) / 255
        colour = np.rint(colour * opacity + 255 * (1 - opacity)).astype(np.uint8)
    return colour


def write_image(path: str | Path, image: Tensor, alpha: Tensor | None = None, maker: str | None = None) -> None:
    """Write an RGB tensor, rounded to 8 bits, in the format that the suffix names.

    Takes (3, H, W) and optionally alpha (1, H, W), any device, uint8 or any float type, clamped to [0, 1]. PNG, TIFF
    and WebP keep alpha; JPEG and BMP get the image laid on white. Missing folders are made. The file appears whole or
    not at all, so that it may replace the file the image was read from. `maker` is what `read_maker` then says, but of
    a BMP, which has no room for it.
    Raises ImageError for an unknown suffix, values that are not finite, and whatever keeps the file from being written.
    """
    path = located(path)
    if path.suffix.lower() not in _WRITERS:
        raise ImageError(f"{path}: cannot write {path.suffix or 'no suffix'!r}, only {' '.join(_WRITERS)}")
    if image.ndim != 3 or len(image) != 3 or (alpha is not None and alpha.shape != (1, *image.shape[1:])):
        shapes = f"{tuple(image.shape)}" if alpha is None else f"{tuple(image.shape)} and {tuple(alpha.shape)}"
        raise ValueError(f"{path}: image and alpha must be (3, H, W) and (1, H, W), not {shapes}")
    name, options = _WRITERS[path.suffix.lower()]
    if alpha is not None and name in ("BMP", "JPEG"):
        strips = zip(image.split(ROWS, 1), alpha.split(ROWS, 1), strict=True)
        image = torch.cat([_eight_bits(path, _on_white(*(_finite(path, part) for part in both))) for both in strips], 1)
        alpha = None
    pixels = _eight_bits(path, image)
    if alpha is not None:
        pixels = torch.cat([pixels, _eight_bits(path, alpha)])
    picture = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    if maker:
        exif = Image.Exif()
        exif[ExifTags.Base.Software] = maker
        options = options | {"exif": exif}
    try:
        if is_remote(path):  # where files appear whole
            buffer = BytesIO()
            picture.save(buffer, name, **options)
            path.write_bytes(buffer.getvalue())
            return
        with whole_file(path) as unfinished:
            picture.save(unfinished, name, **options)
    except Exception as error:
        raise ImageError(f"{path}: {_reason(error)}") from error


def read_maker(path: Path) -> str | None:
    """The program that wrote an image file, as the file states it; None for one that does not, or cannot be read."""
    # fsspec would fetch 50 MB at a time
    opened = partial(path.open, "rb", **({"block_size": BEGINNING} if is_remote(path) else {}))
    with suppress(Exception), opened() as file, Image.open(file, formats=_known_formats()) as image:
        if image.format == "TIFF":
            return image.tag_v2.get(ExifTags.Base.Software)
        exif = Image.Exif()
        exif.load(image.info.get("exif", b""))  # image.getexif() would decode a PNG that has none
        return exif.get(ExifTags.Base.Software)
    return None


def check_target(key: str, path: Path) -> None:
    """Raise ImageError unless `write_image` can write the file that a config key names: before the work."""
    if path.suffix.lower() not in _WRITERS:
        raise ImageError(f"{key}={path}: must end in one of {' '.join(sorted(_WRITERS))}")
    if path.is_dir():
        raise ImageError(f"{key}={path}: is a folder, give a file in it")
    check_folder(f"{key}={path}", path.parent)


def check_folder(key: str, folder: Path) -> None:
    """Raise ImageError unless files can be written into a folder, which is made if it is not there."""
    try:
        if is_remote(folder):
            probe = folder / f".{uuid4().hex}.tmp"
            probe.write_bytes(b"")
            probe.unlink()
            return
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ImageError(f"{key}: cannot write into {folder}: {_reason(error)}") from error


def resize_short_side(image: Tensor, short_side: int) -> Tensor:
    """Resize so that the short side is exactly `short_side`, bilinear and antialiased.

    (C, H, W) float -> (C, H', W'), the long side rounded to keep the aspect.
    Raises ImageError for a strip that would be enlarged to more than LONGEST_ENLARGED times its short side.
    """
    height, width = _short_side_to(short_side, image.shape[-2:])
    return F.interpolate(image[None], (height, width), mode="bilinear", antialias=True)[0]


def _within(max_size: int | None, size: tuple[int, int]) -> tuple[int, int]:
    """`size`, or one whose longest side is `max_size`."""
    return _scaled(size, min(1, (max_size or float("inf")) / max(size)))


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _short_side_to(short_side: int, size: tuple[int, int]) -> tuple[int, int]:
    scale = short_side / min(size)
    if scale > 1 and max(size) > LONGEST_ENLARGED * min(size):
        raise ImageError(
            f"a strip {max(size) / min(size):.0f} times as long as wide, too thin to be enlarged to a short side of "
            f"{short_side}: crop it"
        )
    return _scaled(size, scale)


def _on_white(image: Tensor, alpha: Tensor) -> Tensor:
    return image * alpha + (1 - alpha)


def _eight_bits(path: Path, image: Tensor) -> Tensor:
    return image.cpu() if image.dtype == torch.uint8 else _finite(path, image).mul_(255).round_().byte()


def _finite(path: Path, image: Tensor) -> Tensor:
    """A clamped float32 copy of `image` on the CPU."""
    if image.dtype == torch.uint8:
        return image.cpu().float() / 255
    image = image.detach().to("cpu", torch.float32)
    if image.numel() == 0:
        raise ImageError(f"{path}: not written, the image has no pixels")
    if not all(extreme.isfinite() for extreme in image.aminmax()):
        raise ImageError(f"{path}: not written, the image has NaN or infinite values")
    return image.clamp(0, 1)


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):  # of which object storage says no more than the name
        return os.strerror(errno.ENOENT)
    return " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())


def _decode(
    path: str | Path | BytesIO | PackedPhoto,
    fit: Callable[[tuple[int, int]], tuple[int, int]],
    resample: Image.Resampling,
    margin: int,
) -> tuple[np.ndarray, np.ndarray | None]:
    """The picture in a file, upright, at the size `fit` makes of its own, in sRGB.

    Returns (H, W, 3), uint8 or for deep grey float32 in [0, 1], and alpha (H, W) uint8 or None.
    JPEG is decoded at a reduced scale that leaves both sides at least `margin` times their target.
    """
    with _opened(path) as (file, image):
        _refuse_misleading(image)
        size = image.size
        target = fit(size)
        drafted = image.draft(None, (margin * target[0], margin * target[1]))
        large = image.width * image.height > LARGE
        factor = min(length // fitting for length, fitting in zip(size, target, strict=True)) // 3
        if large and factor > 1 and image.format == "PNG" and has_strips(image.fp):
            image, box = _reduced_png(image, factor), (0, 0, size[0] / factor, size[1] / factor)
        else:
            _refuse_bomb(file, image, size, target)
            if large:
                _refuse_too_large(image)
            image.load()
            image, box = _resizable(image), drafted and drafted[1]
        if target != size:
            image = image.resize(target, resample, box, reducing_gap=3)
        with suppress(Exception):  # a broken EXIF block costs the orientation, not the image
            ImageOps.exif_transpose(image, in_place=True)
        return _in_srgb(image), np.array(image.getchannel("A")) if image.mode in ("LA", "RGBA") else None


@contextmanager
def _opened(path: str | Path | BytesIO | PackedPhoto) -> Iterator[tuple[str | Path | BytesIO, Image.Image]]:
    """A file, and as opened by Pillow, whatever goes wrong with it an ImageError."""
    try:
        file = path if isinstance(path, str | Path | BytesIO) else BytesIO(path.read_bytes())
        with Image.open(file, formats=_known_formats()) as image:
            yield file, image
    except StorageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{_name(path)}: {_why_unread(file)}") from error
    except Exception as error:  # decoders raise whatever a damaged file makes them stumble over
        raise ImageError(f"{_name(path)}: {_reason(error)}") from error


def _known_formats() -> list[str]:
    return [name for name in _FORMATS if name in Image.OPEN]


def _reduced_png(image: Image.Image, factor: int) -> Image.Image:
    """An opened PNG in a mode that may be averaged, by means of squares; a strip at a time, for it may be large."""
    width, height = image.size
    rows, smaller = max(1, STRIP // width // factor) * factor, None
    for index, strip in enumerate(png_strips(image.fp, rows)):
        strip = _resizable(strip).reduce(factor)
        smaller = smaller or Image.new(strip.mode, (strip.width, -(-height // factor)))
        smaller.paste(strip, (0, index * rows // factor))
    smaller.info = image.info
    return smaller


def _refuse_too_large(image: Image.Image) -> None:
    """Raise ImageError for an opened file that takes more memory than is free, for which the system kills a process."""
    width, height = image.size
    # Of Pillow's own, which has four bytes for a colour, and of a copy.
    needed, free = (2 if image.mode in ("1", "L") else 8) * width * height, free_memory(torch.device("cpu"))
    if needed > free:
        raise ImageError(
            f"{width}x{height} pixels take {needed / 1e9:.1f} GB to read, {free / 1e9:.1f} are free: make it smaller"
        )


def _name(path: str | Path | BytesIO | PackedPhoto) -> str:
    return "the picture" if isinstance(path, BytesIO) else str(path)


def _why_unread(file: str | Path | BytesIO) -> str:
    if isinstance(file, BytesIO):
        start = bytes(file.getbuffer()[:16])
    else:
        with open(file, "rb") as opened:
            start = opened.read(16)
    reasons = (reason for pattern, reason in _UNREAD.items() if re.match(pattern, start, re.DOTALL))
    return next(reasons, "not an image of a known format, or damaged at its start")


def _refuse_bomb(
    path: str | Path | BytesIO, image: Image.Image, size: tuple[int, int], target: tuple[int, int]
) -> None:
    """Raise ImageError for an opened file of a few bytes that states so many pixels that the memory may not hold them.

    size    of the whole picture; that of `image` is less where it is decoded at a reduced scale
    target  of what will be made of it
    """
    pixels, whole = math.prod(image.size), math.prod(size)
    # What decoders of these hold twice, and hand over as bytes; elsewhere Pillow's own, which has 4 bytes for a colour.
    decoded = 20 if image.format in ("AVIF", "HEIF", "WEBP") else {"L": 1, "1": 2, "RGB": 4}.get(image.mode, 12)
    memory = pixels * decoded + 16 * min(pixels, math.prod(target))
    if image.info.get("progressive"):  # all coefficients of a JPEG are there before the first pixel is
        memory += 6 * whole
    if memory <= MOST_MEMORY:
        return
    length = path.getbuffer().nbytes if isinstance(path, BytesIO) else os.path.getsize(path)
    if length < LEAST_BYTES * whole:
        raise ImageError(
            f"{size[0]}x{size[1]} pixels in {length:,} bytes would take {memory / 2**30:.1f} GB: a trap, or all of one "
            f"colour; save it smaller if you want it"
        )


def _refuse_misleading(image: Image.Image) -> None:
    """Raise ImageError for an opened file of which Pillow would give a part, or values that are not its own."""
    pages = _pages(image)
    if len(pages) > 1:
        raise ImageError(f"{len(pages)} frames or pages, of which a picture has one: save the one you mean as PNG")
    if image.format == "TIFF":
        if pages != [0] or ExifTags.Base.DNGVersion in image.tag_v2:
            raise ImageError("a raw photo, or a thumbnail before its picture: save the picture as PNG or JPEG")
        if kind := _misread_tiff(image):
            raise ImageError(f"a TIFF of {kind}, which is not read: save it with 8 bits a channel, or as PNG")
    if image.format == "PNG" and "transparency" in image.info and ";16" in str(image.tile):
        raise ImageError("16 bits with one transparent colour, which is not read: save it with an alpha channel")


def _pages(image: Image.Image) -> list[int]:
    """The frames or pages of an opened file that are pictures of their own."""
    if image.format == "MPO":  # a JPEG followed by its depth, its gain map or the view of the other eye
        return [0]
    if image.format != "TIFF":
        return list(range(getattr(image, "n_frames", 1)))
    pages = []
    for page in count():
        try:
            image.seek(page)
        except SyntaxError:  # one that Pillow does not read, whose tags it has read
            pass
        except Exception:  # the end of the file, or damage that is not in its first page
            break
        if not image.tag_v2.get(ExifTags.Base.NewSubfileType, 0) & 0b101:  # neither a smaller copy nor a mask
            pages.append(page)
    image.seek(0)
    return pages


def _misread_tiff(image: Image.Image) -> str | None:
    """What of an opened TIFF Pillow would read wrongly without a word; None: nothing that is known."""
    tags = image.tag_v2
    bits = max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,)))
    signed = 2 in tags.get(TiffImagePlugin.SAMPLEFORMAT, (1,))
    planes, raw = tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2, image.info["compression"] == "raw"
    kinds = {
        "signed numbers": signed and bits < 32,
        f"inverted {bits}-bit grey": bits > 8 and tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0) == 0,
        f"{bits} bits in separate planes": planes and raw and bits > 8,
        "grey and alpha in separate planes": planes and image.mode in ("LA", "La", "PA"),
        "12-bit grey": bits == 12,
        "compressed 32-bit numbers, the high byte first": bits == 32 and not raw and tags.prefix == b"MM",
    }
    return next((kind for kind, found in kinds.items() if found), None)


def _refuse_values(image: Image.Image, least: float, most: float, white: int) -> None:
    values = np.asarray(image)
    low, high = np.fmin.reduce(values, axis=None), np.fmax.reduce(values, axis=None)  # NaN apart
    if low < least or high > most:
        raise ImageError(f"values from {low:g} to {high:g}, where {white} is white: scale them, or save it with 8 bits")


def _resizable(image: Image.Image) -> Image.Image:
    """`image` in a mode whose numbers may be averaged: L, LA, RGB, RGBA, CMYK, or F in [0, 1]."""
    if image.mode.startswith("I"):  # to L, Pillow would clip these at 255
        _refuse_values(image, 0, 65535, white=65535)
        return image.convert("F").point(lambda value: value * (1 / 65535))
    if image.mode == "F":  # a little more or less than [0, 1] comes from resizing, and is clamped
        _refuse_values(image, -1, 2, white=1)
        return image
    if image.has_transparency_data:
        return image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")
    if image.mode in ("L", "RGB", "CMYK"):
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
