"""Learning curves with batch norm and with instance norm, and what the diversity term of texture networks does.

    python -m benchmarks.norms style=mosaic data=folder data.root=PHOTOS data.validation_count=32

Ulyanov, Vedaldi, Lempitsky, "Improved Texture Networks" (CVPR 2017), propose instance norm and the term. Norms are
compared in style_transfer and texture, samples with and without the term in texture and diverse_style_transfer. The
trainings are train.py's own, from scratch. With one seed, all curves of a task begin with the same weights and see the
same images or noise in the same order; every step has four images.

Held-out losses are those a user gets: batch norm then normalises by its running averages, not by the batch. The
training loss is the mean over the steps since the last validation. Where there is a diversity term, totals hold it.

Runs that --output has are kept, so that the same command goes on after Ctrl-C, and more seeds can be added.
"""

import argparse
import csv
import itertools
import json
import statistics
import tempfile
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from benchmarks.result import write_result
from benchmarks.time_to_quality import Clock, comma_separated, fit_watched, plain, published
from benchmarks.timing import environment
from fast_style.commands import CONFIGS
from fast_style.errors import FastStyleError, exit_on_error
from fast_style.hardware import pick_device

ROOT = Path(__file__).resolve().parent.parent

INSTANCE, BATCH, DIVERSE = "instance norm", "batch norm", "instance norm, diversity term"
CURVES = {
    "style_transfer": {INSTANCE: ["model.norm=instance"], BATCH: ["model.norm=batch"]},
    "texture": {
        INSTANCE: ["generator.norm=instance"],
        BATCH: ["generator.norm=batch"],
        DIVERSE: ["generator.norm=instance", "diversity_weight=0.1"],
    },
    "diverse_style_transfer": {
        INSTANCE: ["generator.norm=instance"],
        DIVERSE: ["generator.norm=instance", "diversity_weight=0.1"],
    },
}
RECIPE = [
    "model=slim",
    "loss_network=distilled",
    "objective=texture",
    "init_from=null",
    "image_size=128",
    "preview_every=25",
    "trainer.log_every_n_steps=1",
]
RECIPES = {
    "style_transfer": [*RECIPE, "batch_size=4", "max_steps=500", "optimizer.lr=4e-3"],
    "texture": [*RECIPE, "batch_size=4", "max_steps=300"],
    "diverse_style_transfer": [*RECIPE, "batch_size=2", "max_steps=300"],  # two variants of each photo
}
TRAINING = "train/total_loss"
COLORS = {INSTANCE: "C0", BATCH: "C1", DIVERSE: "C2"}
PANELS = [
    ("style_transfer", "val/total_loss", "style transfer: total loss"),
    ("style_transfer", "val/content_loss", "style transfer: content loss"),
    ("style_transfer", "val/style_loss", "style transfer: style loss"),
    ("texture", "val/style_loss", "texture: style loss"),
    ("texture", "val/diversity", "texture: diversity"),
    ("diverse_style_transfer", "val/diversity", "variants of a photo: diversity"),
]


def config_of(task: str, overrides: list[str], run_dir: Path) -> DictConfig:
    """The config of train.py; the command line's overrides come after the recipe's."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose("train", [f"task={task}", *RECIPES[task], *overrides, f"run_dir={run_dir}"])


def learning_curve(metrics: Path) -> dict[str, list[float]]:
    """Held-out losses by the number of steps, from a run's metrics.csv, and the mean training loss up to each."""
    with metrics.open() as file:
        rows = list(csv.DictReader(file))
    losses = [float(row[TRAINING]) for row in rows if row[TRAINING]]
    # Rows of a training count its steps from 0; the last one, of the validation after it, has their number.
    held_out = {min(int(row["step"]) + 1, len(losses)): row for row in rows if row["val/total_loss"]}
    curve = {
        "steps": list(held_out),
        TRAINING: [round(statistics.mean(losses[since:step]), 5) for since, step in itertools.pairwise([0, *held_out])],
    }
    names = [name for name in rows[0] if name.startswith("val/")]
    return curve | {name: [round(float(row[name]), 5) for row in held_out.values()] for name in names}


def run(task: str, overrides: list[str]) -> dict[str, list[float]]:
    """Train; the learning curve. Raises KeyboardInterrupt where Ctrl-C would end the training early."""
    with tempfile.TemporaryDirectory() as folder:
        fit_watched(config_of(task, overrides, Path(folder)), Clock())
        return learning_curve(Path(folder, "logs", "version_0", "metrics.csv"))


