"""MultiStyleNet: one network for many styles.

Dumoulin, Shlens, Kudlur, "A Learned Representation for Artistic Style" (ICLR 2017): one network paints every style; the
scales and shifts of its instance norms say which, and here its skips and its last convolution, too.
"""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from fast_style.errors import FastStyleError
from fast_style.networks.transformer_net import ScaleShift, TransformerNet


class MultiStyleNet(nn.Module):
    """A TransformerNet and, for each of its styles, what makes the style.

    These are offsets to the scales and shifts of the norms and, departing from Dumoulin et al. 2017, to the skips and
    the last convolution, which holds the palette: shared by all styles it fell into shades of one colour.

    model       arguments of the TransformerNet; its norm is instance
    names       of the styles, N of them
    statistics  of their pictures, (N, S): a picture that is none of them is most like one of them
    identity    whether there is one more, which has no name and paints nothing: the way from it to a style, and beyond,
                is the strength of the style
    """

    def __init__(self, model: dict, names: Sequence[str], statistics: Tensor, identity: bool = False):
        super().__init__()
        self.model, self.names, self.identity = model, list(names), identity
        self.transformer = TransformerNet(**model)
        modules = dict(self.transformer.named_modules())
        norms = [name for name, module in modules.items() if isinstance(module, nn.InstanceNorm2d | ScaleShift)]
        last = [name for name in modules if name.startswith("layers.") and isinstance(modules[name], nn.Conv2d)][-1]
        own = dict(self.transformer.named_parameters())
        parts = [f"{name}.{kind}" for name in [*norms, last] for kind in ("weight", "bias")]
        parts += [name for name in own if name.startswith("skips.")]
        self.shapes = {name: own[name].shape for name in parts}
        self.offsets = nn.Parameter(
            torch.zeros(len(names) + identity, sum(shape.numel() for shape in self.shapes.values()))
        )
        self.register_buffer("statistics", statistics.clone())

    def style_parameters(self, mixture: Tensor) -> dict[str, Tensor]:
        """What makes a mixture of the styles, parameters of the transformer by name.

        A mixture has a weight for each style, and the identity's last: (N,) or (N + 1,).
        """
        return self.parameters_at(mixture @ self.offsets)

    def parameters_at(self, offsets: Tensor) -> dict[str, Tensor]:
        """Parameters of the transformer by name, at offsets (D,) from what the styles share."""
        own = dict(self.transformer.named_parameters())
        parts = offsets.split([shape.numel() for shape in self.shapes.values()])
        return {
            name: own[name] + part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)
        }

    def forward(self, content_images: Tensor, mixtures: Tensor) -> Tensor:
        """Stylise every image (B, 3, H, W) in [0, 1] in a mixture of its own, (B, N or N + 1): one 1 in a row is one
        style."""
        return self.paint(content_images, mixtures @ self.offsets)

    def paint(self, content_images: Tensor, offsets: Tensor) -> Tensor:
        """Stylise every image (B, 3, H, W) in [0, 1] in a style at offsets of its own, (B, D)."""
        pairs = zip(offsets, content_images[:, None], strict=True)
        return torch.cat([functional_call(self.transformer, self.parameters_at(one), image) for one, image in pairs])

    def replica(self) -> "MultiStyleNet":
        """The same parameters in modules of its own, for another thread: a style is put into the modules."""
        return copy.deepcopy(self, {id(tensor): tensor for tensor in [*self.parameters(), *self.buffers()]})

    def mixture(self, style: str | Mapping[str, float], strength: float = 1.0) -> Tensor:
        """The mixture of a name, or of weights by name, which are made to add up to 1.

        strength  from the identity at 0 to the style at 1, and on; only with an identity can it be another than 1
        Raises FastStyleError.
        """
        weights = {style: 1.0} if isinstance(style, str) else dict(style)
        if unknown := [name for name in weights if name not in self.names]:
            raise FastStyleError(f"style={unknown[0]}: the model has {', '.join(self.names)}")
        if any(not isinstance(weight, int | float) or weight < 0 for weight in weights.values()) or not any(
            weights.values()
        ):
            raise FastStyleError(f"style={weights}: weights must be numbers, none below 0 and not all 0")
        values = torch.tensor([float(weights.get(name, 0)) for name in self.names])
        values = values / values.sum()
        if self.identity:
            values = torch.cat([strength * values, torch.tensor([1.0 - strength])])
        elif strength != 1:
            raise FastStyleError(f"strength={strength}: the model has learnt no identity")
        return values.to(self.offsets.device)

    def most_like(self, statistics: Tensor) -> tuple[str, float]:
        """The style whose picture has the most similar statistics to those of a picture, (1, S), and how far they are:
        a mean square, in deviations of the styles."""
        deviations = self.statistics.std(0, correction=0).clamp_min(1e-4)
        distances = ((self.statistics - statistics) / deviations).square().mean(1)
        return self.names[int(distances.argmin())], float(distances.min())

    def offsets_of(self, other: "MultiStyleNet", offsets: Tensor) -> Tensor:
        """Offsets (..., D) of another network as those of this one, of the same parameters: 0 where only this one has
        them."""
        parts = offsets.split([shape.numel() for shape in other.shapes.values()], -1)
        known = dict(zip(other.shapes, parts, strict=True))
        added = {name: offsets.new_zeros(*offsets.shape[:-1], shape.numel()) for name, shape in self.shapes.items()}
        return torch.cat([known.get(name, zeros) for name, zeros in added.items()], -1)

    @torch.no_grad()
    def transformer_for(self, style: str | Mapping[str, float], strength: float = 1.0) -> TransformerNet:
        """An ordinary TransformerNet that paints one style, or a mixture, as strongly as `mixture` says."""
        parameters = self.style_parameters(self.mixture(style, strength))
        transformer = TransformerNet(**self.model).to(self.offsets.device)
        transformer.load_state_dict(self.transformer.state_dict() | parameters)
        return transformer.eval()
