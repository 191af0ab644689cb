"""Stylizer: a trained style as a function of pictures, for programs."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fast_style.checkpoint import load_transformer
from fast_style.data.images import read_image
from fast_style.errors import FastStyleError
from fast_style.hardware import pick_device, pick_precision
from fast_style.inference.stylize import stylize
from fast_style.networks.fast_layers import accelerate

Picture = str | Path | bytes | Image.Image | np.ndarray | Tensor


class Stylizer:
    """A trained style. What goes in comes out, of the same kind and the same size:

    a path or a PIL image   a PIL image, with the alpha of the photo
    bytes                   bytes: a JPEG for a JPEG, else a PNG
    an array                (H, W, 3) or (B, H, W, 3), uint8, or float in [0, 1]
    a tensor                (3, H, W) or (B, 3, H, W), uint8, or float in [0, 1]; on its device
    a list of these         a list

    ckpt       a release file, the folder of a run, or a .ckpt
    device     auto | cpu | cuda | cuda:1 | mps
    precision  auto | 32-true | bf16-mixed | 16-mixed; auto is bfloat16 where the hardware has it
    Several threads may call one object at the same time. Raises FastStyleError for files that cannot be read.

        >>> from fast_style import Stylizer
        >>> Stylizer("checkpoints/mosaic.safetensors")("photo.jpg").save("mosaic.png")  # doctest: +SKIP
    """

    def __init__(self, ckpt: str | Path, device: str = "auto", precision: str = "auto"):
        transformer, self.style = load_transformer(ckpt)
        device = pick_device(device)
        self.precision = pick_precision(precision, device)
        self.transformer = accelerate(transformer).to(device, memory_format=torch.channels_last)

    def __call__(
        self, picture: Picture | Sequence[Picture], max_size: int | None = None
    ) -> Image.Image | bytes | np.ndarray | Tensor | list:
        """The picture in the style; files, bytes and PIL images are first shrunk to a longest side of `max_size`."""
        if isinstance(picture, list | tuple):
            return [self(one, max_size) for one in picture]
        if isinstance(picture, Tensor):
            return self._tensor(picture)
        if isinstance(picture, np.ndarray):
            return np.moveaxis(self._tensor(torch.from_numpy(np.moveaxis(picture, -1, -3).copy())).numpy(), -3, -1)
        if isinstance(picture, bytes):
            jpeg = picture.startswith(b"\xff\xd8")
            return encode(self._file(BytesIO(picture), max_size), *(("JPEG", {"quality": 95}) if jpeg else ("PNG", {})))
        if isinstance(picture, Image.Image):
            exif = {"exif": picture.getexif()} if picture.getexif() else {}
            return self._file(BytesIO(encode(picture, "PNG", {"compress_level": 1, **exif})), max_size)
        return self._file(picture, max_size)

    def _tensor(self, images: Tensor) -> Tensor:
        if images.ndim not in (3, 4) or images.shape[-3] != 3 or 0 in images.shape:
            raise FastStyleError(f"an RGB picture has three channels, or is a batch of such: not {tuple(images.shape)}")
        integers = images.dtype == torch.uint8
        batch = images.float() / 255 if integers else images.float()
        stylized = stylize(self.transformer, batch if images.ndim == 4 else batch[None], self.precision)
        stylized = stylized.to(images.device) if images.ndim == 4 else stylized[0].to(images.device)
        return (stylized * 255).round().to(torch.uint8) if integers else stylized.to(images.dtype)

    def _file(self, file: str | Path | BytesIO, max_size: int | None) -> Image.Image:
        image, alpha = read_image(file, max_size)
        pixels = self._tensor(image).cpu()
        if alpha is not None:
            pixels = torch.cat([pixels, alpha])
        return Image.fromarray((pixels * 255).round().byte().permute(1, 2, 0).contiguous().numpy())


def encode(picture: Image.Image, name: str, options: dict) -> bytes:
    """A PIL image as the bytes of a file."""
    file = BytesIO()
    picture.save(file, name, **options)
    return file.getvalue()
