"""Write the table of docs/recipes.md: how the models that ship were made, from their own metadata.

python scripts/recipes.py
"""

import argparse
import sys
from pathlib import Path

from fast_style.checkpoint import read_metadata
from fast_style.errors import FastStyleError, exit_on_error
from fast_style.inference.runs import figures_of
from fast_style.writing import write_whole

ROOT = Path(__file__).resolve().parent.parent
PAGE, CHECKPOINTS = ROOT / "docs" / "recipes.md", ROOT / "checkpoints"
BEGIN, END = "<!-- scripts/recipes.py writes this table -->\n", "<!-- to here -->"
HEAD = """\
| style | | chelsea | command | steps, seconds | hardware | commit | content | style | tone | total |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
ROW = (
    '| {name} | <img src="../fast_style/assets/styles/{image}" height="96"> | <img src="../checkpoints/{name}.jpg" '
    'height="96"> | `{command}` | {steps:,}, {seconds:.0f} | {machine} | {commit} | {content:.3f} | {style:.3f} '
    "| {tone:.2f} | {total:.3f} |\n"
)


def table(models: list[Path]) -> str:
    """A row for each model of one style that scripts/train_gallery.py has made."""
    rows = []
    for model in models:
        metadata = read_metadata(model)
        if "training" not in metadata or "style" not in metadata:
            continue
        training = {key: str(metadata["training"][key]).replace("|", "\\|") for key in ("command", "machine", "commit")}
        figures = figures_of(metadata) | {"tone": tone_of(metadata)}
        rows.append(ROW.format(name=model.stem, image=metadata["style"]["image"], **training, **figures))
    return HEAD + "".join(rows)


def tone_of(metadata: dict) -> float:
    """The correlation of light and dark; of an earlier model by the term of the objective."""
    losses = metadata["losses"]
    if "val/tone" in losses:
        return losses["val/tone"]
    return 1 - losses["val/tone_loss"] / metadata["config"]["objective"]["tone_weight"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, default=PAGE, help="with the two comments between which the table stands")
    page = parser.parse_args(arguments).page
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise FastStyleError(f"{page} has no {BEGIN.strip()} and {END} for the table to stand between")
    models = sorted(CHECKPOINTS.glob("*.safetensors"))
    write_whole(page, f"{before}{begin}{table(models)}{end}{after}".encode())
    print(f"wrote the table of {page}")


if __name__ == "__main__":
    exit_on_error(lambda: main(sys.argv[1:]))
