"""The benchmark of loss networks against ranks and costs counted by hand, and the pruning that it compares."""

import json
import runpy

import numpy as np
import pytest
import torch
from conftest import ROOT

from fast_style.losses import gram_matrix, relative_error
from fast_style.networks.loss_network import LossNetwork, load_loss_network

BENCHMARK = runpy.run_path(str(ROOT / "benchmarks" / "loss_network_fidelity.py"))
DISTILL = runpy.run_path(str(ROOT / "scripts" / "distill_loss_network.py"))
LAYERS = BENCHMARK["LAYERS"]


def rows_of(pairs, layer="relu3_1"):
    """Rows as `measure` makes them, from (style, kind, teacher's distance, candidate's distance)."""
    names = dict.fromkeys([*LAYERS, "mean"], 0.0)
    return [
        {"style": style, "kind": kind, "by network": {"teacher": names | {layer: a}, "small": names | {layer: b}}}
        for style, kind, a, b in pairs
    ]


def test_rank_correlation_is_that_of_the_ranks():
    one, other = np.random.default_rng(0).random((2, 50)) ** 5
    ranks = [np.array([(values < value).sum() for value in values]) for values in (one, other)]
    expected = np.corrcoef(ranks)[0, 1]
    assert BENCHMARK["rank_correlation"](list(one), list(other)) == pytest.approx(expected, abs=1e-4)
    assert BENCHMARK["rank_correlation"]([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(0.8)  # 1 - 6 * 2 / (4 * 15)
    assert BENCHMARK["rank_correlation"]([1, 2, 3], [1, 10, 1e9]) == 1
    assert BENCHMARK["rank_correlation"]([1, 2, 3], [5, 5, 5]) is None
    assert BENCHMARK["rank_correlation"]([1, 2], [1, 2]) is None


def test_ranks_over_all_pairs_can_hide_ranks_within_a_style():
    far = [("far", "photos", 10 + i, 10 + i) for i in range(4)]
    near = [("near", "photos", 0.1 + 0.1 * i, 0.4 - 0.1 * i) for i in range(4)]
    stranger = [("near", "optimised through another", 0.2, 99.0)]
    rows = rows_of(far + near)
    rows += [row | {"by network": {"teacher": row["by network"]["teacher"]}} for row in rows_of(stranger)]
    found = BENCHMARK["fidelity"](rows, "teacher", "small", held_out=["near"])["relu3_1"]
    assert found["all pairs"] > 0.7
    assert found["by style"] == {"far": 1.0, "near": -1.0}
    assert found["within a style"] == 0 and found["within a style, least"] == -1
    assert found["held-out styles"] == found["close pairs"] == found["within a held-out style, least"] == -1
    assert found["optimised through itself"] is None


def test_distances_are_relative_errors_of_gram_matrices():
    network = load_loss_network("distilled", LAYERS)
    one, other = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = BENCHMARK["distances"](*(BENCHMARK["grams"](network, images) for images in (one, other)))
    expected = relative_error(gram_matrix(network(one)["relu2_1"]), gram_matrix(network(other)["relu2_1"]))
    assert found["relu2_1"] == pytest.approx(float(expected))
    assert found["mean"] == pytest.approx(sum(found[layer] for layer in LAYERS) / 5)


def test_cost_by_hand():
    # Side of the maps, channels in, channels out, side of the kernel; two FLOP a multiplication and addition.
    trunk = [(256, 3, 3, 1), (256, 3, 16, 3), (256, 16, 16, 3), (128, 16, 32, 3), (128, 32, 32, 3), (64, 32, 64, 3)]
    trunk += 3 * [(64, 64, 64, 3)] + [(32, 64, 128, 3)] + 3 * [(32, 128, 128, 3)] + [(16, 128, 128, 3)]
    heads = [(256, 16, 16, 1), (128, 32, 32, 1), (64, 64, 64, 1), (32, 128, 128, 1), (16, 128, 128, 1)]
    found = BENCHMARK["cost"](BENCHMARK["SHIPPED"], load_loss_network("distilled", LAYERS))
    flop = sum(2 * side**2 * before * after * kernel**2 for side, before, after, kernel in trunk + heads)
    assert found["gflop"] == round(flop / 1e9, 4)
    assert found["parameters"] == sum(after * (before * kernel**2 + 1) for _, before, after, kernel in trunk + heads)
    assert found["gflop"] <= BENCHMARK["TARGET_GFLOP"]
    assert found["megabytes"] == pytest.approx(2e-6 * found["parameters"], abs=0.01)  # half precision


def test_recoloured_photo_has_the_statistics_of_the_style():
    generator = torch.Generator().manual_seed(0)
    photo, style = 0.5 + 0.05 * torch.randn(2, 1, 3, 40, 40, generator=generator)
    style[:, 0] = 0.6 + 0.5 * (style[:, 1] - 0.5)
    found = BENCHMARK["recolour"](photo, style)[0].flatten(1)
    torch.testing.assert_close(found.mean(1), style[0].flatten(1).mean(1), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.cov(), style[0].flatten(1).cov(), atol=2e-5, rtol=0.02)


def test_pixels_approach_the_style():
    network = load_loss_network("distilled", LAYERS)
    photo, style = torch.rand(2, 1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    style = style * torch.tensor([1.0, 0.3, 0.1])[:, None, None]
    wanted = BENCHMARK["grams"](network, style)
    pictures = [photo, *BENCHMARK["optimise"](network, photo, wanted, torch.zeros(1), [2, 8])]
    errors = [BENCHMARK["distances"](BENCHMARK["grams"](network, picture), wanted)["mean"] for picture in pictures]
    assert len(errors) == 3 and errors[0] > errors[1] > errors[2]


def test_the_command(run, vgg, photo, tmp_path):
    for index in range(4):
        photo(tmp_path / "photos" / f"{index}.png", 40, 48, seed=index)
    photo(tmp_path / "styles" / "painting.png", 40, 40, seed=9)
    teacher = ("--teacher", vgg("tiny_vgg16")[1], "--teacher-name", "vgg16")
    folders = ("--photos", tmp_path / "photos", "--styles", tmp_path / "styles", "--pictures", tmp_path / "styles")
    options = ("--size", "32", "--count", "4", "--snapshots", "1", "2", "--held-out", "painting")
    output = tmp_path / "result.json"
    finished = run("benchmarks/loss_network_fidelity.py", *teacher, *folders, *options, "--output", output)
    assert finished.returncode == 0, finished.stderr
    assert "| distilled | 3.14 |" in finished.stdout
    result = json.loads(output.read_text())
    styles = len(result["styles"])
    assert "painting" in result["styles"] and result["pairs"] == {
        "photos": 4 * styles,
        "stylised": styles,
        "crops": 2 * styles * (styles - 1),
        "recoloured": 2 * styles,
        "optimised": 4 * styles,
        "optimised through distilled": 4 * styles,
    }
    entry = result["candidates"]["distilled"]
    assert all(-1 <= entry["fidelity"][layer]["all pairs"] <= 1 for layer in [*LAYERS, "mean"])
    assert entry["meets the target"] is False, "the teacher is random"
    assert {"torch", "scipy"} <= set(result["versions"]) and "thread" in result["machine"]


@pytest.mark.parametrize("missing", ["--teacher", "--photos", "--styles", "--held-out"])
def test_what_is_missing_is_named(monkeypatch, vgg, photo, tmp_path, missing):
    photo(tmp_path / "photos" / "0.png", 16, 16), photo(tmp_path / "photos" / "1.png", 16, 16)
    given = {"--teacher": vgg("tiny_vgg16")[1], "--teacher-name": "vgg16", "--photos": tmp_path / "photos"}
    given |= {missing: tmp_path / "nowhere", "--output": tmp_path / "result.json"}
    monkeypatch.setattr("sys.argv", ["benchmark", *(str(part) for pair in given.items() for part in pair)])
    with pytest.raises(SystemExit) as caught:
        BENCHMARK["main"]()
    assert caught.value.code.startswith("error: ") and str(tmp_path / "nowhere") in caught.value.code
    assert not (tmp_path / "result.json").exists()


# --- the smaller students of scripts/distill_loss_network.py


@pytest.fixture
def crops():
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(256, (3, 8, 8), dtype=torch.uint8, generator=generator) for _ in range(4)]
    return DISTILL["Crops"](images, 32, 2)


@pytest.fixture
def teacher(vgg) -> LossNetwork:
    return load_loss_network("vgg16", ["relu5_1"], vgg("quarter_vgg16")[1])


@pytest.mark.parametrize("prune", ["active", "predictive"])
def test_nothing_is_lost_where_nothing_is_pruned(teacher, crops, prune):
    student = DISTILL["build_student"](teacher, crops, DISTILL["CHANNELS"], prune=prune)
    assert student.convolutions == teacher.convolutions
    for name in teacher.convolutions:
        for kind in ("weight", "bias"):
            found, expected = getattr(student, f"conv{name}_{kind}"), getattr(teacher, f"conv{name}_{kind}")
            torch.testing.assert_close(found, expected, atol=0, rtol=0)


@pytest.mark.parametrize("prune", ["active", "predictive"])
def test_dropped_convolutions(teacher, crops, prune):
    channels = {block: count // 2 for block, count in DISTILL["CHANNELS"].items()}
    student = DISTILL["build_student"](teacher, crops, channels, ["3_2", "3_3", "4_3"], prune)
    assert student.convolutions == [name for name in teacher.convolutions if name not in ("3_2", "3_3", "4_3")]
    features = student(torch.rand(1, 3, 32, 32))
    assert [features[f"relu{block}_1"].shape[1] for block in "12345"] == [8, 16, 32, 64, 64]
    assert all(maps.isfinite().all() for maps in features.values())


def test_predictive_filters_predict_the_others():
    generator = torch.Generator().manual_seed(0)
    hidden = torch.rand(500, 2, generator=generator)
    # Channels 0 and 3 are loud but alike, 1 is a quiet one of its own, 2 is a mixture.
    rows = torch.stack([9 * hidden[:, 0], hidden[:, 1], hidden.sum(1), 8 * hidden[:, 0] + 1, torch.ones(500)], 1)
    moment = rows.T @ rows / 500
    kept = DISTILL["most_predictive"](moment, 2).sort().values
    assert moment.diagonal()[:-1].topk(2).indices.sort().values.tolist() == [0, 3] and kept.tolist() != [0, 3]
    prediction = DISTILL["predict"](moment, moment, kept)
    found = rows[:, kept] @ prediction[:, :-1].T + prediction[:, -1]
    torch.testing.assert_close(found, rows[:, :-1], atol=1e-2, rtol=0)


def test_a_quarter_of_the_crops_are_paintings():
    black, white = torch.zeros(3, 40, 40, dtype=torch.uint8), torch.full((3, 40, 40), 255, dtype=torch.uint8)
    found = DISTILL["Crops"]([black], 16, 8, [white])()
    assert (found.mean((1, 2, 3)) > 0.4).tolist() == [True, True] + 6 * [False]
