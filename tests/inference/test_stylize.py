"""Files in, files out: exact sizes, alpha, batches, and failures that cost only themselves."""

import threading

import numpy as np
import pytest
import torch
from PIL import Image

from fast_style.data.images import read_image
from fast_style.inference.stylize import stylize, stylize_files
from fast_style.networks.transformer_net import TransformerNet


@pytest.fixture(scope="module")
def transformer():
    torch.manual_seed(0)
    return TransformerNet((4, 6, 8), residual_blocks=2).eval()


class Inverse(torch.nn.Module):
    """The negative; runs out of memory on batches of more than `most`, and on images wider than `widest`."""

    def __init__(self, most=100, widest=100):
        super().__init__()
        self.most, self.widest = most, widest
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.batches = []

    def forward(self, images):
        if len(images) > self.most or images.shape[-1] > self.widest:
            raise RuntimeError("out of memory\nand a long story")
        self.batches.append(len(images))
        return 1 - images


def pixels(path):
    with Image.open(path) as picture:
        return np.array(picture)


def test_stylized_is_a_picture(transformer):
    images = torch.rand(2, 3, 19, 23)
    before = images.clone()
    stylized = stylize(transformer, images)
    assert stylized.dtype == torch.float32 and stylized.shape == images.shape and stylized.device.type == "cpu"
    assert torch.equal(images, before)
    with torch.no_grad():
        raw = transformer(images)
    assert raw.min() < 0, "so that clamping shows"
    torch.testing.assert_close(stylized, raw.clamp(0, 1))


def test_a_batch_gives_what_single_images_give(transformer):
    images = torch.rand(4, 3, 17, 30)
    singly = torch.cat([stylize(transformer, image[None]) for image in images])
    torch.testing.assert_close(stylize(transformer, images), singly, rtol=0, atol=1e-5)


def test_bfloat16_differs_little(transformer):
    images = torch.rand(1, 3, 16, 16)
    stylized, exact = stylize(transformer, images, "bf16-mixed"), stylize(transformer, images)
    assert stylized.dtype == torch.float32
    assert 0 < (stylized - exact).abs().max() < 0.1


@pytest.mark.parametrize("batch_size", [1, 3])
def test_files_keep_their_size_whatever_the_batches(transformer, photo, tmp_path, batch_size):
    sizes = [(33, 47), (20, 20), (33, 47), (1, 1), (5, 64), (20, 20), (33, 47), (33, 47)]
    files = {photo(tmp_path / f"{i}.png", *size, seed=i): tmp_path / "out" / f"{i}.png" for i, size in enumerate(sizes)}
    assert stylize_files(transformer, files, batch_size=batch_size) == {}
    for (source, target), size in zip(files.items(), sizes, strict=True):
        assert pixels(target).shape == (*size, 3)
        alone = stylize(transformer, read_image(source)[0][None])[0].permute(1, 2, 0).numpy() * 255
        np.testing.assert_allclose(pixels(target), alone, atol=0.51)


def test_images_of_equal_size_share_a_forward_pass(photo, tmp_path):
    sizes = [(8, 8), (8, 9), (8, 8), (8, 9), (8, 8), (8, 8), (8, 8)]
    files = {photo(tmp_path / f"{i}.png", *size): tmp_path / f"out{i}.png" for i, size in enumerate(sizes)}
    inverse = Inverse()
    assert stylize_files(inverse, files, batch_size=2) == {}
    assert sorted(inverse.batches) == [1, 2, 2, 2]


def test_few_images_wait_for_others_of_their_size(photo, tmp_path, monkeypatch):
    files = {photo(tmp_path / f"{width}.png", 8, width): tmp_path / f"out{width}.png" for width in range(8, 28)}
    inverse, waiting, read = Inverse(), [], []
    monkeypatch.setattr("fast_style.inference.stylize.read_image", lambda *args: read.append(args) or read_image(*args))
    inverse.register_forward_pre_hook(lambda *_: waiting.append(len(read) - len(inverse.batches)))
    assert stylize_files(inverse, files, batch_size=2) == {}
    assert len(waiting) == 20 and max(waiting) == 4 * 2 + 2, "and one batch is read ahead"


