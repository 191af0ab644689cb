"""Our files: a trained network as safetensors whose metadata rebuilds and explains it, and Lightning's checkpoints.

python -m fast_style.checkpoint model.safetensors      shows what is in one
python -m fast_style.checkpoint import candy.pth candy.safetensors      makes one of a model of pytorch/examples
"""

import hashlib
import json
import platform
import sys
import zipfile
from collections.abc import Callable, Collection, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from fast_style.data.styles import file_sha256
from fast_style.errors import FastStyleError, one_line
from fast_style.networks.any_style import AnyStyleNet
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.texture_generator import TextureGenerator
from fast_style.networks.transformer_net import TransformerNet
from fast_style.networks.upscaler import Upscaler
from fast_style.writing import write_whole

FORMAT = "fast_style transformer 1"
GENERATOR_TASKS = {"texture": False, "diverse_style_transfer": True}  # whether its network sees a photo
# Of the network in a Lightning checkpoint.
PREFIXES = {
    **dict.fromkeys(GENERATOR_TASKS, "generator."),
    "multi_style": "multi_style_net.",
    "any_style": "any_style_net.",
    "super_resolution": "upscaler.",
}


class CheckpointError(FastStyleError):
    """A file that is not a model of this project."""


def task_of(record: dict) -> str:
    """The name of the task of a config or of a release file's metadata; those of the first versions do not say."""
    task = record.get("task", "style_transfer")
    return task if isinstance(task, str) else task["name"]


def import_modules(names: Collection[str]) -> None:
    """Import modules of the user's own, in which networks are. Raises FastStyleError."""
    for name in names:
        try:
            import_module(name)
        except ImportError as error:
            raise FastStyleError(f"modules=[{name}]: {one_line(error)}") from error


def build_network(
    record: dict, state_dict: dict[str, Tensor] | None = None, modules: Collection[str] = ()
) -> nn.Module:
    """The untrained network of a config or of a release file's metadata; one of several styles, or of any, needs its
    state, too.

    A network of the user's own, `_target_: module.Class` in its model=, is built if `modules` has its module: a file
    decides on no call by itself, not even of a function that is there already, as os.system is.
    """
    arguments, task = dict(record[section_of(record)]), task_of(record)
    if task in GENERATOR_TASKS:
        return TextureGenerator(**arguments, content=GENERATOR_TASKS[task])
    if task == "multi_style":
        names = record.get("names") or [style["name"] for style in record["styles"]]
        identity = len(state_dict["offsets"]) > len(names)
        return MultiStyleNet(arguments, names, state_dict["statistics"], identity)
    if task == "any_style":
        return AnyStyleNet(arguments, len(state_dict["predictor.mean"]))
    if task == "super_resolution":
        return Upscaler(**arguments)
    if (target := arguments.pop("_target_", None)) is None:
        return TransformerNet(**arguments)
    module, _, name = target.rpartition(".")
    if module not in modules:
        raise CheckpointError(f"it holds a {target}: give modules=[{module}], if you trust that code")
    return getattr(import_module(module), name)(**arguments)


def section_of(record: dict) -> str:
    """The section of a config or of metadata that holds the arguments of its network."""
    task = task_of(record)
    return "generator" if task in GENERATOR_TASKS else "upscaler" if task == "super_resolution" else "model"


def save_release(
    path: str | Path,
    network: nn.Module,
    config: dict,
    styles: dict[str, list[Path]],
    losses: dict[str, float],
    environment: dict[str, str | None] | None = None,
) -> None:
    """Write a network to safetensors, with the resolved config, its styles' names, pictures and hashes, losses,
    versions, and what trained it. A network of no style has a name for its pictures, style.name of the config."""
    section = section_of(config)
    described = [describe_style(name, pictures) for name, pictures in styles.items()]
    described = described or [{"name": config["style"]["name"]}]
    metadata = {
        "format": FORMAT,
        "task": task_of(config),
        section: config[section],
        **({"styles": described} if task_of(config) == "multi_style" else {"style": described[0]}),
        "losses": losses,
        "versions": versions(),
        "environment": environment or {},
        "config": config,
    }
    write_safetensors(path, network.state_dict(), metadata)


