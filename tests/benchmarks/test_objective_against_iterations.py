"""The comparison with L-BFGS, in small: its objective, the paper's L-BFGS, its summary, and a whole run."""

import json

import pytest
import torch
from conftest import ROOT, run_command
from PIL import Image

from benchmarks.objective_against_iterations import (
    clipped_lbfgs,
    first_reached,
    held_out_photos,
    load_objective,
    main,
    summarise,
    table,
    until,
    white_noise,
)
from fast_style.checkpoint import load_transformer, read_metadata, save_release
from fast_style.data.styles import find_style_images, read_style_image
from fast_style.errors import FastStyleError

CKPT = ROOT / "checkpoints" / "starry_night.safetensors"


@pytest.fixture
def photos(photo, tmp_path):
    for index in range(3):
        photo(tmp_path / "photos" / f"{index}.png", 40 + index, 48, seed=index)
    return tmp_path / "photos"


def test_objective_is_the_one_of_the_release_file(photos):
    """Its weights and layers, and nothing to lose for the style picture as its own photo."""
    loss, config = load_objective(CKPT), read_metadata(CKPT)["config"]
    for name in ("content_layers", "style_layers", "style_scales"):
        assert getattr(loss, name) == config["objective"][name]
    for name in ("content", "style", "tv", "tone"):
        assert loss.terms[f"{name}_loss"][0] == config["objective"][f"{name}_weight"]
    style_image = read_style_image(find_style_images("starry_night")[0], config["style"]["style_size"])
    terms = loss(style_image, style_image)
    assert terms["content_loss"].item() == terms["style_loss"].item() == pytest.approx(0, abs=1e-5)
    (photo,) = held_out_photos(photos, 1, 32)
    assert sum(loss(photo, photo).values()).item() > 1


def test_another_style_picture_is_refused(tmp_path):
    metadata, other = read_metadata(CKPT), ROOT / "fast_style/assets/styles/mosaic.jpg"
    save_release(tmp_path / "model.safetensors", load_transformer(CKPT)[0], metadata["config"], {"other": [other]}, {})
    with pytest.raises(FastStyleError, match="not what .* was trained with"):
        load_objective(tmp_path / "model.safetensors")


def test_held_out_photos_are_the_last(photos):
    one, other = held_out_photos(photos, 2, 32)
    assert one.shape == other.shape == (1, 3, 32, 32) and not torch.equal(one, other)
    torch.testing.assert_close(other, held_out_photos(photos, 1, 32)[0])
    with pytest.raises(FastStyleError, match="3 images, fewer than --count 4"):
        held_out_photos(photos, 4, 32)


def test_clipped_lbfgs_clips():
    """A target outside of [0, 1] is approached within it."""
    target, start = torch.linspace(-0.5, 1.5, 48).view(1, 3, 4, 4), white_noise((1, 3, 4, 4), seed=0)
    before = start.clone()

    def quadratic(image):
        assert 0 <= image.min() and image.max() <= 1
        return {"first": (image - target).square().sum(), "second": (image - target).square().sum()}

    values = list(clipped_lbfgs(quadratic, start, 5))
    assert len(values) == 6 and values[0] == pytest.approx(2 * (before - target).square().sum().item(), rel=1e-5)
    assert min(values) < 0.8 * values[0]
    torch.testing.assert_close(start, before)


def test_clipped_lbfgs_is_pytorch_s_where_nothing_is_clipped():
    target, weights = 0.4 + 0.2 * white_noise((1, 3, 4, 4), seed=1), 1 + 9 * white_noise((1, 3, 4, 4), seed=2)
    image = torch.full_like(target, 0.5, requires_grad=True)
    values = list(clipped_lbfgs(lambda x: {"": (weights * (x - target).square()).sum()}, image.detach(), 8))

    lbfgs = torch.optim.LBFGS([image], max_iter=8, history_size=100, tolerance_grad=0, tolerance_change=0)

    def closure():
        lbfgs.zero_grad()
        value = (weights * (image - target).square()).sum()
        value.backward()
        return value

    lbfgs.step(closure)
    assert values[-1] == pytest.approx((weights * (image - target).square()).sum().item(), rel=1e-3)


