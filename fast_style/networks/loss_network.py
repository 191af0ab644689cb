"""Loss networks: frozen VGG-like feature extractors whose layers are asked for by name."""

import copy
import re
from collections.abc import Collection, Sequence
from importlib.resources import files
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fast_style import keys
from fast_style.errors import FastStyleError
from fast_style.keys import check_keys
from fast_style.networks.fast_layers import padded_conv

IMAGENET_MEAN_STD = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CAFFE_MEAN_STD = ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255))

# Convolutions per block (Simonyan & Zisserman 2015, table 1, columns D and E), torchvision's weights, normalisation.
VGGS = {
    "vgg16": ((2, 2, 3, 3, 3), "VGG16_Weights.IMAGENET1K_V1", IMAGENET_MEAN_STD),
    # The original Caffe network of Simonyan & Zisserman, which Johnson et al. and Gatys et al. used: its inputs, and
    # so its activations, are on a 0-255 scale.
    "vgg16_caffe": ((2, 2, 3, 3, 3), "VGG16_Weights.IMAGENET1K_FEATURES", CAFFE_MEAN_STD),
    "vgg19": ((2, 2, 4, 4, 4), "VGG19_Weights.IMAGENET1K_V1", IMAGENET_MEAN_STD),
    "vgg19_caffe": ((2, 2, 4, 4, 4), None, CAFFE_MEAN_STD),
}
BGR = ("vgg19_caffe",)  # whose weights take blue first, as Caffe's did
LOSS_NETWORKS = ("vgg16_lowrank", "distilled", *VGGS, "vgg19_small")
LEARNT_REFLECTED = ("distilled", "vgg19_small")  # all others have zeros around the features


class LossNetworkError(FastStyleError):
    """A loss network cannot be built: unknown layer, missing or wrong weights."""


