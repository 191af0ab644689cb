"""The ports' network and loss are those of the paper as ours are, and the benchmarks of speed run."""

import json

import pytest
import torch
from conftest import ROOT, run_command
from omegaconf import OmegaConf

from benchmarks.ports import LAYERS, copy_parameters, ports_gram, ports_loss, ports_transformer, random_vgg16
from benchmarks.train_step import parse, whole
from fast_style.losses import PerceptualLoss
from fast_style.networks.loss_network import load_loss_network
from fast_style.networks.transformer_net import TransformerNet
from fast_style.training.style_transfer import StyleTransfer


def test_ports_network_is_the_one_of_our_config(compose_config):
    """Equal architecture: the same parameters make the same picture."""
    torch.manual_seed(0)
    net, theirs = (
        TransformerNet(**OmegaConf.to_container(compose_config("train", "model=johnson").model)),
        ports_transformer(),
    )
    copy_parameters(net, theirs)
    images = torch.rand(2, 3, 24, 32)
    with torch.no_grad():
        torch.testing.assert_close(net(images), theirs(images), rtol=1e-4, atol=1e-4)


def test_ports_loss_is_that_of_our_config(compose_config, tmp_path):
    torch.manual_seed(0)
    features = random_vgg16()
    torch.save({f"features.{key}": value for key, value in features.state_dict().items()}, tmp_path / "vgg.pth")
    objective = OmegaConf.to_container(compose_config("train", "objective=pytorch_examples").objective)
    network = load_loss_network("vgg16", list(LAYERS), str(tmp_path / "vgg.pth"))
    style_image, stylized, photos = torch.rand(3, 1, 3, 32, 32)
    ours = PerceptualLoss(network, [style_image], **objective | {"tv_weight": 0})
    grams = {name: ports_gram(maps) for name, maps in network(style_image).items()}
    expected = ports_loss(features, stylized, photos, grams)
    torch.testing.assert_close(sum(ours(stylized, photos).values()), expected, rtol=1e-3, atol=0)


@pytest.mark.parametrize("precision, loss_error, gradient_error", [("float32", 1e-4, 1e-3), ("bfloat16", 0.01, 0.05)])
def test_fast_step_is_the_plain_step(compose_config, vgg, precision, loss_error, gradient_error):
    """Channels last, fused layers, autocast: loss and gradients of the ports' eager float32, within a tolerance."""
    torch.manual_seed(0)
    features, path = vgg("quarter_vgg16")
    overrides = ("model=johnson", "loss_network=vgg16", f"loss_network.weights={path}", "objective=pytorch_examples")
    cfg = compose_config("train", *overrides, "init_from=null", "style.style_size=64", "run_dir=none")
    module = StyleTransfer(OmegaConf.to_container(cfg, resolve=True))
    theirs, images = ports_transformer(), torch.rand(2, 3, 64, 64)
    copy_parameters(module.transformer, theirs)
    grams = {name: getattr(module.perceptual_loss, f"style_gram_{name}_1").expand(2, -1, -1) for name in LAYERS}
    expected = ports_loss(features, theirs(images), images, grams)
    expected.backward()
    module = module.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        loss = sum(module.stylized_terms(images).values())
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=loss_error)
    ours, plain = (
        torch.cat([parameter.grad.flatten() for parameter in net.parameters()]) for net in (module.transformer, theirs)
    )
    assert (ours - plain).norm() / plain.norm() < gradient_error


def test_the_paper_s_number_of_images(photo, vgg, tmp_path, monkeypatch):
    """In larger batches: fewer steps, at a higher rate."""
    for index in range(4):
        photo(tmp_path / "photos" / f"{index}.png", 40, 48, seed=index)
    seen = []
    monkeypatch.setattr("benchmarks.train_step.fit", seen.append)
    monkeypatch.setattr("benchmarks.train_step.read_metadata", lambda _: {"losses": {"steps": 2500, "seconds": 80}})
    args = parse(["--device=cpu", f"--photos={tmp_path / 'photos'}", f"--weights={vgg('vgg16')[1]}", "--whole", "64"])
    assert whole(args, 64) == {
        "batch_size": 64, "learning_rate": 4e-3, "images_per_second": 2000, "steps": 2500, "seconds": 80
    }  # fmt: skip
    (cfg,) = seen
    assert (cfg.max_steps, cfg.batch_size, cfg.optimizer.lr) == (2500, 64, 4e-3)
    assert cfg.model.padding == "input" and cfg.loss_network.name == "vgg16_caffe" and cfg.init_from is None


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ("train_step.py", "--repeats=1"),
        ("stylize.py", "--repeats=1", "--sizes", "256", "512", "--batch-sizes=1", "--files=2"),
    ],
)
def test_benchmark_ends_with_a_line_of_json(command, tmp_path):
    script, *arguments = command
    finished = run_command(f"benchmarks/{script}", *arguments, "--device=cpu", f"--output={tmp_path / 'out.json'}")
    assert finished.returncode == 0, finished.stderr
    result = json.loads(finished.stdout.splitlines()[-1])
    assert result == json.loads((tmp_path / "out.json").read_text())
    assert result["ratio"] > 0 and result["versions"]["torch"]


def test_figures_of_the_documentation_are_measured_ones():
    text = (ROOT / "docs/performance.md").read_text()
    for name, keys in {"train_step_cpu": ("ratio", "ratio_default"), "stylize_cpu": ("ratio", "ratio_slim")}.items():
        result = json.loads((ROOT / f"benchmarks/results/{name}.json").read_text())
        assert all(f"{result[key]} times" in text for key in keys)
