"""A picture of any size in bounded memory: painted tile by tile, and yet as a whole.

Instance norm looks at the whole image: tiles that are painted each for itself differ in colour, and have seams. So the
network is computed layer by layer. Every layer makes a map that is computed where it is read, from a little more of
the map before; and before a norm reads it, a pass over all its tiles measures the mean and variance of each channel.
Maps smaller than the picture are written to a temporary file on the way, so that a pass goes back to the last of them
and no further; those as large as the picture would need 64 bytes a pixel, and are computed again.
"""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_style.errors import FastStyleError
from fast_style.hardware import autocast
from fast_style.inference.blending import Combined, PaintedOver
from fast_style.inference.strokes import Strokes, pooled, pooling, without
from fast_style.inference.windows import Window, cut, windows
from fast_style.networks.fast_layers import moments
from fast_style.networks.transformer_net import (
    OUTPUTS,
    CoarseBlocks,
    ConvLayer,
    InstanceNorm,
    Noise,
    ResidualBlock,
    TransformerNet,
    UpsampleConv,
    reflection_indices,
)
from fast_style.networks.upscaler import resize_bicubic

TILES = (1024, 512, 256)  # sides, in pixels of the picture
# Maps of full resolution that stylising takes at its peak, at once and in tiles with their margins, by the memory of
# the process (benchmarks/large_pictures): freed memory is kept, in pieces that do not fit what comes next. And bytes of
# a pixel in pictures: as floats, in and out; from a file and to one; of a small copy, all that its strokes are found
# with; and what they take at full size.
MAPS_AT_ONCE, MAPS_OF_A_TILE, MARGIN = 12, 30, 96
FLOAT_PICTURES, WHOLE_PICTURE, SKETCH, REFINED = 36, 16, 100, 80
# The system's folder for temporary files may lie in memory; this one does not.
ON_DISK = os.environ.get("TMPDIR") or ("/var/tmp" if Path("/var/tmp").is_dir() else None)


@dataclass(frozen=True)
class LazyMap:
    """A map of features (1, C, H, W), computed where it is read.

    size   (H, W)
    step   pixels of the picture from one of its own to the next
    read   of a window, the features (1, C, rows, columns), which are the reader's own
    """

    size: tuple[int, int]
    step: int
    read: Callable[[Window], Tensor]

    def then(self, function: Callable[[Tensor], Tensor]) -> "LazyMap":
        """What a function of single pixels makes of it."""
        return LazyMap(self.size, self.step, lambda window: function(self.read(window)))

    def plus(self, other: "LazyMap", strength: Tensor | None = None) -> "LazyMap":
        def read(window: Window) -> Tensor:
            maps = other.read(window)
            return self.read(window) + (maps if strength is None else strength[:, None, None].to(maps.dtype) * maps)

        return LazyMap(self.size, self.step, read)


class File:
    """Features (1, C, H, W) in a temporary file, which goes when nobody refers to it any more."""

    def __init__(self, size: tuple[int, int]):
        self.size = size
        with room_on_disk():
            self.file = TemporaryFile(dir=ON_DISK, buffering=0)

    def write(self, window: Window, maps: Tensor) -> None:
        self.channels, self.dtype, self.device = maps.shape[1], maps.dtype, maps.device
        with room_on_disk():
            for line, part in self._lines(window, maps.permute(0, 2, 3, 1).contiguous().cpu()):
                self.file.seek(line)
                self.file.write(part)

    def read(self, window: Window) -> Tensor:
        maps = torch.empty(1, *map(len, window), self.channels, dtype=self.dtype)
        for line, part in self._lines(window, maps):
            self.file.seek(line)
            self.file.readinto(part)
        return maps.permute(0, 3, 1, 2).to(self.device)

    def _lines(self, window: Window, maps: Tensor) -> Iterator[tuple[int, memoryview]]:
        """Places in the file, and what lies there, of each row of maps (1, rows, columns, C)."""
        rows, columns = window
        pixel = maps.element_size() * self.channels
        for row, line in zip(rows, maps[0].view(torch.uint8).numpy(), strict=True):
            yield (row * self.size[1] + columns.start) * pixel, line.data.cast("B")


