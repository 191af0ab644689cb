"""Perceptual losses: Gram matrices, total variation, and the objective as weighted terms by name."""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_style.errors import FastStyleError
from fast_style.keys import Objective, build, check_keys
from fast_style.networks.loss_network import LossNetwork, load_loss_network


def gram_matrix(features: Tensor) -> Tensor:
    """Gram matrix of feature maps: (B, C, H, W) -> (B, C, C), F F^T / (C H W), in float32 or wider.

    Johnson et al. 2016, eq. 3.
    """
    return _Gram.apply(features)


ROUNDED_PIXELS = 4096  # that one product of bfloat16 sums


class _Gram(torch.autograd.Function):
    """One product forward and one backward, where autograd would make two of the symmetric F F^T, and add them."""

    @staticmethod
    def forward(ctx, features: Tensor) -> Tensor:
        pixels = features.permute(0, 2, 3, 1).flatten(1, 2)
        ctx.save_for_backward(pixels)
        ctx.shape = features.shape
        with torch.autocast(features.device.type, enabled=False):
            # Sums over H W overflow float16 and drown in bfloat16.
            if pixels.is_cuda and pixels.dtype in (torch.float16, torch.bfloat16):
                product = torch.bmm(pixels.transpose(1, 2), pixels, out_dtype=torch.float32)
            elif pixels.dtype == torch.bfloat16:
                # A product sums in float32 and rounds what it returns, which the features are as well (2^-9): a tenth
                # of the time of float32.
                product = sum((part.transpose(1, 2) @ part).float() for part in pixels.split(ROUNDED_PIXELS, 1))
            else:
                wide = pixels if pixels.dtype == torch.float64 else pixels.float()
                product = wide.transpose(1, 2) @ wide
        return product / features[0].numel()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (pixels,) = ctx.saved_tensors
        batch, channels, height, width = ctx.shape
        symmetric = (gradient + gradient.transpose(1, 2)) / (channels * height * width)
        with torch.autocast(pixels.device.type, enabled=False):
            # What is so small would vanish in float16.
            wide = pixels.float() if pixels.dtype == torch.float16 else pixels
            product = (wide @ symmetric.to(wide.dtype)).to(pixels.dtype)
        return product.unflatten(1, (height, width)).permute(0, 3, 1, 2)


def total_variation(images: Tensor) -> Tensor:
    """Sum of squared differences of neighbouring pixels, per image: (B, C, H, W) -> (B,).

    Johnson et al. 2016, section 3.2; Mahendran & Vedaldi 2015 with beta = 2.
    """
    images = images if images.dtype == torch.float64 else images.float()
    vertical = (images[..., 1:, :] - images[..., :-1, :]).square().sum((1, 2, 3))
    horizontal = (images[..., :, 1:] - images[..., :, :-1]).square().sum((1, 2, 3))
    return vertical + horizontal


def mean_squared_error(value: Tensor, target: Tensor) -> Tensor:
    """Mean over all but the batch: (B, ...) and (B or 1, ...) -> (B,). Johnson et al. 2016, eq. 2."""
    return (value - target).square().flatten(1).mean(1)


def relative_error(value: Tensor, target: Tensor) -> Tensor:
    """Squared error over the target's squared norm: (B, ...) and (B or 1, ...) -> (B,).

    Departs from Johnson et al. 2016 (an absolute error): 1 is the error of an all-zero value in every layer, style and
    loss network, so one weight means the same for all of them.
    """
    norm = target.square().flatten(1).sum(1)
    return (value - target).square().flatten(1).sum(1) / norm.clamp_min(torch.finfo(norm.dtype).tiny)


def variation_per_pixel(images: Tensor) -> Tensor:
    """Total variation over the number of pixels: (B, C, H, W) -> (B,). One weight means the same at every size."""
    return total_variation(images) / (images.shape[-2] * images.shape[-1])


