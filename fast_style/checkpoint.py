"""Our files: a trained network as safetensors whose metadata rebuilds and explains it, and Lightning's checkpoints.

python -m fast_style.checkpoint model.safetensors      shows what is in one
"""

import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import torch
import torchvision
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from fast_style.data.styles import file_sha256
from fast_style.errors import FastStyleError, one_line
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.texture_generator import TextureGenerator
from fast_style.networks.transformer_net import TransformerNet
from fast_style.writing import write_whole

FORMAT = "fast_style transformer 1"
BACKBONE_FORMAT = "fast_style backbone 2"
GENERATOR_TASKS = {"texture": False, "diverse_style_transfer": True}  # whether its network sees a photo


class CheckpointError(FastStyleError):
    """A file that is not a model of this project."""


def task_of(record: dict) -> str:
    """The name of the task of a config or of a release file's metadata; those of the first versions do not say."""
    task = record.get("task", "style_transfer")
    return task if isinstance(task, str) else task["name"]


def build_network(record: dict) -> nn.Module:
    """The untrained network of a config or of a release file's metadata.

    A network of the user's own, `_target_: module.Class` in its model=, is built if the module has been imported;
    nothing is imported because a file says so.
    """
    arguments, task = dict(record[section_of(record)]), task_of(record)
    if task in GENERATOR_TASKS:
        return TextureGenerator(**arguments, content=GENERATOR_TASKS[task])
    if (target := arguments.pop("_target_", None)) is None:
        return TransformerNet(**arguments)
    module, _, name = target.rpartition(".")
    if module not in sys.modules:
        raise CheckpointError(f"it holds a {target}: give modules=[{module}], if you trust that code")
    return getattr(sys.modules[module], name)(**arguments)


def section_of(record: dict) -> str:
    """The section of a config or of metadata that holds the arguments of its network."""
    return "generator" if task_of(record) in GENERATOR_TASKS else "model"


def save_release(
    path: str | Path, network: nn.Module, config: dict, style_image: Path, losses: dict[str, float]
) -> None:
    """Write a network to safetensors, with the resolved config, the style picture's hash, losses and versions."""
    section = section_of(config)
    metadata = {
        "format": FORMAT,
        "task": task_of(config),
        section: config[section],
        "style": {"name": config["style"]["name"], "image": style_image.name, "sha256": file_sha256(style_image)},
        "losses": losses,
        "versions": {
            "fast_style": version("fast-style"),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "pytorch_lightning": version("pytorch-lightning"),
        },
        "config": config,
    }
    write_safetensors(path, network.state_dict(), metadata)


def write_safetensors(path: str | Path, state_dict: dict[str, Tensor], metadata: dict) -> None:
    """Write tensors with metadata, as JSON but for the format. Raises WriteError, and CheckpointError for NaN."""
    if not all(tensor.isfinite().all() for tensor in state_dict.values()):
        raise CheckpointError(f"{path}: not written, the network has NaN or infinite weights")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}
    # safetensors' metadata maps strings to strings.
    strings = {key: value if key == "format" else json.dumps(value) for key, value in metadata.items()}
    write_whole(path, save(tensors, strings))


def read_metadata(path: str | Path) -> dict:
    """The metadata of a release file as plain data. Raises CheckpointError for any other file."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a release file of this project ({FORMAT})")
    try:
        return {key: value if key == "format" else json.loads(value) for key, value in metadata.items()}
    except json.JSONDecodeError as error:
        raise CheckpointError(f"the metadata of {path} is damaged: {error}") from error


def load_network(path: str | Path, key: str = "ckpt") -> tuple[nn.Module, str]:
    """The network of a release file or of a Lightning .ckpt, in eval mode, and the name of its style.

    Only tensors and plain data are read; nothing in the file is executed. Raises CheckpointError, with the config `key`
    that named a missing file.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"{key}={path}: no such file")
    if Path(path).suffix == ".ckpt":
        checkpoint, state_dict = read_lightning(path)
        record = checkpoint["hyper_parameters"]["config"]
    else:
        record = read_metadata(path)
        state_dict = load_file(path)
    try:
        network = build_network(record)
        network.load_state_dict(state_dict)
        return network.eval(), str(record["style"]["name"])
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, FastStyleError) as error:
        raise CheckpointError(f"{path} does not fit this version's networks: {error!r}") from error


def load_transformer(path: str | Path, key: str = "ckpt") -> tuple[nn.Module, str]:
    """As load_network, where nothing will do but a network that makes a picture of a photo alone."""
    network, style = load_network(path, key)
    if isinstance(network, TextureGenerator):
        raise CheckpointError(f"{key}={path} draws textures or variants: give a model of task=style_transfer")
    return network, style


def read_lightning(path: str | Path) -> tuple[dict, dict[str, Tensor]]:
    """A Lightning checkpoint of a training, and the weights of its network. Raises CheckpointError."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        config = checkpoint["hyper_parameters"]["config"]
        prefix = "generator." if task_of(config) in GENERATOR_TASKS else "transformer."
        weights = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
        return checkpoint, weights
    except Exception as error:  # torch.load raises a dozen types for files that are not checkpoints
        raise CheckpointError(f"{path} is not a Lightning checkpoint of this project: {one_line(error)}") from error


def is_backbone(path: Path) -> bool:
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    try:
        with safe_open(path, "pt") as file:
            return (file.metadata() or {}).get("format") == BACKBONE_FORMAT
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error


def load_backbone(path: str | Path) -> tuple[MultiStyleNet, dict]:
    """The backbone of a file of scripts/train_backbone.py, in float32, and the file's metadata, which holds its
    `model`, the names of its `styles` and its `training`. Raises CheckpointError."""
    try:
        with safe_open(path, "pt") as file:
            metadata = {key: json.loads(file.metadata()[key]) for key in ("model", "styles", "training")}
        state_dict = {name: tensor.float() for name, tensor in load_file(path).items()}
        backbone = MultiStyleNet(metadata["model"], state_dict["statistics"])
        backbone.load_state_dict(state_dict)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"cannot read the backbone {path}: {error}") from error
    return backbone.eval(), metadata


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit("usage: python -m fast_style.checkpoint FILE.safetensors\n\nShow the metadata of a release file.")
    try:
        print(json.dumps(read_metadata(sys.argv[1]), indent=2))
    except CheckpointError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
