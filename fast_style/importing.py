"""The models of two ports, pytorch/examples fast_neural_style and gordicaleksa's, as release files of ours.

Their network is model=johnson, of pictures on another scale: the first convolution takes it, the last gives it.
"""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from fast_style.checkpoint import FORMAT, CheckpointError, load_plain, versions, write_safetensors
from fast_style.data.styles import file_sha256
from fast_style.errors import one_line
from fast_style.networks.transformer_net import TransformerNet


class Port(NamedTuple):
    """What a port calls its layers, and the scale of its pictures: (ours - mean) / std, a number for each of RGB."""

    name: str
    upsampling: tuple[str, str, str]  # the layers after the residual blocks
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


PORTS = (
    Port("pytorch/examples", ("deconv1.conv2d", "deconv2.conv2d", "deconv3.conv2d"), (0.0,) * 3, (1 / 255,) * 3),
    Port(
        "gordicaleksa/pytorch-neural-style-transfer-johnson",
        ("up1.conv2d.conv2d", "up2.conv2d.conv2d", "up3.conv2d"),
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
    ),
)
STATISTICS = (".running_mean", ".running_var", ".num_batches_tracked")  # early versions stored some, and used none


def import_weights(path: str | Path, target: str | Path) -> None:
    """Write a release file with the weights of a .pth or .model file; the style is named after that.

    Where height and width are multiples of 4 the pictures are those of the original network; it makes others larger,
    and this one never does. Raises CheckpointError for any other file, and if `target` is there already.
    """
    path, target = Path(path), Path(target)
    if target.suffix != ".safetensors":
        raise CheckpointError(f"{target}: a release file is called NAME.safetensors")
    if target.exists():
        raise CheckpointError(f"{target}: is there already")
    theirs = read_state(path)
    port = next((port for port in PORTS if f"{port.upsampling[0]}.weight" in theirs), PORTS[0])
    state_dict, model = convert(path, theirs, port)
    write_safetensors(
        target,
        state_dict,
        {
            "format": FORMAT,
            "task": "style_transfer",
            "model": model,
            "style": {"name": path.stem},
            "imported": {"file": path.name, "sha256": file_sha256(path), "layout": port.name},
            "losses": {},
            "versions": versions(),
        },
    )


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of torch.save, by name, without those of normalisations. Nothing in it is executed."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        state_dict = load_plain(path)
    except Exception as error:  # torch.load raises a dozen types for files that are not checkpoints
        raise CheckpointError(f"{path} holds no weights: {one_line(error)}") from error
    if isinstance(state_dict, dict) and isinstance(state_dict.get("state_dict"), dict):  # beside how it was trained
        state_dict = state_dict["state_dict"]
    if not isinstance(state_dict, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state_dict.items()
    ):
        raise CheckpointError(f"{path} holds no state dict, tensors by name")
    if other := [name for name, tensor in state_dict.items() if not is_plain(tensor)]:
        raise CheckpointError(f"{path}: {other[0]!r} holds no numbers that could be weights")
    return {name: tensor for name, tensor in state_dict.items() if not name.endswith(STATISTICS)}


def is_plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_complex()


def convert(path: Path, theirs: dict[str, Tensor], port: Port) -> tuple[dict[str, Tensor], dict]:
    """Their tensors by our names and on our scale, and the arguments of our network."""
    blocks = sum(name.startswith("res") and name.endswith(".conv1.conv2d.weight") for name in theirs)
    layers = layers_in_order(blocks, port)
    expected = [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    if other := sorted(set(expected) ^ set(theirs)):
        where = "has no" if other[0] in expected else "has a"
        name = other[0] if other[0].isprintable() else repr(other[0])
        raise CheckpointError(f"{path} is not of {' or '.join(each.name for each in PORTS)}: it {where} {name:.100}")
    other_shapes = CheckpointError(f"{path}: its tensors have other shapes than those of {port.name}")
    # A file of a few bytes may state tensors of any size.
    larger = sum(tensor.numel() for tensor in theirs.values()) > path.stat().st_size
    if larger or any(theirs[name].ndim != (4 if name.endswith("conv2d.weight") else 1) for name in expected):
        raise other_shapes
    channels = [len(theirs[f"conv{index}.conv2d.bias"]) for index in (1, 2, 3)]
    kernels = [theirs[f"{layer}.weight"].shape[-1] for layer in (layers[0], layers[-1])]
    model = {
        "channels": channels, "residual_blocks": blocks, "kernel_sizes": kernels, "norm": "instance",
        "upsampling": "nearest", "padding": "reflect", "output": "linear", "noise": False,
        "skips": False, "margin": 0,
    }  # fmt: skip
    with torch.device("meta"):
        network = TransformerNet(**model)
    ours = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.InstanceNorm2d)]
    state_dict = {
        f"{name}.{kind}": theirs[f"{layer}.{kind}"]
        for name, layer in zip(ours, layers, strict=True)
        for kind in ("weight", "bias")
    }
    if {name: tensor.shape for name, tensor in network.state_dict().items()} != {
        name: tensor.shape for name, tensor in state_dict.items()
    }:
        raise other_shapes
    state_dict = {name: tensor.float() for name, tensor in state_dict.items()}
    mean, std = (torch.tensor(values)[:, None, None] for values in (port.mean, port.std))
    first, last = ours[0], ours[-1]
    weight = state_dict[f"{first}.weight"] / std
    state_dict |= {
        f"{first}.weight": weight,
        # Of the border, too: it mirrors the photo, and the mean with it.
        f"{first}.bias": state_dict[f"{first}.bias"] - (weight * mean).sum((1, 2, 3)),
        f"{last}.weight": state_dict[f"{last}.weight"] * std[..., None],
        f"{last}.bias": state_dict[f"{last}.bias"] * std.flatten() + mean.flatten(),
    }
    return state_dict, model


def layers_in_order(blocks: int, port: Port) -> list[str]:
    """Names of their convolutions and norms in the order of ours."""
    down = [name for index in (1, 2, 3) for name in (f"conv{index}.conv2d", f"in{index}")]
    residual = [
        f"res{block}.{name}"
        for block in range(1, blocks + 1)
        for name in ("conv1.conv2d", "in1", "conv2.conv2d", "in2")
    ]
    first, second, last = port.upsampling
    return [*down, *residual, first, "in4", second, "in5", last]
