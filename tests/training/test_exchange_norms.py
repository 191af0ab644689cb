"""Instance norms for weight norm, and back, in networks of one style, of several and of any."""

import pytest
import torch
from conftest import ROOT

from fast_style.checkpoint import load_network, read_metadata, save_release
from fast_style.errors import FastStyleError
from fast_style.networks.any_style import AnyStyleNet
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.transformer_net import InstanceNorm, ScaleShift, TransformerNet
from fast_style.training.exchange_norms import PHOTOS, exchange_norms, exchanged, middle_of
from fast_style.training.warm_start import initial_state

MODEL = {"channels": [4, 6, 8], "residual_blocks": 2, "coarse_blocks": 1, "norm": "instance", "upsampling": "bilinear"}
MODEL |= {"noise": "fine"}
WITHOUT, WITH = MODEL | {"weight_norm": False}, MODEL | {"weight_norm": True}
PHOTO = torch.stack([middle_of(PHOTOS[3])])


def randomised(network):
    torch.manual_seed(0)
    with torch.no_grad():
        for tensor in [*network.parameters(), *(network.predictor.buffers() if hasattr(network, "predictor") else ())]:
            tensor.normal_(0 if tensor.ndim > 1 else 0.3, 0.1)
    return network.eval()


@torch.no_grad()
def test_scales_and_shifts_are_what_norms_gave():
    """Over the photos features have the means and deviations that the norms before gave to each of them."""
    network = randomised(TransformerNet(**WITHOUT))
    other, found = exchange_norms(network, WITH), {}
    for name, module in other.named_modules():
        if isinstance(module, ScaleShift):
            module.register_forward_hook(lambda module, inputs, output, name=name: found.update({name: output.clone()}))
    other(torch.stack([middle_of(name) for name in PHOTOS]))
    assert len(found) == 2 + 2 + 2
    for name, features in found.items():
        norm = network.get_submodule(name)
        torch.testing.assert_close(features.mean((0, 2, 3)), norm.bias, rtol=1e-3, atol=1e-3)
        deviations = features.flatten(2).std(2, correction=0).mean(0)
        torch.testing.assert_close(deviations, norm.weight.abs(), rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_there_and_back_is_nearly_the_network():
    """Nearly: on the way there what follows a norm sees what constants made of the photos, on the way back the norm."""
    network = randomised(TransformerNet(**WITHOUT))
    there = exchange_norms(network, WITH)
    back = exchange_norms(there, WITHOUT)
    assert sum(isinstance(module, InstanceNorm) for module in back.modules()) == 13
    changes = [float((one(PHOTO) - network(PHOTO)).abs().mean()) for one in (there, back)]
    assert 0.002 < changes[0] < 0.1 and changes[1] < changes[0] / 2, changes


@torch.no_grad()
def test_every_style_is_exchanged_by_itself():
    network = randomised(MultiStyleNet(WITHOUT, ["a", "b"], torch.rand(2, 6), identity=True))
    other = exchange_norms(network, WITH)
    for style, strength in (("a", 1.0), ("b", 1.0), ("a", 0.0)):
        expected = exchange_norms(network.transformer_for(style, strength), WITH)
        torch.testing.assert_close(other.transformer_for(style, strength)(PHOTO), expected(PHOTO), rtol=0, atol=1e-4)


@torch.no_grad()
def test_what_is_predicted_is_exchanged_as_the_mean_is():
    network = randomised(AnyStyleNet(WITHOUT, 6))
    other, mean = exchange_norms(network, WITH), network.predictor.mean[None]
    expected = exchange_norms(network.predict(["mean"], mean), WITH)
    found = other.predict(["mean"], mean)
    for strength in (1.0, 0.0):
        painted = found.transformer_for("mean", strength)(PHOTO)
        torch.testing.assert_close(painted, expected.transformer_for("mean", strength)(PHOTO), rtol=0, atol=1e-4)

    statistics = mean + torch.rand(1, 6)
    _, changes = exchanged(network.predict(["mean"], mean).transformer_for("mean"), WITH)
    before, after = (one.predict(["new"], statistics).transformer_for("new") for one in (network, other))
    for name, (factor, offset) in changes.items():
        old, new = before.get_submodule(name), after.get_submodule(name)
        torch.testing.assert_close(new.weight, old.weight * factor, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(new.bias, old.bias + old.weight * offset, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model, asked", [(WITHOUT, WITH), (WITH, WITHOUT)])
@torch.no_grad()
def test_a_training_begins_with_the_norms_that_it_has(tmp_path, model, asked):
    network = randomised(TransformerNet(**model))
    config = {"task": {"name": "style_transfer"}, "style": {"name": "mine"}, "model": model}
    save_release(tmp_path / "model.safetensors", network, config, {}, {})
    start = TransformerNet(**asked).eval()
    start.load_state_dict(initial_state(str(tmp_path / "model.safetensors"), asked, []))
    assert torch.equal(start(PHOTO), exchange_norms(network, asked)(PHOTO))


def test_other_norms_are_another_network(tmp_path):
    model = WITHOUT | {"norm": "batch"}
    config = {"task": {"name": "style_transfer"}, "style": {"name": "mine"}, "model": model}
    save_release(tmp_path / "model.safetensors", TransformerNet(**model), config, {}, {})
    for asked in (WITH, WITH | {"norm": "batch"}):
        with pytest.raises(FastStyleError, match="has another network than model="):
            initial_state(str(tmp_path / "model.safetensors"), asked, [])


@torch.no_grad()
def test_a_kernel_of_nothing_stays_one():
    network = randomised(TransformerNet(**WITHOUT))
    second = network.layers[9].body[3][0]
    second.weight[0], second.bias[1] = 0, 5
    second.weight[1] *= 1e-6
    painted = exchange_norms(network, WITH)(PHOTO)
    assert painted.isfinite().all() and (painted - network(PHOTO)).abs().mean() < 0.1


@pytest.mark.parametrize("upsampling", ["nearest", None])
@torch.no_grad()
def test_models_that_differ_in_more_are_exchanged_as_well(tmp_path, upsampling):
    """Another upsampling; and a model whose keys are left to the network's defaults."""
    asked = {key: value for key, value in WITH.items() if key != "norm"}
    network = randomised(TransformerNet(**WITHOUT))
    config = {"task": {"name": "style_transfer"}, "style": {"name": "mine"}, "model": WITHOUT}
    save_release(tmp_path / "model.safetensors", network, config, {}, {})
    state = initial_state(
        str(tmp_path / "model.safetensors"), asked | ({"upsampling": upsampling} if upsampling else {}), []
    )
    expected = exchange_norms(network, WITH).state_dict()
    assert all(torch.equal(state[name], value) for name, value in expected.items())


def test_a_training_begins_from_a_checkpoint_to_resume_from(trained):
    model = load_network(trained / "model.safetensors")[0]
    config = read_metadata(trained / "model.safetensors")["model"]
    state = initial_state(str(trained / "last.ckpt"), config, [])
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


def test_what_paints_no_photos_is_no_start():
    path = ROOT / "checkpoints/super_resolution/x4.safetensors"
    with pytest.raises(FastStyleError, match="x4.safetensors is of task=super_resolution: give a model that paints"):
        initial_state(str(path), WITH, [])