@contextmanager
def room_on_disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FastStyleError(
            f"no temporary files in {ON_DISK}: {error.strerror}; set TMPDIR to another folder"
        ) from error


# --- layers


def aligned(start: int, stop: int, length: int) -> range:
    """Of an axis, what lies between, from an even place to an even place."""
    return range(max(0, start - start % 2), min(length, stop + stop % 2))


def convolved(layer: ConvLayer, source: LazyMap) -> LazyMap:
    """A layer pads at the borders of what it gets: a window gets a margin that is cut off again, but at the image's."""
    (conv,) = layer
    kernel, stride, padding = conv.kernel_size[0], conv.stride[0], conv.padding[0]
    size = tuple((length + 2 * padding - kernel) // stride + 1 for length in source.size)

    def read(window: Window) -> Tensor:
        needed = tuple(
            aligned(part.start * stride - padding, (part.stop - 1) * stride - padding + kernel, length)
            for part, length in zip(window, source.size, strict=True)
        )
        return moved(layer(source.read(needed)), window, [part.start // stride for part in needed])

    return LazyMap(size, source.step * stride, read)


def upsampled(layer: UpsampleConv, source: LazyMap) -> LazyMap:
    size = tuple(2 * length for length in source.size)

    def read(window: Window) -> Tensor:
        needed = tuple(
            aligned(part.start // 2 - 2, -(-part.stop // 2) + 2, length)
            for part, length in zip(window, source.size, strict=True)
        )
        return moved(layer(source.read(needed)), window, [2 * part.start for part in needed])

    return LazyMap(size, source.step // 2, read)


def moved(maps: Tensor, window: Window, corner: list[int]) -> Tensor:
    """A window of maps that begin elsewhere than in the corner of the picture."""
    return cut(
        maps, tuple(range(part.start - first, part.stop - first) for part, first in zip(window, corner, strict=True))
    )


def padded(source: LazyMap, rows: Tensor, columns: Tensor) -> LazyMap:
    """Rows and columns by their numbers, as `reflection_indices` gives them."""

    def read(window: Window) -> Tensor:
        chosen = [lines[part.start : part.stop] for lines, part in zip((rows, columns), window, strict=True)]
        needed = tuple(range(int(lines.min()), int(lines.max()) + 1) for lines in chosen)
        down, across = (lines - part.start for lines, part in zip(chosen, needed, strict=True))
        return source.read(needed)[..., down, :][..., across]

    return LazyMap((len(rows), len(columns)), source.step, read)


def cropped(source: LazyMap, amount: int) -> LazyMap:
    size = tuple(length - 2 * amount for length in source.size)
    return LazyMap(
        size,
        source.step,
        lambda window: source.read(tuple(range(part.start + amount, part.stop + amount) for part in window)),
    )


def noisy(layer: nn.Module, source: LazyMap, start: int = 0) -> LazyMap:
    if not isinstance(layer, Noise):
        return source
    return LazyMap(
        source.size, source.step, lambda window: layer(source.read(window), *(start + part.start for part in window))
    )


# --- a network


class Painting:
    """A network's picture of an image as a map, whose norms are measured when it is made.

    size      of the image, (H, W)
    tile      side of the tiles, in pixels of the picture
    advance   is called after each tile of a pass with the share of all passes that it is
    """

    def __init__(self, network: nn.Module, size: tuple[int, int], tile: int, advance: Callable[[float], object]):
        self.network, self.tile, self.advance = network, tile, advance
        self.passes = 1 + passes(network, size)

    def of(self, image: LazyMap, network: nn.Module | None = None) -> LazyMap:
        """The picture (1, 3, H, W) of an image in [0, 1]; values may leave [0, 1]."""
        match network or self.network:
            case Combined() as combined:
                pictures = [self.of(image, one) for one in combined.networks]

                def read(window: Window) -> Tensor:
                    parts = [picture.read(window).float() for picture in pictures]
                    return combined.combine(image.read(window), parts, image.size, window)

                return LazyMap(image.size, 1, read)
            case Strokes() as strokes if strokes.small_size(image.size) != image.size:
                small = strokes.small_size(image.size)
                photo = self.smaller(image, small)
                painted = self.of(LazyMap(small, 1, lambda window: cut(photo, window).clone()), strokes.network)
                sketch = strokes.sketch(photo, self.smaller(painted.then(Tensor.float), small))

                def refined(sketch: Tensor) -> LazyMap:
                    return LazyMap(
                        image.size, 1, lambda window: strokes.refine(sketch, image.read(window), image.size, window)
                    )

                again = self.of(refined(sketch), strokes.network).then(lambda maps: maps.float().clamp(0, 1))
                return refined(without(sketch, self.smaller(again, small))).plus(again)
            case Strokes() as strokes:
                return self.of(image, strokes.network)
            case PaintedOver() as twice:
                once = self.of(image, twice.network)
                mixed = LazyMap(image.size, 1, lambda window: twice.mix(image.read(window), once.read(window)))
                return self.of(mixed, twice.network)
            case TransformerNet() as transformer:
                return self.transformed(transformer, image)

    def transformed(self, transformer: TransformerNet, image: LazyMap) -> LazyMap:
        """As TransformerNet.forward."""
        indices = [
            reflection_indices(length, *ends, torch.device("cpu"))
            for length, ends in zip(image.size, transformer.borders(image.size), strict=True)
        ]
        x = noisy(transformer.dither, padded(image, *indices), transformer.dither_start)
        kept, strengths = {}, iter(transformer.skips)
        for place, layer in enumerate(transformer.layers):
            if place == transformer.coarse_place:
                x = self.layered(transformer.coarse, x)
            if place in transformer.joints:
                x = x.plus(kept.pop(transformer.joints[place]), next(strengths))
            if place in transformer.joints.values():
                kept[place] = x
            x = self.layered(layer, x)
        return replace(cropped(x.then(OUTPUTS[transformer.output]), transformer.cut_margin), size=image.size)

    def layered(self, layer: nn.Module, x: LazyMap) -> LazyMap:
        match layer:
            case ConvLayer():
                return convolved(layer, x)
            case UpsampleConv():
                return upsampled(layer, x)
            case Noise():
                return noisy(layer, x)
            case InstanceNorm():
                return self.normalised(layer, x)
            case ResidualBlock():
                x = noisy(layer.noise, x)
                return self.passed(cropped(x, layer.crop).plus(self.layered(layer.body, x)))
            case CoarseBlocks():
                return self.passed(x.plus(self.layered(layer.body, x)))
            case nn.Sequential():
                for part in layer:
                    x = self.layered(part, x)
                return x
        return x.then(layer)

    def normalised(self, norm: InstanceNorm, x: LazyMap) -> LazyMap:
        found, pixels = [], []
        x = self.passed(x, lambda maps: (found.append(moments(maps)), pixels.append(maps[0, 0].numel())))
        means, variances = map(torch.stack, zip(*found, strict=True))
        shares = means.new_tensor(pixels)[:, None] / sum(pixels)
        mean = (shares * means).sum(0)
        variance = (shares * (variances + (means - mean).square())).sum(0)
        mean, variance = mean.float(), variance.float()
        return x.then(lambda maps: F.batch_norm(maps, mean, variance, norm.weight, norm.bias, False, 0.0, norm.eps))

    def passed(self, x: LazyMap, look: Callable[[Tensor], object] = lambda maps: None) -> LazyMap:
        """A map after `look` has seen all of it; from a file, if it is smaller than the picture."""
        file = File(x.size) if x.step > 1 else None
        for window in self.windows(x):
            maps = x.read(window)
            look(maps)
            if file:
                file.write(window, maps)
        return LazyMap(x.size, x.step, file.read) if file else x

    def windows(self, x: LazyMap, side: int | None = None) -> Iterator[Window]:
        found = list(windows(x.size, side or max(1, self.tile // x.step)))
        for window in found:
            yield window
            self.advance(1 / len(found) / self.passes)

    def smaller(self, image: LazyMap, size: tuple[int, int]) -> Tensor:
        """An image resized, (1, 3, *size)."""
        factor = pooling(image.size, size)
        found, side = None, max(1, self.tile // factor) * factor
        for window in self.windows(image, side):
            part = pooled(image.read(window), factor)
            if found is None:
                found = part.new_empty(1, 3, *(-(-length // factor) for length in image.size))
            corner = (place.start // factor for place in window)
            place = tuple(range(start, start + length) for start, length in zip(corner, part.shape[2:], strict=True))
            cut(found, place).copy_(part)
        return resize_bicubic(found, size)


def passes(network: nn.Module, size: tuple[int, int]) -> int:
    """How many times all tiles are gone over before the picture of an image (H, W) can be read."""
    match network:
        case Strokes() as strokes if strokes.small_size(size) != size:
            return 2 * passes(strokes.network, size) + 3
        case Strokes() as strokes:
            return passes(strokes.network, size)
        case PaintedOver() as twice:
            return 2 * passes(twice.network, size)
        case Combined() as combined:
            return sum(passes(one, size) for one in combined.networks)
    return sum(isinstance(module, InstanceNorm | ResidualBlock | CoarseBlocks) for module in network.modules())


# --- a picture


@torch.inference_mode()
def stylize_in_tiles(
    network: nn.Module,
    image: Tensor,
    tile: int,
    precision: str = "32-true",
    advance: Callable[[float], object] = lambda share: None,
) -> Tensor:
    """Stylise an RGB image (3, H, W), uint8 or float in [0, 1]: uint8, of the same size, on the CPU.

    network    one that `tileable` finds
    tile       side of the tiles, a multiple of 16
    precision  as of `stylize`
    advance    is called with shares of the work that add up to 1
    """
    device = next(network.parameters()).device

    def read(window: Window) -> Tensor:
        part = cut(image, window)[None].to(device, torch.float32)  # a copy, if it is float, by the next step
        return part / (255 if image.dtype == torch.uint8 else 1)

    with autocast(device, precision):
        size = tuple(image.shape[1:])
        painting = Painting(network, size, tile, advance)
        picture = painting.of(LazyMap(size, 1, read))
        stylized = torch.empty(*image.shape[1:], 3, dtype=torch.uint8).permute(2, 0, 1)
        for window in painting.windows(picture):
            part = picture.read(window)[0].float()
            if not part.isfinite().all():
                raise FastStyleError("the picture has NaN or infinite values")
            cut(stylized, window).copy_(part.clamp_(0, 1).mul_(255).round_())
    return stylized


def tileable(network: nn.Module) -> bool:
    """Whether a network is one that is painted in tiles, or combines such."""
    match network:
        case Combined() as combined:
            return all(map(tileable, combined.networks))
        case Strokes() | PaintedOver() as one:
            return tileable(one.network)
    return isinstance(network, TransformerNet)


def bytes_a_pixel(network: nn.Module, precision: str, maps: int) -> int:
    """Memory that a network takes for a pixel of the picture while so many maps of full resolution are held."""
    channels = max(part.layers[0][0].out_channels for part in network.modules() if isinstance(part, TransformerNet))
    return maps * channels * (2 if precision.endswith("mixed") else 4)


def largest_at_once(network: nn.Module, precision: str, memory: float) -> float:
    """Pixels of an image that may be painted at once in so many bytes."""
    if not tileable(network):
        return math.inf
    strokes = REFINED * any(isinstance(part, Strokes) for part in network.modules())
    return memory / (bytes_a_pixel(network, precision, MAPS_AT_ONCE) + FLOAT_PICTURES + strokes)


def pick_tile(network: nn.Module, precision: str, size: tuple[int, int], memory: float) -> int:
    """The largest side of tiles that lets an image of `size` be painted in so many bytes. Raises FastStyleError."""
    fixed, tile = WHOLE_PICTURE * math.prod(size), bytes_a_pixel(network, precision, MAPS_OF_A_TILE)
    for part in network.modules():
        if isinstance(part, Strokes) and part.small_size(size) != size:
            fixed += SKETCH * math.prod(part.small_size(size))
            tile *= 2  # what painting the copy has left free is no use to painting again
    for side in TILES:
        needed = fixed + tile * (side + MARGIN) ** 2
        if needed <= memory:
            return side
    raise FastStyleError(
        f"{size[0]}x{size[1]} pixels take {needed / 1e9:.1f} GB even in tiles, and {memory / 1e9:.1f} are there: give "
        "max_size="
    )
