"""One network for many styles, their mixtures, and starting from it."""

import json

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fast_style.checkpoint import FORMAT, load_network, read_metadata, save_release
from fast_style.data.styles import bundled_styles, read_style_image
from fast_style.errors import FastStyleError
from fast_style.networks.loss_network import load_loss_network
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.transformer_net import Noise, ResidualBlock, TransformerNet
from fast_style.training.warm_start import (
    FIRST_GUESS,
    SHIPPED,
    STATISTICS_LAYERS,
    initial_state,
    start_styles,
    style_statistics,
)

MODEL = {"channels": [4, 8], "residual_blocks": 1}


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    backbone = MultiStyleNet(MODEL, ["a", "b", "c"], torch.randn(3, 6))
    torch.nn.init.normal_(backbone.offsets, std=0.1)
    return backbone


@pytest.fixture
def backbone_file(tmp_path):
    """A small one whose two styles are a plain and a dark picture."""
    torch.manual_seed(0)
    loss_network = load_loss_network("distilled", STATISTICS_LAYERS)
    pictures = torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64) ** 4
    statistics = torch.cat([style_statistics(loss_network, [picture]) for picture in pictures])
    backbone = MultiStyleNet(MODEL, ["plain", "dark"], statistics)
    torch.nn.init.normal_(backbone.offsets, std=0.1)
    path = tmp_path / "backbone.safetensors"
    styles = [{"name": "plain"}, {"name": "dark"}]
    described = {"task": "multi_style", "model": MODEL, "styles": styles, "training": []}
    metadata = {"format": FORMAT} | {key: json.dumps(value) for key, value in described.items()}
    save_file({name: tensor.half() for name, tensor in backbone.state_dict().items()}, path, metadata)
    return path


def test_statistics_against_numpy():
    loss_network = load_loss_network("distilled", STATISTICS_LAYERS)
    style_images = [torch.rand(1, 3, 48, 40), torch.rand(1, 3, 32, 56)]
    statistics = style_statistics(loss_network, style_images)
    maps = [loss_network(image)["relu1_1"].flatten(2).numpy() for image in style_images]
    expected = sum(np.concatenate([one.mean(2), one.std(2)], 1) for one in maps) / 2
    torch.testing.assert_close(statistics[:, :32], torch.from_numpy(expected))
    assert statistics.shape == (1, 2 * 2 * (16 + 32 + 64 + 128 + 128)), "means and deviations at two sizes"


def test_every_image_has_its_own_mixture(backbone):
    """Against ordinary networks, one for each style."""
    content_images, names = torch.rand(3, 3, 16, 20), ["c", "a", {"a": 1, "b": 3}]
    mixtures = torch.tensor([[0, 0, 1], [1, 0, 0], [0.25, 0.75, 0]])
    stylized = backbone(content_images, mixtures)
    for i, name in enumerate(names):
        torch.testing.assert_close(backbone.mixture(name), mixtures[i])
        torch.testing.assert_close(stylized[i, None], backbone.transformer_for(name)(content_images[i, None]))
    assert not torch.allclose(backbone(content_images, mixtures.flip(0)), stylized, atol=1e-3)


def test_a_mixture_is_half_way_between_parameters(backbone):
    """Explicitly, for one scale; a mixture of one style is the style, to the bit."""
    name = next(iter(backbone.shapes))
    ends, middle = [backbone.transformer_for(end).state_dict()[name] for end in "ab"], {"a": 0.5, "b": 0.5}
    torch.testing.assert_close(backbone.transformer_for(middle).state_dict()[name], (ends[0] + ends[1]) / 2)
    one, same = backbone.transformer_for("b").state_dict(), backbone.transformer_for({"b": 0.2}).state_dict()
    assert all(torch.equal(one[key], same[key]) for key in one)


@pytest.mark.parametrize("mixture, message", [
    ("d", "style=d: the model has a, b, c"), ({"a": 1, "d": 1}, "style=d"), ({"a": -1, "b": 2}, "none below 0"),
    ({"a": 0}, "not all 0"), ({"a": "much"}, "must be numbers"), ({}, "not all 0"),
])  # fmt: skip
def test_bad_mixtures(backbone, mixture, message):
    with pytest.raises(FastStyleError, match=message):
        backbone.mixture(mixture)


def test_untrained_styles_are_alike():
    backbone = MultiStyleNet(MODEL, ["a", "b"], torch.randn(2, 6))
    own = backbone.transformer.state_dict()
    for name in "ab":
        assert all(torch.equal(value, own[key]) for key, value in backbone.transformer_for(name).state_dict().items())


