"""The models of pytorch/examples fast_neural_style, and of what grew from it, as release files of ours.

Its network is model=johnson, on a 0-255 scale: the first convolution takes 255 times as much, the last gives less so.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from fast_style.checkpoint import FORMAT, CheckpointError, load_plain, versions, write_safetensors
from fast_style.data.styles import file_sha256
from fast_style.errors import one_line
from fast_style.networks.transformer_net import TransformerNet

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
    state_dict, model = convert(path, read_state(path))
    write_safetensors(
        target,
        state_dict,
        {
            "format": FORMAT,
            "task": "style_transfer",
            "model": model,
            "style": {"name": path.stem},
            "imported": {"file": path.name, "sha256": file_sha256(path), "layout": "pytorch/examples"},
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
    if not isinstance(state_dict, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state_dict.items()
    ):
        raise CheckpointError(f"{path} holds no state dict, tensors by name")
    if other := [name for name, tensor in state_dict.items() if not is_plain(tensor)]:
        raise CheckpointError(f"{path}: {other[0]!r} holds no numbers that could be weights")
    return {name: tensor for name, tensor in state_dict.items() if not name.endswith(STATISTICS)}


def is_plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and tensor.device.type == "cpu" and not tensor.is_complex()


def convert(path: Path, theirs: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict]:
    """Their tensors by our names and on our scale, and the arguments of our network."""
    blocks = sum(name.startswith("res") and name.endswith(".conv1.conv2d.weight") for name in theirs)
    layers = layers_in_order(blocks)
    expected = [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    if other := sorted(set(expected) ^ set(theirs)):
        where = "has no" if other[0] in expected else "has a"
        name = other[0] if other[0].isprintable() else repr(other[0])
        raise CheckpointError(f"{path} is not of pytorch/examples fast_neural_style: it {where} {name:.100}")
    other_shapes = CheckpointError(f"{path}: its tensors have other shapes than those of pytorch/examples")
    # A file of a few bytes may state tensors of any size.
    larger = sum(tensor.numel() for tensor in theirs.values()) > path.stat().st_size
    if larger or any(theirs[name].ndim != (4 if name.endswith("conv2d.weight") else 1) for name in expected):
        raise other_shapes
    channels = [len(theirs[f"conv{index}.conv2d.bias"]) for index in (1, 2, 3)]
    kernels = [theirs[f"{layer}.weight"].shape[-1] for layer in (layers[0], layers[-1])]
    model = {
        "channels": channels, "residual_blocks": blocks, "kernel_sizes": kernels, "norm": "instance",
        "upsampling": "nearest", "padding": "reflect", "output": "linear", "noise": False,
        "skips": False,
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
    state_dict[f"{ours[0]}.weight"] = 255 * state_dict[f"{ours[0]}.weight"]
    for kind in ("weight", "bias"):
        state_dict[f"{ours[-1]}.{kind}"] = state_dict[f"{ours[-1]}.{kind}"] / 255
    return state_dict, model


def layers_in_order(blocks: int) -> list[str]:
    """Names of their convolutions and norms in the order of ours."""
    down = [name for index in (1, 2, 3) for name in (f"conv{index}.conv2d", f"in{index}")]
    residual = [
        f"res{block}.{name}"
        for block in range(1, blocks + 1)
        for name in ("conv1.conv2d", "in1", "conv2.conv2d", "in2")
    ]
    return [*down, *residual, "deconv1.conv2d", "in4", "deconv2.conv2d", "in5", "deconv3.conv2d"]
