"""Pictures painted in tiles are those painted at once, whatever the network, and take the memory they are given."""

import re

import numpy as np
import pytest
import torch
from PIL import Image

from fast_style.errors import FastStyleError
from fast_style.inference import stylize as stylizing
from fast_style.inference.blending import Blend, PaintedOver, PreservedColor, Weakened
from fast_style.inference.strokes import Strokes
from fast_style.inference.stylize import stylize, stylize_files
from fast_style.inference.tiles import File, pick_tile, stylize_in_tiles, tileable
from fast_style.inference.windows import cut, stretched, windows
from fast_style.networks.fast_layers import accelerate
from fast_style.networks.transformer_net import TransformerNet
from fast_style.networks.upscaler import Upscaler

SHIPPED = {"kernel_sizes": (9, 3), "noise": True, "skips": True, "upsampling": "bilinear", "margin": 10}
SHIPPED |= {"coarse_blocks": 1}
ROUNDING = 0.55 / 255


def network(**options):
    """One of random parameters, the scales of its norms among them, so that colours and noise matter."""
    torch.manual_seed(0)
    transformer = TransformerNet((4, 6, 8), residual_blocks=1, **options).eval()
    for parameter in transformer.parameters():
        torch.nn.init.normal_(parameter, 0 if parameter.ndim > 1 else 0.5, 0.3)
    return transformer


@pytest.mark.parametrize("options", [
    SHIPPED, SHIPPED | {"weight_norm": True}, {}, {"coarse_blocks": 2}, {"padding": "input"},
    {"upsampling": "transposed", "norm": "batch", "output": "tanh"},
], ids=str)  # fmt: skip
def test_tiles_are_the_whole(options):
    """With PyTorch's layers and the faster ones; no side a multiple of the tile or of the coarsest pixel."""
    transformer, shares = network(**options), []
    for size in ((97, 70), (5, 67)):
        image = torch.rand(3, *size)
        for painter in (transformer, accelerate(network(**options))):
            found = stylize_in_tiles(painter, image, 32, advance=shares.append)
            assert found.dtype == torch.uint8 and sum(shares) == pytest.approx(1)
            torch.testing.assert_close(found / 255, stylize(painter, image[None])[0], rtol=0, atol=ROUNDING)
            shares.clear()


def test_statistics_are_those_of_the_whole_image():
    """Half black, half white: tiles that were normalised each for itself would all be alike."""
    transformer = network()
    image = torch.cat([torch.zeros(3, 64, 32), torch.ones(3, 64, 32)], 2)
    alone = torch.cat([stylize(transformer, half[None])[0] for half in image.split(32, 2)], 2)
    whole = stylize(transformer, image[None])[0]
    assert (alone - whole).abs().mean() > 0.05
    torch.testing.assert_close(stylize_in_tiles(transformer, image, 32) / 255, whole, rtol=0, atol=ROUNDING)


def test_everything_that_combines_networks():
    a, b, masks = network(), network(**SHIPPED), [torch.rand(1, 40, 90), torch.rand(1, 7, 9)]
    image = torch.rand(3, 70, 50)
    for combined in (
        Weakened(a, b, 0.3),
        PreservedColor(Blend([Strokes(a, 40), b], masks, 0.8)),
        Strokes(Weakened(a, b, 0.5), 20),
        Strokes(a, 100),
        PreservedColor(PaintedOver(a, 0.4)),
        Strokes(PaintedOver(b, 0.3), 40),
    ):
        assert tileable(combined)
        shares = []
        found = stylize_in_tiles(combined, image, 32, advance=shares.append) / 255
        torch.testing.assert_close(found, stylize(combined, image[None])[0], rtol=0, atol=ROUNDING)
        assert sum(shares) == pytest.approx(1)


def test_what_is_not_painted_in_tiles():
    assert not any(map(tileable, (torch.nn.Conv2d(3, 3, 1), Upscaler(2, 4, 1), Strokes(Upscaler(2, 4, 1), 20))))


def test_a_file_holds_a_map():
    maps = torch.randn(1, 5, 20, 33).bfloat16()
    file = File((20, 33))
    for window in windows((20, 33), 16):
        file.write(window, cut(maps, window))
    part = (range(3, 18), range(10, 33))
    assert torch.equal(file.read(part), cut(maps, part))


