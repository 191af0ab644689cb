"""Whether a run can go on from a checkpoint: trained in the same way, and not done yet."""

import inspect
import os
from collections.abc import Collection
from itertools import chain
from pathlib import Path

from fast_style.checkpoint import GENERATOR_TASKS, CheckpointError, read_lightning, section_of, task_of
from fast_style.data.styles import file_sha256, find_styles, style_pictures
from fast_style.losses import PerceptualLoss
from fast_style.networks.loss_network import load_loss_network
from fast_style.networks.texture_generator import TextureGenerator
from fast_style.networks.transformer_net import TransformerNet
from fast_style.networks.upscaler import Upscaler
from fast_style.training.callbacks import Budget, parse_duration

# What takes the keys of a section; where an earlier version had no such key, it stands for the default.
TAKES = {
    "model": TransformerNet,
    "generator": TextureGenerator,
    "upscaler": Upscaler,
    "loss_network": load_loss_network,
    "objective": PerceptualLoss,
}


def begun_before(run_dir: str | Path) -> str | None:
    """The checkpoint that a job of SLURM's goes on from when the cluster starts it once more: its time was over, its
    machine failed, or another job went first. None the first time."""
    last = Path(run_dir) / "last.ckpt"
    return str(last) if int(os.environ.get("SLURM_RESTART_COUNT", 0)) and last.is_file() else None


def check_resumable(path: str | Path, config: dict) -> None:
    """Raise CheckpointError unless `path` is a Lightning checkpoint of a run that `config` can go on with."""
    if Path(path).is_dir():
        raise CheckpointError(f"ckpt_path={path}: is a folder, give ckpt_path={path}/last.ckpt")
    if not Path(path).is_file():
        raise CheckpointError(f"ckpt_path={path}: no such file")
    if Path(path).suffix == ".safetensors":
        raise CheckpointError(f"ckpt_path={path}: a run goes on from its last.ckpt; init_from= begins with a model")
    checkpoint, _ = read_lightning(path)
    stored = checkpoint["hyper_parameters"]["config"]
    if task_of(stored) != task_of(config):
        raise CheckpointError(f"ckpt_path={path} was trained with task={task_of(stored)}: give the same to go on")
    sections = [section_of(config), "loss_network", "objective", "optimizer", "seed", "batch_size"]
    sections += ["image_size", "short_side"]
    if task_of(config) in GENERATOR_TASKS:
        sections.append("diversity_weight")
    if task_of(config) == "super_resolution":
        sections.append("error")
    if task_of(config) in ("multi_style", "any_style"):
        sections.append("identity_share")
    before, now = keys_and_values(stored, sections), keys_and_values(config, sections)
    other = [key for key in now | before if key not in before or key not in now or before[key] != now[key]]
    if other := [*other, *other_style(checkpoint["hyper_parameters"], config)]:
        raise CheckpointError(f"ckpt_path={path} was trained with another {', '.join(other)}: give the same to go on")
    # Without a release file the run was killed after its last step, and has that still to do.
    if (reason := nothing_left(checkpoint, config)) and Path(path).with_name("model.safetensors").exists():
        raise CheckpointError(f"ckpt_path={path}: {reason}")


def keys_and_values(config: dict, sections: Collection[str]) -> dict[str, object]:
    """{"seed": 0, "objective.tv_weight": 3, ...} of those sections of a config; a missing key has its default."""
    flat = {}
    for name in sections:
        section = config.get(name) or 0  # what once was missing, diversity_weight and short_side, is off by default
        if isinstance(section, dict):
            flat |= {f"{name}.{key}": value for key, value in (defaults(name) | section).items()}
        else:
            flat[name] = section
    return flat


def defaults(section: str) -> dict[str, object]:
    """What the keys of a section are where they are not given, as plain data."""
    if section == "optimizer":
        return {"gradient_clip": None}
    parameters = inspect.signature(TAKES[section]).parameters.items() if section in TAKES else ()
    given = {name: parameter.default for name, parameter in parameters if parameter.default is not parameter.empty}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}


def other_style(stored: dict, config: dict) -> list[str]:
    """What of the styles differs from those of a checkpoint's hyperparameters: size, pictures wherever they lie."""
    before, style = stored["config"]["style"], config["style"]
    if task_of(config) == "super_resolution":
        return []
    several = task_of(config) in ("multi_style", "any_style")
    styles = list(find_styles(config["styles"]).values()) if several else [[path] for path in style_pictures(style)]
    pictures = list(chain(*styles))
    if "style_sha256" in stored:
        # A list for each of several styles; an earlier version had one picture each.
        hashes = [[one] if isinstance(one, str) else one for one in stored["style_sha256"]]
        same = hashes == [[file_sha256(picture) for picture in paths] for paths in styles]
    else:  # an earlier version
        same = before | {"style_size": None} == style | {"style_size": None}
    size = ["style.style_size"] if before["style_size"] != style["style_size"] else []
    return size + ([] if same else [f"style picture than {', '.join(map(str, pictures))}"])


def nothing_left(checkpoint: dict, config: dict) -> str | None:
    """One line if a checkpoint has what `max_steps` or the budget of a config ask for."""
    step, max_steps = checkpoint["global_step"], config["max_steps"]
    if max_steps != -1:
        done = f"{step} of max_steps={max_steps} steps are done" if step >= max_steps else None
    else:
        budget = Budget(parse_duration(config["budget"]))
        budget.load_state_dict(checkpoint["callbacks"].get("Budget", budget.state_dict()))
        done = f"all of budget={config['budget']} is spent" if budget.steps_left() == 0 else None
    return done and f"{done}, nothing is left to do: give more"
