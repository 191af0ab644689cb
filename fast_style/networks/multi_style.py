"""MultiStyleNet: one network for many styles.

Dumoulin, Shlens, Kudlur, "A Learned Representation for Artistic Style" (ICLR 2017): one network paints every style, and
only the scales and shifts of its instance norms say which.
"""

import copy

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fast_style.networks.transformer_net import TransformerNet


class MultiStyleNet(nn.Module):
    """A TransformerNet and, for each of its styles, what makes the style.

    These are offsets to the scales and shifts of the instance norms and, departing from Dumoulin et al. 2017, to the
    last convolution: it holds the palette, and shared by all styles it fell into shades of one colour.

    model       arguments of the TransformerNet; its norm is instance
    statistics  of the styles' pictures, (N, S): a picture that is none of them begins as the one it is most like
    """

    def __init__(self, model: dict, statistics: Tensor):
        super().__init__()
        self.transformer = TransformerNet(**model)
        modules = dict(self.transformer.named_modules())
        norms = [name for name, module in modules.items() if isinstance(module, nn.InstanceNorm2d)]
        last = [name for name, module in modules.items() if isinstance(module, nn.Conv2d)][-1]
        own = dict(self.transformer.named_parameters())
        names = [f"{name}.{kind}" for name in [*norms, last] for kind in ("weight", "bias")]
        self.shapes = {name: own[name].shape for name in names}
        self.offsets = nn.Parameter(torch.zeros(len(statistics), sum(shape.numel() for shape in self.shapes.values())))
        self.register_buffer("statistics", statistics.clone())

    def style_parameters(self, style: int) -> dict[str, Tensor]:
        """What makes one of the styles: parameters of the transformer by name."""
        own = dict(self.transformer.named_parameters())
        sizes = [shape.numel() for shape in self.shapes.values()]
        offsets = self.offsets[style].split(sizes)
        return {
            name: own[name] + offset.view(shape)
            for (name, shape), offset in zip(self.shapes.items(), offsets, strict=True)
        }

    def forward(self, content_images: Tensor, styles: Tensor) -> Tensor:
        """Stylise every image (B, 3, H, W) in [0, 1] in a style of its own, (B,) integers."""
        pairs = zip(styles.tolist(), content_images[:, None], strict=True)
        return torch.cat(
            [functional_call(self.transformer, self.style_parameters(style), image) for style, image in pairs]
        )

    def replica(self) -> "MultiStyleNet":
        """The same parameters in modules of its own, for another thread: a style is put into the modules."""
        return copy.deepcopy(self, {id(tensor): tensor for tensor in [*self.parameters(), *self.buffers()]})

    def most_like(self, statistics: Tensor) -> int:
        """The style whose picture has the most similar statistics to those of a picture, (1, S)."""
        deviations = self.statistics.std(0, correction=0).clamp_min(1e-4)
        return int(((self.statistics - statistics) / deviations).square().sum(1).argmin())

    @torch.no_grad()
    def transformer_for(self, style: int) -> dict[str, Tensor]:
        """State of an ordinary TransformerNet for one of the styles."""
        return self.transformer.state_dict() | self.style_parameters(style)
