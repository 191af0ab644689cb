"""Models of other ports: ours paint what their networks, written here from their layouts, paint."""

import sys

import pytest
import torch
import torch.nn.functional as F

from fast_style import checkpoint
from fast_style.checkpoint import CheckpointError, load_network, read_metadata
from fast_style.importing import import_weights
from fast_style.training.warm_start import initial_state


def random_state(channels=(32, 64, 128), blocks=5, statistics=False):
    """Weights as in pytorch/examples: ".conv2d" in every convolution, norms in1 to in5, and two in every block."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(shape, generator=generator)  # noqa: E731
    narrow, middle, wide = channels
    state = {}

    def conv(name, out_channels, in_channels, kernel, gain=1.0):
        fan_in = in_channels * kernel**2
        state[f"{name}.conv2d.weight"] = gain * draw(out_channels, in_channels, kernel, kernel) / fan_in**0.5
        state[f"{name}.conv2d.bias"] = draw(out_channels)

    def norm(name, channels):
        state[f"{name}.weight"], state[f"{name}.bias"] = 1 + 0.3 * draw(channels), 0.5 * draw(channels)
        if statistics:
            state[f"{name}.running_mean"], state[f"{name}.running_var"] = draw(channels), draw(channels).square()

    for index, (a, b, kernel) in enumerate(((3, narrow, 9), (narrow, middle, 3), (middle, wide, 3)), 1):
        conv(f"conv{index}", b, a, kernel)
        norm(f"in{index}", b)
    for block in range(1, blocks + 1):
        for index in (1, 2):
            conv(f"res{block}.conv{index}", wide, wide, 3)
            norm(f"res{block}.in{index}", wide)
    for index, (a, b) in enumerate(((wide, middle), (middle, narrow)), 1):
        conv(f"deconv{index}", b, a, 3)
        norm(f"in{index + 3}", b)
    conv("deconv3", 3, narrow, 9, gain=100)
    state["deconv3.conv2d.bias"] += 128
    return state


def original(state, x, blocks=5):
    """Its forward pass on a 0-255 scale: reflection before every convolution, norms by the image's own statistics."""

    def conv(name, x, stride=1):
        weight, reach = state[f"{name}.conv2d.weight"], state[f"{name}.conv2d.weight"].shape[-1] // 2
        return F.conv2d(F.pad(x, [reach] * 4, mode="reflect"), weight, state[f"{name}.conv2d.bias"], stride)

    def norm(name, x):
        return F.instance_norm(x, weight=state[f"{name}.weight"], bias=state[f"{name}.bias"])

    for index, stride in ((1, 1), (2, 2), (3, 2)):
        x = norm(f"in{index}", conv(f"conv{index}", x, stride)).relu()
    for block in range(1, blocks + 1):
        inner = norm(f"res{block}.in1", conv(f"res{block}.conv1", x)).relu()
        x = x + norm(f"res{block}.in2", conv(f"res{block}.conv2", inner))
    for index in (1, 2):
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = norm(f"in{index + 3}", conv(f"deconv{index}", x)).relu()
    return conv("deconv3", x)


