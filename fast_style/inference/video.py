"""Moving pictures: a video, a GIF, an animated WebP or a camera becomes another one, a batch of frames at a time.

Sound and the time of every frame are kept, and a video whose file says that it lies on its side is turned upright. A
video is painted in parts, which are joined at the end: a run that breaks off goes on after the last whole part.
Video needs the extra `video` (PyAV); GIF and WebP need nothing more.
"""

import hashlib
import heapq
import json
import math
import platform
import shutil
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import numpy as np
import torch
from PIL import ExifTags, Image, ImageSequence
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from fast_style.data.images import read_maker
from fast_style.errors import FastStyleError, one_line
from fast_style.inference.steady import Steady, load_cv2
from fast_style.inference.stylize import fitting_alpha, stylize
from fast_style.networks.upscaler import resize_bicubic
from fast_style.writing import whole_file

# The formats of FFmpeg, and encoders with a quality at which a painting shows no blocks.
_H264 = ("libx264", {"crf": "18"})
VIDEOS = {
    ".avi": ("avi", *_H264),
    ".m4v": ("mp4", *_H264),
    ".mkv": ("matroska", *_H264),
    ".mov": ("mov", *_H264),
    ".mp4": ("mp4", *_H264),
    ".webm": ("webm", "libvpx-vp9", {"crf": "24", "b": "0"}),
}
ANIMATIONS = {".gif": {}, ".webp": {"quality": 90}}
CAMERA = "camera:"
SHOWN_FOR = Fraction(1, 10)  # a second, a frame of a GIF that names no time, as browsers do
HD = 720  # lines from which video that says nothing has the colours of BT.709, else those of BT.601
BT601, BT709, BT2020, UNKNOWN = 5, 1, 9, 2  # as FFmpeg numbers the matrices from RGB
LIMITED = 1  # black is 16 and white 235
PART = 250  # frames of a video that are kept when a run breaks off; x264 begins anew after so many anyway


class Frame(NamedTuple):
    image: Tensor  # (3, H, W) uint8
    alpha: Tensor | None  # (1, H, W) in [0, 1]
    start: Fraction  # seconds
    seconds: Fraction  # that it is shown


class Clip(NamedTuple):
    """Frames on their way, and what the file of theirs says of them all."""

    frames: Iterator[Frame]
    count: int | None  # of them, as far as it is known
    rate: Fraction  # of them in a second, on average
    time_base: Fraction  # of which all times are multiples
    shape: Fraction | None = None  # width of a pixel over its height
    loop: int | None = None  # of a GIF or WebP


def is_clip(path: str) -> bool:
    """Whether `input=` means one clip: by its suffix, or an animated GIF or WebP."""
    suffix = Path(path).suffix.lower()
    if path.startswith(CAMERA) or suffix in VIDEOS:
        return True
    with suppress(Exception), Image.open(path, formats=["GIF", "WEBP"]) as image:
        return getattr(image, "n_frames", 1) > 1
    return False


def check_clip_target(path: Path) -> None:
    """Raise FastStyleError for a file that cannot hold moving pictures."""
    if path.suffix.lower() not in VIDEOS | ANIMATIONS:
        raise FastStyleError(f"output={path}: moving pictures end in one of {' '.join(sorted(VIDEOS | ANIMATIONS))}")
    if path.suffix.lower() in VIDEOS:
        load_av()


def load_av():
    try:
        import av
    except ImportError as error:
        raise FastStyleError('video needs PyAV: pip install "fast-style[video]", or pip install av') from error
    av.logging.set_level(av.logging.PANIC)  # what goes wrong is raised, too
    return av