def test_first_reached():
    curve = [4.0, 5.0, 2.0, 1.0]
    assert [first_reached(curve, value) for value in (9, 3, 1, 0.5)] == [0, 2, 3, None]
    assert until(iter(curve), 2) == [4, 5, 2] and until(iter(curve), 0) == curve


def test_summary():
    photos = [
        {"network": 2.0, "unstylised": 3.0, "lbfgs": [5.0, 2.0, 1.0], "clipped": [5.0, 1.0]},
        {"network": 1.0, "unstylised": 5.0, "lbfgs": [5.0, 4.0, 1.8], "clipped": [5.0, 4.0, 3.0]},
    ]
    row = summarise(photos)
    assert row["network"] == {"mean": 1.5, "std": 0.5, "median": 1.5}
    assert row["unstylised"] == {"mean": 4, "std": 1, "median": 4}
    assert row["lbfgs"] == {"mean": [5, 3, 1.4], "std": [0, 1, 0.4]}
    assert row["iterations_to_network"] == 2
    assert row["iterations_to_network_by_photo"] == [1, None]
    assert row["clipped_iterations_to_network_by_photo"] == [1, None]
    *_, line = table({"sizes": {"64": row}}).splitlines()
    assert line == "| 64 px | 4.00 | 1.50 ± 0.50 | 2 iterations | never (1 - never) | never (1 - never) |"


def test_the_command(photos, tmp_path):
    output, picture = tmp_path / "results" / "out.json", tmp_path / "plot.png"
    arguments = ("--count=2", "--sizes", "48", "32", "--iterations", "8", "3", "--device=cpu")
    files = (f"--photos={photos}", f"--output={output}", f"--plot={picture}")
    finished = run_command("benchmarks/objective_against_iterations.py", *arguments, *files)
    assert finished.returncode == 0, finished.stderr
    result = json.loads(finished.stdout.splitlines()[-1])
    assert result == json.loads(output.read_text())
    assert table(result) in finished.stdout and str(tmp_path) not in output.read_text()
    assert result["ckpt"] == CKPT.name and result["hardware"] and result["versions"]["torch"]
    assert {size: len(row["lbfgs"]["mean"]) for size, row in result["sizes"].items()} == {"48": 9, "32": 4}
    for row in result["sizes"].values():
        assert row["photos"] == 2
        assert row["lbfgs"]["mean"] == sorted(row["lbfgs"]["mean"], reverse=True)
    with Image.open(picture) as plot:
        assert plot.size[0] > 500


def test_ctrl_c_keeps_the_finished_photos(photos, tmp_path, monkeypatch, capsys):
    seeds = []

    def noise(shape, seed):
        seeds.append(seed)
        if len(seeds) == 3:
            raise KeyboardInterrupt
        return white_noise(shape, seed)

    monkeypatch.setattr("benchmarks.objective_against_iterations.white_noise", noise)
    output, picture = tmp_path / "out.json", tmp_path / "plot.png"
    main([f"--photos={photos}", "--count=3", "--sizes=32", "--iterations=2", f"--output={output}", f"--plot={picture}"])
    assert json.loads(output.read_text())["sizes"]["32"]["photos"] == 2
    assert "stopped early" in capsys.readouterr().out and picture.exists()
    assert seeds == [1, 2, 3]


def test_figures_of_the_documentation_are_measured_ones():
    text = " ".join((ROOT / "docs/comparisons.md").read_text().split())
    result = json.loads((ROOT / "benchmarks/results/objective_against_iterations.json").read_text())
    small, large = (result["sizes"][size] for size in ("256", "512"))
    assert " ".join(table(result).split()) in text
    assert (small["photos"], large["photos"]) == (8, 6)
    counts = small["iterations_to_network"], large["iterations_to_network"]
    assert "worth {} and {} iterations".format(*counts) in text
    assert f"its mean is {small['lbfgs']['mean'][60]:.2f} after 60 iterations" in text
