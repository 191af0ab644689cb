"""docs/recipes.md says of the models that ship what their metadata say."""

import json
import re
import sys

import pytest
from conftest import ROOT
from safetensors import safe_open

from fast_style.errors import FastStyleError

sys.path.insert(0, str(ROOT / "scripts"))

import recipes


def test_the_table_is_that_of_the_metadata():
    rows = re.findall(r"^\| (\w+) \| <img.*<img.*$", recipes.PAGE.read_text(), re.MULTILINE)
    models = sorted((ROOT / "checkpoints").glob("*.safetensors"))
    assert rows and recipes.table(models) in recipes.PAGE.read_text(), "run python scripts/recipes.py"
    for row in recipes.table(models).splitlines()[2:]:
        name, _, _, command, length, machine, commit, *figures = [cell.strip() for cell in row.strip("|").split("|")]
        with safe_open(ROOT / "checkpoints" / f"{name}.safetensors", "pt") as file:
            losses, training, config = (json.loads(file.metadata()[key]) for key in ("losses", "training", "config"))
        objective = config["objective"]
        content, style, tone = (losses[f"val/{term}_loss"] for term in ("content", "style", "tone"))
        assert [command, machine, commit] == [f"`{training['command']}`", training["machine"], training["commit"]]
        assert length == f"{losses['steps']:,}, {losses['seconds']:.0f}"
        expected = [content, style / objective["style_weight"], losses["val/total_loss"]]
        assert [float(figures[index]) for index in (0, 1, 3)] == pytest.approx(expected, abs=6e-4)
        assert float(figures[2]) == pytest.approx(1 - tone / objective["tone_weight"], abs=0.02)
        assert (ROOT / "checkpoints" / f"{name}.jpg").exists()


def test_the_script_writes_nothing_but_the_table(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{recipes.BEGIN}| old |\n{recipes.END}\nafter\n")
    recipes.main([f"--page={page}"])
    models = sorted((ROOT / "checkpoints").glob("*.safetensors"))
    assert page.read_text() == f"before\n{recipes.BEGIN}{recipes.table(models)}{recipes.END}\nafter\n"
    page.write_text("no place")
    with pytest.raises(FastStyleError, match="for the table to stand between"):
        recipes.main([f"--page={page}"])