@pytest.mark.parametrize(
    "options", [{}, {"statistics": True}, {"channels": (8, 6, 10), "blocks": 2}], ids=["plain", "old", "slim"]
)
@torch.no_grad()
def test_pictures_are_those_of_the_original_network(tmp_path, options):
    state = random_state(**options)
    torch.save(state, tmp_path / "candy.pth")
    import_weights(tmp_path / "candy.pth", tmp_path / "candy.safetensors")
    network, style = load_network(tmp_path / "candy.safetensors")
    images = torch.rand(2, 3, 36, 64, generator=torch.Generator().manual_seed(1))
    expected = original(state, 255 * images, options.get("blocks", 5)) / 255
    assert style == "candy" and expected.std() > 0.1
    torch.testing.assert_close(network(images), expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_gordics_model_takes_and_gives_normalised_pictures(tmp_path):
    """The same network, with other names for its last layers, in a file with what trained it."""
    state = random_state((8, 6, 10), 2)
    state["deconv3.conv2d.weight"] /= 100
    state["deconv3.conv2d.bias"] -= 128
    theirs = {"deconv1.conv2d": "up1.conv2d.conv2d", "deconv2.conv2d": "up2.conv2d.conv2d", "deconv3": "up3"}
    for name in list(state):
        for ours, other in theirs.items():
            if name.startswith(ours):
                state[other + name.removeprefix(ours)] = state[name]
    stored = {name: tensor for name, tensor in state.items() if not name.startswith("deconv")}
    kept = {"state_dict": stored, "optimizer_state": {}, "style_weight": 4e5, "commit_hash": "c0ffee"}
    torch.save(kept, tmp_path / "edtaonisl.pth")
    import_weights(tmp_path / "edtaonisl.pth", tmp_path / "edtaonisl.safetensors")
    network, _ = load_network(tmp_path / "edtaonisl.safetensors")
    images = torch.rand(2, 3, 36, 64, generator=torch.Generator().manual_seed(1))
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    expected = original(state, (images - mean) / std, 2) * std + mean
    assert expected.std() > 0.1
    torch.testing.assert_close(network(images), expected, rtol=0, atol=1e-5)


def test_a_training_goes_on_from_it(tmp_path):
    torch.save(random_state(), tmp_path / "candy.pth")
    import_weights(tmp_path / "candy.pth", tmp_path / "candy.safetensors")
    metadata = read_metadata(tmp_path / "candy.safetensors")
    assert metadata["imported"]["file"] == "candy.pth" and len(metadata["imported"]["sha256"]) == 64
    johnson = {"channels": [32, 64, 128], "residual_blocks": 5, "kernel_sizes": [9, 9]}
    assert initial_state(str(tmp_path / "candy.safetensors"), johnson, None).keys() == set(
        load_network(tmp_path / "candy.safetensors")[0].state_dict()
    )


def test_command(tmp_path, monkeypatch, capsys):
    torch.save(random_state((4, 4, 4), 1), tmp_path / "candy.model")
    arguments = ["checkpoint", "import", str(tmp_path / "candy.model"), str(tmp_path / "new" / "candy.safetensors")]
    monkeypatch.setattr(sys, "argv", arguments)
    checkpoint.main()
    assert capsys.readouterr().out == f"wrote {tmp_path}/new/candy.safetensors\n"
    with pytest.raises(SystemExit, match=f"error: {tmp_path}/new/candy.safetensors: is there already"):
        checkpoint.main()
    for arguments in (["import"], ["import", "a.pth"], ["--help"], []):
        monkeypatch.setattr(sys, "argv", ["checkpoint", *arguments])
        with pytest.raises(SystemExit, match="usage: .*\n.*import FILE.pth OUT.safetensors"):
            checkpoint.main()


@pytest.mark.parametrize(
    "content, message",
    [
        ({"weight": torch.zeros(1)}, "is not of pytorch/examples or gordicaleksa/.*: it has no conv1.conv2d.bias"),
        ({"state_dict": {"a": {"weight": torch.zeros(1)}}}, "holds no state dict"),
        (random_state((4, 4, 4), 1) | {"deconv4.conv2d.bias": torch.zeros(1)}, "it has a deconv4.conv2d.bias"),
        (random_state((4, 4, 4), 1) | {"in2.weight": torch.zeros(5)}, "its tensors have other shapes"),
        (random_state((4, 4, 4), 1) | {"in2.weight": torch.full((4,), torch.nan)}, "NaN"),
        (random_state((4, 4, 4), 1) | {"in2.weight": torch.tensor(1.0)}, "its tensors have other shapes"),
        (random_state((4, 4, 4), 1) | {"conv2.conv2d.bias": torch.zeros(1).expand(10**10)}, "have other shapes"),
        (random_state((4, 4, 4), 1) | {"in2.weight": torch.ones(4).to_sparse()}, "'in2.weight' holds no numbers"),
        (random_state((4, 4, 4), 1) | {3: torch.ones(4)}, "holds no state dict"),
    ],
    ids=["other", "nested", "more", "shape", "nan", "number", "enormous", "sparse", "names"],
)
def test_other_files(tmp_path, content, message):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=message):
        import_weights(tmp_path / "a.pth", tmp_path / "a.safetensors")
    assert not (tmp_path / "a.safetensors").exists()


def test_no_file_and_no_weights(tmp_path):
    with pytest.raises(CheckpointError, match="none.pth: no such file"):
        import_weights(tmp_path / "none.pth", tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match="a.pth: a release file is called NAME.safetensors"):
        import_weights(tmp_path / "none.pth", tmp_path / "a.pth")

    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    torch.save({"conv1.conv2d.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="evil.pth holds no weights"):
        import_weights(tmp_path / "evil.pth", tmp_path / "a.safetensors")
    assert not (tmp_path / "executed").exists()
