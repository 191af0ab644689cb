"""Strokes that move with the pictures, by motion that is known: shifts by whole pixels of smooth random photos."""

import sys

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from fast_style.errors import FastStyleError
from fast_style.inference import files, steady, video
from fast_style.inference.files import write_pictures
from fast_style.inference.steady import KEPT, PAINTED_OVER, SETTLING, Steady, is_steady, moved

cv2 = pytest.importorskip("cv2", reason="steady= needs the extra: pip install opencv-python-headless")


def smooth(seed, size=(64, 80)):
    """A photo (3, H, W) in [0, 1] in steps of a 255th, of blots some pixels wide."""
    coarse = torch.rand(1, 3, size[0] // 8, size[1] // 8, generator=torch.Generator().manual_seed(seed))
    return (F.interpolate(coarse, size, mode="bicubic").clamp(0, 1)[0] * 255).round() / 255


def shifted(image, frame):
    """Two pixels to the right and one down a frame; what leaves comes in on the other side."""
    return image.roll((frame, 2 * frame), (1, 2))


INNER = (slice(None), slice(12, 52), slice(12, 68))  # of what has come in nothing is known


def test_a_picture_is_moved_as_its_photo_is():
    photo, picture = smooth(0), smooth(1)
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    found, trust = moved(picture, photo, shifted(photo, 1), flow)
    assert (found - shifted(picture, 1))[INNER].abs().mean() < 0.01 and trust[INNER[1:]].mean() > 0.95
    covered = shifted(photo, 1)
    covered[:, 20:50, 30:50] = smooth(2)[:, 20:50, 30:50]
    _, trust = moved(picture, photo, covered, flow)
    assert trust[26:44, 36:44].mean() < 0.2 and trust[12:52, 8:20].mean() > 0.8, "what covers it was not there before"


def test_shares_of_what_is_mixed(monkeypatch):
    """By the formula, where motion and trust are given."""
    before, seen = torch.full((3, 8, 8), 0.2), []
    trust = torch.linspace(0, 1, 64).view(8, 8)
    monkeypatch.setattr(steady, "moved", lambda *_: (before, trust))
    monkeypatch.setattr(steady, "SETTLING", 1)
    brush = Steady(lambda photos: seen.append(photos) or 1 - photos)
    first, second = torch.full((2, 1, 3, 8, 8), 0.4)
    second[0, 0, 0, 0] = 0.8
    once = 1 - ((1 - PAINTED_OVER) * 0.4 + PAINTED_OVER * 0.6)
    torch.testing.assert_close(brush(first), torch.full((1, 3, 8, 8), once), rtol=0, atol=0.51 / 255)
    picture = brush(second)[0]
    over = (1 - PAINTED_OVER * trust) * second[0] + PAINTED_OVER * trust * before
    torch.testing.assert_close(seen[-1][0], over)
    expected = (1 - KEPT * trust) * (1 - over) + KEPT * trust * before
    torch.testing.assert_close(picture, expected, rtol=0, atol=0.51 / 255)


def test_equal_frames_and_other_sizes():
    torch.manual_seed(0)
    brush = Steady(lambda photos: photos * torch.rand(()))
    a, b = smooth(0), smooth(1)
    pictures = brush(torch.stack([a, a, b, b]))
    assert torch.equal(pictures[0], pictures[1]) and torch.equal(pictures[2], pictures[3])
    assert brush(smooth(0, (40, 48))[None]).shape == (1, 3, 40, 48)
    for size in [(1, 1), (3, 90), (90, 3), (11, 11)]:  # below 12 pixels OpenCV's search crashes
        assert brush(torch.rand(2, 3, *size)).shape == (2, 3, *size)


def test_texture_of_the_screen_goes_along():
    """A network that lays the same texture over every photo: what flickers falls to less than a third."""
    texture, photo = 0.5 * smooth(3), smooth(4)

    def paint(photos):
        return 0.5 * photos + texture

    def flicker(brush):
        frames = [brush(shifted(photo, frame)[None])[0] for frame in range(8)]
        return torch.stack([(b - shifted(a, 1))[INNER] for a, b in zip(frames, frames[1:], strict=False)]).std()

    assert flicker(Steady(paint)) < flicker(paint) / 3


def test_a_video_that_breaks_off_is_painted_over_what_there_was(tmp_path, monkeypatch):
    """The pictures of two runs are those of one, bit by bit."""
    av = pytest.importorskip("av", reason="video needs the extra: pip install av")
    monkeypatch.setattr(video, "PART", 3)
    source = tmp_path / "a.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "5"})
        stream.height, stream.width, stream.pix_fmt = 64, 80, "yuv444p"
        for frame in range(8):
            pixels = (shifted(smooth(0), frame) * 255).byte().permute(1, 2, 0).contiguous().numpy()
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        container.mux(stream.encode())

    class Textured(torch.nn.Module):
        def __init__(self, most):
            super().__init__()
            self.weight, self.most = torch.nn.Parameter(0.5 * smooth(3)), most

        def forward(self, images):
            self.most -= 1
            if self.most < 0:
                raise KeyboardInterrupt
            return 0.5 * images + self.weight[:, : images.shape[2], : images.shape[3]]

    once, again = [], []
    video.stylize_clip(Textured(8 + SETTLING), str(source), tmp_path / "b.mp4", 70, show=once.append, steady=True)
    with pytest.raises(KeyboardInterrupt):
        video.stylize_clip(Textured(5 + SETTLING), str(source), tmp_path / "c.mp4", 70, steady=True)
    video.stylize_clip(Textured(5), str(source), tmp_path / "c.mp4", 70, show=again.append, steady=True)
    assert len(once) == 8 and len(again) == 5 and once[0].shape == (3, 56, 70)
    assert all(map(torch.equal, once[3:], again))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "b.mp4", "c.mp4"]


def test_opencv_that_cannot_be_imported(monkeypatch):
    """Not there, or without a library that it needs: every frame by itself, unless more is asked."""
    assert is_steady("auto") and not is_steady(False)
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert not is_steady("auto") and is_steady(True)
    with pytest.raises(FastStyleError, match="steady=true needs OpenCV .*: pip install"):
        Steady(lambda photos: photos)


def test_photos_are_not_painted_again_for_it(tmp_path, monkeypatch):
    makers = []
    monkeypatch.setattr(files, "stylize_files", lambda *_, maker, **__: makers.append(maker) or {})
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    config = dict.fromkeys(("output", "style", "mask", "max_size", "max_memory"))
    config |= {"input": str(tmp_path / "a.png"), "tile": "auto", "batch_size": 1, "workers": 1}
    for steady_key in ("auto", False):
        files.stylize_photos(config | {"steady": steady_key}, [("model", {"a": ["a"]})], "32-true")
    assert len(makers) == 2 and makers[0] == makers[1]


def test_what_does_not_move_is_not_steady():
    with pytest.raises(FastStyleError, match="steady=true: input=photo.jpg does not move"):
        write_pictures({"input": "photo.jpg", "steady": True}, [], [], lambda network: network, "32-true")
