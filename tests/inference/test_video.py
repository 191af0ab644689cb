"""Moving pictures: the frames, their times, sound, rotation and colours of a file are those that come out."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from fast_style.errors import FastStyleError
from fast_style.inference import files, video
from fast_style.inference.video import Frame, clip_maker, is_clip, of_one_size, opened, stylize_clip


class Plain(torch.nn.Module):
    """Paints a photo as it is; what it has seen."""

    def __init__(self):
        super().__init__()
        self.weight, self.seen = torch.nn.Parameter(torch.ones(1)), []

    def forward(self, images):
        self.seen.append(len(images))
        return images * self.weight


@pytest.fixture(scope="module")
def av():
    return pytest.importorskip("av", reason="video needs the extra: pip install av")


TIMES = [0, 40, 80, 200, 240, 500, 540, 580]  # milliseconds: of a variable rate
COLOURS = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (120, 120, 120)] * 2


def write_clip(av, path, size=(48, 64), sound=None, rotation=0):
    """Frames of one colour, the left third of them black."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "5"})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv444p"
        stream.codec_context.time_base = Fraction(1, 1000)
        if rotation:
            stream.set_display_rotation(rotation)
        audio = container.add_stream(sound, rate=48000) if sound else None
        for time, colour in zip(TIMES, COLOURS, strict=True):
            pixels = np.tile(np.uint8(colour), (*size, 1))
            pixels[:, : size[1] // 3] = 0
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio:
            tone = np.sin(np.arange(28800) / 20).astype(np.float32)[None] / 2
            frame = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, 0, Fraction(1, 48000)
            container.mux(audio.encode(frame))
            container.mux(audio.encode())
    return path


def frames_of(path):
    with opened(str(path)) as clip:
        return list(clip.frames)


def sound_of(av, path):
    with av.open(str(path)) as container:
        return np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], 1)


@pytest.mark.parametrize("suffix, sound, copied", [
    (".mp4", "aac", True), (".mkv", "libopus", True), (".webm", "aac", False), (".mp4", None, True),
])  # fmt: skip
def test_video_keeps_its_frames_times_and_sound(av, tmp_path, monkeypatch, suffix, sound, copied):
    monkeypatch.setattr(video, "PART", 3)
    source, target = write_clip(av, tmp_path / "a.mkv", sound=sound), tmp_path / f"out{suffix}"
    network = Plain()
    assert stylize_clip(network, str(source), target, batch_size=3, maker="fast_style 1") == len(TIMES)
    assert network.seen == [3, 3, 2]
    found = frames_of(target)
    assert [round(frame.start * 1000) for frame in found] == TIMES
    for frame, colour in zip(found, COLOURS, strict=True):
        assert frame.image.shape == (3, 48, 64)
        right = frame.image[:, :, 32:].float().mean((1, 2))
        np.testing.assert_allclose(right, colour, atol=5)
    if sound:
        before, after = sound_of(av, source), sound_of(av, target)
        if copied:
            np.testing.assert_array_equal(after, before)
        else:
            assert (
                abs(after.shape[1] - before.shape[1]) < 2048
                and abs(np.abs(after).mean() - np.abs(before).mean()) < 0.02
            )
    assert clip_maker(target) == "fast_style 1"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", target.name]


def test_video_that_lies_on_its_side_is_turned(av, tmp_path):
    """A quarter turn clockwise, as phones hold portraits: the black third on the left is then on top."""
    source = write_clip(av, tmp_path / "a.mp4", rotation=-90)
    stylize_clip(Plain(), str(source), tmp_path / "out.mp4", max_size=32)
    image = frames_of(tmp_path / "out.mp4")[0].image.float()
    assert image.shape == (3, 32, 24)
    assert image[0, :8].mean() < 25 < 180 < image[0, 14:].mean()
    assert len({frame.image.shape for frame in frames_of(source)}) == 1


def test_times_of_television_are_exact(av, tmp_path, monkeypatch):
    """29.97 frames a second: a part may begin between two milliseconds."""
    monkeypatch.setattr(video, "PART", 3)
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(30000, 1001))
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv420p"
        for level in range(8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), 9 * level, np.uint8), "rgb24")))
        container.mux(stream.encode())
    stylize_clip(Plain(), str(tmp_path / "a.mp4"), tmp_path / "b.mp4")
    assert [frame.start for frame in frames_of(tmp_path / "b.mp4")] == [Fraction(1001 * i, 30000) for i in range(8)]