def test_large_images_do_not_wait_for_others_of_their_size(photo, tmp_path, monkeypatch):
    files = {photo(tmp_path / f"{width}.png", 8, width): tmp_path / f"out{width}.png" for width in range(8, 28)}
    monkeypatch.setattr("fast_style.inference.stylize.WAITING_PIXELS", 8 * 30)
    inverse, read, waiting = Inverse(), [], []
    monkeypatch.setattr("fast_style.inference.stylize.read_image", lambda *args: read.append(args) or read_image(*args))
    inverse.register_forward_pre_hook(lambda *_: waiting.append(len(read) - len(inverse.batches)))
    assert stylize_files(inverse, files, batch_size=5) == {}
    assert len(waiting) == 20 and max(waiting) <= 4 + 5


def test_the_next_image_is_read_meanwhile(photo, tmp_path, monkeypatch):
    """The network waits until the next image has been read."""
    files = {photo(tmp_path / f"{i}.png", 8, 8, seed=i): tmp_path / f"out{i}.png" for i in range(4)}
    inverse, read = Inverse(), [threading.Event() for _ in range(6)]
    reads = iter(read)

    def reading(*args):
        next(reads).set()
        return read_image(*args)

    def wait_for_the_next(*_):
        assert read[min(len(inverse.batches) + 1, 3)].wait(10)

    monkeypatch.setattr("fast_style.inference.stylize.read_image", reading)
    inverse.register_forward_pre_hook(wait_for_the_next)
    assert stylize_files(inverse, files) == {}


def test_alpha_goes_through_unchanged(photo, tmp_path):
    source = photo(tmp_path / "a.png", 12, 10, mode="RGBA")
    assert stylize_files(Inverse(), {source: tmp_path / "out.png"}) == {}
    before, after = pixels(source), pixels(tmp_path / "out.png")
    np.testing.assert_array_equal(after[..., 3], before[..., 3])
    visible = before[..., 3] > 0
    np.testing.assert_array_equal(after[visible][:, :3], 255 - before[visible][:, :3])


def test_hidden_colours_do_not_reach_the_visible_part(transformer, tmp_path):
    """Noise under alpha 0 or white: the same picture; the network sees all of a photo."""
    colours = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    alpha = np.repeat([0, 1, 255], [12, 4, 16]).astype(np.uint8)[None].repeat(24, 0)
    files = {}
    for name, hidden in {"noise": colours, "white": np.full_like(colours, 255)}.items():
        picture = np.dstack([np.where(alpha[..., None] == 0, hidden, colours), alpha])
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
        files[tmp_path / f"{name}.png"] = tmp_path / "out" / f"{name}.png"
    assert stylize_files(transformer, files) == {}
    noise, white = (pixels(target) for target in files.values())
    np.testing.assert_array_equal(noise, white)
    np.testing.assert_array_equal(noise[..., 3], alpha)


def test_max_size(photo, tmp_path):
    source = photo(tmp_path / "a.png", 30, 60)
    assert stylize_files(Inverse(), {source: tmp_path / "out.png"}, max_size=20) == {}
    assert pixels(tmp_path / "out.png").shape == (10, 20, 3)


def test_a_bad_file_costs_only_itself(photo, tmp_path):
    files = {photo(tmp_path / f"{i}.png", 8, 8, seed=i): tmp_path / "out" / f"{i}.png" for i in range(4)}
    bad, missing = tmp_path / "1.png", tmp_path / "2.png"
    bad.write_bytes(b"damaged")
    missing.unlink()
    files[tmp_path / "3.png"] = tmp_path / "out" / "3.unwritable"
    failures = stylize_files(Inverse(), files, batch_size=4)
    assert set(failures) == {bad, missing, tmp_path / "3.png"}
    assert str(bad) in failures[bad] and str(missing) in failures[missing]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["0.png"]
    assert stylize_files(Inverse(), {}) == {}


def test_a_batch_too_large_for_the_memory_is_done_singly(photo, tmp_path):
    files = {photo(tmp_path / f"{i}.png", 8, 8, seed=i): tmp_path / f"out{i}.png" for i in range(3)}
    inverse = Inverse(most=1)
    assert stylize_files(inverse, files, batch_size=3) == {}
    assert inverse.batches == [1, 1, 1]
    for source, target in files.items():
        np.testing.assert_array_equal(pixels(target), 255 - pixels(source))


def test_an_image_too_large_for_the_memory(photo, tmp_path):
    large, small = photo(tmp_path / "large.png", 8, 120), photo(tmp_path / "small.png", 8, 8)
    failures = stylize_files(Inverse(), {large: tmp_path / "a.png", small: tmp_path / "b.png"})
    assert list(failures) == [large] and (tmp_path / "b.png").exists()
    assert failures[large] == f"{large}: out of memory (it is 120x8; try max_size=60)"
