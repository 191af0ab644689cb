"""Moving pictures whose strokes move with them: every frame is painted over the picture before, moved along."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fast_style.data.images import read_image
from fast_style.errors import FastStyleError, one_line

# With these a picture flickers by a quarter of what pictures painted each for itself do, and is as like the painting
# (benchmarks/flicker).
PAINTED_OVER = 0.2  # of what is painted, the share that is the picture before, and not the photo
KEPT = 0.85  # of what comes of it, the share that is the picture before
SETTLING = 3  # times that the first picture of a clip is painted over itself, else the first frames would change
MISFIT = 0.05  # how far the photo before, moved, may be from the photo, of 1: root mean square of a neighbourhood
NEIGHBOURHOOD = 9  # pixels
SMALLEST = 32  # side that the search takes: below 12 OpenCV crashes


def load_cv2():
    try:
        import cv2
    except ImportError as error:
        raise FastStyleError(
            f'steady=true needs OpenCV ({one_line(error)}): pip install "fast-style[video]", or pip install '
            "opencv-python-headless"
        ) from error
    return cv2


def is_steady(asked: bool | str) -> bool:
    """Whether frames are painted over those before: what `steady=` says, where auto is if OpenCV can be imported."""
    if asked != "auto":
        return asked
    try:
        load_cv2()
    except FastStyleError:
        return False
    return True


class Steady:
    """Paints the frames of a clip one after another, each over the picture before.

    Painted each for itself, strokes stay where they are on the screen, and jump, while what they are painted on moves.
    Here the picture before is moved along by the optical flow of the photos (dense inverse search, Kroeger et al.
    2016). Some of it is mixed into the photo, so that the network, which paints over it, finds its strokes there and
    paints them again; and most of it is kept. Where the photo before does not become the photo, such as behind what has
    moved or after a cut, there is nothing to keep. A frame equal to the one before has the same picture. (Ruder et al.
    2016 optimise each frame from the one before; Gupta et al. 2017 train a network that sees both. This needs no
    training.)

    paint  of photos (B, 3, H, W) in [0, 1], pictures of the same size; called with one at a time
    """

    def __init__(self, paint: Callable[[Tensor], Tensor]):
        cv2 = load_cv2()
        self.paint, self.flow = paint, cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.photo = self.picture = None  # of the frame before, (3, H, W) in [0, 1]

    def __call__(self, photos: Tensor) -> Tensor:
        """Photos (B, 3, H, W) in [0, 1], which follow those of the last call -> their pictures, in steps of a 255th."""
        pictures = []
        for photo in photos:
            if self.photo is None or self.photo.shape != photo.shape:
                picture = self._painted(photo)
                for _ in range(SETTLING):
                    picture = self._painted(torch.lerp(photo, picture, PAINTED_OVER))
                self.picture = rounded(picture)
            elif not torch.equal(photo, self.photo):
                before, trust = moved(self.picture, self.photo, photo, self.flow)
                painted = self._painted(torch.lerp(photo, before, PAINTED_OVER * trust))
                self.picture = rounded(torch.lerp(painted, before, KEPT * trust))
            self.photo = photo
            pictures.append(self.picture)
        return torch.stack(pictures)

    def _painted(self, photo: Tensor) -> Tensor:
        return self.paint(photo[None])[0].cpu()

    def save(self, path: Path) -> None:
        """Write the picture before, without loss."""
        pixels = (self.picture * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
        Image.fromarray(pixels).save(path)

    def go_on_from(self, photo: Tensor, path: Path) -> None:
        """Take a photo (3, H, W) in [0, 1], and the picture of it that was saved, for the frame before."""
        self.photo, self.picture = photo, rounded(read_image(path)[0])


def rounded(image: Tensor) -> Tensor:
    return (image * 255).round() / 255


def moved(picture: Tensor, before: Tensor, photo: Tensor, flow) -> tuple[Tensor, Tensor]:
    """The picture of the photo before, (3, H, W) in [0, 1] both, where its things are in this photo, and how far that
    holds, (H, W) in [0, 1]; flow is OpenCV's."""
    cv2 = load_cv2()
    now, was, picture = (image.permute(1, 2, 0).contiguous().numpy() for image in (photo, before, picture))
    height, width = now.shape[:2]
    border = 0, max(0, SMALLEST - height), 0, max(0, SMALLEST - width), cv2.BORDER_REPLICATE
    greys = (cv2.cvtColor((image * 255).round().astype(np.uint8), cv2.COLOR_RGB2GRAY) for image in (now, was))
    motion = flow.calc(*(cv2.copyMakeBorder(grey, *border) for grey in greys), None)[:height, :width]
    columns, rows = np.moveaxis(motion, -1, 0) + np.indices((height, width), np.float32)[::-1]
    was, picture = (
        cv2.remap(image, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE) for image in (was, picture)
    )
    misfit = cv2.blur(np.square(now - was).mean(2), (NEIGHBOURHOOD, NEIGHBOURHOOD))
    inside = (columns >= 0) & (columns <= width - 1) & (rows >= 0) & (rows <= height - 1)
    trust = inside * np.exp(-misfit / np.float32(MISFIT**2))
    return torch.from_numpy(picture).permute(2, 0, 1).clamp(0, 1), torch.from_numpy(trust)
