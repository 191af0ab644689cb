"""What a training tells a logger of Lightning's: figures, previews, the model. One that fails stops no training."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor

from fast_style.errors import one_line
from fast_style.keys import build
from fast_style.training.record import log

# A server that has gone keeps a training waiting: MLflow asks again and again, and Weights & Biases ends no run
# before all is sent. Their own values: 7 times, 120 seconds, for ever.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
os.environ.setdefault("WANDB_FINISH_TIMEOUT", "120")  # seconds; what is left by then is sent by wandb sync


class Unfailing(Logger):
    """A logger whose failures, of a disk, a server or a library, are said and stop nothing.

    After a failure it is left alone for a minute, and for twice as long after every further one, so that waiting for a
    server costs a training little of its time.
    """

    name = version = ""

    def __init__(self, logger: Logger):
        self.logger, self.pause, self.resting_until = logger, 60.0, 0.0

    @property
    def experiment(self) -> object:
        return self.attempt(lambda: self.logger.experiment)

    @property
    def save_dir(self) -> str | None:
        return self.logger.save_dir

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.attempt(self.logger.log_metrics, metrics, step)

    def log_hyperparams(self, params: dict) -> None:
        self.attempt(self.logger.log_hyperparams, params)

    def log_preview(self, grid: Tensor, path: Path, step: int) -> None:
        """A preview, (3, H, W) in [0, 1], which is in the file `path` as well."""
        self.attempt(send_preview, self.logger, grid, path, step)

    def log_model(self, model: Path) -> None:
        """The release file."""
        self.resting_until = 0.0  # the last chance
        self.attempt(send_model, self.logger, model)

    def save(self) -> None:
        self.attempt(self.logger.save)

    def finalize(self, status: str) -> None:
        self.attempt(self.logger.finalize, status)

    @contextmanager
    def own_run(self, section: dict) -> Iterator[None]:
        """Have Weights & Biases log a run that ends with this context, or it would log the next training of this
        process as the same one; offline where there is no login or no network.

        section     the config that the logger was built of
        """
        if not isinstance(self.logger, WandbLogger):
            yield
            return
        try:
            self.logger.experiment  # noqa: B018 - what connects
        except Exception as error:
            said = f"logger=wandb: {one_line(error)}; this run is logged offline, wandb sync sends it later"
            rank_zero_only(print)(said)
            # "mode" too: what offline sets in the environment is no longer read.
            self.logger = build("logger", section | {"offline": True, "mode": "offline"})
        exit_code = 1
        try:
            yield
            exit_code = 0
        finally:
            self.resting_until = 0.0
            self.attempt(lambda: self.logger.experiment.finish(exit_code))

    def attempt(self, call: Callable, *arguments: object) -> object:
        """What the call returns; None if it fails, or is not made."""
        if time.monotonic() < self.resting_until:
            return None
        try:
            return call(*arguments)
        except Exception as error:
            self.resting_until, pause = time.monotonic() + self.pause, self.pause
            self.pause *= 2
            name = type(self.logger).__name__
            said = f"{name}: {one_line(error)}; no reason to stop, the next {pause:.0f} seconds are not logged"
            rank_zero_only(print)(f"\n{said}")
            log.warning("%s", said)


def send_preview(logger: Logger, grid: Tensor, path: Path, step: int) -> None:
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image("preview", grid, step)
    elif isinstance(logger, WandbLogger):
        logger.log_image("preview", [grid], step=step)
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_artifact(logger.run_id, str(path), "previews")


def send_model(logger: Logger, model: Path) -> None:
    """To a logger that keeps more than numbers; for the others it lies beside their files."""
    if isinstance(logger, WandbLogger):
        run = logger.experiment
        run.log_artifact(str(model), name=f"model-{run.id}", type="model")
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_artifact(logger.run_id, str(model))
