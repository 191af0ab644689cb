"""One training from its config to its files."""

import logging
import warnings
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.utilities import rank_zero_only

from fast_style.checkpoint import describe_style, save_release
from fast_style.data.content import ContentError
from fast_style.data.images import ImageError, StorageError, check_folder
from fast_style.data.styles import enlargement
from fast_style.errors import FastStyleError, one_line
from fast_style.hardware import keep_freed_memory, pick_device, pick_precision
from fast_style.keys import Train, build, check_keys
from fast_style.losses import scale_mismatch
from fast_style.networks.fast_layers import accelerate
from fast_style.training.callbacks import (
    Best,
    Budget,
    Divergence,
    PreviewGrid,
    ProgressBar,
    ResumePoint,
    Throughput,
    WholeCheckpoints,
    parse_duration,
)
from fast_style.training.loggers import Unfailing
from fast_style.training.record import LOG, HeldOutLog, environment, log, logging_to, write_record
from fast_style.training.resume import begun_before, check_resumable
from fast_style.training.style_transfer import StyleTransfer
from fast_style.training.task import Task, task_class
from fast_style.training.validation import AgainstLBFGS
from fast_style.writing import WriteError

DEFAULT_BUDGET = "5min"

# Hints of Lightning that do not apply here: among them, that a run cannot be resumed within an epoch.
logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
for hint in (".*LeafSpec.*", ".*not resumable.*", ".*smaller than the logging interval.*"):
    warnings.filterwarnings("ignore", hint)


class Trained(NamedTuple):
    """What a training leaves. In processes of a run but the first there is no model and no picture."""

    module: Task
    losses: dict[str, float]  # held-out terms, weighted, "val/..."; the number of steps, and seconds
    model: Path | None = None  # the release file
    picture: Path | None = None
    failures: list[str] = []  # why there is no picture
    skipped: list[str] = []  # photos that could not be read, and why


def fit(cfg: DictConfig, callbacks: Sequence[pl.Callback] = ()) -> Trained:
    """Train as a config of configs/train.yaml says, with more callbacks of Lightning's kind, and write the release file
    and a picture. Raises FastStyleError."""
    config = plain(cfg)
    check(config)
    with logging_to(Path(config["run_dir"]) / LOG):
        device = pick_device("cpu" if config["trainer"]["accelerator"] == "cpu" else "auto")
        module, timer = begin(config, device), Timer()
        logger = Unfailing(build("logger", config["logger"]))
        data, trainer = module.data(config), build_trainer(config, device, logger, [timer, *callbacks])
        with logger.own_run(config["logger"]):
            losses = learn(trainer, module, data, config, timer)
            return finish(module, config, losses) if trainer.is_global_zero else Trained(module, losses)


def begin(config: dict, device: torch.device) -> Task:
    """What is to be trained; what is known of the run is written down."""
    pl.seed_everything(config["seed"], verbose=False)
    module = task_class(config)(config)
    for path in chain(*module.styles.values()):
        if note := enlargement(path, config["style"]["style_size"]):
            rank_zero_only(print)(note)
    if note := scale_mismatch(config["loss_network"]["name"], config["objective"]):
        rank_zero_only(print)(note)
    module.save_hyperparameters({"environment": environment(device)})
    styles = [describe_style(name, pictures) for name, pictures in module.styles.items()]
    rank_zero_only(write_record)(Path(config["run_dir"]), config, styles, module.hparams["environment"])
    speed_up(module, config, device)
    return module


def learn(
    trainer: pl.Trainer, module: Task, data: pl.LightningDataModule, config: dict, timer: Timer
) -> dict[str, float]:
    """The steps, and the held-out losses at their end. If the disk is full, or photos can be had no more, the model is
    written before the error."""
    # Both count from the very start of a run that was resumed.
    length = lambda: {"steps": trainer.global_step, "seconds": round(timer.time_elapsed(), 1)}  # noqa: E731
    try:
        trainer.fit(module, data, ckpt_path=config["ckpt_path"], weights_only=True)
        return trainer.validate(module, data, verbose=False)[0] | length()
    except (OSError, ImageError, StorageError, ContentError, WriteError) as error:
        if trainer.global_step == 0 or not trainer.is_global_zero:
            raise FastStyleError(one_line(error)) from error
        release = save(module, config, length())
        raise FastStyleError(f"{one_line(error)}; step {trainer.global_step} is in {release}") from error


