"""task=multi_style, by the real commands: training, resuming, painting one style, all, and mixtures."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import TINY_RUN
from omegaconf import OmegaConf
from PIL import Image
from safetensors.torch import load_file

from benchmarks.quality import Judge, judge_model
from fast_style import FastStyleError, Stylizer
from fast_style.checkpoint import load_network, read_metadata
from fast_style.data.images import read_on_white
from fast_style.data.styles import bundled_styles
from fast_style.training.multi_style import MultiStyle

STYLES = "styles=[mosaic,woodcut]"
TASK = ("task=multi_style", STYLES, "init_from=null")


@pytest.fixture(scope="module")
def several(run, tmp_path_factory):
    """The folder of a finished training of two styles."""
    folder = tmp_path_factory.mktemp("several")
    finished = run("train.py", *TINY_RUN, *TASK, "max_steps=3", f"hydra.run.dir={folder}")
    assert finished.returncode == 0, finished.stderr
    assert f"infer.py ckpt={folder}/model.safetensors input=photo.jpg style=all" in finished.stdout
    return folder


def test_what_a_training_leaves(several):
    metadata = read_metadata(several / "model.safetensors")
    assert [style["name"] for style in metadata["styles"]] == ["mosaic", "woodcut"]
    assert metadata["losses"]["steps"] == 3 and metadata["losses"]["val/style_loss"] > 0
    assert metadata["losses"]["val/identity_loss"] > 0 and load_network(several / "last.ckpt")[0].identity
    assert {path.name for path in (several / "stylized").iterdir()} == {"mosaic.png", "woodcut.png"}
    (preview,) = (several / "previews").iterdir()
    assert Image.open(preview).size == (4 * 36 + 4, 3 * 36 + 4), (
        "a row a style: its picture, three photos; the identity"
    )
    assert load_network(several / "model.safetensors")[0].offsets.abs().max() > 0, "the styles have learnt"


def test_painting(several, run_here, photo, tmp_path):
    source = photo(tmp_path / "photo.png", 40, 48)
    ckpt, files = f"ckpt={several}/model.safetensors", [f"input={source}", "precision=32-true"]
    for style in ("all", "woodcut", "{mosaic: 1, woodcut: 3}"):
        finished = run_here("infer.py", ckpt, *files, f"style={style}")
        assert finished.returncode == 0, finished.stderr
    names = {path.name for path in tmp_path.glob("photo_*.png")}
    assert names == {"photo_mosaic.png", "photo_woodcut.png", "photo_mosaic_1_woodcut_3.png"}
    paint = Stylizer(several / "model.safetensors", precision="32-true")
    for style, name in (("mosaic", "mosaic"), ({"mosaic": 0.25, "woodcut": 0.75}, "mosaic_1_woodcut_3")):
        written = np.asarray(Image.open(tmp_path / f"photo_{name}.png")).astype(int)
        assert np.abs(np.asarray(paint(source, style)).astype(int) - written).max() <= 1
    finished = run_here("infer.py", ckpt, *files, "style=cubism")
    assert finished.returncode == 1 and finished.stderr == "error: style=cubism: the model has mosaic, woodcut\n"
    with pytest.raises(FastStyleError, match="give style= of mosaic, woodcut"):
        paint(source)


def test_every_style_is_judged(several, photo, tmp_path, vgg):
    """By its own painting, as the judge finds one picture of that style that is made apart."""
    judge = Judge(str(vgg("tiny_vgg16")[1]))
    source = photo(tmp_path / "photo.png", 40, 48)
    found = list(judge_model(judge, str(several / "model.safetensors"), [source]))
    assert [row["painting"]["name"] for row in found] == ["mosaic", "woodcut"]
    for row in found:
        painting = read_on_white(bundled_styles()[row["painting"]["name"]])
        picture = torch.tensor(np.asarray(Stylizer(several, precision="32-true")(source, row["painting"]["name"])))
        expected = judge([painting], read_on_white(source), picture.permute(2, 0, 1) / 255)
        assert abs(row["style"] - expected["style"]) < 2e-3 + 0.01 * expected["style"]


def test_strength_and_masks(several, run_here, photo, tmp_path):
    source = photo(tmp_path / "photo.png", 40, 48)
    Image.fromarray(np.repeat([255, 0], 12).astype(np.uint8)[None].repeat(4, 0)).save(tmp_path / "left.png")
    Image.fromarray(np.repeat([0, 255], 12).astype(np.uint8)[None].repeat(4, 0)).save(tmp_path / "right.png")
    masks = f"mask={{mosaic: {tmp_path}/left.png, woodcut: {tmp_path}/right.png}}"
    options = (f"ckpt={several}/model.safetensors", f"input={source}", "precision=32-true")
    for keys in (["style=mosaic"], ["style=mosaic", "strength=1"], ["style=mosaic", "strength=0"], [masks],
                 ["style=woodcut", f"mask={tmp_path}/left.png"], ["style=woodcut", "strength=1.5"]):  # fmt: skip
        finished = run_here("infer.py", *options, *keys)
        assert finished.returncode == 0 and "no identity" not in finished.stdout, finished.stderr
    found = {path.stem: np.asarray(Image.open(path)) for path in tmp_path.glob("photo*.png")}
    assert set(found) == {"photo", "photo_mosaic", "photo_mosaic_strength_0", "photo_mosaic_woodcut_masked",
                          "photo_woodcut_masked", "photo_woodcut_strength_1.5"}  # fmt: skip
    np.testing.assert_array_equal(found["photo_mosaic_strength_0"], found["photo"])
    run_here("infer.py", *options, "style=woodcut")
    woodcut = np.asarray(Image.open(tmp_path / "photo_woodcut.png"))
    both, alone = found["photo_mosaic_woodcut_masked"], found["photo_woodcut_masked"]
    np.testing.assert_array_equal(both[:, :23], found["photo_mosaic"][:, :23])
    np.testing.assert_array_equal(both[:, 25:], woodcut[:, 25:])
    np.testing.assert_array_equal(alone[:, :23], woodcut[:, :23])
    np.testing.assert_array_equal(alone[:, 25:], found["photo"][:, 25:])


def test_several_pictures_of_one_photo_have_names_of_their_own(several, run_here, photo, tmp_path):
    """In a folder, too; and a model overwrites what it made itself in another style."""
    source = photo(tmp_path / "photo.png", 16, 16)
    options = (f"ckpt={several}/model.safetensors", f"input={source}")
    for _ in range(2):
        finished = run_here("infer.py", *options, f"output={tmp_path}/out")
        assert finished.returncode == 0, finished.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"photo_mosaic.png", "photo_woodcut.png"}
    finished = run_here("infer.py", *options, f"output={tmp_path}/one.png")
    assert finished.stderr.endswith("one.png is one file, but style= means several: give a folder, or one style\n")
    for strength in (1, 0.5):
        keys = ("style=mosaic", f"strength={strength}", f"output={tmp_path}/one.png")
        assert run_here("infer.py", *options, *keys).returncode == 0


@pytest.mark.parametrize("keys, message", [
    (["strength=2"], "strength=2: must be a number from 0 to 1.5"),
    (["mask=none.png"], "none.png: No such file or directory"),
    (["mask={mosaic: none.png}"], "none.png: No such file"), (["mask={cubism: IMAGE}"], "mask=cubism: the model has"),
    (["mask={}"], "mask={}: the model has mosaic, woodcut"), (["mask=[a]"], "mask=['a']: must be one name or path"),
    (["mask={mosaic: IMAGE}", "style=woodcut"], "style=woodcut: mask= of several styles names them"),
])  # fmt: skip
def test_strength_and_masks_that_mean_nothing(several, run_here, photo, tmp_path, keys, message):
    source = photo(tmp_path / "photo.png", 16, 16)
    keys = [key.replace("IMAGE", str(source)) for key in keys]
    finished = run_here("infer.py", f"ckpt={several}/model.safetensors", f"input={source}", *keys)
    assert finished.returncode == 1 and message in finished.stderr and len(finished.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_strength_and_masks_of_a_model_of_one_style(trained, run_here, photo, tmp_path):
    source = photo(tmp_path / "photo.png", 16, 20)
    Image.new("L", (5, 4), 51).save(tmp_path / "fifth.png")
    options = (f"ckpt={trained}/model.safetensors", f"input={source}", "precision=32-true")
    assert run_here("infer.py", *options).returncode == 0
    finished = run_here("infer.py", *options, "strength=0.5", f"mask={tmp_path}/fifth.png")
    note = "strength=0.5: the model has learnt no identity, so photo and picture are blended pixel by pixel\n"
    assert finished.returncode == 0 and note in finished.stdout, finished.stderr
    before, style, mixed = (
        np.asarray(Image.open(tmp_path / f"photo{name}.png")).astype(float)
        for name in ("", "_starry_night", "_starry_night_strength_0.5_masked")
    )
    np.testing.assert_allclose(mixed, 0.9 * before + 0.1 * style, atol=0.6)


def test_a_share_of_the_images_teaches_the_identity(compose_config, tmp_path):
    """Never the first of a batch; 0 is a training as it was without."""

    def task(*keys):
        cfg = compose_config("train", *TINY_RUN, *TASK, *keys, f"run_dir={tmp_path}")
        return MultiStyle(OmegaConf.to_container(cfg, resolve=True))

    module, without = task("identity_share=0.2"), task("identity_share=0")
    drawn = torch.stack([_at(module, step).draw_styles(4) for step in range(500)])
    identity = drawn == 2
    assert not identity[:, 0].any() and identity.float().mean().item() == pytest.approx(0.2, abs=0.03)
    drawn[identity] = 0
    before = torch.stack([_at(without, step).draw_styles(4) for step in range(500)])
    assert torch.equal(torch.where(identity, 0, before), drawn) and before.max() == 1
    assert not without.multi_style_net.identity and len(without.multi_style_net.offsets) == 2


def test_the_identity_keeps_content_and_pixels(compose_config, tmp_path):
    """The loss of a batch of a style and the identity, from the terms of each image alone."""
    cfg = compose_config("train", *TINY_RUN, *TASK, "objective.content_weight=2", f"run_dir={tmp_path}")
    module = MultiStyle(OmegaConf.to_container(cfg, resolve=True)).eval()
    torch.nn.init.normal_(module.multi_style_net.offsets, std=0.1)
    photos = torch.rand(2, 3, 32, 32)
    terms = module.styled_terms(photos, torch.tensor([1, 2]))
    styled = module.styled_terms(photos[:1], torch.tensor([1]))
    kept = module.stylize(photos[1:], 2)
    features = [module.perceptual_loss.content_features(images)["relu3_3"].double() for images in (kept, photos[1:])]
    errors = [(a - b).square().sum() / b.square().sum() for a, b in (features, (kept, photos[1:]))]
    change = 2 * errors[0].item() + 10 * errors[1].item()
    assert terms["identity_loss"].item() == pytest.approx(change / 2, rel=1e-4)
    total = sum(styled[name].item() for name in module.perceptual_loss.terms)
    assert terms["loss"].item() == pytest.approx((np.log(total) + np.log(1 + change)) / 2, rel=1e-4)
    assert terms["style_loss"].item() == pytest.approx(styled["style_loss"].item() / 2, rel=1e-4)


def _at(module, step):
    module.trainer = SimpleNamespace(global_step=step, global_rank=0)
    return module


def test_a_model_of_one_style_has_no_other(trained, run, photo, tmp_path):
    source = photo(tmp_path / "photo.png", 40, 48)
    finished = run("infer.py", f"ckpt={trained}/model.safetensors", f"input={source}", "style=mosaic")
    assert finished.returncode == 1 and "the model has one style, starry_night" in finished.stderr


def test_resumed_run_is_the_run_that_never_stopped(train_in_process):
    options = (*TASK, "max_steps=4", "checkpoint_every=2")
    straight = train_in_process("straight", *options)
    stopped = train_in_process("stopped", *options, "trainer.max_steps=2")
    resumed = train_in_process("resumed", *options, f"ckpt_path={stopped / 'last.ckpt'}")
    one, other = (load_file(folder / "model.safetensors") for folder in (straight, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(FastStyleError, match="another identity_share"):
        train_in_process("other", *options, "identity_share=0", f"ckpt_path={stopped / 'last.ckpt'}")
    with pytest.raises(FastStyleError, match="another style picture"):
        train_in_process("other", *options, "styles=[mosaic]", f"ckpt_path={stopped / 'last.ckpt'}")
    assert load_network(stopped / "last.ckpt")[0].names == ["mosaic", "woodcut"]


def test_shared_out_among_cores(train_in_process, monkeypatch):
    """Each thread puts its styles into a network of its own."""
    one = train_in_process("one", *TASK, "max_steps=2", "data_parallel=false")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    two = train_in_process("two", *TASK, "max_steps=2")
    one, two = (load_file(folder / "model.safetensors") for folder in (one, two))
    for name in one:
        torch.testing.assert_close(one[name], two[name], rtol=0, atol=3e-3)


@pytest.mark.parametrize("options, message", [
    (("styles=null",), "needs styles="), (("styles=5",), "styles=5: no such file"),
    (("styles=[cubism]",), "styles=cubism: no such file"),
    (("styles=[mosaic,mosaic]",), "two pictures are named mosaic"),
    (("batch_size=1",), "batch_size=1: the identity is learnt beside a style"),
    (("identity_share=0.6",), "identity_share=0.6: must be a number from 0 to 0.5"),
    (("compile=true",), "not compiled"), (("model.norm=batch",), "model.norm must be instance"),
])  # fmt: skip
def test_clear_errors(train_in_process, options, message):
    with pytest.raises(FastStyleError, match=message):
        train_in_process("a", *TASK, "max_steps=1", *options)


def test_a_folder_of_pictures(train_in_process, photo, tmp_path):
    for index, name in enumerate(("first", "second", "third")):
        photo(tmp_path / "paintings" / f"{name}.png", 70, 80, seed=index)
    folder = train_in_process("a", *TASK, f"styles={tmp_path}/paintings", "max_steps=1")
    assert load_network(folder / "model.safetensors")[0].names == ["first", "second", "third"]
    folder = train_in_process(
        "b", TASK[0], TASK[2], f"styles={{hand: {tmp_path}/paintings, wood: woodcut}}", "max_steps=1"
    )
    hand, wood = read_metadata(folder / "model.safetensors")["styles"]
    assert hand["image"] == ["first.png", "second.png", "third.png"] and wood["image"] == "woodcut.jpg"
    assert load_network(folder / "last.ckpt")[0].names == ["hand", "wood"]
    first, *others = (tmp_path / "paintings" / f"{name}.png" for name in ("first", "second", "third"))
    otherwise = f"styles={{hand: {first}, wood: [{others[0]}, {others[1]}, woodcut]}}"
    with pytest.raises(FastStyleError, match="another style picture"):
        train_in_process("c", TASK[0], TASK[2], otherwise, "max_steps=2", f"ckpt_path={folder}/last.ckpt")
