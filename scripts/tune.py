"""Which weights for my painting? Train it many times, briefly, and see where the held-out pictures are best.

    python scripts/tune.py style.image=my_painting.jpg
    python scripts/tune.py style=mosaic "objective.style_weight=tag(log,interval(1,30))" model=slim,medium --trials 20

Keys are those of train.py. Those with several values are searched, by Optuna: interval(A,B), tag(log,interval(A,B))
where factors count, or A,B,C; without any, the style weight and the tone weight. What is to be small is
val/distance_to_ideal (docs/runs.md). The first trial has the defaults. Every trial is a run like any other, of 300
steps unless budget= or max_steps= is given; all of them are on the contact sheet at the end. Ctrl-C ends the search,
and the same command goes on with it.
"""

import argparse
import shlex
import sys
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import DictConfig, OmegaConf

from fast_style.errors import FastStyleError, exit_on_error
from fast_style.inference.contact_sheet import write_contact_sheet
from fast_style.inference.runs import FAILURE, OVERRIDES
from fast_style.keys import shown
from fast_style.overrides import quoted
from fast_style.training.callbacks import ResumePoint
from fast_style.training.fit import Trained
from fast_style.training.from_python import compose, train

try:
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
    from optuna.trial import TrialState
except ModuleNotFoundError:
    sys.exit('error: scripts/tune.py needs Optuna: pip install -e ".[optuna]"')

FIGURE = "val/distance_to_ideal"
SEARCHED = (
    "objective.style_weight=tag(log,interval(0.5,32))",
    "objective.tone_weight=tag(log,interval(0.005,0.5))",
)
LENGTHS, LENGTH = ("max_steps=", "budget="), "max_steps=300"  # of a trial
# What the figure is measured with: trials that differ in it cannot be compared.
YARDSTICK = ("task", "style", "data", "loss_network", "image_size", "short_side", *(f"objective.{name}" for name in (
    "content_layers", "style_layers", "style_weights", "style_scales", "error")))  # fmt: skip
RANDOM = 5  # trials before the search begins to learn from them


def space(override: Override) -> BaseDistribution:
    """What a key is searched over. Raises FastStyleError."""
    key, value = override.key_or_group, override.value()
    if any(key == part or key.startswith(f"{part}.") for part in YARDSTICK) or key == "objective":
        raise FastStyleError(f"{override.input_line}: the trials could not be compared; give {key}= one value")
    if isinstance(value, IntervalSweep):
        return FloatDistribution(value.start, value.end, log="log" in value.tags)
    return CategoricalDistribution(list(override.sweep_string_iterator()))