def plain(cfg: DictConfig) -> dict:
    """The config as plain data, with the budget and the checkpoint that it means."""
    config = OmegaConf.to_container(cfg, resolve=True)
    if config["budget"] == "auto":
        config["budget"] = DEFAULT_BUDGET if config["max_steps"] == -1 else None
    config["ckpt_path"] = begun_before(config["run_dir"]) or config["ckpt_path"]
    return config


def check(config: dict) -> None:
    """Refuse what would only fail, or be ignored, after the training."""
    check_keys(config, Train)
    if config["budget"] is not None:
        parse_duration(config["budget"])
        if config["max_steps"] != -1:
            raise FastStyleError("give budget= or max_steps=, not both (for the budget of an experiment: max_steps=-1)")
    elif config["max_steps"] == -1:
        raise FastStyleError("give a budget= such as 5min, or max_steps=")
    if config["lbfgs_iterations"] and not issubclass(task_class(config), StyleTransfer):
        raise FastStyleError(f"lbfgs_iterations={config['lbfgs_iterations']}: is of task=style_transfer")
    check_folder("run_dir", Path(config["run_dir"]))
    if config["ckpt_path"]:
        check_resumable(config["ckpt_path"], config)
    task_class(config).check(config)


def speed_up(module: Task, config: dict, device: torch.device) -> None:
    """Make training steps faster on this device, by what changes results no more than another order of sums does."""
    if device.type == "cpu":
        keep_freed_memory()
    if config["fast_layers"]:
        accelerate(module.network)
    if config["channels_last"]:
        module.to(memory_format=torch.channels_last)
    module.speed_up(config, device)


def build_trainer(
    config: dict, device: torch.device, logger: Unfailing, callbacks: Sequence[pl.Callback]
) -> pl.Trainer:
    run_dir = Path(config["run_dir"])
    callbacks = [
        divergence := Divergence(),
        *callbacks,
        *(build(f"callbacks.{name}", callback) for name, callback in (config["callbacks"] or {}).items()),
        ProgressBar(leave=True),
        Throughput(),
        PreviewGrid(run_dir / "previews"),
        *([Budget(parse_duration(config["budget"]))] if config["budget"] else []),
        ResumePoint(run_dir / "last.ckpt", config["checkpoint_every"], divergence),
        Best(run_dir / "best.ckpt", run_dir / "last.ckpt"),
        *([AgainstLBFGS(config["lbfgs_iterations"])] if config["lbfgs_iterations"] else []),
        HeldOutLog(),
    ]
    trainer = build(
        "trainer",
        config["trainer"],
        precision=pick_precision(config["precision"], device),
        logger=logger,
        plugins=[WholeCheckpoints()],
        callbacks=callbacks,
    )
    if trainer.world_size > 1 and HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN:
        raise FastStyleError("--multirun trains on one device: the other processes would repeat the whole sweep")
    if trainer.gradient_clip_val is not None:
        raise FastStyleError("trainer.gradient_clip_val: give optimizer.gradient_clip")
    if trainer.accumulate_grad_batches != 1:
        raise FastStyleError("trainer.accumulate_grad_batches must be 1: use a larger batch_size")
    return trainer


def save(module: Task, config: dict, losses: dict[str, float]) -> Path:
    """Write the release file."""
    model = Path(config["run_dir"]) / "model.safetensors"
    network, environment = module.network.cpu().eval(), module.hparams["environment"]
    save_release(model, network, config, module.styles, losses, environment)
    log.info("step %d, %.0f seconds: wrote %s", losses["steps"], losses["seconds"], model)
    return model


def finish(module: Task, config: dict, losses: dict[str, float]) -> Trained:
    """Write the release file and a picture."""
    run_dir = Path(config["run_dir"])
    unreadable = run_dir / "unreadable.txt"
    model = save(module, config, losses)
    module.logger.log_model(model)
    picture, failures = module.draw(config, run_dir)
    skipped = sorted(set(unreadable.read_text().splitlines())) if unreadable.exists() else []
    return Trained(module, losses, model, picture, failures, skipped)
