"""Strokes as large as in a small picture: painted small, and enlarged with the photo's detail."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_style.inference.windows import Window, stretched
from fast_style.losses import luminance
from fast_style.networks.upscaler import resize_bicubic

REACH = 4  # of the neighbourhood that detail is measured in, in pixels of the small picture
FLAT = 1e-3  # variance of the photo's luma that counts as none
AUTO = 1024  # stroke_size=auto: of what fills a screen


class Strokes(nn.Module):
    """What a network paints of a smaller copy of a photo, enlarged, and sharp.

    Enlarging blurs the photo and the strokes. In every neighbourhood of the small picture the painting is, as far as it
    can be, a multiple of the photo; that multiple of the large photo has sharp edges, and strokes, which the photo
    knows nothing of, are enlarged as they are. The multiple is that of the guided filter (He, Sun, Tang 2010, equation
    5), computed small (He & Sun 2015). What this leaves out of focus is painted again in full size, of which only what
    is finer than a pixel of the small picture is taken: large strokes stay, and their edges become brushwork.

    network      of images (B, 3, H, W) in [0, 1] to such
    stroke_size  longest side of the smaller copy; smaller photos are painted as they are
    """

    def __init__(self, network: nn.Module, stroke_size: int):
        super().__init__()
        self.network, self.stroke_size = network, stroke_size

    def forward(self, content_images: Tensor) -> Tensor:
        size = tuple(content_images.shape[-2:])
        if self.small_size(size) == size:
            return self.network(content_images)
        whole = tuple(map(range, size))
        small = self.smaller(content_images)
        sketch = self.sketch(small, self.network(small).float())
        again = self.network(self.refine(sketch, content_images, size, whole)).float().clamp(0, 1)
        return self.refine(without(sketch, self.smaller(again)), content_images, size, whole) + again

    def small_size(self, size: tuple[int, int]) -> tuple[int, int]:
        scale = min(1, self.stroke_size / max(size))
        return tuple(max(1, round(side * scale)) for side in size)

    def smaller(self, images: Tensor) -> Tensor:
        size = tuple(images.shape[-2:])
        small = self.small_size(size)
        return resize_bicubic(pooled(images, pooling(size, small)), small)

    def sketch(self, small: Tensor, painted: Tensor) -> Tensor:
        """Of the small photo and of what is painted of it, (B, 3, h, w): the multiples of its luma that its painting
        is, and what they leave of it, (B, 6, h, w)."""
        painted, guide = painted.clamp(0, 1), luminance(small)
        mean, variance = blurred(guide), blurred(guide * guide) - blurred(guide) ** 2
        covariance = blurred(guide * painted) - mean * blurred(painted)
        multiple = blurred(covariance / (variance + FLAT))
        return torch.cat([multiple, painted - multiple * guide], 1)

    def refine(self, sketch: Tensor, content_images: Tensor, size: tuple[int, int], window: Window) -> Tensor:
        """A window of the picture, of that of the photo (B, 3, h, w), which as a whole is of `size` (H, W)."""
        multiple, rest = stretched(sketch, size, window, "bicubic").chunk(2, 1)
        return rest + multiple * luminance(content_images)


def without(sketch: Tensor, painted: Tensor) -> Tensor:
    """A sketch less a small picture (B, 3, h, w)."""
    multiple, rest = sketch.chunk(2, 1)
    return torch.cat([multiple, rest - painted], 1)


def pooling(size: tuple[int, int], small: tuple[int, int]) -> int:
    """How many pixels along an axis may be averaged before an image is resized, without its being seen."""
    return max(1, min(size) // (3 * min(small)))


def pooled(images: Tensor, factor: int) -> Tensor:
    """Means of squares, at the ends of what there is of them."""
    return F.avg_pool2d(images, factor, ceil_mode=True) if factor > 1 else images


def blurred(maps: Tensor) -> Tensor:
    """Means over squares of 2 REACH + 1 pixels; beyond the border there is nothing."""
    return F.avg_pool2d(maps, 2 * REACH + 1, 1, REACH, count_include_pad=False)