def stylize_clip(
    transformer: nn.Module,
    source: str,
    target: Path | None,
    max_size: int | None = None,
    batch_size: int = 1,
    precision: str = "32-true",
    maker: str = "",
    show: Callable[[Tensor], object] = lambda image: None,
    steady: bool = False,
) -> int:
    """Stylise moving pictures, with a progress bar: the number of frames. The file appears whole or not at all.

    source  a file, or "camera:" and the number or name of one, which runs until Ctrl-C
    target  None: no file, for pictures that are only shown
    maker   what `clip_maker` then says; a video goes on after the parts that a run of the same maker left
    show    is called with every stylised frame (3, H, W) uint8
    steady  whether strokes move with the pictures (inference/steady.py), or every frame is painted by itself
    Raises FastStyleError.
    """
    transformer = transformer.to(memory_format=torch.channels_last)
    columns = TextColumn("stylising"), BarColumn(), MofNCompleteColumn(), TextColumn("frames"), TimeRemainingColumn()
    done, camera = 0, source.startswith(CAMERA)
    each = partial(stylize, transformer, precision=precision)
    brush = Steady(each) if steady else None
    with ExitStack() as stack:
        try:
            clip = stack.enter_context(opened(source))
            clip = clip._replace(frames=of_one_size(clip.frames, max_size))
            bar = stack.enter_context(Progress(*columns))
            task = bar.add_task("", total=clip.count)

            def counted(frames: Iterator[Frame]) -> Iterator[Frame]:
                nonlocal done
                for frame in frames:
                    yield frame
                    done += 1
                    bar.advance(task)

            def painted(frames: Iterator[Frame]) -> Iterator[Frame]:
                while batch := list(islice(frames, 1 if camera else batch_size)):
                    for frame in counted(stylize_frames(brush or each, batch)):
                        show(frame.image)
                        yield frame

            if target is None:
                for _ in painted(clip.frames):
                    pass
            elif target.suffix.lower() in ANIMATIONS:
                with whole_file(target) as unfinished:
                    write_animation(unfinished, target.suffix.lower(), clip, painted(clip.frames), maker)
            else:
                key = name_parts(source, maker, max_size, precision, steady and load_cv2().__version__)
                write_video(target, None if camera else source, clip, painted, counted, key, maker, brush)
            if not done:
                raise FastStyleError("there are no frames in it")
        except FastStyleError as error:
            raise FastStyleError(f"{source}: {error}") from error
        except (OSError, ValueError, RuntimeError, EOFError, SyntaxError) as error:  # FFmpeg's, Pillow's, out of memory
            raise FastStyleError(f"{source}: after {done} frames: {one_line(error)}") from error
    return done


def of_one_size(frames: Iterator[Frame], max_size: int | None) -> Iterator[Frame]:
    """Frames of the size of the first, shrunk to a longest side of max_size; a file may hold several sizes."""
    size = None
    for frame in frames:
        if size is None:
            scale = min(1, (max_size or math.inf) / max(frame.image.shape))
            size = tuple(max(1, round(side * scale)) for side in frame.image.shape[1:])
        if tuple(frame.image.shape[1:]) != size:
            image = resize_bicubic(frame.image[None].float(), size)[0].clamp(0, 255).round().byte()
            frame = frame._replace(image=image)
        yield frame


def stylize_frames(paint: Callable[[Tensor], Tensor], frames: list[Frame]) -> Iterator[Frame]:
    photos = torch.stack([frame.image for frame in frames]).float() / 255
    for frame, image in zip(frames, paint(photos).cpu(), strict=True):
        alpha = None if frame.alpha is None else fitting_alpha(frame.alpha, image)
        yield frame._replace(image=(image * 255).round().byte(), alpha=alpha)


def clip_maker(path: Path) -> str | None:
    """The program that wrote moving pictures, as their file states it."""
    with suppress(Exception):
        if path.suffix.lower() in VIDEOS:
            with load_av().open(str(path)) as container:
                metadata = {key.lower(): value for key, value in container.metadata.items()}
                return metadata.get("comment")
        with Image.open(path, formats=["GIF", "WEBP"]) as image:
            return image.info["comment"].decode() if "comment" in image.info else read_maker(path)
    return None


# --- reading