def test_everything_learns_but_styles_that_were_not_drawn(backbone):
    backbone(torch.rand(2, 3, 16, 16), torch.eye(3)[[1, 1]]).square().sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())
    assert backbone.offsets.grad.abs().sum(1).ne(0).tolist() == [False, True, False]


def test_most_like_is_not_ruled_by_statistics_of_large_numbers(backbone):
    statistics = backbone.statistics.clone()
    for style, name in enumerate("abc"):
        found, distance = backbone.most_like(statistics[style, None] + 0.01)
        assert found == name and distance < 1e-3
    backbone.statistics[:, 0] = torch.tensor([0.0, 1000, 3000])
    scaled = statistics[1, None].clone()
    scaled[0, 0] = 1600  # a deviation is 1247
    assert backbone.most_like(scaled)[0] == "b"


def test_starting_from_a_backbone(backbone_file):
    backbone, _ = load_network(backbone_file)
    for name, power in (("plain", 1.1), ("dark", 3.6)):
        start = initial_state(str(backbone_file), MODEL, [torch.rand(1, 3, 64, 64) ** power])
        expected = backbone.transformer_for(name).state_dict()
        assert all(torch.equal(start[key], expected[key]) for key in expected)
    other = backbone.transformer_for("plain").state_dict()
    different = {key for key in start if not torch.equal(start[key], other[key])}
    norms = {key for key in start if key.endswith("weight") and start[key].ndim == 1}
    assert different == {*norms, *(key.replace("weight", "bias") for key in norms), *list(start)[-2:]}


def test_starting_several_styles(backbone_file, trained):
    """By name, or as the one they are most like; or all from one trained style."""
    earlier, _ = load_network(backbone_file)
    statistics = torch.stack([earlier.statistics[1], *earlier.statistics])
    network = MultiStyleNet(MODEL, ["new", "dark", "plain"], statistics)
    start_styles(network, str(backbone_file))
    torch.testing.assert_close(network.offsets.detach(), earlier.offsets.detach()[[1, 1, 0]])
    release = trained / "model.safetensors"
    network = MultiStyleNet(read_metadata(release)["model"], ["a", "b"], torch.randn(2, 6))
    start_styles(network, str(release))
    own = load_network(release)[0].state_dict()
    assert all(torch.equal(value, own[key]) for key, value in network.transformer_for("b").state_dict().items())


def test_starting_from_nothing_or_from_another_style(trained):
    assert initial_state(None, MODEL, [torch.rand(1, 3, 32, 32)]) is None
    release = trained / "model.safetensors"
    start = initial_state(str(release), read_metadata(release)["model"], [torch.rand(1, 3, 32, 32)])
    expected = load_network(release)[0].state_dict()
    assert all(torch.equal(start[name], expected[name]) for name in expected)


def test_a_model_with_skips_starts_from_one_without(backbone_file):
    """They begin at nothing: it paints the same."""
    start = initial_state(str(backbone_file), MODEL | {"skips": True}, [torch.rand(1, 3, 32, 32)])
    before = TransformerNet(**MODEL)
    before.load_state_dict({name: value for name, value in start.items() if not name.startswith("skips.")})
    network = TransformerNet(**MODEL, skips=True)
    network.load_state_dict(start)
    image = torch.rand(1, 3, 32, 32)
    assert torch.equal(network(image), before(image))


def test_noise_in_residual_blocks_is_left_out_and_begins_at_nothing(tmp_path):
    earlier = TransformerNet(**MODEL, noise=True)
    for layer in earlier.layers.modules():
        if isinstance(layer, Noise):
            torch.nn.init.normal_(layer.weight)
    config, image = {"task": {"name": "style_transfer"}, "style": {"name": "mine"}}, torch.rand(1, 3, 32, 32)
    save_release(tmp_path / "all.safetensors", earlier, config | {"model": MODEL | {"noise": True}}, {}, {})
    network = TransformerNet(**MODEL, noise="fine").eval()
    network.load_state_dict(initial_state(str(tmp_path / "all.safetensors"), MODEL | {"noise": "fine"}, []))
    save_release(tmp_path / "fine.safetensors", network, config | {"model": MODEL | {"noise": "fine"}}, {}, {})
    for block in earlier.modules():
        if isinstance(block, ResidualBlock):
            torch.nn.init.zeros_(block.noise.weight)
    expected = earlier.eval()(image)
    assert torch.equal(network(image), expected)
    again = TransformerNet(**MODEL, noise=True).eval()
    again.load_state_dict(initial_state(str(tmp_path / "fine.safetensors"), MODEL | {"noise": True}, []))
    assert torch.equal(again(image), expected)
    with pytest.raises(FastStyleError, match="another network"):
        initial_state(str(tmp_path / "fine.safetensors"), MODEL, [])