def test_windows_of_what_is_stretched():
    maps = torch.rand(1, 2, 5, 7)
    for size in ((11, 30), (3, 30), (5, 7)):
        whole = torch.nn.functional.interpolate(maps, size, mode="bilinear", antialias=True)
        for window in windows(size, 4):
            torch.testing.assert_close(stretched(maps, size, window), cut(whole, window), rtol=0, atol=1e-6)


def test_only_large_files_are_painted_in_tiles(photo, tmp_path, monkeypatch):
    """With memory for a picture of 64 pixels and not for one of 96; the tile is the largest that fits."""
    transformer, sides, tiles = network(), [], stylizing.stylize_in_tiles
    monkeypatch.setattr(stylizing, "stylize_in_tiles", lambda *args: sides.append(args[2]) or tiles(*args))
    monkeypatch.setattr(stylizing, "resident_memory", lambda: 0)
    monkeypatch.setattr("fast_style.inference.tiles.TILES", (64, 16))
    monkeypatch.setattr("fast_style.inference.tiles.MARGIN", 16)
    files = {photo(tmp_path / f"{side}.png", side, side): tmp_path / f"{side}_out.png" for side in (96, 64)}
    with Image.open(tmp_path / "96.png") as image:
        image.putalpha(128)
        image.save(tmp_path / "96.png")
    memory = (12 * 4 * 4 + 36) * 64 * 64
    assert stylize_files(transformer, files, max_memory=memory) == {}
    assert sides == [16]
    for source, target in files.items():
        with Image.open(source) as before, Image.open(target) as after:
            assert after.size == before.size and after.mode == before.mode
            image = torch.from_numpy(np.array(before)).permute(2, 0, 1)[:3]
            expected = stylize(transformer, image[None] / 255)[0].permute(1, 2, 0).numpy() * 255
            np.testing.assert_allclose(np.array(after)[..., :3], expected, atol=0.6)
    assert stylize_files(transformer, files, tile=32) == {} and sides[1:] == [32, 32]
    assert stylize_files(transformer, files, tile="off", max_memory=1) == {} and len(sides) == 3
    reason = stylize_files(transformer, files, max_memory=1e5)[tmp_path / "96.png"]
    assert re.search(r"96\.png: 96x96 pixels take 0\.0 GB even in tiles.*: give max_size=$", reason)


def test_the_largest_tile_that_fits():
    transformer = network()
    assert pick_tile(transformer, "32-true", (8000, 8000), 8e9) == 1024
    assert pick_tile(transformer, "32-true", (8000, 8000), 1.1e9) == 256
    with pytest.raises(FastStyleError, match="8000x8000 pixels take 1.1 GB even in tiles, and 0.1 are there"):
        pick_tile(transformer, "32-true", (8000, 8000), 1e8)
    strokes = Strokes(TransformerNet(), 1024)
    assert pick_tile(strokes, "32-true", (1400, 1050), 1.1e9) == 256, "the small copy is painted in tiles, too"


def test_no_room_for_temporary_files(monkeypatch):
    monkeypatch.setattr("fast_style.inference.tiles.ON_DISK", "/dev/shm/not-there")
    with pytest.raises(FastStyleError, match="TMPDIR"):
        stylize_in_tiles(network(), torch.rand(3, 20, 20), 16)


class Striped(torch.nn.Module):
    """Paints a photo's negative at half contrast, and stripes of two pixels over it."""

    def forward(self, images):
        stripes = torch.arange(images.shape[-2]) // 2 % 2 * 0.1
        return 0.7 - images / 2 + stripes[:, None]


def test_strokes_are_those_of_the_small_copy_with_sharp_edges():
    image = torch.zeros(1, 3, 128, 128)
    image[..., 61:] = 1  # an edge that lies between two pixels of the small copy
    strokes = Strokes(Striped(), 32)
    found = strokes(image)
    rows = found[0, 0, :, 30].view(16, 8).mean(1)  # of stripes four times as wide
    torch.testing.assert_close(rows, torch.tensor([0.7, 0.8] * 8), rtol=0, atol=0.03)
    enlarged = stretched(strokes.network(strokes.smaller(image)), (128, 128), (range(128), range(128)), "bicubic")
    steps = [float(picture[0, 0, 60, 60] - picture[0, 0, 60, 61]) for picture in (enlarged, found)]
    assert steps[0] < 0.2 < 0.28 < steps[1], "the edge is in the enlarged picture a slope, in ours a step"
    torch.testing.assert_close(strokes(image[..., :32, :32]), Striped()(image[..., :32, :32]))
