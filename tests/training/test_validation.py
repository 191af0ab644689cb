"""What is measured on held-out photos, against slices, loops and formulas of its own."""

from types import SimpleNamespace

import pytest
import torch
from conftest import TINY_RUN
from omegaconf import OmegaConf
from pytorch_lightning.trainer.states import TrainerFn

from fast_style.ancestors.optimization import optimize_pixels
from fast_style.checkpoint import load_transformer, read_metadata
from fast_style.data.content import Samples
from fast_style.errors import FastStyleError
from fast_style.losses import load_perceptual_loss, tone_error
from fast_style.training.style_transfer import StyleTransfer
from fast_style.training.validation import AgainstLBFGS, DistanceToIdeal, fidelity, likeness, own_variation


@pytest.fixture
def photos():
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def loss_of(compose_config):
    """loss_of(pictures, *overrides): the objective for them."""

    def load(pictures, *overrides):
        cfg = OmegaConf.to_container(compose_config("train", *TINY_RUN, "run_dir=.", *overrides), resolve=True)
        return load_perceptual_loss(cfg["loss_network"], cfg["objective"], pictures)

    return load


def test_what_is_left_of_a_photo(photos):
    same, grey = likeness(photos, photos), likeness(photos.mean((1, 2, 3), keepdim=True).expand_as(photos), photos)
    assert same["tone"].item() == pytest.approx(1, abs=0.02) and same["ssim"].item() == pytest.approx(1, abs=1e-5)
    assert abs(grey["tone"].item()) < 1e-5 and grey["ssim"].item() < 0.5
    assert likeness(1 - photos, photos)["tone"].item() == pytest.approx(-1, abs=0.02)
    assert likeness(3 * photos, photos)["ssim"] == likeness((3 * photos).clamp(0, 1), photos)["ssim"], "as written"
    assert likeness(photos[..., :10], photos[..., :10]).keys() == {"tone"}
    half = (photos + 0.1).sqrt()
    exact = likeness(half, photos)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert likeness(half, photos) == exact, "in float32 whatever the precision of the rest"


def test_a_painting_that_is_everywhere_the_same_varies_little(loss_of):
    """Tiles against two flat halves; the mean over quarters cut by hand; none of a picture without room for them."""
    tile = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    tiles = tile.repeat(1, 1, 10, 8)
    halves = torch.cat([torch.zeros(1, 3, 80, 32), torch.ones(1, 3, 80, 32)], -1)
    # It reflects: beside the zeros that a VGG pads with, the tiles of a small quarter look like others.
    layers = "objective.content_layers=[relu3_1]", "objective.style_layers=[relu1_1,relu2_1,relu3_1,relu4_1]"
    variations = []
    for picture in (tiles, halves):
        loss = loss_of([picture], "loss_network=distilled", *layers)
        quarters = [picture[..., top : top + 40, left : left + 32] for top in (0, 40) for left in (0, 32)]
        by_hand = sum(loss.without_content(quarter)["style_loss"].item() for quarter in quarters) / 4
        variations.append(own_variation(loss, [picture]).item())
        assert variations[-1] == pytest.approx(by_hand, rel=1e-5)
    assert 10 * variations[0] < variations[1]
    assert own_variation(loss, [halves[..., :62]]) is None, "a quarter at half size: 15 pixels"


def test_the_distance_does_not_depend_on_the_weights(loss_of, photos):
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) ** 3
    stylized, tone = (photos + 0.2).clamp(0, 1), torch.tensor(0.7)
    found = []
    for overrides in ((), ("objective.style_weight=40", "objective.content_weight=2", "objective.tv_weight=0")):
        loss = loss_of([picture], *overrides)
        features = loss.content_features(photos)
        distance = DistanceToIdeal(loss, [picture])
        for _ in range(2):  # the second time by what was kept
            found.append(distance(loss.per_image(stylized, photos, features), photos, features, tone, 0).item())
    assert found == pytest.approx([found[0]] * 4, rel=1e-4)
    loss = loss_of([picture], "objective.style_weight=0")
    terms = loss.per_image(stylized, photos, features)
    assert DistanceToIdeal(loss, [picture])(terms, photos, features, tone, 0) is None


def test_what_a_run_says_of_its_held_out_photos(train_in_process):
    """From the released network and the formulas, photo by photo."""
    folder = train_in_process("a", "max_steps=2", "objective.style_weight=5", "objective.tone_weight=0")
    metadata, (transformer, _) = read_metadata(folder / "model.safetensors"), load_transformer(folder)
    module = StyleTransfer(metadata["config"] | {"init_from": None})
    loss, (painting,) = module.perceptual_loss, module.style_images
    data, values = Samples(count=1, photo_share=0, image_size=32, batch_size=2, seed=0), []
    height, width = (side // 2 for side in painting.shape[-2:])
    quarters = [painting[..., i * height :, j * width :][..., :height, :width] for i in (0, 1) for j in (0, 1)]
    variation = sum(loss.without_content(quarter)["style_loss"].item() for quarter in quarters) / 4
    for batch in data.val_dataloader():
        photos = batch.float() / 255
        with torch.no_grad():
            stylized = transformer(photos)
            terms, turned = loss(stylized, photos), loss(photos.rot90(2, (-2, -1)), photos)
        tone = 1 - sum(tone_error(one[None].clamp(0, 1), other[None]) for one, other in zip(stylized, photos)) / 4  # noqa: B905
        shares = terms["content_loss"] / turned["content_loss"], terms["style_loss"] / variation
        distance = (shares[0] ** 2 + shares[1] ** 2 + (1 - tone) ** 2).item() ** 0.5
        values.append([tone.item(), fidelity(stylized, photos)["ssim"].mean().item(), distance])
    found = [metadata["losses"][f"val/{name}"] for name in ("tone", "ssim", "distance_to_ideal")]
    assert found == pytest.approx(torch.tensor(values).mean(0).tolist(), rel=1e-3, abs=1e-4)


def test_against_lbfgs(compose_config, photos, tmp_path):
    cfg = compose_config("train", *TINY_RUN, "init_from=null", f"run_dir={tmp_path}")
    module, logged = StyleTransfer(OmegaConf.to_container(cfg, resolve=True)), {}
    module.log_held_out = lambda values, count: logged.update(values)
    callback, trainer = AgainstLBFGS(iterations=2), SimpleNamespace(state=SimpleNamespace(fn=TrainerFn.FITTING))
    callback.on_validation_batch_end(trainer, module, None, photos, 0)
    assert not logged, "only once, after the training"
    trainer.state.fn = TrainerFn.VALIDATING
    with torch.inference_mode():  # as Lightning validates
        callback.on_validation_batch_end(trainer, module, None, photos, 0)
    objectives = [module.perceptual_loss.for_content(photo[None]) for photo in photos]
    runs = [list(optimize_pixels(each, photo[None], 2)) for each, photo in zip(objectives, photos, strict=True)]
    reached = sum(sum(run[-1][1].values()) for run in runs) / 2
    with torch.no_grad():
        total = sum(module.perceptual_loss(module(photos), photos).values()).item()
    assert logged["lbfgs_total_loss"] == pytest.approx(reached, rel=1e-4)
    assert logged["lbfgs_distance"] == pytest.approx(total - reached, rel=1e-4)


def test_lbfgs_is_of_one_style(train_in_process):
    with pytest.raises(FastStyleError, match="lbfgs_iterations=2: is of task=style_transfer"):
        train_in_process("a", "task=texture", "lbfgs_iterations=2", "max_steps=1")
