"""train.py as a function."""

import time
from collections.abc import Sequence

import hydra
import pytorch_lightning as pl
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from fast_style.commands import CONFIGS, check_composed
from fast_style.errors import FastStyleError
from fast_style.overrides import explain
from fast_style.training.fit import Trained, fit
from fast_style.training.recipe import with_recipe


def train(*overrides: str, callbacks: Sequence[pl.Callback] = ()) -> Trained:
    """Train as `python train.py OVERRIDES` does: the trained module, its losses, and the paths of what was written.

    Overrides are keys of configs/train.yaml: "style=mosaic", "budget=60s", "objective.style_weight=3". The run's
    folder is outputs/python/TIME, or "run_dir=FOLDER". `callbacks` are Lightning's. Raises FastStyleError.
    """
    return fit(compose(f"run_dir=outputs/python/{time.strftime('%Y-%m-%d_%H-%M-%S')}", *overrides), callbacks)


def compose(*overrides: str) -> DictConfig:
    """The config that train.py would have. Raises FastStyleError."""
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        try:
            cfg = hydra.compose("train", list(overrides))
        except Exception as error:  # Hydra's have no common type
            raise FastStyleError(explain(error, "train")) from error
    check_composed(cfg, overrides)
    return with_recipe(cfg, overrides)
