"""Training: what is logged, what is kept, and that a run depends on its config and its seed alone."""

import csv
import re
import shutil
from itertools import pairwise

import pytest
import pytorch_lightning as pl
import torch
from conftest import TINY_RUN
from omegaconf import OmegaConf
from PIL import Image
from torch._subclasses.fake_tensor import FakeTensorMode

from fast_style.checkpoint import load_transformer, read_metadata
from fast_style.data.content import Samples
from fast_style.errors import FastStyleError
from fast_style.training.fit import fit
from fast_style.training.style_transfer import StyleTransfer

EVERY_STEP = "trainer.log_every_n_steps=1"


def state(folder):
    return torch.load(folder / "last.ckpt", weights_only=True)


def column(folder, name):
    """The values of one metric of a run's metrics.csv, in the order of the steps."""
    with (folder / "logs" / "version_0" / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


def assert_equal(one, other):
    """Bit for bit, all the way down."""
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, list | tuple):
        for first, second in zip(one, other, strict=True):
            assert_equal(first, second)
    else:
        assert one == other


@pytest.fixture
def module(compose_config, tmp_path):
    def build(*overrides):
        cfg = compose_config("train", f"run_dir={tmp_path}", "style.style_size=64", *overrides)
        task = StyleTransfer(OmegaConf.to_container(cfg, resolve=True))
        task.trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
        return task

    return build


def test_logged_terms_add_up(train_in_process):
    folder = train_in_process("a", "max_steps=3", EVERY_STEP, "objective.tv_weight=0.01")
    for stage, count in (("train", 3), ("val", 1)):
        terms = [column(folder, f"{stage}/{name}_loss") for name in ("content", "style", "tv", "tone", "total")]
        assert len(terms[0]) >= count
        for *parts, total in zip(*terms, strict=True):
            assert min(parts) > 0
            assert sum(parts) == pytest.approx(total, rel=1e-5)


def test_loss_decreases(train_in_process):
    """Thirty steps on the same two images."""
    overfit = ("max_steps=30", "data.count=2", "data.photo_share=0", "optimizer.warmup_steps=0", "optimizer.lr=1e-2")
    losses = column(train_in_process("a", *overfit, EVERY_STEP), "train/total_loss")
    assert len(losses) == 30
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_validation_loss_is_that_of_the_released_transformer(train_in_process, module):
    folder = train_in_process("a", "max_steps=2")
    transformer, _ = load_transformer(folder / "model.safetensors")
    images = Samples(count=1, photo_share=0, image_size=32, batch_size=2, seed=0)
    batches = [batch.float() / 255 for batch in images.val_dataloader()]
    with torch.no_grad():
        loss = module().perceptual_loss
        totals = [float(sum(loss(transformer(batch), batch).values())) for batch in batches]
    assert read_metadata(folder / "model.safetensors")["losses"]["val/total_loss"] == pytest.approx(
        sum(totals) / len(totals), rel=1e-4
    )


def test_checkpoint_is_plain_data_without_the_loss_network(trained):
    checkpoint = state(trained)
    assert checkpoint["global_step"] == 4
    assert all(name.startswith("transformer.") for name in checkpoint["state_dict"])
    assert (trained / "last.ckpt").stat().st_size < 200_000
    config = checkpoint["hyper_parameters"]["config"]
    assert type(config) is dict and config["model"]["channels"] == [4, 8] and type(config["model"]["channels"]) is list


