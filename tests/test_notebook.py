"""The notebook, its cells run one after the other, without Jupyter."""

import json
import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT, TINY_RUN
from PIL import Image

NOTEBOOK = ROOT / "docs" / "notebooks" / "first_style.ipynb"


class Shown(SimpleNamespace):
    """What stands for IPython.display.Image: it has to get a picture that is there."""

    def __init__(self, path, width=None):
        with Image.open(path) as picture:
            super().__init__(path=path, size=picture.size)


def test_the_notebook_trains_and_shows_pictures_as_they_come(tmp_path, monkeypatch):
    """Word for word, but for the size of the training."""
    shown = []
    display = SimpleNamespace(
        Image=Shown, clear_output=lambda wait: None, display=lambda *objects: shown.extend(objects)
    )
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(display=display))
    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells), "committed without outputs"
    code = "\n".join("".join(cell["source"]) for cell in cells)
    full = '"budget=60s", "preview_every=40"'
    assert full in code
    tiny = ("max_steps=4", "preview_every=2", "init_from=null", *TINY_RUN)
    namespace = {}
    exec(code.replace(full, ", ".join(map(repr, tiny))), namespace)
    (previews,) = tmp_path.glob("outputs/python/*/previews")
    came = [one.path for one in shown if isinstance(one, Shown) and one.path.parent.resolve() == previews]
    assert [path.name for path in dict.fromkeys(came)] == ["step_000002.png", "step_000004.png"]
    assert namespace["trained"].losses in shown and namespace["trained"].losses["val/total_loss"] > 0
    photo, painted, in_its_colours = shown[-3:]
    assert photo.size == painted.size == in_its_colours.size and painted != in_its_colours


@pytest.mark.parametrize("path", sorted(NOTEBOOK.parent.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_of_the_format(path):
    notebook = json.loads(path.read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    assert path == NOTEBOOK, "each needs a test that runs it"
