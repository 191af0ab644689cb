"""Train a style: python train.py style=starry_night"""

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from fast_style.commands import run
from fast_style.commands.sweep import Sweep, end_sweep
from fast_style.errors import FastStyleError, exit_on_error
from fast_style.training.fit import fit
from fast_style.training.recipe import with_recipe


def train(cfg: DictConfig) -> float:
    """Train, write the release file and a picture, say what there is. Raises FastStyleError.

    Returns what a sweeper of Hydra's is to make small: val/distance_to_ideal, or where a task has none its held-out
    loss, which other weights make another.
    """
    trained = fit(with_recipe(cfg, HydraConfig.get().overrides.task))
    if trained.model:
        if trained.skipped:
            listed = trained.model.parent / "unreadable.txt"
            print(f"\nskipped {len(trained.skipped)} unreadable images, listed in {listed}:", end="\n  ")
            print(*trained.skipped[:10], sep="\n  ")
        print(f"\nmodel    {trained.model}")
        if not trained.failures:
            print(f"picture  {trained.picture}")
        print(f"\n{trained.module.next_command(trained.model)}")
        if trained.failures:
            raise FastStyleError(f"there is a model, but no picture: {trained.failures[0]}")
    return trained.losses.get("val/distance_to_ideal", trained.losses["val/total_loss"])


def main() -> None:
    Sweep.folder = None
    try:
        run("train", train)
    finally:
        exit_on_error(end_sweep)
