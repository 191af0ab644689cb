"""The comparison of ways to a texture, in small: every way draws, and figures and picture are complete."""

import json
from importlib.util import find_spec

import pytest
from conftest import ROOT
from PIL import Image

from benchmarks import textures
from benchmarks.textures import compare, gram_error, main, parse


@pytest.fixture
def arguments(tmp_path):
    sizes = ["--size=128", "--steps=2", "--network-steps=1"]
    return [
        *sizes,
        f"--runs={tmp_path}/runs",
        f"--output={tmp_path}/out/textures.json",
        f"--picture={tmp_path}/sheet.png",
    ]


def test_every_way(arguments, photo, tmp_path, monkeypatch, capsys):
    picture = photo(tmp_path / "sand.png", 140, 150)
    monkeypatch.setattr("sys.argv", ["textures.py", *arguments, "--textures", str(picture), "mosaic"])
    main()
    result = json.loads((tmp_path / "out" / "textures.json").read_text())
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == result
    ways = ["quilting", "Portilla, Simoncelli", "Gatys et al.", "texture network"]
    ways = [way for way in ways if way != "Portilla, Simoncelli" or find_spec("plenoptic")]
    assert {name: list(row) for name, row in result["textures"].items()} == {"sand": ways, "mosaic": ways}
    assert all(
        cell["seconds"] > 0 and cell["gram_error"] > 0 for row in result["textures"].values() for cell in row.values()
    )
    assert result["textures"]["sand"]["texture network"]["seconds_per_picture"] > 0
    sheet = Image.open(tmp_path / "sheet.png")
    assert sheet.size == ((len(ways) + 1) * 134 - 6, 28 + 2 * 150)
    texture = Image.open(tmp_path / "runs" / "sand" / "texture.png")
    assert sheet.crop((0, 28, 128, 156)).tobytes() == texture.tobytes()


def test_what_is_done_is_kept(arguments, tmp_path, monkeypatch):
    """The figures of quilting are there though the next way fails."""

    def fail(*_):
        raise RuntimeError("as planned")

    monkeypatch.setattr(textures, "METHODS", {"quilting": textures.METHODS["quilting"], "next": fail})
    with pytest.raises(RuntimeError, match="as planned"):
        compare(parse([*arguments, "--textures=mosaic"]))
    written = json.loads((tmp_path / "out" / "textures.json").read_text())
    assert list(written["textures"]["mosaic"]) == ["quilting"]


def test_gram_error(photo, tmp_path):
    one, other = (photo(tmp_path / f"{seed}.png", 64, 64, seed=seed) for seed in (0, 1))
    assert gram_error(one, one) == 0 < gram_error(other, one)


def test_figures_of_the_documentation_are_measured_ones():
    text = (ROOT / "docs/comparisons.md").read_text()
    cells = json.loads((ROOT / "benchmarks/results/textures.json").read_text())["textures"]
    assert len(cells) == 6
    for name, row in cells.items():
        errors = " | ".join(f"{cell['gram_error']:.3f}" for cell in row.values())
        assert f"| {name.replace('_', ' ')} | {errors} |" in text
    seconds = [[row[method]["seconds"] for row in cells.values()] for method in next(iter(cells.values()))]
    assert f"| seconds | {' | '.join(f'{min(s):g} to {max(s):g}' for s in seconds)} |" in text