def test_same_seed_same_weights(train_in_process):
    one, same, other = (
        state(train_in_process(name, "max_steps=3", f"seed={seed}"))["state_dict"]
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert_equal(one, same)
    assert not torch.equal(one["transformer.layers.0.0.weight"], other["transformer.layers.0.0.weight"])


def test_resumed_run_is_the_run_that_never_stopped(train_in_process):
    """Weights, Adam's moments and the learning rate, bit for bit."""
    options = ("max_steps=6", "optimizer.warmup_steps=2", "checkpoint_every=3", "preview_every=2", EVERY_STEP)
    straight = train_in_process("straight", *options)
    # Stopped as Ctrl-C stops it: the config, and with it the schedule, is that of the whole run.
    stopped = train_in_process("stopped", *options, "trainer.max_steps=3")
    assert state(stopped)["global_step"] == 3
    resumed = train_in_process("resumed", *options, f"ckpt_path={stopped / 'last.ckpt'}")
    for part in ("global_step", "state_dict", "optimizer_states", "lr_schedulers"):
        assert_equal(state(straight)[part], state(resumed)[part])
    assert column(straight, "train/total_loss")[3:] == column(resumed, "train/total_loss")
    assert column(straight, "val/total_loss")[-1] == column(resumed, "val/total_loss")[-1]


def test_finished_run_can_be_extended(train_in_process):
    finished = train_in_process("finished", "max_steps=2", EVERY_STEP)
    extended = train_in_process("extended", "max_steps=4", EVERY_STEP, f"ckpt_path={finished / 'last.ckpt'}")
    assert state(extended)["global_step"] == 4
    assert len(column(extended, "train/total_loss")) == 2


def test_resuming_another_run_is_refused(train_in_process):
    stopped = train_in_process("stopped", "max_steps=1")
    with pytest.raises(FastStyleError, match="another objective.style_weight, seed"):
        train_in_process("other", f"ckpt_path={stopped / 'last.ckpt'}", "seed=5", "objective.style_weight=7")


def test_a_gpu_without_a_compiler_trains_all_the_same(module, monkeypatch, capsys):
    monkeypatch.setattr("fast_style.training.style_transfer.why_not_compiled", lambda device: "no Triton")
    build = module("model.channels=[4,8]", "init_from=null")
    build.speed_up(build.hparams["config"], torch.device("cuda"))
    assert build.training_terms == build.stylized_terms
    assert capsys.readouterr().out == "compile=auto: this training is not compiled: no Triton\n"


def finite(folder):
    weights = state(folder)["state_dict"]
    return all(tensor.isfinite().all() for tensor in weights.values())


def test_divergence_ends_the_run_and_leaves_the_last_good_checkpoint(train_in_process, tmp_path):
    options = ("optimizer.lr=2", "optimizer.warmup_steps=0", "max_steps=100", "checkpoint_every=1")
    with pytest.raises(FastStyleError, match="diverged by step .* optimizer.lr=2"):
        train_in_process("a", *options, "preview_every=5", EVERY_STEP)
    losses = column(tmp_path / "a", "train/total_loss")
    assert len(losses) < 30 and not (tmp_path / "a" / "model.safetensors").exists()
    kept = state(tmp_path / "a")["global_step"]
    assert losses[kept - 1] < 5 * losses[0] and finite(tmp_path / "a")


@pytest.mark.parametrize("rate", ["1e+20", "1e+37"])
@pytest.mark.parametrize("max_steps", [1, 9])
def test_nothing_that_is_no_number_is_written(train_in_process, tmp_path, rate, max_steps):
    """What overflows is pictures and losses of finite weights, or the weights."""
    options = (f"optimizer.lr={rate}", "optimizer.warmup_steps=0", "checkpoint_every=1", "preview_every=1")
    with pytest.raises(FastStyleError, match=r"diverged by step \d, .* optimizer.lr=" + re.escape(rate)):
        train_in_process("a", *options, f"max_steps={max_steps}", EVERY_STEP)
    folder = tmp_path / "a"
    assert not (folder / "last.ckpt").exists() or finite(folder)
    assert not (folder / "model.safetensors").exists() and not list(folder.glob("stylized*"))
    assert not any("nan" in path.read_text() for path in folder.rglob("metrics.csv"))


@pytest.mark.parametrize(
    "model, precision",
    [
        ("slim", "bf16-mixed"),
        ("slim model.noise=false", "32-true"),
        ("johnson", "32-true"),
        ("johnson", "bf16-mixed"),
        ("paper", "32-true"),
    ],
)
def test_black_and_white_frames_are_photos_like_others(compose_config, photo, tmp_path, model, precision):
    """Their gradients are of the size that those of photos have: Adam keeps the mean of their squares."""
    options = (*f"model={model}".split(), "model.channels=[4,6,8]", f"precision={precision}", "image_size=64")
    for index in range(6):
        photo(tmp_path / "photos" / f"{index}.png", 80, 80, seed=index)
    shutil.copytree(tmp_path / "photos", tmp_path / "frames")
    for value in (0, 128, 255):  # the first by name: the last are held out
        Image.new("RGB", (80, 80), (value,) * 3).save(tmp_path / "frames" / f"+{value}.png")
    tiny = [override for override in TINY_RUN if not override.startswith("data.")]
    rest = (*tiny, "data=folder", "data.validation_count=1", "data.num_workers=0", "max_steps=12", *options)

    def train(name, start):
        places = (f"data.root={tmp_path}/{name}", f"init_from={start}", f"run_dir={tmp_path}/{name}_{start == 'null'}")
        return fit(compose_config("train", *rest, *places))

    start, sizes, losses = train("photos", "null").model, [], []
    for name in ("photos", "frames"):
        trained = train(name, start)
        moments = state(trained.model.parent)["optimizer_states"][0]["state"].values()
        sizes.append(sum(moment["exp_avg_sq"].double().sum().item() for moment in moments) ** 0.5)
        losses.append(trained.losses["val/total_loss"])
    assert sizes[1] < 30 * sizes[0] and losses[1] < 5 * losses[0]


def learning_rates(module, count):
    optimizers = module.configure_optimizers()
    rates = []
    for _ in range(count):
        rates.append(optimizers["optimizer"].param_groups[0]["lr"])
        optimizers["optimizer"].step()
        optimizers["lr_scheduler"]["scheduler"].step()
    return rates


def test_constant_learning_rate(module):
    build = module("optimizer.schedule=constant", "optimizer.warmup_steps=0", "optimizer.lr=1e-3")
    assert isinstance(build.configure_optimizers()["optimizer"], torch.optim.Adam)
    assert learning_rates(build, 20) == [1e-3] * 20


def test_cosine_learning_rate(module):
    rates = learning_rates(
        module("optimizer.schedule=cosine", "optimizer.warmup_steps=4", "optimizer.lr=1", "max_steps=24"), 25
    )
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1 and rates[14] == pytest.approx(0.5) and rates[24] == pytest.approx(0, abs=1e-12)
    assert all(early > late for early, late in pairwise(rates[4:]))
    assert rates[9] == pytest.approx(0.5 + 0.5**1.5) and rates[19] == pytest.approx(0.5 - 0.5**1.5)


def test_learning_rate_in_stairs(module):
    build = module("optimizer.schedule=stairs", "optimizer.warmup_steps=0", "max_steps=50000")
    found = [build._rate(step) for step in (0, 1999, 2000, 3999, 4000, 49999)]
    assert found == pytest.approx([1, 1, 0.8, 0.8, 0.64, 0.8**24])


def test_only_the_transformer_is_trained(module):
    build = module()
    trained = {id(parameter) for parameter in build.configure_optimizers()["optimizer"].param_groups[0]["params"]}
    assert trained == {id(parameter) for parameter in build.transformer.parameters()}
    assert {id(parameter) for parameter in build.parameters()} == trained
    assert all(name.startswith("transformer.") for name in build.state_dict())


def test_a_compiled_step_is_the_same_step(module):
    """Traced without a break, as every back end of torch.compile needs it; the code that they write is not run here."""
    build = module()
    images = torch.rand(2, 3, 32, 32)

    def gradients():
        terms = build.training_terms(images)
        build.zero_grad()
        sum(terms.values()).backward()
        return [*terms.values(), *(parameter.grad.clone() for parameter in build.parameters())]

    expected = gradients()
    build.training_terms = torch.compile(build.stylized_terms, backend="eager", fullgraph=True)
    torch.testing.assert_close(gradients(), expected, rtol=1e-4, atol=1e-6)


def test_terms_on_a_gpu_as_far_as_types_and_shapes_go(module, monkeypatch):
    """Traced on CUDA tensors without memory, which need no GPU: the branches that only a GPU takes, under bfloat16."""
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)
    build = module()
    with FakeTensorMode(allow_non_fake_inputs=True), torch.autocast("cuda", torch.bfloat16):
        for part in build.modules():
            for name, parameter in part._parameters.items():
                part._parameters[name] = torch.nn.Parameter(torch.empty_like(parameter, device="cuda"))
            for name, buffer in part._buffers.items():
                part._buffers[name] = torch.empty_like(buffer, device="cuda") if buffer is not None else None
        images = torch.empty(2, 3, 32, 32, device="cuda")
        assert build(images).dtype == torch.bfloat16
        terms = build.stylized_terms(images)
    assert set(terms) == {"content_loss", "style_loss", "tv_loss", "tone_loss"}
    assert all((term.dtype, term.device.type, term.shape) == (torch.float32, "cuda", ()) for term in terms.values())
    assert sum(terms.values()).requires_grad


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: mixed precision on a GPU is not run")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_trains_on_a_gpu(train_in_process, precision):
    options = ("trainer=gpu", "trainer.accelerator=gpu", f"precision={precision}", "channels_last=true")
    folder = train_in_process("a", "max_steps=30", "data.count=2", "optimizer.lr=1e-2", *options, EVERY_STEP)
    losses = column(folder, "train/total_loss")
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


def test_gradients_are_clipped(train_in_process):
    """To 1e-3 they keep their direction, and Adam its steps; to less than its epsilon they are nothing."""
    losses = {}
    for clip in ("null", "1e-3", "1e-15"):
        options = ("max_steps=3", "init_from=null", "optimizer.warmup_steps=0", f"optimizer.gradient_clip={clip}")
        losses[clip] = read_metadata(train_in_process(clip, *options) / "model.safetensors")["losses"]["val/total_loss"]
    untrained = read_metadata(
        train_in_process("untrained", "max_steps=3", "init_from=null", "optimizer.lr=1e-12") / "model.safetensors"
    )["losses"]["val/total_loss"]
    assert losses["1e-15"] == pytest.approx(untrained, rel=1e-3)
    assert losses["null"] != pytest.approx(untrained, rel=1e-2)
    assert losses["1e-3"] != pytest.approx(untrained, rel=1e-2)