def read_keys(overrides: list[str]) -> tuple[list[str], dict[str, BaseDistribution]]:
    """The keys with one value, and the others with what they are searched over."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    if not any(override.is_sweep_override() for override in parsed):
        parsed += OverridesParser.create().parse_overrides(list(SEARCHED))
    fixed = [override.input_line for override in parsed if not override.is_sweep_override()]
    if not any(line.startswith(LENGTHS) for line in fixed):
        fixed.append(LENGTH)
    return fixed, {override.key_or_group: space(override) for override in parsed if override.is_sweep_override()}


def defaults(cfg: DictConfig, spaces: dict[str, BaseDistribution]) -> dict[str, object] | None:
    """What the searched keys are without a search, if that is in reach."""
    values = {key: OmegaConf.select(cfg, key) for key in spaces}
    for key, over in spaces.items():
        if isinstance(over, CategoricalDistribution):
            values[key] = shown(values[key])
            if values[key] not in over.choices:
                return None
        elif not over.low <= values[key] <= over.high:
            return None
    return values


def open_study(folder: Path, fixed: list[str], spaces: dict[str, BaseDistribution], cfg: DictConfig) -> optuna.Study:
    """The search in a folder, begun now or earlier. Raises FastStyleError if that has other keys."""
    folder.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # it warns of a package that only saves it time
    study = optuna.create_study(storage=f"sqlite:///{folder / 'study.db'}", study_name="tune", load_if_exists=True)
    keys = [*fixed, *(f"{key}={over}" for key, over in spaces.items())]
    if not study.user_attrs:
        study.set_user_attr("keys", keys)
        if known := defaults(cfg, spaces):
            study.enqueue_trial(known)
    if (before := study.user_attrs["keys"]) != keys:
        raise FastStyleError(f"{folder} holds a search with other keys, {' '.join(before)}: give --folder")
    study.sampler = optuna.samplers.GPSampler(seed=len(study.trials), n_startup_trials=RANDOM)
    return study


def written(params: dict[str, object]) -> list[str]:
    """The keys of a trial, three digits each, as one writes them."""
    return [f"{key}={value:.3g}" if isinstance(value, float) else f"{key}={value}" for key, value in params.items()]


def run_trial(folder: Path, overrides: list[str]) -> float:
    """Train in a folder; the figure. Raises FastStyleError, and KeyboardInterrupt if the training was stopped."""
    (folder / OVERRIDES).parent.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.create(overrides), folder / OVERRIDES)
    try:
        trained = train(*overrides, f"run_dir={quoted(folder)}")
    except FastStyleError as error:
        (folder / FAILURE).write_text(f"error: {error}\n")
        raise
    if was_stopped(trained):
        raise KeyboardInterrupt
    if FIGURE not in trained.losses:
        raise FastStyleError(f"no {FIGURE}: it needs task=style_transfer, and both content and style with a weight")
    return trained.losses[FIGURE]


def was_stopped(trained: Trained) -> bool:
    return any(isinstance(each, ResumePoint) and each.stop_requested for each in trained.module.trainer.callbacks)


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """The trials with a figure, the best first."""
    return sorted(study.get_trials(states=[TrialState.COMPLETE]), key=lambda trial: trial.value)


def search(study: optuna.Study, folder: Path, fixed: list[str], spaces: dict, trials: int) -> None:
    """Make trials until there are as many. A first one that fails ends it: its fault is likely that of all."""
    while (done := len(finished(study))) < trials:
        trial = study.ask(spaces)
        keys = written(trial.params)
        print(f"\ntrial {done + 1} of {trials}: {' '.join(keys)}", flush=True)
        try:
            value = run_trial(folder / f"{trial.number:03d}", [*fixed, *keys])
        except BaseException as error:
            study.tell(trial, state=TrialState.FAIL)
            if not isinstance(error, FastStyleError) or not done:
                raise
            print(f"error: {error}", file=sys.stderr)
            trials -= 1
        else:
            study.tell(trial, value)
            print(f"{FIGURE} {value:.3f}")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [options] [KEY=VALUE ...]",
    )
    parser.add_argument("--trials", type=int, default=15, help="with earlier calls' (%(default)s)")
    parser.add_argument("--folder", type=Path, help="of the runs and of the search (default: outputs/tune/STYLE)")
    args, overrides = parser.parse_known_args(arguments)
    fixed, spaces = read_keys(overrides)
    cfg = compose(*fixed, "run_dir=unused")
    folder = args.folder or Path("outputs") / "tune" / cfg.style.name
    study = open_study(folder, fixed, spaces, cfg)
    search(study, folder, fixed, spaces, args.trials)
    best, *others = finished(study)
    print(f"\n{FIGURE}")
    for trial in [best, *others[:4]]:
        print(f"{trial.value:10.3f}  {' '.join(written(trial.params))}   {folder / f'{trial.number:03d}'}")
    picture, page = write_contact_sheet(folder)
    print(f"\ncontact sheet  {picture}\n               {page}, to sort")
    full = [line for line in fixed if not line.startswith(LENGTHS)]
    print(f"\nTrain it in full:\n\n  {shlex.join(['python', 'train.py', *full, *written(best.params)])}")


if __name__ == "__main__":
    exit_on_error(lambda: main(sys.argv[1:]))