def test_odd_sizes_are_kept(av, tmp_path):
    source = write_clip(av, tmp_path / "a.mkv", size=(33, 47))
    stylize_clip(Plain(), str(source), tmp_path / "out.mp4")
    assert frames_of(tmp_path / "out.mp4")[0].image.shape == (3, 33, 47)


def write_animation(path):
    images = [Image.new("RGB", (20, 14), colour) for colour in COLOURS[:4]]
    images[0].save(path, save_all=True, append_images=images[1:], duration=[50, 100, 300, 20], loop=2, lossless=True)
    return path


@pytest.mark.parametrize("source, target", [("a.gif", "b.webp"), ("a.webp", "b.gif"), ("a.gif", "b.gif")])
def test_animations_keep_their_times(tmp_path, source, target):
    stylize_clip(
        Plain(), str(write_animation(tmp_path / source)), tmp_path / target, batch_size=3, maker="fast_style 1"
    )
    assert is_clip(str(tmp_path / target)) and clip_maker(tmp_path / target) == "fast_style 1"
    with Image.open(tmp_path / target) as image:
        assert image.info["loop"] == 2
        for frame, colour, duration in zip(ImageSequence.Iterator(image), COLOURS, (50, 100, 300, 20), strict=False):
            np.testing.assert_allclose(np.array(frame.convert("RGB")).mean((0, 1)), colour, atol=6)
            assert frame.info["duration"] == duration
        assert image.n_frames == 4


def test_an_animation_becomes_a_video_and_back(av, tmp_path):
    stylize_clip(Plain(), str(write_animation(tmp_path / "a.gif")), tmp_path / "b.mp4")
    assert [frame.start * 1000 for frame in frames_of(tmp_path / "b.mp4")] == [0, 50, 150, 450]
    stylize_clip(Plain(), str(tmp_path / "b.mp4"), tmp_path / "c.gif")
    assert len(frames_of(tmp_path / "c.gif")) == 4


def test_equal_frames_give_equal_pictures(tmp_path, monkeypatch):
    """Whatever else is in their batches: the last batch has one frame."""
    torch.manual_seed(0)
    from fast_style.networks.fast_layers import accelerate
    from fast_style.networks.transformer_net import TransformerNet

    transformer = accelerate(TransformerNet((4, 6), residual_blocks=1, noise=True).eval())
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 255, (20, 24, 3), dtype=np.uint8)) for _ in range(2)]
    order = [0, 1, 0, 1, 0]
    images[0].save(tmp_path / "a.webp", save_all=True, append_images=[images[i] for i in order[1:]], lossless=True)
    shown = []
    stylize_clip(transformer, str(tmp_path / "a.webp"), None, batch_size=2, show=lambda image: shown.append(image))
    for index, image in zip(order, shown, strict=True):
        assert torch.equal(image, shown[index])


def test_what_fails_leaves_nothing(av, tmp_path):
    source = write_clip(av, tmp_path / "a.mkv")
    cut = tmp_path / "cut.mp4"
    write_clip(av, cut)
    cut.write_bytes(cut.read_bytes()[:300])
    (tmp_path / "empty.mp4").touch()
    for path in (cut, tmp_path / "empty.mp4", tmp_path / "none.mp4"):
        with pytest.raises(FastStyleError, match=f"{path.name}: ") as caught:
            stylize_clip(Plain(), str(path), tmp_path / "out" / "b.mp4")
        assert "\n" not in str(caught.value)

    class Failing(Plain):
        def forward(self, images):
            if self.seen:
                raise RuntimeError("out of memory\nand more")
            return super().forward(images)

    with pytest.raises(FastStyleError, match=r"a\.mkv: after 2 frames: out of memory$"):
        stylize_clip(Failing(), str(source), tmp_path / "out" / "b.mp4", batch_size=2)
    assert list((tmp_path / "out").iterdir()) == []


