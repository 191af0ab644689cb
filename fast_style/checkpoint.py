"""Release files: a trained network as safetensors whose metadata rebuilds and explains it.

python -m fast_style.checkpoint model.safetensors      shows what is in one
"""

import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import pytorch_lightning as pl
import torch
import torchvision
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save

from fast_style.data.styles import file_sha256
from fast_style.errors import FastStyleError
from fast_style.networks.texture_generator import TextureGenerator
from fast_style.networks.transformer_net import TransformerNet

FORMAT = "fast_style transformer 1"


class CheckpointError(FastStyleError):
    """A file that is not a model of this project."""


def task_of(record: dict) -> str:
    """The task of a config or of a release file's metadata; those of the first versions do not name it."""
    return record.get("task", "style_transfer")


def section_of(record: dict) -> str:
    """The section of a config or of metadata that holds the arguments of its network."""
    return "model" if task_of(record) == "style_transfer" else "generator"


def build_network(record: dict) -> TransformerNet | TextureGenerator:
    """The untrained network of a config or of a release file's metadata."""
    arguments = record[section_of(record)]
    if task_of(record) == "style_transfer":
        return TransformerNet(**arguments)
    return TextureGenerator(**arguments, content=task_of(record) == "diverse_style_transfer")


def save_release(
    path: str | Path,
    network: TransformerNet | TextureGenerator,
    config: dict,
    style_image: Path,
    losses: dict[str, float],
) -> None:
    """Write a network to safetensors, with the resolved config, the style picture's hash, losses and versions."""
    metadata = {
        "format": FORMAT,
        "task": task_of(config),
        section_of(config): config[section_of(config)],
        "style": {"name": config["style"]["name"], "image": style_image.name, "sha256": file_sha256(style_image)},
        "losses": losses,
        "versions": {
            "fast_style": version("fast-style"),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "pytorch_lightning": pl.__version__,
        },
        "config": config,
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    # safetensors' metadata maps strings to strings.
    strings = {key: value if key == "format" else json.dumps(value) for key, value in metadata.items()}
    Path(path).write_bytes(save(tensors, strings))


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


def load_network(path: str | Path, key: str = "ckpt") -> tuple[TransformerNet | TextureGenerator, str]:
    """The network of a release file or of a Lightning .ckpt, in eval mode, and the name of its style.

    Only tensors and plain data are read; nothing in the file is executed. Raises CheckpointError, with the config `key`
    that named a missing file.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"{key}={path}: no such file")
    if Path(path).suffix == ".ckpt":
        record, state_dict = _read_lightning(path)
    else:
        record = read_metadata(path)
        state_dict = load_file(path)
    try:
        network = build_network(record)
        network.load_state_dict(state_dict)
        return network.eval(), str(record["style"]["name"])
    except (KeyError, TypeError, ValueError, RuntimeError, FastStyleError) as error:
        raise CheckpointError(f"{path} does not fit this version's networks: {error!r}") from error


def load_transformer(path: str | Path, key: str = "ckpt") -> tuple[TransformerNet, str]:
    """As load_network, where nothing but a TransformerNet will do."""
    network, style = load_network(path, key)
    if not isinstance(network, TransformerNet):
        raise CheckpointError(f"{key}={path} draws textures or variants: give a model of task=style_transfer")
    return network, style


def check_resumable(path: str | Path, config: dict) -> None:
    """Raise CheckpointError unless `path` is a Lightning checkpoint of a run that `config` can go on with."""
    stored, _ = _read_lightning(path)
    if task_of(stored) != config["task"]:
        raise CheckpointError(f"ckpt_path={path} was trained with task={task_of(stored)}: give the same to go on")
    keys = [section_of(config), "loss_network", "objective", "style", "optimizer", "seed", "batch_size", "image_size"]
    if config["task"] != "style_transfer":
        keys.append("diversity_weight")
    if other := [key for key in keys if stored.get(key) != config[key]]:
        raise CheckpointError(f"ckpt_path={path} was trained with another {', '.join(other)}: give the same to go on")


def _read_lightning(path: str | Path) -> tuple[dict, dict[str, torch.Tensor]]:
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        config = checkpoint["hyper_parameters"]["config"]
        prefix = "transformer." if task_of(config) == "style_transfer" else "generator."
        weights = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
        return config, weights
    except Exception as error:  # torch.load raises a dozen types for files that are not checkpoints
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} is not a Lightning checkpoint of this project: {reason}") from error


def main() -> None:
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit("usage: python -m fast_style.checkpoint FILE.safetensors\n\nShow the metadata of a release file.")
    try:
        print(json.dumps(read_metadata(sys.argv[1]), indent=2))
    except CheckpointError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