def opened(source: str):
    if source.startswith(CAMERA):
        return opened_camera(source.removeprefix(CAMERA))
    if Path(source).suffix.lower() in VIDEOS:
        return opened_video(source)
    return opened_animation(source)


@contextmanager
def opened_animation(path: str) -> Iterator[Clip]:
    with Image.open(path, formats=["GIF", "WEBP"]) as image:

        def frames() -> Iterator[Frame]:
            start = Fraction(0)
            for frame in ImageSequence.Iterator(image):
                pixels = torch.from_numpy(np.array(frame.convert("RGBA"))).permute(2, 0, 1)
                seconds = Fraction(round(frame.info.get("duration", 0)), 1000) or SHOWN_FOR
                alpha = pixels[3:].float() / 255
                picture = pixels[:3].masked_fill(alpha == 0, 255)
                yield Frame(picture, None if (alpha == 1).all() else alpha, start, seconds)
                start += seconds

        yield Clip(frames(), image.n_frames, 1 / SHOWN_FOR, Fraction(1, 1000), loop=image.info.get("loop"))


@contextmanager
def opened_video(path: str) -> Iterator[Clip]:
    av = load_av()
    with av.open(path) as container:
        yield read_container(container)


@contextmanager
def opened_camera(name: str) -> Iterator[Clip]:
    """A camera until Ctrl-C, whose frames have the times when they came."""
    av, system = load_av(), platform.system()
    kinds = {
        "Linux": ("v4l2", f"/dev/video{name}"),
        "Darwin": ("avfoundation", name),
        "Windows": ("dshow", f"video={name}"),
    }
    kind, device = kinds.get(system, kinds["Linux"])
    ended = []
    before = signal.signal(signal.SIGINT, lambda *_: ended.append(True))
    try:
        with av.open(device, format=kind) as container:
            clip = read_container(container)

            def frames() -> Iterator[Frame]:
                for frame in clip.frames:
                    if ended:
                        return
                    yield frame

            yield clip._replace(frames=frames(), count=None)
    finally:
        signal.signal(signal.SIGINT, before)


def read_container(container) -> Clip:
    if not container.streams.video:
        raise FastStyleError("there are no pictures in it")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)

    def frames() -> Iterator[Frame]:
        latest = None
        for frame in container.decode(stream):
            start = latest + 1 / rate if frame.pts is None else frame.pts * frame.time_base
            if latest is not None and start <= latest:
                start = latest + stream.time_base
            latest = start
            yield Frame(upright(frame), None, start, 1 / rate)

    count = stream.frames or (stream.duration and round(stream.duration * stream.time_base * rate)) or None
    shape = stream.sample_aspect_ratio or None
    return Clip(frames(), count, rate, stream.time_base, shape)


def upright(frame) -> Tensor:
    """(3, H, W) uint8 of a decoded frame, turned as its file says it is to be shown."""
    matrix = frame.colorspace if frame.colorspace in (BT709, BT2020) else BT601
    if frame.colorspace == UNKNOWN:
        matrix = BT709 if frame.height >= HD else BT601
    pixels = frame.to_ndarray(format="rgb24", src_colorspace=matrix)
    return torch.from_numpy(np.rot90(pixels, round(frame.rotation / 90)).copy()).permute(2, 0, 1)


# --- writing


def write_animation(path: Path, suffix: str, clip: Clip, frames: Iterator[Frame], maker: str) -> None:
    durations: list[int] = []  # in milliseconds; grows while Pillow asks for frames

    def pictures() -> Iterator[Image.Image]:
        for frame in frames:
            durations.append(round(frame.seconds * 1000))
            parts = [frame.image] + ([] if frame.alpha is None else [(frame.alpha * 255).round().byte()])
            yield Image.fromarray(torch.cat(parts).permute(1, 2, 0).contiguous().numpy())

    rest = pictures()
    first = next(rest, None)
    if first is not None:
        options = ANIMATIONS[suffix] | ({} if clip.loop is None else {"loop": clip.loop})
        exif = Image.Exif()
        exif[ExifTags.Base.Software] = maker
        options |= {"comment": maker} if suffix == ".gif" else {"exif": exif}
        first.save(path, suffix[1:], save_all=True, append_images=rest, duration=durations, **options)


