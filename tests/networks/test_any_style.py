"""A style predicted from a picture: the formula, the bottleneck, and the networks that come of it."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fast_style.checkpoint import CheckpointError, load_network, load_transformer, save_release
from fast_style.networks.any_style import BOTTLENECK, HIDDEN, AnyStyleNet, StylePredictor
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.training.warm_start import start_any_style, start_styles

MODEL = {"channels": [4, 8], "residual_blocks": 1, "skips": True}
STATISTICS = torch.randn(300, 12, generator=torch.Generator().manual_seed(0)) @ torch.diag(torch.logspace(-2, 1, 12))


@pytest.fixture
def network():
    torch.manual_seed(0)
    network = AnyStyleNet(MODEL, 12)
    network.predictor.fit_bottleneck(STATISTICS + 5)
    torch.nn.init.normal_(network.predictor.offsets.weight)
    torch.nn.init.normal_(network.shared.offsets, std=0.1)
    return network.eval()


def test_the_bottleneck_against_the_covariance():
    """Principal components of standardised statistics, from numpy's eigenvalues; deviations become their roots."""
    predictor = StylePredictor(12, 3)
    statistics = STATISTICS @ torch.randn(12, 12, generator=torch.Generator().manual_seed(1))
    predictor.fit_bottleneck(statistics)
    seen = ((statistics - predictor.mean) @ predictor.components).double().numpy()
    standard = statistics.double().numpy()
    standard = (standard - standard.mean(0)) / standard.std(0)
    deviations = np.sqrt(np.linalg.eigvalsh(standard.T @ standard / 300)[::-1])
    expected = np.zeros((BOTTLENECK, BOTTLENECK))
    expected[range(12), range(12)] = deviations / deviations.mean()
    np.testing.assert_allclose(seen.T @ seen / 300, expected, atol=1e-3)


def test_a_prediction_against_numpy(network):
    predictor = network.predictor
    own = {name: tensor.detach().double().numpy() for name, tensor in predictor.state_dict().items()}
    statistics = STATISTICS[:5] * 3
    seen = (statistics.double().numpy() - own["mean"]) @ own["components"]
    hidden = np.maximum(3 * np.tanh(seen / 3) @ own["hidden.weight"].T + own["hidden.bias"], 0)
    expected = hidden / np.sqrt(HIDDEN) @ own["offsets.weight"].T + own["offsets.bias"]
    np.testing.assert_allclose(predictor(statistics).detach().numpy(), expected, atol=1e-4)


def test_predicted_styles_paint_as_in_training(network):
    """Each by an ordinary network; and the identity, which no picture moves."""
    photos, statistics = torch.rand(3, 3, 16, 20), STATISTICS[:3] + 5
    painted = network(photos, statistics, torch.tensor([True, False, True]))
    several = network.predict(["a", "b", "c"], statistics)
    assert isinstance(several, MultiStyleNet) and several.identity and several.names == ["a", "b", "c"]
    for index, transformer in ((0, several.transformer_for("a")), (2, several.transformer_for("c"))):
        torch.testing.assert_close(painted[index, None], transformer(photos[index, None]), atol=1e-5, rtol=1e-4)
    identity = several.transformer_for("b", 0.0)(photos[1:2])
    torch.testing.assert_close(painted[1:2], identity, atol=1e-5, rtol=1e-4)
    assert (several.transformer_for("a")(photos) - several.transformer_for("b")(photos)).abs().mean() > 0.01


def test_a_release_file(network, tmp_path):
    path = tmp_path / "any.safetensors"
    config = {"task": {"name": "any_style"}, "model": MODEL, "style": {"name": "any"}}
    save_release(path, network, config, {}, {})
    loaded, name = load_network(path)
    assert name == "any" and all(
        torch.equal(tensor, loaded.state_dict()[key]) for key, tensor in load_file(path).items()
    )
    with pytest.raises(CheckpointError, match="predicts every style"):
        load_transformer(path, "init_from")
    several = MultiStyleNet(MODEL, ["a", "b"], STATISTICS[:2] + 5, identity=True)
    start_styles(several, str(path))
    expected = network.predict(["a", "b"], STATISTICS[:2] + 5)
    assert torch.equal(several.offsets, expected.offsets), "styles begin as they are predicted"
    other = AnyStyleNet(MODEL, 12)
    assert start_any_style(other, str(path)), "it knows how to predict"
    assert torch.equal(other.predictor(STATISTICS), network.predictor(STATISTICS))


@pytest.mark.parametrize("blocks", [0, 2])
@torch.no_grad()
def test_coarse_blocks_are_left_out_and_begin_as_nothing(tmp_path, blocks):
    model, other = (MODEL | {"coarse_blocks": count} for count in (blocks, 2 - blocks))
    earlier, network = AnyStyleNet(model, 6), AnyStyleNet(other, 6)
    for tensor in [*earlier.parameters(), *earlier.predictor.buffers()]:
        tensor.normal_(std=0.3)
    path = tmp_path / "any.safetensors"
    save_release(path, earlier, {"task": {"name": "any_style"}, "model": model, "style": {"name": "any"}}, {}, {})
    assert start_any_style(network, str(path))

    statistics, image = torch.rand(1, 6), torch.rand(1, 3, 32, 32)
    expected = earlier.predict(["a"], statistics).transformer_for("a", 0.6)
    if blocks:
        torch.nn.init.zeros_(expected.coarse.body[-1].weight)
        torch.nn.init.zeros_(expected.coarse.body[-1].bias)
    painted = network.predict(["a"], statistics).transformer_for("a", 0.6)(image)
    torch.testing.assert_close(painted, expected(image))


def test_starting_from_several_styles(tmp_path, monkeypatch):
    """A style begins as the mean of those; the identity as it was."""
    several = MultiStyleNet(MODEL, ["a", "b"], torch.randn(2, 12), identity=True)
    torch.nn.init.normal_(several.offsets, std=0.1)
    path, styles = tmp_path / "several.safetensors", {"a": [], "b": []}
    config = {"task": {"name": "multi_style"}, "model": MODEL}
    monkeypatch.setattr("fast_style.checkpoint.describe_style", lambda name, pictures: {"name": name})
    save_release(path, several, config, styles, {})
    network = AnyStyleNet(MODEL, 12)
    assert not start_any_style(network, str(path)), "it has still to learn to predict"
    torch.testing.assert_close(network.predictor(torch.randn(1, 12))[0], several.offsets[:2].mean(0))
    assert torch.equal(network.shared.offsets, several.offsets[2:])
    one, other = network.shared.transformer.state_dict(), several.transformer.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
