"""What is measured on held-out photos beside the terms of the objective."""

from collections.abc import Sequence

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.trainer.states import TrainerFn
from rich.progress import track
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from fast_style.ancestors.optimization import optimize_pixels
from fast_style.losses import LUMINANCE, PerceptualLoss, tone_error

WINDOW = 11  # side of the window of SSIM, which has to lie inside of the image
SMALLEST = 16  # side of a picture that the loss network's deepest layers see anything of


def luma(images: Tensor) -> Tensor:
    """Y of YCbCr over 255, from 16 to 235 as video has it: (B, 3, H, W) in [0, 1] -> (B, 1, H, W). ITU-R BT.601."""
    weights = images.new_tensor(LUMINANCE)[:, None, None]
    return (16 + 219 * (weights * images).sum(1, keepdim=True)) / 255


def fidelity(images: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """PSNR in decibels and SSIM (Wang et al. 2004) of the luma of images, to the truth: (B, 3, H, W) in [0, 1] -> (B,).

    Johnson et al. 2016, table 2. Of whole images: the paper does not say that it leaves out a border.
    """
    one, other = luma(images.float().clamp(0, 1)), luma(truth.float())
    kind = {"data_range": 1.0, "reduction": "none"}
    with torch.autocast(images.device.type, enabled=False):  # small differences of squares, lost in bfloat16
        _, similarity = structural_similarity_index_measure(one, other, **kind, return_full_image=True)
    inside = similarity[..., WINDOW // 2 : -(WINDOW // 2), WINDOW // 2 : -(WINDOW // 2)]
    return {"psnr": peak_signal_noise_ratio(one, other, dim=(1, 2, 3), **kind), "ssim": inside.mean((1, 2, 3))}


def likeness(stylized: Tensor, photos: Tensor) -> dict[str, Tensor]:
    """How much of the photos (B, 3, H, W) in [0, 1] is left: means of "tone", the correlation of light and dark in
    coarse blocks, and "ssim"; 1 where nothing moved. Photos of less than 11 pixels have no SSIM."""
    values = {"tone": 1 - tone_error(stylized.float().clamp(0, 1), photos).mean()}
    if min(photos.shape[-2:]) >= WINDOW:
        values["ssim"] = fidelity(stylized, photos)["ssim"].mean()
    return values


def upside_down(photos: Tensor) -> Tensor:
    """Photos (..., H, W) turned by 180 degrees: contents of the same kind, and none where it was."""
    return photos.flip((-2, -1))


def own_variation(loss: PerceptualLoss, style_images: Sequence[Tensor]) -> Tensor | None:
    """The weighted style loss of the quarters of a style's pictures, (1, 3, H, W) each: as far as the painting is from
    itself. None for pictures too small to be divided."""
    quarters = [quarter for image in style_images for half in image.chunk(2, -2) for quarter in half.chunk(2, -1)]
    if min(side for quarter in quarters for side in quarter.shape[-2:]) * min(loss.style_scales) < SMALLEST:
        return None
    return torch.stack([loss.without_content(quarter)["style_loss"] for quarter in quarters]).mean()


class DistanceToIdeal:
    """How far pictures are from having all of the painting and all of the photo, whatever weights they were made with.

    sqrt(content^2 + style^2 + (1 - tone)^2), where
    content   is the content error over that of the photos upside down: 1 if no more of the photo is where it was
    style     is the style error over `own_variation`: 1 if they are as like the painting as its own quarters are
    tone      is that of `likeness`

    A distance to a point out of reach (compromise programming, Zeleny 1973) and no weighted sum, which would be least
    for the very weights that it is made of. What the errors are divided by is found once for every batch of photos.
    """

    def __init__(self, loss: PerceptualLoss, style_images: Sequence[Tensor]):
        self.loss, self.style_images = loss, style_images
        self.yardsticks: dict[int, tuple[Tensor, Tensor | None]] = {}

    def __call__(
        self, terms: dict[str, Tensor], photos: Tensor, features: dict[str, Tensor], tone: Tensor, batch_index: int
    ) -> Tensor | None:
        """Of the terms (B,) of photos (B, 3, H, W) with these content features; None if a weight is 0, or the style
        picture too small."""
        shares = self.shares(terms, photos, features, batch_index)
        return shares and (shares[0] ** 2 + shares[1] ** 2 + (1 - tone) ** 2).sqrt()

    def shares(
        self, terms: dict[str, Tensor], photos: Tensor, features: dict[str, Tensor], batch_index: int
    ) -> tuple[Tensor, Tensor] | None:
        """Content and style."""
        if batch_index not in self.yardsticks:
            turned = self.loss.per_image(upside_down(photos), photos, features)["content_loss"].mean()
            variation = own_variation(self.loss, [image.to(photos.device) for image in self.style_images])
            self.yardsticks[batch_index] = turned, variation
        turned, variation = self.yardsticks[batch_index]
        if not turned or not variation:
            return None
        return terms["content_loss"].mean() / turned, terms["style_loss"].mean() / variation


class AgainstLBFGS(Callback):
    """After the training: what L-BFGS reaches on the same objective, for every held-out photo from the photo itself.

    Logs val/lbfgs_total_loss, a mean over the photos, and val/lbfgs_distance, by how much val/total_loss is above it.
    """

    def __init__(self, iterations: int):
        self.iterations = iterations

    def on_validation_batch_end(
        self, trainer: pl.Trainer, module: pl.LightningModule, outputs, batch: Tensor, batch_idx: int, *_
    ) -> None:
        if trainer.state.fn != TrainerFn.VALIDATING:
            return
        # In float32, as optimize.py does it: a line search sees the steps of bfloat16.
        with torch.autocast(batch.device.type, enabled=False):
            ours = sum(module.perceptual_loss(module(batch), batch).values()).item()
            reached = [self.reach(module.perceptual_loss, photo[None]) for photo in track(batch, "L-BFGS, held out")]
        mean = sum(reached) / len(reached)
        module.log_held_out({"lbfgs_total_loss": mean, "lbfgs_distance": ours - mean}, len(batch))

    def reach(self, loss: PerceptualLoss, photo: Tensor) -> float:
        """The objective of a photo (1, 3, H, W) after the iterations."""
        with torch.inference_mode(False):
            photo = photo.clone()
            *_, (_, terms, _) = optimize_pixels(loss.for_content(photo), photo, self.iterations)
        return sum(terms.values())
