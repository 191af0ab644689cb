"""Strength, masks, colours and large strokes: how much of a photo is painted, where, in which style, how boldly, and
what stays of it."""

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fast_style.errors import FastStyleError
from fast_style.inference.strokes import AUTO, Strokes
from fast_style.inference.windows import Window, stretched
from fast_style.losses import luminance
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.upscaler import Upscaler

Style = str | Mapping[str, float]


class Combined(nn.Module):
    """Pictures that networks paint of a photo, and the photo, combined pixel by pixel.

    So any part of the picture can be made of the same parts of the others: large ones are painted in tiles.
    """

    def __init__(self, *networks: nn.Module):
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, content_images: Tensor) -> Tensor:
        size = tuple(content_images.shape[-2:])
        painted = [network(content_images).float() for network in self.networks]
        return self.combine(content_images, painted, size, tuple(map(range, size)))

    def combine(self, content_images: Tensor, painted: Sequence[Tensor], size: tuple[int, int], window: Window):
        """A window of the picture: of the photo's and of those that the networks painted, all (B, 3, h, w) float32; the
        whole of them is of `size` (H, W)."""
        raise NotImplementedError


class Weakened(Combined):
    """A style at a strength below 1, by the network of `MultiStyleNet.transformer_for`.

    What the identity, which has learnt to leave a photo as it is, does lose of it comes back as far as the style goes:
    at strength 0 the picture is the photo, and no other strength is a jump away.
    """

    def __init__(self, transformer: nn.Module, identity: nn.Module, strength: float):
        super().__init__(transformer, identity)
        self.strength = strength

    def combine(self, content_images: Tensor, painted: Sequence[Tensor], size: tuple[int, int], window: Window):
        style, identity = painted
        return style + (1 - self.strength) * (content_images - identity)


class Blend(Combined):
    """The pictures that networks paint of a photo, each of them whole, and the photo itself, mixed pixel by pixel.

    networks  of images (B, 3, H, W) in [0, 1] to such
    masks     the weight of each, (1, h, w) in [0, 1], stretched to the photo. Where they add up to more than 1 they are
              divided by the sum; where to less, the rest is the photo.
    opacity   in [0, 1], of all that is painted
    """

    def __init__(self, networks: Sequence[nn.Module], masks: Sequence[Tensor], opacity: float = 1.0):
        super().__init__(*networks)
        self.masks, self.opacity = list(masks), opacity

    def combine(self, content_images: Tensor, painted: Sequence[Tensor], size: tuple[int, int], window: Window):
        device = content_images.device
        weights = torch.cat([stretched(mask[None].to(device), size, window) for mask in self.masks])
        shares = self.opacity * weights / weights.sum(0).clamp_min(1)
        blended = (1 - shares.sum(0)) * content_images
        for share, picture in zip(shares, painted, strict=True):
            blended = blended + share * picture.clamp(0, 1)
        return blended


class Enlarged(nn.Module):
    """What a network paints of a small copy of a photo, enlarged to the photo's size: its strokes with it."""

    def __init__(self, network: nn.Module, upscaler: Upscaler):
        super().__init__()
        self.network, self.upscaler = network, upscaler

    def forward(self, content_images: Tensor) -> Tensor:
        height, width = content_images.shape[-2:]
        scale = self.upscaler.scale
        # Whole pixels of the copy: the edge goes on for what is missing, and is cut off again.
        padded = F.pad(content_images, (0, -width % scale, 0, -height % scale), mode="replicate")
        painted = self.network(F.avg_pool2d(padded, scale)).float().clamp(0, 1)
        return self.upscaler(painted)[..., :height, :width]


class PreservedColor(Combined):
    """What a network paints of a photo, in the photo's own colours: only the luma is painted.

    Gatys, Bethge, Hertzmann, Shechtman, "Preserving Color in Neural Artistic Style Transfer" (2016), section 3.2: in
    YIQ the picture's Y and the photo's I and Q, which is the photo and their difference in Y, for R, G and B alike.
    """

    def combine(self, content_images: Tensor, painted: Sequence[Tensor], size: tuple[int, int], window: Window):
        return content_images + luminance(painted[0].clamp(0, 1) - content_images)


def strengthened(network: MultiStyleNet, style: Style, strength: float) -> nn.Module:
    """What paints a style, or a mixture, from the photo at strength 0 to the style at 1, and on. Other strengths than 1
    take an identity. Raises FastStyleError."""
    transformer = network.transformer_for(style, strength)
    return transformer if strength >= 1 else Weakened(transformer, network.transformer_for(style, 0.0), strength)


def has_identity(network: nn.Module) -> bool:
    return isinstance(network, MultiStyleNet) and network.identity


def fallback(network: nn.Module, strength: float) -> str | None:
    """One line if a network has no way of its own to a strength, and pixels are blended instead. Raises FastStyleError
    for more than they have."""
    if strength == 1 or has_identity(network):
        return None
    if strength > 1:
        raise FastStyleError(f"strength={strength:g}: at most 1, since the model has learnt no identity to go on from")
    return f"strength={strength:g}: the model has learnt no identity, so photo and picture are blended pixel by pixel"


def painter(
    network: nn.Module,
    names: Sequence[str],
    network_for: Callable[[Style | None, float], nn.Module],
    style: Style | None = None,
    strength: float = 1.0,
    mask: Tensor | Mapping[str, Tensor] | None = None,
    preserve_color: bool = False,
    upscaler: Upscaler | None = None,
    stroke_size: int | str | None = "auto",
) -> nn.Module:
    """A network of images (B, 3, H, W) in [0, 1] that paints them as strongly as asked, and where the mask is white.

    network      what a release file holds
    names        of its styles
    network_for  what paints all of a photo in a style: the second argument is a strength if it has an identity, else 1
    mask         (1, h, w) in [0, 1], or one for each of several styles, which are then no `style`
    preserve_color  whether the photo's colours stay, and only its luma is painted
    upscaler     enlarges what is painted of a copy of the photo that is so many times smaller
    stroke_size  longest side of the copy that is painted, and enlarged with the photo's detail; auto: 1024, unless an
                 upscaler makes strokes large; None: the photo itself
    Raises FastStyleError.
    """
    parameters, opacity = (strength, 1.0) if has_identity(network) else (1.0, strength)
    if isinstance(mask, Mapping):
        if style is not None:
            raise FastStyleError(f"style={style}: mask= of several styles names them, give no style= beside it")
        if unknown := [name for name in mask if name not in names] or not mask:
            raise FastStyleError(f"mask={unknown[0] if mask else '{}'}: the model has {', '.join(names)}")
        networks, masks = [network_for(name, parameters) for name in mask], list(mask.values())
    else:
        networks, masks = [network_for(style, parameters)], [torch.ones(1, 1, 1) if mask is None else mask]
    if upscaler is not None:
        networks = [Enlarged(one, upscaler) for one in networks]
    if stroke_size == "auto":
        stroke_size = None if upscaler is not None or isinstance(network, Upscaler) else AUTO
    if stroke_size is not None:
        networks = [Strokes(one, stroke_size) for one in networks]
    painted = networks[0] if mask is None and opacity == 1 else Blend(networks, masks, opacity)
    return PreservedColor(painted) if preserve_color else painted