def describe_style(name: str, pictures: list[Path]) -> dict:
    """A style in metadata: its name, its picture and that one's hash, or lists of them."""
    names, hashes = [picture.name for picture in pictures], [file_sha256(picture) for picture in pictures]
    image, sha256 = (names, hashes) if len(pictures) > 1 else (names[0], hashes[0])
    return {"name": name, "image": image, "sha256": sha256}


def versions() -> dict[str, str]:
    """What writes a release file, by name."""
    packages = {name: version(name.replace("_", "-")) for name in ("fast_style", "torchvision", "pytorch_lightning")}
    return packages | {"python": platform.python_version(), "torch": torch.__version__}


def write_safetensors(path: str | Path, state_dict: dict[str, Tensor], metadata: dict) -> None:
    """Write tensors with metadata, as JSON but for the format. Raises WriteError, and CheckpointError for NaN."""
    if not all(tensor.isfinite().all() for tensor in state_dict.values()):
        raise CheckpointError(f"{path}: not written, the network has NaN or infinite weights")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state_dict.items()}
    # safetensors' metadata maps strings to strings.
    strings = {key: value if key == "format" else json.dumps(value) for key, value in metadata.items()}
    write_whole(path, save(tensors, strings))


def find_model(path: str | Path, key: str = "ckpt") -> Path:
    """The file that a config `key` names, or the release file in the folder of a run. Raises CheckpointError."""
    found = Path(path) / "model.safetensors" if Path(path).is_dir() else Path(path)
    if not found.is_file():
        raise CheckpointError(f"{key}={found}: no such file")
    return found


def read_format(path: str | Path) -> tuple[str, dict[str, str]]:
    """The format that a safetensors file states, "" for none, and all its metadata. Raises CheckpointError."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error}") from error
    except SafetensorError as error:
        raise CheckpointError(f"cannot read {path}: no safetensors file, or a damaged one ({error})") from error
    return metadata.get("format", ""), metadata


def read_metadata(path: str | Path) -> dict:
    """The metadata of a release file as plain data. Raises CheckpointError for any other file."""
    if Path(path).suffix == ".ckpt":
        raise CheckpointError(f"{path} is a checkpoint to resume from: the model.safetensors of its run has metadata")
    kind, metadata = read_format(path)
    if kind.startswith("fast_style backbone"):
        raise CheckpointError(
            f"{path} is a backbone of an earlier version ({kind}): init_from=auto has the one that ships"
        )
    if kind != FORMAT:
        raise CheckpointError(f"{path} is not a release file of this project ({FORMAT})")
    try:
        return {key: value if key == "format" else json.loads(value) for key, value in metadata.items()}
    except (ValueError, RecursionError) as error:  # numbers of more digits than Python reads are ValueErrors, too
        raise CheckpointError(f"the metadata of {path} is damaged: {error}") from error


def read_record(path: Path) -> dict:
    """What a release file or a Lightning .ckpt says of its network. Raises CheckpointError for any other file."""
    if path.suffix != ".ckpt":
        return read_metadata(path)
    hyper_parameters = read_lightning(path)[0]["hyper_parameters"]
    return dict(hyper_parameters["config"]) | {"names": hyper_parameters.get("names")}


def load_network(path: str | Path, key: str = "ckpt", modules: Collection[str] = ()) -> tuple[nn.Module, str]:
    """The network of a release file, or of the one in a run's folder, or of a Lightning .ckpt, in eval mode, and the
    name of its style: what its pictures are called by.

    Only tensors and plain data are read; nothing in the file is executed. Of networks that are no part of this package
    only those in `modules` are built. Raises CheckpointError, with the config `key` that named a missing file.
    """
    path = find_model(path, key)
    record = read_record(path)
    try:
        state_dict = read_lightning(path)[1] if path.suffix == ".ckpt" else load_file(path)
        check_tensors(record[section_of(record)], lambda: build_network(record, state_dict), state_dict)
        network = build_network(record, state_dict, modules)
        network.load_state_dict(state_dict)
        several = task_of(record) == "multi_style"
        names = network.names if several else [str(record["style"]["name"])]
        check_names(names)
        return network.eval(), "" if several else names[0]
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {one_line(error):.500}") from error
    except Exception as error:  # networks raise whatever arguments of any kind make them stumble over
        raise CheckpointError(f"{path} does not fit this version's networks: {error!r:.200}") from error


def check_names(names: Sequence[str]) -> None:
    """Raise CheckpointError for names of styles that lead out of the folder of the pictures that are called by them."""
    for name in names:
        if not (
            isinstance(name, str) and name.isprintable() and "/" not in name and "\\" not in name and len(name) < 200
        ):
            raise CheckpointError(f"a style is called {name!r:.100}, which is no name for a file")


def check_tensors(arguments: dict, build: Callable[[], nn.Module], state_dict: dict[str, Tensor]) -> None:
    """Raise CheckpointError unless the tensors are those of the network that `build` makes of a file's `arguments`.

    Found out before it takes any time or memory: the file may state a network of any size.
    """
    if "_target_" in arguments:  # a network of the user's own, which may do anything
        return
    blocks = [arguments.get(key, 0) for key in ("residual_blocks", "coarse_blocks")]
    depth = max(*blocks, len(arguments.get("channels", ())))
    if depth <= len(state_dict):
        with torch.device("meta"):
            expected = build().state_dict()
        if {name: tensor.shape for name, tensor in expected.items()} == {
            name: tensor.shape for name, tensor in state_dict.items()
        }:
            return
    raise CheckpointError("its tensors are not those of the network that it states")


def fingerprint(network: nn.Module) -> str:
    """A hash of the weights: the same for a release file and for the .ckpt of its run."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode() + tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def load_transformer(path: str | Path, key: str = "ckpt") -> tuple[nn.Module, str]:
    """As load_network, where nothing will do but a network that paints a photo in one style."""
    network, style = load_network(path, key)
    if isinstance(network, MultiStyleNet):
        raise CheckpointError(f"{key}={path} has several styles: give a model of one")
    if isinstance(network, AnyStyleNet):
        raise CheckpointError(f"{key}={path} predicts every style: give a model of one")
    if isinstance(network, TextureGenerator):
        raise CheckpointError(f"{key}={path} draws textures or variants: give a model of task=style_transfer")
    if isinstance(network, Upscaler):
        raise CheckpointError(f"{key}={path} enlarges photos: give a model of task=style_transfer")
    return network, style