class Ending(Plain):
    """Paints so many batches, and then the process is stopped."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def forward(self, images):
        if len(self.seen) == self.batches:
            raise KeyboardInterrupt
        return super().forward(images)


@pytest.mark.parametrize("suffix", [".mp4", ".avi"])
def test_a_video_that_breaks_off_goes_on(av, tmp_path, monkeypatch, suffix):
    """Of parts of three frames the first is there: what is made in two runs has the frames, times and sound of what one
    makes. (x264 may find other bytes for the same frames.)"""
    monkeypatch.setattr(video, "PART", 3)
    source = str(write_clip(av, tmp_path / "a.mkv", sound="libmp3lame"))
    once, target = tmp_path / f"once{suffix}", tmp_path / f"out{suffix}"
    stylize_clip(Plain(), source, once, batch_size=2, maker="fast_style 1")
    with pytest.raises(KeyboardInterrupt):
        stylize_clip(Ending(3), source, target, batch_size=2, maker="fast_style 1")
    (parts,) = (path for path in tmp_path.iterdir() if path.name == f".out{suffix}.parts")
    assert len(list(parts.iterdir())) == 1 and not target.exists()
    network = Plain()
    assert stylize_clip(network, source, target, batch_size=2, maker="fast_style 1") == len(TIMES)
    assert network.seen == [2, 1, 2] and not parts.exists()

    def packets(path):
        with av.open(str(path)) as container:
            return sorted((one.stream.type, one.pts, one.dts) for one in container.demux() if one.dts is not None)

    assert packets(target) == packets(once)
    np.testing.assert_array_equal(sound_of(av, target), sound_of(av, once))
    found = frames_of(target)
    assert len(found) == len(TIMES)
    for frame, colour in zip(found, COLOURS, strict=True):
        np.testing.assert_allclose(frame.image[:, :, 32:].float().mean((1, 2)), colour, atol=5)


def test_parts_of_another_model_or_source_are_not_taken(av, tmp_path, monkeypatch):
    monkeypatch.setattr(video, "PART", 3)
    source, target = str(write_clip(av, tmp_path / "a.mkv")), tmp_path / "out.mp4"

    def end(batches, maker):
        with pytest.raises(KeyboardInterrupt):
            stylize_clip(Ending(batches), source, target, batch_size=3, maker=maker)
        return len(list(tmp_path.glob(".out.mp4.parts/*")))

    assert [end(1, "fast_style 1"), end(1, "fast_style 1"), end(1, "fast_style 2")] == [1, 2, 1]
    write_clip(av, tmp_path / "a.mkv")
    assert end(0, "fast_style 2") == 0 and sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv"]


def test_a_camera_runs_until_it_is_stopped(av, tmp_path, monkeypatch):
    """FFmpeg's test picture in place of a camera; Ctrl-C after the third frame."""
    import signal

    open_file = av.open
    monkeypatch.setattr(
        av, "open", lambda file, *args, format=None, **options: (
            open_file("testsrc=size=32x24:rate=25", format="lavfi") if format == "v4l2" else
            open_file(file, *args, format=format, **options)
        )
    )  # fmt: skip
    monkeypatch.setattr(video.platform, "system", lambda: "Linux")
    shown = []

    def show(image):
        shown.append(image)
        if len(shown) == 3:
            signal.raise_signal(signal.SIGINT)

    assert stylize_clip(Plain(), "camera:0", tmp_path / "out.mp4", show=show) == 3
    assert len(frames_of(tmp_path / "out.mp4")) == 3


def test_frames_of_several_sizes_become_those_of_the_first():
    frames = [
        Frame(torch.full((3, *size), 90, dtype=torch.uint8), None, 0, 1) for size in ((40, 64), (40, 64), (64, 40))
    ]
    for most, size in ((None, (40, 64)), (32, (20, 32)), (100, (40, 64))):
        found = [frame.image for frame in of_one_size(iter(frames), most)]
        assert all(image.shape == (3, *size) and (image == 90).all() for image in found)


def test_a_clip_in_a_random_style_is_painted_once(tmp_path, monkeypatch):
    painted = []
    monkeypatch.setattr(files, "stylize_clip", lambda painter, *_: painted.append(painter) or 1)
    config = dict.fromkeys(("output", "mask", "max_size")) | {"input": str(tmp_path / "a.gif"), "style": "random"}
    config |= {"steady": False, "batch_size": 1}
    for seed in range(30):
        models = [("first", {"a": ["a"], "b": ["b"]}), ("second", {"c": ["c"]})]
        (target,), _ = files.stylize_moving(config | {"seed": seed}, models, "32-true")
        assert target == tmp_path / f"a_{painted[seed]}.gif"
    assert len(painted) == 30 and set(painted) == {"a", "b", "c"}
