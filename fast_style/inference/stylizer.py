"""Stylizer: a trained style as a function of pictures, for programs."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from fast_style.checkpoint import load_network
from fast_style.data.images import read_image, read_mask
from fast_style.data.styles import find_pictures, style_name
from fast_style.errors import FastStyleError
from fast_style.hardware import pick_device, pick_precision
from fast_style.inference.blending import Style, fallback, painter, strengthened
from fast_style.inference.first_guess import predicted
from fast_style.inference.painters import load_upscaler
from fast_style.inference.stylize import fitting_alpha, stylize
from fast_style.keys import STRONGEST
from fast_style.networks.any_style import AnyStyleNet
from fast_style.networks.fast_layers import accelerate
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.texture_generator import TextureGenerator
from fast_style.networks.upscaler import Upscaler
from fast_style.training.warm_start import FIRST_GUESS

KEPT = 8  # networks that were built for styles of several, a few megabytes each
Pictures = str | Path | Sequence[str | Path]
Picture = str | Path | bytes | Image.Image | np.ndarray | Tensor


class Stylizer:
    """A trained style. What goes in comes out, of the same kind and the same size, or, by a model of
    task=super_resolution, as many times as large as that says:

    a path or a PIL image   a PIL image, with the alpha of the photo
    bytes                   bytes: a JPEG for a JPEG, else a PNG
    an array                (H, W, 3) or (B, H, W, 3), uint8, or float in [0, 1]
    a tensor                (3, H, W) or (B, 3, H, W), uint8, or float in [0, 1]; on its device
    a list of these         a list

    ckpt       a release file, the folder of a run, or a .ckpt; None: the network that ships for any style
    style      for such a network: a picture, several of one artist, or {name: pictures}, which are its styles
    device     auto | cpu | cuda | cuda:1 | mps
    precision  auto | 32-true | bf16-mixed | 16-mixed; auto is bfloat16 where the hardware has it
    upscale    a model of task=super_resolution: what is painted is a copy of the photo, so many times smaller, which is
               enlarged again: large strokes
    modules    names of modules of your own, of which the file may build the network
    Several threads may call one object at the same time. Raises FastStyleError for files that cannot be read.

        >>> from fast_style import Stylizer
        >>> Stylizer("checkpoints/mosaic.safetensors")("photo.jpg").save("mosaic.png")  # doctest: +SKIP
        >>> Stylizer(style="painting.jpg")("photo.jpg", strength=0.8).save("at_once.png")  # doctest: +SKIP
    """

    def __init__(
        self,
        ckpt: str | Path | None = None,
        device: str = "auto",
        precision: str = "auto",
        upscale: str | Path | None = None,
        style: Pictures | Mapping[str, Pictures] | None = None,
        modules: Sequence[str] = (),
    ):
        if ckpt is None and style is None:
            raise FastStyleError("give ckpt=, or style=, a painting")
        self.network, self.style = load_network(ckpt or FIRST_GUESS, modules=modules)  # no style, if it has several
        if isinstance(self.network, AnyStyleNet) != (style is not None):
            has = "predicts every style: give style=, a painting" if style is None else "has learnt its style"
            raise FastStyleError(f"ckpt={ckpt} {has}")
        if style is not None:
            named = style if isinstance(style, Mapping) else {style_name("", style): style}
            pictures = {name: find_pictures("style", one, bundled=True) for name, one in named.items()}
            self.network = predicted(self.network, pictures)
            self.style = "" if isinstance(style, Mapping) else self.network.names[0]
        if isinstance(self.network, TextureGenerator):
            raise FastStyleError(f"ckpt={ckpt} draws textures or variants: give a model of task=style_transfer")
        self.device = pick_device(device)
        self.precision = pick_precision(precision, self.device)
        self.several = isinstance(self.network, MultiStyleNet)
        self.names = self.network.names if self.several else [self.style]
        self.only = self.style if self.several and self.style else None  # of one picture
        self.kept = {}
        self.upscaler = None if upscale is None else self._ready(load_upscaler(upscale))
        if not self.several:
            self.network = self._ready(self.network)

    def _ready(self, network: nn.Module) -> nn.Module:
        return accelerate(network).to(self.device, memory_format=torch.channels_last)

    def _network_for(self, style: Style | None, strength: float) -> nn.Module:
        """What paints a style, or a mixture: of several styles the last ones are kept."""
        if not self.several:
            return self.network
        self.network.mixture(style)  # raises what is wrong with it
        key = (style if isinstance(style, str) else tuple(style.items())), strength
        found = self.kept.get(key)
        if found is None:
            found = self._ready(strengthened(self.network, style, strength))
            # A dict of its own, so that threads may go on with the one there was. Two may build the same network once.
            self.kept = dict([*self.kept.items(), (key, found)][-KEPT:])
        return found

    def __call__(
        self,
        picture: Picture | Sequence[Picture],
        style: Style | None = None,
        max_size: int | None = None,
        strength: float = 1.0,
        mask: Picture | Mapping[str, Picture] | None = None,
        preserve_color: bool = False,
        stroke_size: int | str | None = "auto",
    ) -> Image.Image | bytes | np.ndarray | Tensor | list:
        """The picture in the style.

        style     of a model of several styles: a name, or weights by name
        max_size  a longest side that files, bytes and PIL images are shrunk to first
        strength  from 0, the photo, to 1, the style, and to 1.5. A model that has learnt an identity beside its styles
                  goes along its parameters. Of another, photo and picture are blended pixel by pixel below 1, with a
                  warning, and above it the picture is painted over.
        mask      where to paint: a picture that is white there, of any size and with any greys, or one for each style
                  by its name. Arrays and tensors may also be (H, W), and of booleans.
        preserve_color  whether the photo's colours stay, and only its luma is painted
        stroke_size  a longest side: strokes are as large, relative to the picture, as in one of that size; auto: 1024,
                     None: strokes of the size that was learnt, in pixels
        """
        if style is None and not isinstance(mask, Mapping):
            style = self.only
        if self.several != (style is not None) and not (style is None and isinstance(mask, Mapping)):
            has = f"several styles: give style= of {', '.join(self.names)}" if self.several else "one style"
            raise FastStyleError(f"style={style}: the model has {has}")
        if not 0 <= strength <= STRONGEST:
            raise FastStyleError(f"strength={strength}: must be a number from 0 to {STRONGEST:g}")
        given = stroke_size not in (None, "auto")
        if given and (type(stroke_size) is not int or stroke_size < 16):
            raise FastStyleError(f"stroke_size={stroke_size}: must be auto, None, or a side in pixels, at least 16")
        if self.upscaler is not None and given:
            raise FastStyleError(f"stroke_size={stroke_size}: upscale= makes strokes large already")
        if isinstance(self.network, Upscaler) and (
            self.upscaler is not None or strength != 1 or mask is not None or preserve_color or given
        ):
            raise FastStyleError(
                "the model enlarges photos: strength=, mask=, preserve_color=, stroke_size= and upscale= mean nothing"
            )
        if note := fallback(self.network, strength):
            warnings.warn(note, stacklevel=2)
        if isinstance(mask, Mapping):
            mask = {name: as_mask(one) for name, one in mask.items()}
        elif mask is not None:
            mask = as_mask(mask)
        options = style, strength, mask, preserve_color, self.upscaler, stroke_size
        transformer = painter(self.network, self.names, self._network_for, *options)
        return painted(picture, partial(stylize, transformer, precision=self.precision), max_size)


def as_mask(picture: Picture) -> Tensor:
    """The weights (1, H, W) that a picture of any kind means: 1 where it is white."""
    if isinstance(picture, Image.Image):
        picture = encode(picture, "PNG", {"compress_level": 1})
    if isinstance(picture, str | Path | bytes):
        return read_mask(BytesIO(picture) if isinstance(picture, bytes) else picture)
    if isinstance(picture, np.ndarray):
        picture = torch.from_numpy((np.moveaxis(picture, -1, 0) if picture.ndim == 3 else picture).copy())
    planes = picture if picture.ndim == 3 else picture[None]
    if planes.ndim != 3 or len(planes) not in (1, 3) or 0 in planes.shape:
        raise FastStyleError(f"a mask is one picture, of one channel or three: not {tuple(picture.shape)}")
    grey = planes.float().mean(0, keepdim=True)
    return (grey / 255 if planes.dtype == torch.uint8 else grey).clamp(0, 1)


def painted(picture: Picture | Sequence[Picture], paint: Callable[[Tensor], Tensor], max_size: int | None):
    """What `paint` makes of a picture, where it takes and gives batches (B, 3, H, W) in [0, 1]; as Stylizer says."""
    if isinstance(picture, list | tuple):
        return [painted(one, paint, max_size) for one in picture]
    if isinstance(picture, Tensor):
        return painted_tensor(picture, paint)
    if isinstance(picture, np.ndarray):
        images = torch.from_numpy(np.moveaxis(picture, -1, -3).copy())
        return np.moveaxis(painted_tensor(images, paint).numpy(), -3, -1)
    if isinstance(picture, bytes):
        name, options = ("JPEG", {"quality": 95}) if picture.startswith(b"\xff\xd8") else ("PNG", {})
        return encode(painted_file(BytesIO(picture), paint, max_size), name, options)
    if isinstance(picture, Image.Image):
        exif = {"exif": picture.getexif()} if picture.getexif() else {}
        return painted_file(BytesIO(encode(picture, "PNG", {"compress_level": 1, **exif})), paint, max_size)
    return painted_file(picture, paint, max_size)


def painted_tensor(images: Tensor, paint: Callable[[Tensor], Tensor]) -> Tensor:
    """(3, H, W) or (B, 3, H, W), uint8 or float in [0, 1] -> the same, of the size that `paint` gives."""
    if images.ndim not in (3, 4) or images.shape[-3] != 3 or 0 in images.shape:
        raise FastStyleError(f"an RGB picture has three channels, or is a batch of such: not {tuple(images.shape)}")
    integers = images.dtype == torch.uint8
    batch = (images if images.ndim == 4 else images[None]).float()
    stylized = paint(batch / 255 if integers else batch).to(images.device)
    stylized = stylized if images.ndim == 4 else stylized[0]
    return (stylized * 255).round().to(torch.uint8) if integers else stylized.to(images.dtype)


def painted_file(file: str | Path | BytesIO, paint: Callable[[Tensor], Tensor], max_size: int | None) -> Image.Image:
    image, alpha = read_image(file, max_size)
    pixels = painted_tensor(image, paint)
    if alpha is not None:
        pixels = torch.cat([pixels, fitting_alpha(alpha, pixels)])
    return Image.fromarray((pixels * 255).round().byte().permute(1, 2, 0).contiguous().numpy())


def encode(picture: Image.Image, name: str, options: dict) -> bytes:
    """A PIL image as the bytes of a file."""
    file = BytesIO()
    picture.save(file, name, **options)
    return file.getvalue()