def tone_error(stylized: Tensor, content_images: Tensor) -> Tensor:
    """1 - correlation of the luminance of two images, in blocks of a 24th of the short side: (B, 3, H, W) -> (B,).

    Not in Johnson et al. 2016. 0 where light stays light and dark stays dark, by whatever palette and contrast; 1 where
    they have nothing to do with each other.
    """
    block = max(1, min(stylized.shape[-2:]) // 24)
    tones = []
    for images in (stylized, content_images):
        tone = F.avg_pool2d(luminance(images), block).flatten(1)
        tones.append(tone - tone.mean(1, keepdim=True))
    covariance = (tones[0] * tones[1]).mean(1)
    deviations = [(tone.square().mean(1) + FLAT**2).sqrt() for tone in tones]
    return 1 - covariance / (deviations[0] * deviations[1])


def luminance(images: Tensor) -> Tensor:
    """The luma of RGB images, (B, 3, H, W) -> (B, 1, H, W) float32."""
    # No matrix product, which autocast would compute in bfloat16.
    weights = images.new_tensor(LUMINANCE, dtype=torch.float32)[:, None, None]
    return (images.float() * weights).sum(1, keepdim=True)


def in_colors_of(content_images: Tensor, style_image: Tensor) -> Tensor:
    """A style picture with the mean and covariance of the colours of each content image: (B, 3, h, w) and (1, 3, H, W)
    RGB in [0, 1] -> (B, 3, H, W), clamped to that.

    Gatys, Bethge, Hertzmann, Shechtman 2016, section 3.1, with the symmetric roots of covariances.
    """
    with torch.autocast(style_image.device.type, enabled=False):
        content_mean, content_root = color_statistics(content_images, 0.5)
        style_mean, style_root = color_statistics(style_image, -0.5)
        recolored = content_root @ style_root @ (style_image.float().flatten(2) - style_mean) + content_mean
    return recolored.unflatten(2, style_image.shape[-2:]).clamp(0, 1)


def color_statistics(images: Tensor, power: float) -> tuple[Tensor, Tensor]:
    """Of the colours of images (B, 3, H, W) the mean (B, 3, 1), and a power of the covariance (B, 3, 3)."""
    colors = images.float().flatten(2)
    mean = colors.mean(2, keepdim=True)
    values, vectors = torch.linalg.eigh((colors - mean) @ (colors - mean).mT / colors.shape[2])
    return mean, vectors * values.clamp_min(FLAT**2).pow(power)[:, None] @ vectors.mT


LUMINANCE = (0.299, 0.587, 0.114)  # ITU-R BT.601
FLAT = 0.01  # deviation below which luminance has no light and dark to keep, and colours none to stretch

ERRORS = {"mean_squared": mean_squared_error, "relative": relative_error}
VARIATIONS = {"mean_squared": total_variation, "relative": variation_per_pixel}


class Seen(NamedTuple):
    """What the terms of an objective look at: a batch of stylised images, and what they are compared with."""

    stylized: Tensor  # (B, 3, H, W) RGB, float32
    features: dict[float, dict[str, Tensor]]  # of these by scale and layer, (B, C, h, w)
    style_grams: dict[str, Tensor]  # by gram_name, (1, C, C), or (B, C, C) if every image has a style of its own
    content_images: Tensor | None = None  # (B, 3, H, W) RGB in [0, 1]
    content_features: dict[str, Tensor] | None = None  # by layer, (B, C, h, w)


class ContentError:
    """Errors of features, summed over layers. Johnson et al. 2016, eq. 2."""

    def __init__(self, layers: Sequence[str], error: Callable[[Tensor, Tensor], Tensor]):
        self.layers, self.error = list(layers), error

    def __call__(self, seen: Seen) -> Tensor:
        features = seen.features[1]
        return sum(self.error(features[layer].float(), seen.content_features[layer].float()) for layer in self.layers)


class StyleError:
    """Errors of Gram matrices, weighted, summed over layers and averaged over scales. Johnson et al. 2016, eq. 4."""

    def __init__(
        self,
        layers: Sequence[str],
        scales: Sequence[float],
        weights: dict[str, float],
        error: Callable[[Tensor, Tensor], Tensor],
    ):
        self.layers, self.scales, self.weights, self.error = list(layers), list(scales), weights, error

    def __call__(self, seen: Seen) -> Tensor:
        style = 0.0
        for scale in self.scales:
            grams = {gram_name(layer, scale): gram_matrix(seen.features[scale][layer]) for layer in self.layers}
            errors = [self.weights[name] * self.error(gram, seen.style_grams[name]) for name, gram in grams.items()]
            style = style + sum(errors)
        return style / len(self.scales)


class Variation:
    """Total variation of the stylised images. Johnson et al. 2016, section 3.2."""

    def __init__(self, variation: Callable[[Tensor], Tensor]):
        self.variation = variation

    def __call__(self, seen: Seen) -> Tensor:
        return self.variation(seen.stylized)


class ToneError:
    """`tone_error` of the stylised images. Not in Johnson et al. 2016."""

    def __call__(self, seen: Seen) -> Tensor:
        return tone_error(seen.stylized, seen.content_images)


class PerceptualLoss(nn.Module):
    """The weighted sum of content, style and total-variation terms for one style; holds its Gram matrices.

    style_images   (1, 3, H, W) RGB in [0, 1] each; several are one style, by the mean of their Gram matrices
    error          mean_squared | relative, of features and of Gram matrices; total variation is summed over the image
                   with the first, as in the paper, and averaged over its pixels with the second
    style_weights  of the style layers, beside the style_weight of all: one number, one a layer, or such a list a scale
    style_scales   sizes at which Gram matrices are compared; the paper's is [1]. At 0.5 a layer sees strokes twice as
                   large (as in coarse-to-fine synthesis, Gatys et al. 2017), at a quarter of the cost.
    tone_weight    of `tone_error`, which the paper does not have; 0 leaves it out
    match_colors   whether the style has the colours of each content image, as of `in_colors_of`, and not its own
    terms          more of them by name, {"_target_": a class, "weight": w, **arguments}: an object of the class is a
                   function of `Seen` to errors (B,)
    """

    def __init__(
        self,
        loss_network: LossNetwork,
        style_images: Sequence[Tensor],
        content_layers: Sequence[str],
        style_layers: Sequence[str],
        content_weight: float,
        style_weight: float,
        tv_weight: float,
        error: str = "relative",
        style_scales: Sequence[float] = (1.0,),
        style_weights: float | Sequence[float] | Sequence[Sequence[float]] = 1.0,
        tone_weight: float = 0.0,
        match_colors: bool = False,
        terms: Mapping[str, Mapping] | None = None,
    ):
        super().__init__()
        check_keys({"error": error}, Objective, "objective.")
        if not content_layers or not style_layers or 1 not in style_scales:
            raise FastStyleError(
                "objective.content_layers and style_layers each need a layer, and objective.style_scales must contain 1"
            )
        self.loss_network = loss_network
        self.content_layers, self.style_layers = list(content_layers), list(style_layers)
        self.style_scales, self.style_weight = list(style_scales), style_weight
        style_weights = weights_by_gram(style_weights, style_layers, style_scales)
        self.terms = {
            "content_loss": (content_weight, ContentError(content_layers, ERRORS[error])),
            "style_loss": (style_weight, StyleError(style_layers, style_scales, style_weights, ERRORS[error])),
            "tv_loss": (tv_weight, Variation(VARIATIONS[error])),
        }
        if tone_weight:
            self.terms["tone_loss"] = (tone_weight, ToneError())
        for name, term in (terms or {}).items():
            arguments = {key: value for key, value in term.items() if key != "weight"}
            self.terms[f"{name}_loss"] = (term["weight"], build(f"objective.terms.{name}", arguments))
        self.recolored = list(style_images) if match_colors else []
        for name, gram in self.style_grams(style_images).items():
            self.register_buffer(name, gram, persistent=False)

    def style_grams(self, style_images: Sequence[Tensor]) -> dict[str, Tensor]:
        """Mean Gram matrices (1, C, C) of the pictures of a style, (1, 3, H, W) each, by the layer and scale they are
        compared at."""
        grams = [
            {
                gram_name(layer, scale): gram_matrix(maps)
                for scale, features in self._features(style_image, self.style_layers).items()
                for layer, maps in features.items()
            }
            for style_image in style_images
        ]
        return {name: sum(gram[name] for gram in grams) / len(grams) for name in grams[0]}

    def grams_for(self, content_images: Tensor) -> dict[str, Tensor]:
        """Gram matrices of the style (1, C, C), or (B, C, C) in the colours of each content image (B, 3, H, W)."""
        if not self.recolored:
            return dict(self.named_buffers(recurse=False))
        with torch.no_grad():
            pictures = (image.to(content_images.device) for image in self.recolored)
            return self.style_grams([in_colors_of(content_images, image) for image in pictures])

    def forward(self, stylized: Tensor, content_images: Tensor) -> dict[str, Tensor]:
        """Weighted terms {"content_loss", "style_loss", "tv_loss"}, and "tone_loss" if it has a weight.

        Scalars in float32 whose sum is the objective. Both arguments are RGB (B, 3, H, W) in [0, 1].
        """
        return self.for_content(content_images)(stylized)

    def for_content(self, content_images: Tensor) -> Callable[[Tensor], dict[str, Tensor]]:
        """The same terms as a function of `stylized` alone, where many are compared with the same content images."""
        features = self.content_features(content_images)
        grams = self.grams_for(content_images)
        return partial(self._means, content_images=content_images, content_features=features, style_grams=grams)

    def content_features(self, content_images: Tensor) -> dict[str, Tensor]:
        """Features of content images (B, 3, H, W) at the content layers, without a graph."""
        with torch.no_grad():
            return self.loss_network(content_images, self.content_layers)

    def _means(
        self,
        stylized: Tensor,
        content_images: Tensor,
        content_features: dict[str, Tensor],
        style_grams: dict[str, Tensor],
    ) -> dict[str, Tensor]:
        terms = self.per_image(stylized, content_images, content_features, style_grams)
        return {name: value.mean() for name, value in terms.items()}

    def per_image(
        self,
        stylized: Tensor,
        content_images: Tensor,
        content_features: dict[str, Tensor],
        style_grams: dict[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """The terms of every image, (B,). Instead of its own `style_grams` may have one style, (1, C, C), or one for
        each image, (B, C, C)."""
        style_grams = style_grams or self.grams_for(content_images)
        # Under autocast the image arrives in bfloat16, which is coarser than 8 bits a channel.
        stylized = stylized.float()
        features = self._features(stylized, {*self.style_layers, *self.content_layers})
        seen = Seen(stylized, features, style_grams, content_images, content_features)
        return {name: weight * term(seen) for name, (weight, term) in self.terms.items()}

    def without_content(self, images: Tensor) -> dict[str, Tensor]:
        """Weighted "style_loss" and "tv_loss" of textures (B, 3, H, W) in [0, 1], which have no photo to resemble."""
        images = images.float()
        seen = Seen(images, self._features(images, self.style_layers), dict(self.named_buffers(recurse=False)))
        terms = {name: self.terms[name] for name in ("style_loss", "tv_loss")}
        return {name: (weight * term(seen)).mean() for name, (weight, term) in terms.items()}

    def _features(self, images: Tensor, layers: Collection[str]) -> dict[float, dict[str, Tensor]]:
        """By scale and layer; `layers` are those of full size."""
        return {
            scale: self.loss_network(rescale(images, scale), layers if scale == 1 else self.style_layers)
            for scale in self.style_scales
        }


def load_perceptual_loss(loss_network: dict, objective: dict, style_images: Sequence[Tensor]) -> PerceptualLoss:
    """The loss of a config's two sections for the pictures of a style, (1, 3, H, W) in [0, 1] each. Raises
    FastStyleError."""
    layers = [*objective["content_layers"], *objective["style_layers"]]
    return PerceptualLoss(load_loss_network(**loss_network, layers=layers), style_images, **objective)


def scale_mismatch(loss_network: str, objective: Mapping) -> str | None:
    """One line where absolute errors are weighted for activations of another scale than the loss network's.

    Gram errors grow with the fourth power of the activations, content errors with the second. Of the published weights
    those for Caffe's networks, on a 0-255 scale, have a ratio of 1 to 13, those for torchvision's one of 1e5.
    """
    if objective["error"] != "mean_squared" or not objective["content_weight"] or not objective["style_weight"]:
        return None
    weights = weights_by_gram(*(objective[key] for key in ("style_weights", "style_layers", "style_scales"))).values()
    ratio = objective["style_weight"] * sum(weights) / len(weights) / objective["content_weight"]
    made_for = ("vgg16_caffe", "vgg16_lowrank", "vgg19_caffe") if ratio < 1000 else ("vgg16", "vgg19")
    if loss_network in made_for:
        return None
    return (
        f"loss_network={loss_network}: absolute errors with style : content weights of {ratio:.2g} : 1 are made for "
        f"{' or '.join(made_for)}, whose activations have another scale; objective=relative suits every loss network"
    )


def gram_name(layer: str, scale: float) -> str:
    return f"style_gram_{layer}_{scale:g}".replace(".", "_")


def weights_by_gram(
    weights: float | Sequence[float] | Sequence[Sequence[float]], layers: Sequence[str], scales: Sequence[float]
) -> dict[str, float]:
    """The weight of every Gram matrix, where one number, one a layer, or one a layer for each scale is given."""
    by_layer = [weights] * len(layers) if isinstance(weights, int | float) else list(weights)
    by_scale = by_layer if by_layer and not isinstance(by_layer[0], int | float) else [by_layer] * len(scales)
    if len(by_scale) != len(scales) or any(len(row) != len(layers) for row in by_scale):
        raise FastStyleError(
            f"objective.style_weights={weights}: one number, one for each of the {len(layers)} style_layers, or such a "
            f"list for each of the {len(scales)} style_scales"
        )
    return {
        gram_name(layer, scale): float(weight)
        for scale, row in zip(scales, by_scale, strict=True)
        for layer, weight in zip(layers, row, strict=True)
    }


def rescale(images: Tensor, scale: float) -> Tensor:
    """Antialiased resize of (B, C, H, W) by `scale`; the same tensor for 1."""
    if scale == 1:
        return images
    size = [max(1, round(side * scale)) for side in images.shape[-2:]]
    return F.interpolate(images, size, mode="bilinear", antialias=True)
