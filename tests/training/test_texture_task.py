"""Diversity against explicit loops, and training: what is logged, what is kept, exact resume."""

import math

import pytest
import torch
from conftest import TINY_RUN
from omegaconf import OmegaConf
from test_style_transfer import EVERY_STEP, assert_equal, column, state

from fast_style.checkpoint import load_network, read_metadata
from fast_style.errors import FastStyleError
from fast_style.training.fit import fit
from fast_style.training.task import task_class
from fast_style.training.texture import (
    CLOSEST,
    VALIDATION_COUNT,
    VALIDATION_SEED,
    VARIANTS,
    diversity,
    ensemble_entropy,
    pairwise_distances,
)

TINY = ("generator.channels=[6,4,3]", "generator.branch_channels=2", "diversity_weight=0.1")
TEXTURE, DIVERSE = ("task=texture", *TINY), ("task=diverse_style_transfer", *TINY)


def distance(one, other):
    """Root mean squared difference in Python's own arithmetic."""
    differences = (one.double() - other.double()).flatten().tolist()
    return math.sqrt(sum(value**2 for value in differences) / len(differences))


@pytest.fixture
def samples():
    return torch.rand(2, 5, 3, 4, 6, generator=torch.Generator().manual_seed(0))


def test_entropy_is_the_mean_log_distance_to_the_nearest(samples):
    logarithms = [
        math.log(min(distance(image, other) for j, other in enumerate(group) if j != i))
        for group in samples
        for i, image in enumerate(group)
    ]
    assert ensemble_entropy(samples).item() == pytest.approx(sum(logarithms) / len(logarithms), rel=1e-5)


def test_diversity_is_the_mean_distance_of_pairs(samples):
    distances = [distance(group[i], group[j]) for group in samples for i in range(5) for j in range(i)]
    assert diversity(samples).item() == pytest.approx(sum(distances) / len(distances), rel=1e-5)
    assert diversity(samples[:, :1].expand(-1, 4, -1, -1, -1)) == 0


def test_small_distances_are_exact():
    """As differences, not as x^2 + y^2 - 2xy, which is off by a hundredth here in float32."""
    one = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert pairwise_distances(torch.stack([one, one + 1e-4]))[0, 1].item() == pytest.approx(1e-4, rel=1e-2)


def test_gradient_of_the_entropy(samples):
    """Against finite differences; and of two samples' log |a - b| it is (a - b) / |a - b|^2."""
    small = samples[..., :2, :3].double().requires_grad_()
    assert torch.autograd.gradcheck(ensemble_entropy, small)
    pair = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    ensemble_entropy(pair).backward()
    difference = (pair[0] - pair[1]).detach()
    torch.testing.assert_close(pair.grad[0], difference / difference.square().sum())
    torch.testing.assert_close(pair.grad[1], -difference / difference.square().sum())


def test_entropy_pushes_samples_apart(samples):
    samples = samples.clone().requires_grad_()
    ensemble_entropy(samples).backward()
    with torch.no_grad():
        moved = samples + 0.1 * samples.grad
        assert ensemble_entropy(moved) > ensemble_entropy(samples)
        assert diversity(moved) > diversity(samples)


class NoLoss(torch.nn.Module):
    def forward(self, *images):
        return {}

    without_content = forward


@pytest.mark.parametrize("task", [TEXTURE, DIVERSE], ids=["texture", "diverse"])
def test_descent_on_the_diversity_term_moves_samples_apart(compose_config, monkeypatch, task):
    """One step of gradient descent on the training loss, in which there is no other term."""
    cfg = compose_config("train", *TINY_RUN, *task, "max_steps=1", "run_dir=none")
    torch.manual_seed(0)
    module = task_class(cfg)(OmegaConf.to_container(cfg, resolve=True))
    module.perceptual_loss = NoLoss()
    logged = {}
    monkeypatch.setattr(module, "log_dict", lambda values, **_: logged.update(values))
    photos = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.SGD(module.generator.parameters(), lr=1e-2)
    size = (photos, VARIANTS) if module.content else (2,)
    before = module(*size, "train", 0).detach()
    before = before if module.content else before[None]
    loss = module.training_step(photos, 0)
    assert loss == logged["train/diversity_loss"]
    assert loss.item() == pytest.approx(-0.1 * ensemble_entropy(before).item())
    loss.backward()
    optimizer.step()
    after = module(*size, "train", 0).detach()
    after = after if module.content else after[None]
    assert ensemble_entropy(after) > ensemble_entropy(before)
    assert diversity(after) > diversity(before)