def read_lightning(path: str | Path) -> tuple[dict, dict[str, Tensor]]:
    """A Lightning checkpoint of a training, and the weights of its network. Raises CheckpointError."""
    try:
        checkpoint = load_plain(path)
        config = dict(checkpoint["hyper_parameters"]["config"])
        prefix = PREFIXES.get(task_of(config), "transformer.")
        weights = {k.removeprefix(prefix): v for k, v in checkpoint["state_dict"].items() if k.startswith(prefix)}
        return checkpoint, weights
    except Exception as error:  # torch.load raises a dozen types for files that are not checkpoints
        reason = f"it has no {error}" if isinstance(error, KeyError) else one_line(error)
        raise CheckpointError(f"{path} is not a Lightning checkpoint of this project: {reason}") from error


def load_plain(path: str | Path) -> object:
    """Tensors and plain data that torch.save wrote; nothing in the file is executed.

    Raises CheckpointError for an archive that holds more than the file has bytes, as those of torch.save never do, and
    a dozen other types for files that are none.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > Path(path).stat().st_size:
                raise CheckpointError("it is packed: unpacked it would be larger than the file")
    return torch.load(path, map_location="cpu", weights_only=True)


USAGE = """\
usage: python -m fast_style.checkpoint FILE.safetensors
       python -m fast_style.checkpoint import FILE.pth OUT.safetensors

Show the metadata of a release file, or make one of a model of pytorch/examples fast_neural_style or of
gordicaleksa/pytorch-neural-style-transfer-johnson."""


def main() -> None:
    try:
        match sys.argv[1:]:
            case ["import", path, target]:
                from fast_style.importing import import_weights

                import_weights(path, target)
                print(f"wrote {target}")
            case [path] if path not in ("-h", "--help", "import"):
                print(json.dumps(read_metadata(find_model(path, "FILE")), indent=2))
            case _:
                sys.exit(USAGE)
    except FastStyleError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
