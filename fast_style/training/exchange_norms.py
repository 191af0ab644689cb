"""A trained network with weight norm in the place of its instance norms, where a model has it, or these in its place.

In trained networks what such a norm divides by differs little from photo to photo (docs/experiments.md, Droplets), so
that its mean over some photos, a constant, does nearly as well.
"""

from functools import partial, singledispatch

import torch
from torch import Tensor, nn

from fast_style.data.images import read_rgb
from fast_style.data.sample_photos import sample_photo
from fast_style.networks.any_style import AnyStyleNet
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.transformer_net import Noise, ScaleShift, TransformerNet, WeightNormConv2d

PHOTOS, SIDE = ("astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "rocket.jpg"), 256
EPSILON = nn.InstanceNorm2d(1).eps
Changes = dict[str, tuple[Tensor, Tensor]]


@singledispatch
def exchange_norms(network: TransformerNet, model: dict) -> TransformerNet:
    """The network with the norms of model=, which is as its own in all else; of one style, of several or of any.

    Networks that shipped then painted chicago with a mean difference of three to six levels of 255, and what one of any
    style predicts, which is exchanged as the mean of all, with about fifteen.
    """
    return exchanged(network, model)[0]


@exchange_norms.register
@torch.no_grad()
def _(network: MultiStyleNet, model: dict) -> MultiStyleNet:
    other = MultiStyleNet(model, network.names, network.statistics, network.identity)
    styles = [network.transformer_for(name) for name in network.names]
    if network.identity:
        styles.append(network.transformer_for(network.names[0], 0.0))
    states = [exchange_norms(style, model).state_dict() for style in styles]
    shared = states[0] | {name: torch.stack([state[name] for state in states]).mean(0) for name in other.shapes}
    other.transformer.load_state_dict(shared)
    for offsets, state in zip(other.offsets, states, strict=True):
        offsets.copy_(torch.cat([(state[name] - shared[name]).flatten() for name in other.shapes]))
    return other.eval()


@exchange_norms.register
@torch.no_grad()
def _(network: AnyStyleNet, model: dict) -> AnyStyleNet:
    """As exact for the mean of the training's pictures; what is predicted for others changes as that does."""
    statistics = network.predictor.mean[None]
    mean = network.predict(["mean"], statistics)
    _, changes = exchanged(mean.transformer_for("mean"), model)
    of_mean = exchange_norms(mean, model)
    other = AnyStyleNet(model, statistics.shape[1])
    other.shared.transformer.load_state_dict(of_mean.transformer.state_dict())
    other.shared.offsets.copy_(of_mean.offsets[-1:])
    other.predictor.load_state_dict(network.predictor.state_dict())
    layer = other.predictor.offsets
    sizes = [shape.numel() for shape in other.shared.shapes.values()]
    rows = dict(zip(other.shared.shapes, layer.weight.split(sizes), strict=True))
    for name, (factor, offset) in changes.items():
        scale, shift = rows[f"{name}.weight"], rows[f"{name}.bias"]
        shift += offset[:, None] * scale
        scale *= factor[:, None]
    layer.bias += of_mean.offsets[0] - other.predictor(statistics)[0]
    return other.eval()


@torch.no_grad()
def exchanged(network: TransformerNet, model: dict) -> tuple[TransformerNet, Changes]:
    """The network with other norms, and by their names what makes the new scales s * a and shifts t + s * b of the old
    ones: (a, b).

    They are set where features first pass them (Salimans & Kingma 2016, section 3), those of some photos.
    """
    other, changes = TransformerNet(**model).eval(), {}
    weight_norm, state = model["weight_norm"], {name: value.clone() for name, value in network.state_dict().items()}
    names, lengths, follows = [], {}, []
    for name, module in (other if weight_norm else network).named_modules():
        if isinstance(module, WeightNormConv2d):
            kernels, follows = state[f"{name}.weight"], [f"{name}.bias"]
            length = kernels.flatten(1).norm(dim=1)
            length[length == 0] = 1
            if not weight_norm:
                kernels /= length[:, None, None, None]
        elif isinstance(module, Noise) and follows:
            follows.append(f"{name}.weight")
        elif isinstance(module, ScaleShift):
            names.append(name)
            lengths[name] = length if weight_norm else torch.ones_like(length)
            # Features get as many times smaller as the kernels; what is added to them must, too.
            for added in follows:
                state[added] /= lengths[name]
            follows = []
    other.load_state_dict(state)

    def set_affine(affine: nn.Module, inputs: tuple[Tensor], name: str) -> None:
        features = inputs[0].flatten(2)
        # As the norm has it, of features that were longer.
        variance = features.var(2, correction=0) + EPSILON / lengths[name] ** 2
        mean, deviation = features.mean((0, 2)), variance.sqrt().mean(0)
        factor, offset = (1 / deviation, -mean / deviation) if weight_norm else (deviation, mean)
        affine.bias += affine.weight * offset
        affine.weight *= factor
        changes[name] = factor, offset

    hooks = [other.get_submodule(name).register_forward_pre_hook(partial(set_affine, name=name)) for name in names]
    other(torch.stack([middle_of(name) for name in PHOTOS]))
    for hook in hooks:
        hook.remove()
    return other, changes


def middle_of(photo: str) -> Tensor:
    """The middle (3, SIDE, SIDE) in [0, 1] of a sample photo."""
    pixels = read_rgb(sample_photo(photo), SIDE)
    top, left = ((side - SIDE) // 2 for side in pixels.shape[:2])
    return torch.from_numpy(pixels[top : top + SIDE, left : left + SIDE]).permute(2, 0, 1).float() / 255