@pytest.mark.parametrize("blocks", [0, 2])
@torch.no_grad()
def test_coarse_blocks_are_left_out_and_begin_as_nothing(tmp_path, blocks):
    """In a network of several styles, whose styles have offsets for their norms, and in one of one style."""
    model, other = (MODEL | {"coarse_blocks": count} for count in (blocks, 2 - blocks))
    several = MultiStyleNet(model, ["plain", "dark"], torch.rand(2, 6), identity=True)
    for parameter in several.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    path, image = tmp_path / "several.safetensors", torch.rand(1, 3, 32, 32)
    Image.new("RGB", (9, 9)).save(tmp_path / "style.png")
    pictures = {name: [tmp_path / "style.png"] for name in several.names}
    config = {"task": {"name": "multi_style"}, "model": model, "identity_share": 0.1}
    save_release(path, several, config, pictures, {})
    network = MultiStyleNet(other, ["dark", "plain"], several.statistics.flip(0), identity=True)
    start_styles(network, str(path))

    expected = several.transformer_for({"dark": 0.7, "plain": 0.3}, 0.4)
    if blocks:
        torch.nn.init.zeros_(expected.coarse.body[-1].weight)
        torch.nn.init.zeros_(expected.coarse.body[-1].bias)
    # Not bit for bit: the styles are in another order, and so are the sums of a mixture.
    painted = network.transformer_for({"dark": 0.7, "plain": 0.3}, 0.4)(image)
    torch.testing.assert_close(painted, expected.eval()(image), rtol=1e-4, atol=1e-4)

    one = config | {"task": {"name": "style_transfer"}, "style": {"name": "mine"}}
    save_release(tmp_path / "one.safetensors", several.transformer_for({"dark": 0.7, "plain": 0.3}, 0.4), one, {}, {})
    alone = TransformerNet(**other).eval()
    alone.load_state_dict(initial_state(str(tmp_path / "one.safetensors"), other, []))
    assert torch.equal(alone(image), expected(image))


def test_auto_leaves_other_models_alone(compose_config):
    assert initial_state("auto", MODEL, [torch.rand(1, 3, 32, 32)]) is None


@torch.no_grad()
def test_auto_is_the_backbone_for_its_own_paintings_and_a_first_guess_for_others(compose_config):
    model = OmegaConf.to_container(compose_config("train", "run_dir=none").model)
    mosaic = read_style_image(bundled_styles()["mosaic"], 384)
    for picture in (mosaic, 1 - mosaic):
        start = initial_state("auto", model, [picture])
        for other in ({"margin": 5}, {"noise": True}, {"noise": "fine"}, {"coarse_blocks": 0}):
            changed = initial_state("auto", model | other, [picture])
            both = start.keys() & changed.keys()
            assert len(both) > 50 and all(torch.equal(start[name], changed[name]) for name in both), other
        assert initial_state("auto", model | {"noise": False}, [picture]) is None
        assert initial_state("auto", model | {"coarse_blocks": 1}, [picture]) is None
        if picture is mosaic:
            expected = load_network(SHIPPED)[0].transformer_for("mosaic").state_dict()
        else:
            statistics = style_statistics(load_loss_network("distilled", STATISTICS_LAYERS), [picture])
            expected = load_network(FIRST_GUESS)[0].predict(["mine"], statistics).transformer_for("mine").state_dict()
        assert all(torch.equal(start[name], expected[name]) for name in expected)


def test_what_cannot_be_started_from(backbone_file, tmp_path):
    style_images = [torch.rand(1, 3, 32, 32)]
    with pytest.raises(FastStyleError, match="init_from=.*no such file"):
        initial_state(str(tmp_path / "none.safetensors"), MODEL, style_images)
    with pytest.raises(FastStyleError, match="another network"):
        initial_state(str(backbone_file), {"_target_": "my_module.MyNet"}, [torch.rand(1, 3, 32, 32)])
    with pytest.raises(FastStyleError, match="another network"):
        initial_state(str(backbone_file), {"channels": [8, 8]}, style_images)
    (tmp_path / "text.safetensors").write_text("no tensors")
    with pytest.raises(FastStyleError, match="cannot read"):
        initial_state(str(tmp_path / "text.safetensors"), MODEL, style_images)


def test_a_file_cannot_make_us_build_more_than_it_holds(backbone_file, tmp_path):
    with safe_open(backbone_file, "pt") as file:
        metadata = file.metadata()
    for change in ({"residual_blocks": 10**6}, {"channels": [30_000] * 3}):
        metadata["model"] = json.dumps(MODEL | change)
        save_file(load_file(backbone_file), tmp_path / "large.safetensors", metadata)
        with pytest.raises(FastStyleError, match="its tensors are not those"):
            load_network(tmp_path / "large.safetensors")