def name_parts(source: str, *made_by: object) -> str:
    """What the parts of a video are called: a hash of all that they follow from; of a camera's, never the same."""
    if source.startswith(CAMERA):
        return uuid4().hex
    path = Path(source).resolve()
    told = [str(path), path.stat().st_size, path.stat().st_mtime_ns, load_av().library_versions, *made_by]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def write_video(
    target: Path,
    sound: str | None,
    clip: Clip,
    painted: Callable[[Iterator[Frame]], Iterator[Frame]],
    counted: Callable[[Iterator[Frame]], Iterator[Frame]],
    key: str,
    maker: str,
    brush: Steady | None,
) -> None:
    """Write what is `painted` of a clip's frames, in parts that wait in a hidden folder beside `target`.

    sound    a file whose sound goes with it
    counted  the frames of a part of this `key` that is there already; parts of other keys are removed
    brush    what paints them over one another: a part has the last picture of it beside it, for the next one
    """
    folder = target.with_name(f".{target.name}.parts")
    for other in set(folder.glob("*")) - set(folder.glob(f"{key}_*")):
        other.unlink()
    suffix, parts, last = target.suffix.lower(), [], None
    # An AVI file has no times, only a rate.
    time_base = 1 / clip.rate if suffix == ".avi" else clip.time_base
    try:
        coming = in_steps(clip.frames, time_base)
        while (first := next(coming, None)) is not None:
            frames = chain([first], islice(coming, PART - 1))
            parts.append(folder / f"{key}_{len(parts):06}.mp4")
            picture = parts[-1].with_suffix(".png")
            if parts[-1].exists():
                last = deque(counted(frames), maxlen=1).pop()
                if brush:
                    brush.go_on_from(last.image.float() / 255, picture)
            else:
                with whole_file(parts[-1]) as unfinished:
                    last = write_part(unfinished, suffix, clip, painted(frames), time_base)
                    if brush:
                        brush.save(picture)
        if last is not None:
            with whole_file(target) as unfinished:
                join_parts(unfinished, suffix, parts, sound, clip, last, time_base, maker)
            shutil.rmtree(folder)
    finally:
        with suppress(OSError):  # there are parts in it, which the next run takes
            folder.rmdir()


def in_steps(frames: Iterator[Frame], step: Fraction) -> Iterator[Frame]:
    """Frames at multiples of a time; each later than the one before."""
    latest = -math.inf
    for frame in frames:
        latest = max(round(frame.start / step), latest + 1)
        yield frame._replace(start=latest * step)


def write_part(path: Path, suffix: str, clip: Clip, frames: Iterator[Frame], time_base: Fraction) -> Frame:
    """Write frames, one at least, as a file that keeps all times, those of decoding too; the last of them."""
    stream, exact = None, {"movie_timescale": str(time_base.denominator)}  # else a part begins at a whole millisecond
    with load_av().open(str(path), "w", format="mp4", options=exact) as container:
        for frame in frames:
            if stream is None:
                stream = add_pictures(container, clip, frame.image.shape[1:], *VIDEOS[suffix][1:], time_base)
            picture = encodable(frame.image, stream.codec_context.pix_fmt)
            picture.pts, picture.time_base = int(frame.start / time_base), time_base
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return frame