def test_identical_samples_are_finite():
    same = torch.full((3, 3, 4, 4), 0.5, requires_grad=True)
    entropy = ensemble_entropy(same)
    entropy.backward()
    assert entropy.item() == pytest.approx(math.log(CLOSEST)) and same.grad.isfinite().all()


def test_logged_terms_add_up(train_in_process):
    texture = train_in_process("texture", *TEXTURE, "max_steps=3", EVERY_STEP)
    diverse = train_in_process("diverse", *DIVERSE, "max_steps=2", EVERY_STEP)
    of_photos = ("content", "style", "tv", "diversity")
    for folder, names in ((texture, ("style", "tv", "diversity")), (diverse, of_photos)):
        for stage in ("train", "val"):
            terms = [column(folder, f"{stage}/{name}_loss") for name in (*names, "total")]
            for *parts, total in zip(*terms, strict=True):
                assert sum(parts) == pytest.approx(total, rel=1e-5)
        assert 0 < column(folder, "val/diversity")[-1] < 1
    assert not column(texture, "train/content_loss"), "a texture has no content"


def test_validation_is_that_of_the_released_generator(train_in_process):
    folder = train_in_process("a", *TEXTURE, "max_steps=2")
    generator, _ = load_network(folder / "model.safetensors")
    noise = generator.draw_noise((32, 32), [(VALIDATION_SEED, 0, 0, index) for index in range(VALIDATION_COUNT)])
    with torch.no_grad():
        textures = generator(noise, (32, 32))[None]
    losses = read_metadata(folder / "model.safetensors")["losses"]
    assert losses["val/diversity"] == pytest.approx(diversity(textures.clamp(0, 1)).item(), rel=1e-4)
    assert losses["val/diversity_loss"] == pytest.approx(-0.1 * ensemble_entropy(textures).item(), rel=1e-3)


def test_loss_decreases(train_in_process):
    options = ("max_steps=30", "optimizer.warmup_steps=0", "optimizer.lr=1e-2", "diversity_weight=0")
    losses = column(train_in_process("a", *TEXTURE, *options, EVERY_STEP), "train/total_loss")
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_a_texture_reads_no_photos(compose_config, tmp_path):
    tiny = [override for override in TINY_RUN if not override.startswith("data.")]
    options = ("data=folder", "data.root=/no/such", "max_steps=1", f"run_dir={tmp_path}")
    fit(compose_config("train", *tiny, *TEXTURE, *options))
    assert (tmp_path / "texture.png").exists()


@pytest.mark.parametrize("task", [TEXTURE, DIVERSE], ids=["texture", "diverse"])
def test_resumed_run_is_the_run_that_never_stopped(train_in_process, task):
    options = (*task, "max_steps=4", "checkpoint_every=2", "preview_every=2", EVERY_STEP)
    straight = train_in_process("straight", *options)
    stopped = train_in_process("stopped", *options, "trainer.max_steps=2")
    assert state(stopped)["global_step"] == 2
    resumed = train_in_process("resumed", *options, f"ckpt_path={stopped / 'last.ckpt'}")
    for part in ("global_step", "state_dict", "optimizer_states", "lr_schedulers"):
        assert_equal(state(straight)[part], state(resumed)[part])
    assert column(straight, "train/total_loss")[2:] == column(resumed, "train/total_loss")


def test_one_texture_has_no_neighbour(train_in_process):
    with pytest.raises(FastStyleError, match="batch_size=1.*diversity_weight=0"):
        train_in_process("a", *TEXTURE, "batch_size=1", "max_steps=1")
    train_in_process("b", *TEXTURE, "batch_size=1", "max_steps=1", "diversity_weight=0")


def test_resuming_another_run_is_refused(train_in_process):
    last = train_in_process("a", *TEXTURE, "max_steps=1") / "last.ckpt"
    with pytest.raises(FastStyleError, match="another generator.norm, diversity_weight"):
        train_in_process("b", *TEXTURE, f"ckpt_path={last}", "generator.norm=batch", "diversity_weight=1")
    with pytest.raises(FastStyleError, match="task=texture"):
        train_in_process("c", f"ckpt_path={last}", "max_steps=1")
