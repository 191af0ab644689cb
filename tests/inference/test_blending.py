"""Strength, masks, colours and large strokes, by explicit numbers: of networks of one colour, and of small ones."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from fast_style import FastStyleError, Stylizer
from fast_style.checkpoint import save_release, write_safetensors
from fast_style.data.images import read_mask
from fast_style.inference.blending import Blend, Enlarged, PreservedColor, Weakened, painter, strengthened
from fast_style.inference.stylize import stylize
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.upscaler import Upscaler

MODEL = {"channels": [4, 8], "residual_blocks": 1}


class Flat(torch.nn.Module):
    """Paints everything one grey, which may lie beyond white."""

    def __init__(self, grey):
        super().__init__()
        self.grey = torch.nn.Parameter(torch.tensor(grey))

    def forward(self, images):
        return torch.ones_like(images) * self.grey


@pytest.fixture
def several():
    """Two styles and an identity, of random parameters."""
    torch.manual_seed(0)
    network = MultiStyleNet(MODEL, ["a", "b"], torch.randn(2, 6), identity=True).eval()
    torch.nn.init.normal_(network.offsets, std=0.1)
    return network


@pytest.fixture
def files(several, tmp_path):
    """Release files of several styles, with an identity and without."""
    alone = MultiStyleNet(MODEL, several.names, several.statistics)
    alone.load_state_dict(several.state_dict() | {"offsets": several.offsets[:2]})
    metadata = {"task": "multi_style", "model": MODEL, "styles": [{"name": "a"}, {"name": "b"}]}
    for name, network in (("identity", several), ("alone", alone)):
        file = tmp_path / f"{name}.safetensors"
        write_safetensors(file, network.state_dict(), {"format": "fast_style transformer 1"} | metadata)
    return tmp_path


# --- masks


def test_masks_are_weights():
    """Left one style, right another, both in the middle, neither on the right edge; 0.4 is the photo."""
    photo = torch.full((2, 3, 2, 5), 0.4)
    left = torch.tensor([1, 1, 0.5, 0, 0]).expand(1, 2, 5)
    right = torch.tensor([0, 1, 1, 0.25, 0]).expand(1, 2, 5)
    blended = Blend([Flat(0.8), Flat(1.7)], [left, right])(photo)  # 1.7 is a white picture
    expected = [0.8, (0.8 + 1) / 2, (0.5 * 0.8 + 1) / 1.5, 0.25 * 1 + 0.75 * 0.4, 0.4]
    torch.testing.assert_close(blended, torch.tensor(expected).expand(2, 3, 2, 5))
    half = Blend([Flat(0.8), Flat(1.7)], [left, right], opacity=0.5)(photo)
    torch.testing.assert_close(half, (blended + photo) / 2)


def test_masks_of_another_size_are_stretched():
    """Two pixels to eight, bilinearly: in steps of a quarter from the centre of one to that of the other."""
    mask = torch.tensor([[[0.0, 1.0]]])
    blended = Blend([Flat(1.0)], [mask])(torch.zeros(1, 3, 4, 8))
    expected = torch.tensor([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])
    torch.testing.assert_close(blended, expected.expand(1, 3, 4, 8))


def test_a_mask_is_white_where_it_counts(tmp_path):
    """Grey is its share, and transparent is none, whatever colour hides there."""
    grey = np.uint8([[0, 51, 255, 255]])
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(np.dstack([grey] * 3 + [np.uint8([[255, 255, 51, 0]])])).save(tmp_path / "cut.png")
    torch.testing.assert_close(read_mask(tmp_path / "grey.png"), torch.tensor([[[0, 0.2, 1, 1]]]))
    torch.testing.assert_close(read_mask(tmp_path / "cut.png"), torch.tensor([[[0, 0.2, 0.2, 0]]]))


@pytest.mark.parametrize("options, message", [
    ({"style": "a", "mask": {"a": torch.ones(1, 2, 2)}}, "style=a: mask= of several styles names them"),
    ({"mask": {"c": torch.ones(1, 2, 2)}}, "mask=c: the model has a, b"), ({"mask": {}}, "mask={}: the model has a, b"),
])  # fmt: skip
def test_masks_without_a_style(several, options, message):
    with pytest.raises(FastStyleError, match=message):
        painter(several, several.names, lambda *_: Flat(1.0), **options)


# --- strength


def test_strength_is_a_way_between_parameters(several):
    """Explicitly, for one scale, from the identity to a style and as far again."""
    name = next(iter(several.shapes))
    own = several.transformer.state_dict()[name]
    offsets = several.offsets.detach()[:, : own.numel()]
    for strength in (0.0, 0.25, 1.5):
        found = several.transformer_for("b", strength).state_dict()[name]
        torch.testing.assert_close(found, own + strength * offsets[1] + (1 - strength) * offsets[2])
    half = several.transformer_for({"a": 1, "b": 3}, 0.5).state_dict()[name]
    torch.testing.assert_close(half, own + 0.125 * offsets[0] + 0.375 * offsets[1] + 0.5 * offsets[2])


def test_strength_1_is_the_style_and_0_the_photo(several):
    photo = torch.rand(1, 3, 20, 24)
    style = stylize(several.transformer_for("a"), photo)
    assert torch.equal(stylize(strengthened(several, "a", 1.0), photo), style), "to the bit"
    torch.testing.assert_close(stylize(strengthened(several, "a", 0.0), photo), photo, rtol=0, atol=1e-5)
    weak = stylize(strengthened(several, "a", 0.01), photo)
    assert 0 < (weak - photo).abs().max() < 0.1 < (style - photo).abs().max()


def test_what_the_identity_loses_comes_back():
    """A style of 0.9 at a strength of 0.25, whose identity makes 0.5 of 0.6."""
    torch.testing.assert_close(
        Weakened(Flat(0.9), Flat(0.5), 0.25)(torch.full((1, 3, 2, 2), 0.6)), torch.full((1, 3, 2, 2), 0.9 + 0.75 * 0.1)
    )


def test_a_model_without_identity_has_no_parameters_to_go_along(several):
    alone = MultiStyleNet(MODEL, several.names, several.statistics)
    with pytest.raises(FastStyleError, match="strength=0.5: the model has learnt no identity"):
        alone.mixture("a", 0.5)


# --- from a program


def test_strength_from_a_program(files):
    photo = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    paint = Stylizer(files / "identity.safetensors", precision="32-true")
    style = paint(photo, "a")
    assert (paint(photo, "a", strength=1) == style).all() and (paint(photo, "a", strength=0) == photo).all()
    assert (paint(photo, "a", strength=1.5) != style).any()
    alone = Stylizer(files / "alone.safetensors", precision="32-true")
    assert (alone(photo, "a") == style).all(), "the identity changes no style"
    with pytest.warns(UserWarning, match="strength=0.25: .* blended pixel by pixel"):
        quarter = alone(photo, "a", strength=0.25)
    np.testing.assert_allclose(quarter, 0.75 * photo + 0.25 * style, atol=1)
    with pytest.warns(UserWarning, match="strength=0: "):
        assert (alone(photo, "a", strength=0) == photo).all()
    pixels = (photo / 255).astype(np.float32)
    over = 0.6 * pixels + 0.4 * alone(pixels, "a")
    np.testing.assert_allclose(alone(pixels, "a", strength=1.4), alone(over.astype(np.float32), "a"), atol=1e-3)
    with pytest.raises(FastStyleError, match="strength=2: must be a number from 0 to 1.5"):
        paint(photo, "a", strength=2)
    with pytest.raises(FastStyleError, match="stroke_size=large: must be auto, None, or a side"):
        paint(photo, "a", stroke_size="large")


def test_networks_are_kept(files, monkeypatch):
    """Built once for each style and strength, the last ones only; threads that share a Stylizer get their own style."""
    built = []
    monkeypatch.setattr("fast_style.inference.stylizer.KEPT", 3)
    monkeypatch.setattr(
        "fast_style.inference.stylizer.strengthened", lambda *key: built.append(key[1:]) or strengthened(*key)
    )
    paint, photo = Stylizer(files / "identity.safetensors", precision="32-true"), torch.rand(3, 16, 16)
    styles = ["a", "b", {"a": 1, "b": 2}]
    first = [paint(photo, style) for style in styles]
    assert all(torch.equal(paint(photo, style), one) for style, one in zip(styles, first, strict=True))
    assert built == [(style, 1.0) for style in styles]
    paint(photo, "a", strength=0.5)
    assert len(paint.kept) == 3 and torch.equal(paint(photo, "a"), first[0])
    assert built[3:] == [("a", 0.5), ("a", 1.0)]
    with ThreadPoolExecutor(4) as pool:
        several = list(pool.map(lambda index: paint(photo, styles[index % 3], strength=1 - index % 2 / 2), range(12)))
    for index, picture in enumerate(several):
        torch.testing.assert_close(picture, paint(photo, styles[index % 3], strength=1 - index % 2 / 2), rtol=0, atol=0)
    assert len(paint.kept) == 3 and len(pickle.loads(pickle.dumps(paint)).kept) == 3


def test_masks_from_a_program(files):
    """Of every kind, and of several styles; both are painted whole, whatever the masks."""
    photo = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
    paint = Stylizer(files / "identity.safetensors", precision="32-true")
    a, b = paint(photo, "a"), paint(photo, "b")
    left = np.zeros((20, 24), bool)
    left[:, :10] = True
    image = Image.fromarray(left)
    image.save(files / "left.png")
    kinds = (left, torch.from_numpy(left), left[..., None].repeat(3, 2) * np.uint8(255), image, files / "left.png")
    for mask in (*kinds, (files / "left.png").read_bytes(), left.astype(np.float32)):
        assert (paint(photo, "a", mask=mask) == np.where(left[..., None], a, photo)).all()
    both = paint(photo, mask={"a": left, "b": ~left})
    assert (both == np.where(left[..., None], a, b)).all()
    with pytest.raises(FastStyleError, match=r"one channel or three: not \(2, 20, 24\)"):
        paint(photo, "a", mask=torch.ones(2, 20, 24))
    with pytest.raises(FastStyleError, match="style=None: the model has several styles"):
        paint(photo, mask=left)


# --- colours


def test_only_light_and_dark_are_painted(files):
    """By the matrix of YIQ: Y of the painted picture, I and Q of the photo."""
    to_yiq = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
    photo = 0.3 + 0.2 * torch.rand(2, 3, 4, 5)
    found = PreservedColor(Flat(0.5))(photo)
    yiq, expected = (torch.einsum("ij,bjhw->bihw", to_yiq, images) for images in (found, photo))
    torch.testing.assert_close(yiq[:, 0], torch.full((2, 4, 5), 0.5), rtol=0, atol=2e-3)
    torch.testing.assert_close(yiq[:, 1:], expected[:, 1:], rtol=0, atol=2e-4)
    paint = Stylizer(files / "alone.safetensors", device="cpu", precision="32-true")
    image = torch.rand(3, 16, 16)
    painted = paint(image[None], style="a")
    size = tuple(image.shape[1:])
    combined = PreservedColor(Flat(0.5)).combine(image[None], [painted], size, tuple(map(range, size)))
    expected = combined[0].clamp(0, 1)
    torch.testing.assert_close(paint(image, style="a", preserve_color=True), expected, rtol=0, atol=1e-5)


# --- large strokes


def test_strokes_of_large_photos_are_large_by_themselves(several, monkeypatch):
    """Any longest side, that of `auto`, none of its own; and not what an upscaler makes large, or enlarges."""
    monkeypatch.setattr("fast_style.inference.blending.AUTO", 20)
    upscaler = Upscaler(2, 4, 1)
    for found, expected in [
        (painter(several, several.names, lambda *_: Flat(0.5), "a"), 20),
        (painter(several, several.names, lambda *_: Flat(0.5), "a", stroke_size=30), 30),
        (painter(several, several.names, lambda *_: Flat(0.5), "a", stroke_size=None), None),
        (painter(several, several.names, lambda *_: Flat(0.5), "a", upscaler=upscaler), None),
        (painter(upscaler, ["x2"], lambda *_: upscaler), None),
    ]:
        assert getattr(found, "stroke_size", None) == expected


def test_a_small_copy_is_painted_and_enlarged(files, tmp_path):
    """Means of 2 x 2 pixels, the last ones of the edge alone; painted; each at the place of its four pixels again."""
    arguments = {"scale": 2, "width": 4, "residual_blocks": 0, "kernel_sizes": [3, 3], "norm": "none"}
    arguments |= {"upsampling": "nearest", "padding": "replicate", "residual": True, "histogram_matching": False}
    upscaler = Upscaler(**arguments).eval()  # before training it is bicubic interpolation
    photo = torch.rand(1, 3, 5, 3)
    copy = torch.empty(1, 3, 3, 2)
    for row in range(3):
        for column in range(2):
            copy[..., row, column] = photo[..., 2 * row : 2 * row + 2, 2 * column : 2 * column + 2].mean((2, 3))
    painted = Enlarged(lambda images: 1 - images, upscaler)(photo)
    assert painted.shape == photo.shape
    expected = Image.fromarray((1 - copy)[0, 0].numpy()).resize((4, 6), Image.Resampling.BICUBIC)
    torch.testing.assert_close(painted[0, 0], torch.from_numpy(np.array(expected))[:5, :3], rtol=0, atol=1e-5)

    config = {"style": {"name": "x2"}, "upscaler": arguments, "task": {"name": "super_resolution"}}
    save_release(tmp_path / "x2.safetensors", upscaler, config, {}, {})
    image = torch.rand(3, 16, 18)
    large = Stylizer(files / "alone.safetensors", "cpu", "32-true", upscale=tmp_path / "x2.safetensors")
    expected = Enlarged(lambda images: large._network_for("a", 1.0)(images), upscaler)(image[None])[0].clamp(0, 1)
    torch.testing.assert_close(large(image, style="a"), expected, rtol=0, atol=1e-5)
    with pytest.raises(FastStyleError, match="upscale=.*alone.safetensors: give a model of task=super_resolution"):
        Stylizer(files / "alone.safetensors", "cpu", upscale=files / "alone.safetensors")