def join_parts(
    path: Path,
    suffix: str,
    parts: list[Path],
    sound: str | None,
    clip: Clip,
    last: Frame,
    time_base: Fraction,
    maker: str,
) -> None:
    """Make one video of parts, without decoding them, and of the sound of a file; `last` is its last frame."""
    av = load_av()
    with ExitStack() as stack:
        container = stack.enter_context(av.open(str(path), "w", format=VIDEOS[suffix][0]))
        container.metadata["comment"] = maker
        first = stack.enter_context(av.open(str(parts[0]))).streams.video[0]
        _, encoder, options = VIDEOS[suffix]
        # Of this encoder the file has only what it says of its pictures, which is the same for every part.
        stream = add_pictures(container, clip, (first.height, first.width), encoder, options, time_base)
        # MP4 has another form of H.264 than an encoder gives, and than other formats take.
        form = av.BitStreamFilterContext("h264_mp4toannexb" if first.name == "h264" else "null", first)

        def pictures() -> Iterator:
            latest = -math.inf
            for packet in chain.from_iterable(form.filter(packet) for packet in packets_of(parts)):
                start, decoded = (round(t * packet.time_base / time_base) for t in (packet.pts, packet.dts))
                # Where the rate varies, a part may be decoded from a time on at which the one before still is.
                latest = max(decoded, latest + 1)
                packet.time_base, packet.pts, packet.dts, packet.stream = time_base, start, latest, stream
                seconds = last.seconds if start * time_base == last.start else 1 / clip.rate
                packet.duration = round(seconds / time_base)
                yield packet

        streams = [pictures()]
        if sound is not None and Path(sound).suffix.lower() in VIDEOS:
            streams.append(sound_for(container, stack.enter_context(av.open(sound))))
        for packet in heapq.merge(*streams, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)


def packets_of(parts: list[Path]) -> Iterator:
    """The packets of the pictures of video files, one file after the other."""
    for part in parts:
        with load_av().open(str(part)) as container:
            yield from (packet for packet in container.demux(video=0) if packet.dts is not None)


def add_pictures(container, clip: Clip, size: Sequence[int], encoder: str, options: dict, time_base: Fraction):
    stream = container.add_stream(encoder, rate=clip.rate.limit_denominator(65535), options=options)
    stream.height, stream.width = size
    # Half the colour needs even sides.
    stream.pix_fmt = "yuv420p" if stream.height % 2 == stream.width % 2 == 0 else "yuv444p"
    context = stream.codec_context
    context.time_base = time_base
    context.colorspace = context.color_primaries = context.color_trc = BT709
    context.color_range = LIMITED
    if clip.shape:
        context.sample_aspect_ratio = clip.shape
    return stream


def encodable(image: Tensor, pixel_format: str):
    """An image (3, H, W) uint8 as a frame for an encoder."""
    frame = load_av().VideoFrame.from_ndarray(image.permute(1, 2, 0).contiguous().numpy(), "rgb24")
    return frame.reformat(format=pixel_format, dst_colorspace=BT709, dst_color_range=LIMITED)


def sound_for(container, source) -> Iterator:
    """The packets of a container's sound for another one, which gets streams for it: copied where it can hold them,
    else encoded again."""
    targets = {}
    for stream in source.streams.audio:
        if copied := stream.codec_context.codec.canonical_name in container.supported_codecs:
            target = container.add_stream_from_template(stream)
        else:
            target = container.add_stream("libopus" if "webm" in container.format.name else "aac")
        targets[stream] = copied, target

    def packets() -> Iterator:
        for packet in source.demux(*targets) if targets else ():
            copied, target = targets[packet.stream]
            if not copied:
                for frame in packet.decode():
                    yield from target.encode(frame)
            elif packet.dts is not None:
                packet.stream = target
                yield packet
        for copied, target in targets.values():
            if not copied:
                yield from target.encode()

    return packets()


def preview(title: str) -> Callable[[Tensor], object] | None:
    """A window that shows images (3, H, W) uint8, one after the other; None where there is no screen."""
    try:
        import tkinter

        from PIL import ImageTk

        window = tkinter.Tk()
    except Exception:  # no Tk, or no screen
        return None
    window.title(title)
    label = tkinter.Label(window)
    label.pack()

    def show(image: Tensor) -> None:
        label.image = ImageTk.PhotoImage(Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()))
        label.configure(image=label.image)
        window.update()

    return show