def shared_config(task: str, overrides: list[str]) -> dict:
    """The published config of a task without the keys in which its runs differ."""
    config = plain(config_of(task, overrides, Path("run")))
    device = pick_device("cpu" if config["trainer"]["accelerator"] == "cpu" else "auto")
    config = published(config, device)
    differing = {override.partition("=")[0] for curve in CURVES[task].values() for override in curve}
    for key in ("seed", "data.seed", *differing):
        *groups, name = key.split(".")
        (config[groups[0]] if groups else config).pop(name)
    return config


def begin(result: dict, task: str, overrides: list[str]) -> list[dict]:
    """The runs of a task that `result` has. Raises FastStyleError if they had another config."""
    config = shared_config(task, overrides)
    part = result.setdefault(task, {"config": config, "environment": environment(pick_device("auto")), "runs": []})
    if part["config"] != config:
        raise FastStyleError(f"--output has runs of {task} with another config: give another file")
    return part["runs"]


def runs_of(result: dict, task: str, curve: str) -> list[dict]:
    """The runs of a curve, by seed."""
    runs = [run for run in result.get(task, {"runs": []})["runs"] if run["curve"] == curve]
    return sorted(runs, key=lambda run: run["seed"])


def as_good_after(better: dict, other: dict) -> int | None:
    """The first step at which `better` has at most the last held-out loss of `other`; None if never."""
    last = other["val/total_loss"][-1]
    return next(
        (step for step, loss in zip(better["steps"], better["val/total_loss"], strict=True) if loss <= last), None
    )


def summary(result: dict) -> dict:
    """Last values of each curve, one for each seed; and when instance norm is as good as batch norm at its end."""
    summaries = {}
    for task in (task for task in CURVES if task in result):
        curves = {curve: runs for curve in CURVES[task] if (runs := runs_of(result, task, curve))}
        summaries[task] = {
            curve: {
                "seeds": [run["seed"] for run in runs],
                "steps": [run["steps"][-1] for run in runs],
                **{name: [round(run[name][-1], 4) for run in runs] for name in runs[0] if "/" in name},
            }
            for curve, runs in curves.items()
        }
        if {INSTANCE, BATCH} <= curves.keys():
            pairs = zip(curves[INSTANCE], curves[BATCH], strict=False)
            summaries[task]["instance norm as good after"] = [as_good_after(*pair) for pair in pairs]
    return summaries


def plot(result: dict, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(2, 3, figsize=(11, 6.4), layout="constrained")
    for axes, (task, metric, title) in zip(panels.flat, PANELS, strict=True):
        draw_panel(axes, result, task, metric)
        axes.set_title(title, fontsize=10)
    handles = {
        label: handle for axes in panels.flat for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def draw_panel(axes, result: dict, task: str, metric: str) -> None:
    """One line for each seed, in the colour of its curve; dotted the training loss, where it is that of the panel."""
    axes.set_xlabel("steps")
    axes.grid(alpha=0.3)
    for curve, color in COLORS.items():
        for run, dashes in zip(runs_of(result, task, curve), itertools.cycle(("-", "--"))):
            label = f"{curve}, seed {run['seed']}"
            axes.plot(run["steps"], run[metric], dashes, color=color, linewidth=1.4, label=label)
            if metric == "val/total_loss":
                axes.plot(run["steps"], run[TRAINING], ":", color=color, linewidth=1.2, alpha=0.7)
    losses = [line.get_ydata() for line in axes.lines if metric != "val/diversity"]
    if losses:
        # Early and odd held-out losses of batch norm, up to thousands, leave the panel.
        axes.set_ylim(0.95 * min(map(min, losses)), 2 * max(last for *_, last in losses))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="of train.py's config, for all runs: style=mosaic max_steps=N ...")
    parser.add_argument(
        "--tasks", type=comma_separated(str), default=list(CURVES), help=f"only these of {','.join(CURVES)}"
    )
    parser.add_argument("--seeds", type=comma_separated(int), default=[0, 1], help="(0,1)")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "norms.json")
    parser.add_argument("--plot", type=Path, default=ROOT / "docs" / "images" / "norms.png")
    args = parser.parse_intermixed_args(arguments)
    if unknown := set(args.tasks) - set(CURVES):
        parser.error(f"--tasks: no {', '.join(sorted(unknown))}; choose from {', '.join(CURVES)}")
    return args


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    result = json.loads(args.output.read_text()) if args.output.exists() else {}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for task in args.tasks:
            runs = begin(result, task, args.overrides)
            finished = {run["curve"] for run in runs if run["seed"] == seed}
            for curve, overrides in CURVES[task].items():
                if curve in finished:
                    continue
                losses = run(task, [*args.overrides, *overrides, f"seed={seed}"])
                runs.append({"curve": curve, "seed": seed} | losses)
                result["summary"] = summary(result)
                write_result(result, args.output)
    plot(result, args.plot)
    print(json.dumps(result["summary"]))


if __name__ == "__main__":
    exit_on_error(main)