class LossNetwork(nn.Module):
    """A stack of 3x3 convolutions and 2x2 pools that returns the activations of named layers.

    `weights` maps "input.*" (a 1x1 convolution that normalises RGB in [0, 1]), "conv1_1.*", "conv1_2.*", ... and
    optionally "head1_1.*" (a 1x1 convolution that reads out relu1_1) to tensors; a pool ends each block: pool1
    follows the last convolution of block 1. With heads, only the layers that have one can be asked for. Before a
    convolution of factors stands another, "columns3_1.weight", without bias and rectification.
    `heads` says what the read-outs are: "linear", "relu" or "none" (the bare activations are returned).
    They are non-persistent buffers: frozen, moved with the module, and never part of a checkpoint.
    """

    def __init__(
        self,
        weights: dict[str, Tensor],
        layers: Sequence[str],
        padding: str = "zeros",
        pooling: str = "max",
        heads: str = "linear",
    ):
        super().__init__()
        convolutions = sorted(name[4:-7] for name in weights if re.fullmatch(r"conv\d_\d\.weight", name))
        known = _in_order(convolutions)
        has_heads = heads != "none" and any(name.startswith("head") for name in weights)
        if has_heads:
            known = [name for name in known if f"head{name[4:]}.weight" in weights]
        if not layers or set(layers) - set(known):
            unknown = ", ".join(sorted(set(layers) - set(known))) or "named"
            raise LossNetworkError(f"no layer {unknown}; this loss network has {', '.join(known)}")
        self.layers = frozenset(layers)
        stages = _in_order(convolutions)
        self.stages = stages[: 1 + max(map(stages.index, self.layers))]
        self.convolutions = [stage[4:] for stage in self.stages if stage.startswith("relu")]
        self.padding = padding
        self.pool = {"max": F.max_pool2d, "avg": F.avg_pool2d}[pooling]
        self.heads = heads if has_heads else "none"
        used = ["input", *(f"{kind}{layer}" for layer in self.convolutions for kind in ("columns", "conv"))]
        # In one order in all processes: they exchange buffers by position, and a set's order differs.
        used += [f"head{name[4:]}" for name in sorted(self.layers) if has_heads]
        for name in (f"{name}.{kind}" for name in used for kind in ("weight", "bias")):
            if name in weights or not name.startswith("columns"):
                self.register_buffer(name.replace(".", "_"), weights[name].float(), persistent=False)
        # Nothing but convolutions: channels last measured a fifth faster on a CPU.
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor, layers: Collection[str] | None = None) -> dict[str, Tensor]:
        """Features of RGB images (B, 3, H, W) in [0, 1]: {"relu1_1": (B, C, H, W), "relu2_1": (B, C', H/2, W/2), ...}.

        `layers` (default: all the network was built for) are returned, and nothing behind the deepest is computed.
        Heights and widths down to 1 are accepted: a pool that would leave nothing is skipped.
        """
        layers = self.layers if layers is None else layers
        features = {}
        x = self._convolve(images.contiguous(memory_format=torch.channels_last), "input")
        for stage in self.stages[: 1 + max(map(self.stages.index, layers))]:
            if stage.startswith("pool"):
                x = self.pool(x, 2) if min(x.shape[-2:]) > 1 else x
            else:
                for name in _filters(self, stage[4:]):
                    x = self._convolve(x, name.removesuffix("_weight"))
                x = F.relu(x, inplace=True)
            if stage in layers:
                features[stage] = self._read_out(x, stage[4:])
        return features

    def _convolve(self, x: Tensor, name: str) -> Tensor:
        weight, bias = getattr(self, f"{name}_weight"), getattr(self, f"{name}_bias", None)
        amounts = tuple(side // 2 for side in weight.shape[2:])
        if self.padding == "zeros" or not any(amounts):
            return F.conv2d(x, weight, bias, padding=amounts)
        # Reflection needs two pixels to reflect.
        return padded_conv(x, weight, bias, amounts, "reflect" if min(x.shape[-2:]) > 1 else "replicate")

    def _read_out(self, x: Tensor, layer: str) -> Tensor:
        if self.heads == "none":
            return x
        x = self._convolve(x, f"head{layer}")
        return F.relu(x) if self.heads == "relu" else x


def _in_order(convolutions: Sequence[str]) -> list[str]:
    """["1_1", "1_2", "2_1"] -> ["relu1_1", "relu1_2", "pool1", "relu2_1", "pool2"]."""
    stages = []
    for layer, following in zip(convolutions, [*convolutions[1:], "end"], strict=True):
        stages += [f"relu{layer}"] + [f"pool{layer[0]}"] * (layer[0] != following[0])
    return stages


@torch.no_grad()
def with_mean_activation_one(network: LossNetwork, photos: Sequence[Tensor]) -> LossNetwork:
    """The same network with every filter scaled so that its mean activation over photos (1, 3, H, W) is one.

    Gatys et al. 2015, section 2. Scaling a filter's weights by s > 0 scales its activation by s, and rectification,
    pooling and padding hand the factor on; divided out of the next convolution's weights it changes nothing else. So
    this is exact, and costs nothing later. For networks without heads. Departure: a filter below half of its layer's
    mean counts as if it were at that half. On few photos some hardly fire; raised to one they would drown the others
    wherever they do.
    """
    network = copy.deepcopy(network)
    relus = [f"relu{layer}" for layer in network.convolutions]
    features = [network(photo, relus) for photo in photos]
    before = torch.ones_like(network.input_bias)
    for layer, relu in zip(network.convolutions, relus, strict=True):
        mean = torch.stack([maps[relu].mean((0, 2, 3)) for maps in features]).mean(0)
        mean = mean.clamp_min(max(0.5 * mean.mean().item(), torch.finfo(mean.dtype).tiny))
        getattr(network, _filters(network, layer)[0]).mul_(before[:, None, None])
        getattr(network, f"conv{layer}_weight").div_(mean[:, None, None, None])
        getattr(network, f"conv{layer}_bias").div_(mean)
        before = mean
    return network


def with_random_weights(network: LossNetwork, seed: int) -> LossNetwork:
    """The same architecture with random filters: what synthesis looks like that knows nothing of natural images.

    Gaussian with variance 2 / fan-in and no bias (He et al. 2015), so that activations keep their scale.
    """
    network = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    for layer in network.convolutions:
        for name in _filters(network, layer):
            weight = getattr(network, name)
            # Only what is rectified loses half of its variance.
            gain = 1 if name.startswith("columns") else 2
            weight.copy_(torch.randn(weight.shape, generator=generator) * (gain / weight[0].numel()) ** 0.5)
        getattr(network, f"conv{layer}_bias").zero_()
    return network


def _filters(network: LossNetwork, layer: str) -> list[str]:
    """Buffers of the filters of a convolution, in the order of its factors if it has two."""
    names = [f"columns{layer}_weight", f"conv{layer}_weight"]
    return [name for name in names if hasattr(network, name)]


def load_loss_network(
    name: str,
    layers: Sequence[str],
    weights: str | None = None,
    pooling: str = "max",
    padding: str | None = None,
    heads: bool = True,
) -> LossNetwork:
    """Build the loss network `name`, cut off at the deepest of `layers`.

    vgg16_lowrank  ships with the package: vgg16_caffe up to relu4_3 in low-rank factors (scripts/factorize_vgg16.py),
                 or a file of that script as `weights`
    distilled    ships with the package: a narrow VGG-19 (scripts/distill_loss_network.py), or a file of that script
    vgg16/vgg19  torchvision's ImageNet weights, downloaded once, or a local .pth in torchvision's format as `weights`
    vgg16_caffe  the same for the original Caffe VGG-16, the loss network of Johnson et al. 2016
    vgg19_caffe  the original Caffe VGG-19, that of Gatys et al. 2016; needs `weights` (jcjohnson/pytorch-vgg's)
    vgg19_small  the 16 times smaller VGG-19 of Wang et al., Collaborative Distillation, CVPR 2020; needs `weights`

    `heads=False` gives the bare activations of distilled and vgg19_small instead of what their heads read out.
    `pooling` is "max", as all of them were trained, or "avg" (preferred by Gatys et al. 2016).
    `padding` is "zeros" or "reflect", or None for that which the network was trained with. Zeros around the features
    are edges along the border, which change the Gram matrices of a crop more than those of a whole painting.
    Raises FastStyleError for an unknown name or layer and for weights that cannot be had or do not fit.
    """
    check_keys({"name": name, "pooling": pooling, "padding": padding}, keys.LossNetwork, "loss_network.")
    padding = padding or ("reflect" if name in LEARNT_REFLECTED else "zeros")
    shipped = str(files("fast_style") / "assets" / f"{name}.safetensors")
    if name == "vgg16_lowrank":
        return LossNetwork(dequantize(_read_safetensors(weights or shipped)), layers, padding, pooling)
    if name == "distilled":
        kind = "linear" if heads else "none"
        return LossNetwork(_read_safetensors(weights or shipped), layers, padding, pooling, kind)
    if name == "vgg19_small":
        if weights is None:
            raise LossNetworkError("loss_network=vgg19_small needs loss_network.weights=PATH_TO_SAFETENSORS")
        small = _from_collaborative_distillation(_read_safetensors(weights))
        return LossNetwork(small, layers, padding, pooling, "relu" if heads else "none")
    return LossNetwork(_from_torchvision(name, _vgg_state_dict(name, weights)), layers, padding, pooling)


def _read_safetensors(path: str) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise LossNetworkError(f"cannot read loss network weights {path}: {error}") from error


def dequantize(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """8-bit weights as floats: "conv1_1.weight" (O, ...) times "conv1_1.scale" (O,), the others as they are."""
    scales = {name.removesuffix(".scale"): tensor for name, tensor in tensors.items() if name.endswith(".scale")}
    weights = {name: tensor for name, tensor in tensors.items() if not name.endswith(".scale")}
    for name, scale in scales.items():
        weights[f"{name}.weight"] = weights[f"{name}.weight"] * scale[:, None, None, None]
    return weights


def _vgg_state_dict(name: str, path: str | None) -> dict[str, Tensor]:
    if path is None and VGGS[name][1] is None:
        raise LossNetworkError(f"loss_network={name} needs loss_network.weights=FILE")
    if path is None:
        from torchvision.models import get_weight  # takes a second to import, which most commands need not wait for

        url = get_weight(VGGS[name][1]).url
        try:
            return torch.hub.load_state_dict_from_url(url, map_location="cpu", check_hash=True)
        except (OSError, RuntimeError) as error:
            file = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
            raise LossNetworkError(
                f"cannot download {url} ({error}). Fetch it on a machine with internet and put it at {file}, "
                f"pass loss_network.weights=PATH, or use loss_network=vgg16_lowrank, which needs no download."
            ) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises a dozen types for files that are not checkpoints
        raise LossNetworkError(f"cannot read loss network weights {path}: {error}") from error


def _from_torchvision(name: str, state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename torchvision's features.N.* to convB_L.*, and add the input normalisation as a 1x1 convolution."""
    blocks, _, (mean, std) = VGGS[name]
    mean, std = torch.tensor(mean), torch.tensor(std)
    order = [2, 1, 0] if name in BGR else [0, 1, 2]
    weights = {"input.weight": torch.diag(1 / std)[order, ..., None, None], "input.bias": (-mean / std)[order]}
    index = 0
    for block, count in enumerate(blocks, start=1):
        for layer in range(1, count + 1):
            for kind in ("weight", "bias"):
                key = f"features.{index}.{kind}"
                if key not in state_dict:
                    raise LossNetworkError(f"these are not torchvision {name} weights: {key} is missing")
                weights[f"conv{block}_{layer}.{kind}"] = state_dict[key]
            index += 2  # convolution, ReLU
        index += 1  # max pool
    return weights


def _from_collaborative_distillation(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename conv0 to input, convBL to convB_L and convBL_aux, which maps to full VGG-19 activations, to headB_L."""
    if "conv0.weight" not in state_dict:
        raise LossNetworkError("these are not vgg19_small weights: conv0.weight is missing")
    renamed = {}
    for key, tensor in state_dict.items():
        name, kind = key.split(".")
        name = re.sub(r"^conv(\d)(\d)_aux$", r"head\1_\2", name)
        name = re.sub(r"^conv(\d)(\d)$", r"conv\1_\2", name)
        renamed[f"{'input' if name == 'conv0' else name}.{kind}"] = tensor
    return renamed
