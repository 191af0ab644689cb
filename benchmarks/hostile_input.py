"""Thousands of damaged and malicious files through the code that reads files: a picture, a model, or one clear line.

    python -m benchmarks.hostile_input --output benchmarks/results/hostile_input.json

Makes --count mutants of every kind of file: cut short, bytes changed, moved or repeated, headers that state enormous
sizes, frames without end, profiles of NaN, names that lie, networks of absurd shapes in the metadata, pickles that want
to run a command, in and out of archives. Processes of their own, forked from this one and used for many files each,
read every mutant as infer.py, train.py and Stylizer do, and paint with it. A fault is an exception that is no
FastStyleError, or one that is not one line; --seconds without an end; --memory more than the process had before; a
process that died; and a canary, a file that only a command out of a mutant makes. Mutants that were faults stay in
--faults. The exit status is 1 if there are any.
"""

import argparse
import json
import multiprocessing
import os
import pickle
import random
import resource
import signal
import struct
import sys
import tempfile
import traceback
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, features
from rich.progress import track
from safetensors.torch import save

from benchmarks.result import write_result
from benchmarks.timing import environment
from fast_style.checkpoint import FORMAT, read_metadata
from fast_style.data.images import IMAGE_SUFFIXES, read_image, read_maker, read_rgb, write_image
from fast_style.errors import FastStyleError, exit_on_error
from fast_style.importing import PORTS, import_weights, layers_in_order
from fast_style.inference.stylizer import Stylizer
from fast_style.networks.multi_style import MultiStyleNet
from fast_style.networks.transformer_net import TransformerNet

GIGABYTE = 2**30
WAIT = 20  # times as long for a file, while the machine is busy with other things
ARCHITECTURE = {"channels": [4, 6, 8], "residual_blocks": 1}
HUGE = (0, 1, 2, 255, 16383, 30_000, 65_500, 65_535, 2**16, 10**6, 2**31 - 1, 2**32 - 1)
MODELS = ("safetensors", "ckpt", "pth")
Mutant = tuple[str, bytes, str]  # how it was made, the file, its suffix


# --- whole files, by the kind of their mutants


def picture(mode: str = "RGB", side: int = 32, seed: int = 0) -> Image.Image:
    """A smooth picture with a little noise."""
    chance = np.random.default_rng(seed)
    coarse = Image.fromarray(chance.integers(0, 256, (4, 4, 4), dtype=np.uint8), "RGBA")
    smooth = np.asarray(coarse.resize((side, side - side // 4), Image.Resampling.BICUBIC)).astype(int)
    noisy = smooth + chance.integers(-9, 10, smooth.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8), "RGBA").convert(mode)


def encoded(name: str, mode: str = "RGB", **options: object) -> bytes:
    file = BytesIO()
    picture(mode).save(file, name, **options)
    return file.getvalue()


def nan_profile() -> bytes:
    """A profile whose numbers are those of no colour: the largest, or such as count as NaN in floats."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[128 + 4 + 12 * 4 :] = b"\x7f\xc0\x00\x00" * ((len(profile) - 180) // 4)
    return bytes(profile)


@cache
def pictures() -> dict[str, list[bytes]]:
    """Whole pictures of every format that is read here, in several modes."""
    icc = {"icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()}
    exif = Image.Exif()
    exif[0x0112], exif[0x0131] = 6, "a camera"
    frames = {"save_all": True, "append_images": [picture(seed=1), picture(seed=2)]}
    whole = {
        "jpeg": [
            encoded("JPEG", exif=exif, **icc), encoded("JPEG", progressive=True), encoded("JPEG", "CMYK"),
            encoded("JPEG", "L"), encoded("JPEG", icc_profile=nan_profile()),
        ],
        "png": [
            encoded("PNG", exif=exif, **icc), encoded("PNG", "RGBA"), encoded("PNG", "P"), encoded("PNG", "1"),
            encoded("PNG", "LA"), encoded("PNG", "L", transparency=3), encoded("PNG", **frames),
            encoded("PNG", icc_profile=nan_profile()),
        ],
        "webp": [
            encoded("WEBP", exif=exif, **icc), encoded("WEBP", "RGBA", lossless=True), encoded("WEBP", **frames),
            encoded("WEBP", icc_profile=nan_profile()),
        ],
        "gif": [encoded("GIF", "P"), encoded("GIF", "L", transparency=3), encoded("GIF", "P", **frames)],
        "tiff": [
            encoded("TIFF", **icc), encoded("TIFF", compression="tiff_lzw"), encoded("TIFF", "CMYK"),
            encoded("TIFF", "RGBA", compression="tiff_adobe_deflate"), encoded("TIFF", "F"), encoded("TIFF", "I"),
            encoded("TIFF", "1", compression="group4"), encoded("TIFF", compression="jpeg"), encoded("TIFF", **frames),
            encoded("TIFF", "LAB"), encoded("TIFF", icc_profile=nan_profile()),
        ],
        "bmp": [encoded("BMP"), encoded("BMP", "P"), encoded("BMP", "1"), encoded("BMP", "RGBA")],
    }  # fmt: skip
    if "HEIF" in Image.SAVE:
        whole["heic"] = [encoded("HEIF"), encoded("HEIF", "RGBA"), encoded("HEIF", "L"), encoded("HEIF", **frames)]
    if features.check("avif"):
        whole["avif"] = [encoded("AVIF"), encoded("AVIF", "RGBA")]
    return whole


def release(network: torch.nn.Module, metadata: dict) -> bytes:
    strings = {name: value if name == "format" else json.dumps(value) for name, value in metadata.items()}
    return save(network.state_dict(), strings)


def metadata_of(task: str = "style_transfer", **changes: object) -> dict:
    named = {"styles": [{"name": "a"}, {"name": "b"}]} if task == "multi_style" else {"style": {"name": "a"}}
    known = {"format": FORMAT, "task": task, "model": ARCHITECTURE, "losses": {}, "versions": {}}
    return known | named | changes


def several() -> MultiStyleNet:
    return MultiStyleNet(ARCHITECTURE, ["a", "b"], torch.rand(2, 6), identity=True)


def saved(content: object, **options: object) -> bytes:
    file = BytesIO()
    torch.save(content, file, **options)
    return file.getvalue()


def lightning(state_dict: dict, config: object) -> dict:
    return {"state_dict": state_dict, "hyper_parameters": {"config": config}, "global_step": 3}


def prefixed(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {f"transformer.{name}": tensor for name, tensor in network.state_dict().items()}


def of_pytorch_examples(width: int = 4, blocks: int = 1) -> dict[str, torch.Tensor]:
    """A state of that project's layout, all widths equal."""
    state = {}
    for layer in layers_in_order(blocks, PORTS[0]):
        first, last = layer == "conv1.conv2d", layer == "deconv3.conv2d"
        shape = (3 if last else width, 3 if first else width, *(2 * [9 if first or last else 3]))
        state[f"{layer}.weight"] = torch.rand(shape if layer.endswith("conv2d") else width)
        state[f"{layer}.bias"] = torch.rand(3 if last else width)
    return state


def models() -> dict[str, list[bytes]]:
    network = TransformerNet(**ARCHITECTURE)
    return {
        "safetensors": [release(network, metadata_of()), release(several(), metadata_of("multi_style"))],
        "ckpt": [saved(lightning(prefixed(network), metadata_of()))],
        "pth": [saved(of_pytorch_examples()), saved(of_pytorch_examples(), _use_new_zipfile_serialization=False)],
    }


# --- mutations of any file


def cut(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.choice([0, 1, 2, 16, len(data) - 1, chance.randrange(len(data)), chance.randrange(len(data))])]


def flipped(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16, 64])):
        changed[chance.randrange(len(changed))] = chance.randrange(256)
    return bytes(changed)


def flipped_at_the_start(chance: random.Random, data: bytes) -> bytes:
    """Where the headers are."""
    head = min(len(data), chance.choice([32, 128, 512]))
    return flipped(chance, data[:head]) + data[head:]


def numbered(chance: random.Random, data: bytes) -> bytes:
    """An enormous number, or none, in place of two or four bytes."""
    form = chance.choice(["<H", ">H", "<I", ">I", "<Q"])
    number = chance.choice(HUGE + (2**63,)) % 2 ** (8 * struct.calcsize(form))
    place = chance.randrange(max(1, min(len(data), 256) - 8))
    return data[:place] + struct.pack(form, number) + data[place + struct.calcsize(form) :]


def shuffled(chance: random.Random, data: bytes) -> bytes:
    """A part removed, repeated, or moved."""
    start, end, place = sorted(chance.randrange(len(data)) for _ in range(3))
    part = data[start:end]
    return chance.choice([data[:start] + data[end:], data[:end] + part + data[end:], data[:start] + data[end:place]
                          + part + data[place:]])  # fmt: skip


def filled(chance: random.Random, data: bytes) -> bytes:
    """A part of zeros, of ones, or of noise."""
    start, length = chance.randrange(len(data)), chance.randrange(1, 200)
    part = chance.choice([bytes(length), b"\xff" * length, chance.randbytes(length)])
    return data[:start] + part + data[start + length :]


ANY = (cut, flipped, flipped, flipped_at_the_start, flipped_at_the_start, numbered, shuffled, filled)


# --- mutations of pictures


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def enormous(kind: str, chance: random.Random, data: bytes) -> bytes:
    """A header that states another size, and is otherwise right."""
    width, height = (chance.choice([*HUGE, chance.randrange(2**16)]) for _ in range(2))
    if kind == "png":
        return data[:8] + chunk(b"IHDR", struct.pack(">II", width, height) + data[24:29]) + data[33:]
    if kind == "jpeg":
        place = next(data.find(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in data)
        return data[: place + 5] + struct.pack(">HH", height % 2**16, width % 2**16) + data[place + 9 :]
    if kind == "gif":
        size = struct.pack("<HH", width % 2**16, height % 2**16)
        place = data.find(b",", 13) + 5
        return data[:6] + size + data[10:place] + (size if chance.random() < 0.7 else b"") + data[place + 4 :]
    if kind == "bmp":
        return data[:18] + struct.pack("<II", width, height) + data[26:]
    if kind == "webp" and b"VP8X" in data:
        size = struct.pack("<I", width)[:3] + struct.pack("<I", height)[:3]
        return data[:24] + size + data[30:]
    if kind in ("heic", "avif"):
        place = data.find(b"ispe") + 8
        return data[:place] + struct.pack(">II", width, height) + data[place + 8 :]
    if kind == "tiff":
        changed, order = bytearray(data), "<" if data[:2] == b"II" else ">"
        place = struct.unpack(f"{order}I", data[4:8])[0]
        for entry in range(place + 2, len(data) - 12, 12):
            tag, form, count = struct.unpack(f"{order}HHI", data[entry : entry + 8])
            if tag in (256, 257, 278) or chance.random() < 0.1:
                value = {256: width, 257: height}.get(tag, chance.choice(HUGE))
                changed[entry + 2 : entry + 12] = struct.pack(f"{order}HII", 4, count, value)
        return bytes(changed)
    return numbered(chance, data)


def bomb(kind: str, chance: random.Random) -> bytes:
    """A whole picture that is small as a file and enormous as a picture."""
    side = chance.randrange(8_000, 12_000)
    if kind == "png":
        lines = zlib.compressobj(1)
        packed = b"".join(lines.compress(bytes(1 + 3 * side)) for _ in range(side)) + lines.flush()
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    if kind == "bmp":  # runs of 255, the rest of a line, and its end
        line = b"\xff\x07" * (side // 255) + bytes([side % 255, 7, 0, 0])
        palette = bytes(range(256)) * 4
        header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(line) * side, 0, 0, 256, 0)
        return b"BM" + struct.pack("<IHHI", 1078 + len(line) * side, 0, 0, 1078) + header + palette + line * side
    name, mode, options = {
        "jpeg": ("JPEG", "L", {"progressive": True}), "webp": ("WEBP", "RGB", {"quality": 1, "method": 0}),
        "gif": ("GIF", "P", {}), "tiff": ("TIFF", "RGB", {"compression": "tiff_adobe_deflate"}),
    }[kind]  # fmt: skip
    side = 8_000 if kind == "webp" else side  # which takes seconds to write
    file = BytesIO()
    Image.new(mode, (side, side)).save(file, name, **options)
    return file.getvalue()


def picture_mutants(kind: str, count: int, chance: random.Random, canary: Path) -> Iterator[Mutant]:
    whole, suffixes = pictures(), sorted(IMAGE_SUFFIXES)
    others = [data for other, found in whole.items() if other != kind for data in found]
    own = {"jpeg": ".jpg", "tiff": ".tif"}.get(kind, f".{kind}")
    for index in range(count):
        data = chance.choice(whole[kind])
        if index == 0 and kind not in ("heic", "avif"):  # which take minutes to write
            yield "bomb", bomb(kind, chance), own
        elif (turn := index % 20) == 0:
            yield "wrong suffix", data, chance.choice(suffixes)
        elif turn == 1:
            yield "other content", chance.choice([*others, *executing(canary), b"", b"\0" * 1000, b"GIF89a"]), own
        elif turn < 8:
            yield "enormous", enormous(kind, chance, data), own
        elif turn == 8:
            yield "enormous and changed", flipped(chance, enormous(kind, chance, data)), own
        else:
            change = chance.choice(ANY)
            yield change.__name__.replace("_", " "), change(chance, data), own


# --- mutations of models


class Call:
    """Pickled, it is a call."""

    def __init__(self, function: Callable, *arguments: object):
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def executing(canary: Path) -> list[bytes]:
    """Files whose reading makes the canary, where a reader executes what they hold."""
    calls = [Call(os.system, f"touch {canary}"), Call(open, str(canary), "w"), Call(os.mkdir, str(canary)),
             Call(eval, f"open({str(canary)!r}, 'w')"), Call(torch.load, str(canary))]  # fmt: skip
    contents = [content for call in calls for content in (call, {"state_dict": call}, lightning({"a": call}, call))]
    plain = [pickle.dumps(content, protocol) for content in contents for protocol in (0, 2, 4)]
    archives = [saved(content) for content in contents]
    old = [saved(content, _use_new_zipfile_serialization=False) for content in contents]
    return [*plain, *archives, *old]


def zip_bomb() -> bytes:
    """An archive of torch.save whose weights are two gigabytes of zeros, compressed to two megabytes."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        whole = zipfile.ZipFile(BytesIO(saved(of_pytorch_examples())))
        for name in whole.namelist():
            with archive.open(name, "w", force_zip64=True) as entry:
                if name.endswith("data/0"):
                    for _ in range(2048):
                        entry.write(bytes(2**20))
                else:
                    entry.write(whole.read(name))
    return file.getvalue()


def absurd(chance: random.Random) -> object:
    """A value where another is expected."""
    return chance.choice([
        None, True, -1, 0, 1.5, 10**6, 10**12, 10**30, float("nan"), float("inf"), "", "x", "x" * 10**5, "../../x",
        "line\nline", [], [[]], [4], [100_000], [100_000] * 3, [-1, 4, 8], [4, 6, "8"], [0, 0, 0], [4] * 5000, {},
        {"a": {}}, {"_target_": "os.system", "command": "true"}, "\ud800", [None], [4, 6, 8.0], [2**40, 6, 8],
    ])  # fmt: skip


ARGUMENTS = (
    "channels", "residual_blocks", "kernel_sizes", "norm", "upsampling", "padding", "output", "coarse_blocks", "noise",
    "skips",
)  # fmt: skip


def edited(chance: random.Random, canary: Path) -> dict:
    """Metadata of a release file, or the config of a checkpoint, with something absurd in it."""
    task = chance.choice(
        ["style_transfer"] * 6 + ["multi_style", "texture", "super_resolution", "diverse_style_transfer"]
    )
    metadata = metadata_of(task)
    targets = [
        {"_target_": "os.system", "command": f"touch {canary}"}, {"_target_": "builtins.open", "file": str(canary),
        "mode": "w"}, {"_target_": "os.mkdir", "path": str(canary)}, {"_target_": "pathlib.Path.touch"},
        {"_target_": "subprocess.run", "args": ["touch", str(canary)]}, {"_target_": "torch.nn.Identity"},
        {"_target_": 3}, {"_target_": ""}, {"_target_": None}, {"_target_": "no.such.Network"},
    ]  # fmt: skip
    section = {"texture": "generator", "diverse_style_transfer": "generator", "super_resolution": "upscaler"}.get(
        task, "model"
    )
    match chance.randrange(6):
        case 0:
            metadata[section] = chance.choice(targets)
        case 1:
            metadata[chance.choice(list(metadata)[1:])] = absurd(chance)
        case 2:
            metadata.pop(chance.choice(list(metadata)[1:]))
        case 3:
            metadata[section] = {chance.choice(["scale", "width", "branch_channels", "channels"]): absurd(chance)}
        case 4:
            key = chance.choice(["style", "styles", "names"])
            metadata[key] = chance.choice([absurd(chance), [{"name": absurd(chance)}], {"name": absurd(chance)}])
        case _:
            metadata[section] = ARCHITECTURE | {chance.choice(ARGUMENTS): absurd(chance)}
    return metadata


def absurd_tensors(chance: random.Random, state: dict[str, torch.Tensor]) -> dict[str, object]:
    """A state with tensors of other shapes, kinds and values; some are enormous and take no room in a file."""
    state = dict(state)
    for name in chance.sample(list(state), chance.choice([1, 1, 2, len(state) // 2])):
        shape = state[name].shape
        state[name] = chance.choice([
            torch.zeros(1).expand(10**6, *shape), torch.zeros(1, dtype=torch.half).expand(10**10), torch.zeros(0),
            torch.full(shape, torch.nan), torch.zeros(shape, dtype=torch.cfloat), torch.zeros(1).expand(10**9, 1, 1, 1),
            torch.zeros(shape, dtype=torch.bool), torch.zeros(()), torch.full(shape, 3e38), 3, None, "x", [1], {},
            torch.zeros(shape).to_sparse(), torch.zeros(shape, device="meta"),
        ])  # fmt: skip
    if chance.random() < 0.3:
        state[chance.choice(["x", "", "layers.0.0.weight.more", "x\ny", "res9.conv1.conv2d.weight"])] = torch.zeros(1)
    if chance.random() < 0.3:
        state.pop(chance.choice(list(state)))
    return state


def safetensors_header(chance: random.Random, data: bytes) -> bytes:
    """A header of another length, or with tensors of other shapes and places."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    name = chance.choice([name for name in header if name != "__metadata__"])
    match chance.randrange(6):
        case 0:
            return struct.pack("<Q", chance.choice([0, 1, 2**20, 10**8, 2**40, 2**64 - 1])) + data[8:]
        case 1:
            header[name]["shape"] = chance.choice([[10**6, 10**6], [-1], [0], [2**63], [], "x", [2**32, 2**32]])
        case 2:
            header[name]["data_offsets"] = chance.choice([[0, 10**12], [5, 1], [-4, 4], [0, 0], "x"])
        case 3:
            header[name]["dtype"] = chance.choice(["F64", "BOOL", "I8", "F8_E4M3", "X", 3, "BF16", "F16", "U64"])
        case 4:
            header["__metadata__"] = chance.choice(
                [absurd(chance), {"format": FORMAT, "model": "[" * 10**5}, {"format": FORMAT}]
            )
        case _:
            header |= {
                f"{name}.{index}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for index in range(10**4)
            }
    packed = json.dumps(header).encode()
    return struct.pack("<Q", len(packed)) + packed + data[8 + length :]


def model_mutants(kind: str, count: int, chance: random.Random, canary: Path) -> Iterator[Mutant]:
    whole, foreign = models()[kind], executing(canary)
    network = TransformerNet(**ARCHITECTURE)
    strangers = [encoded("PNG"), b"", bytes(1000), json.dumps(metadata_of()).encode()]
    strangers += [data for other, found in models().items() if other != kind for data in found]
    for index in range(count):
        data = chance.choice(whole)
        if index == 0 and kind != "safetensors":
            yield "bomb", zip_bomb(), f".{kind}"
        elif (turn := index % 16) < 3:
            yield "executes", chance.choice(foreign), f".{kind}"
        elif turn == 3:
            yield "executes, changed", flipped(chance, chance.choice(foreign)), f".{kind}"
        elif turn == 4:
            yield "other content", chance.choice(strangers), f".{kind}"
        elif turn < 8 and kind == "safetensors":
            made = several() if chance.random() < 0.2 else network
            yield "absurd architecture", release(made, edited(chance, canary)), ".safetensors"
        elif turn < 8 and kind == "ckpt":
            config = edited(chance, canary) if chance.random() < 0.8 else absurd(chance)
            content = chance.choice(
                [lightning(prefixed(network), config)] * 4 + [absurd(chance), {"hyper_parameters": config}]
            )
            yield "absurd architecture", saved(content), ".ckpt"
        elif turn < 11 and kind == "safetensors":
            yield "header", safetensors_header(chance, data), ".safetensors"
        elif turn < 11 and kind == "ckpt":
            state = absurd_tensors(chance, prefixed(network))
            yield "absurd tensors", saved(lightning(state, metadata_of())), ".ckpt"
        elif turn < 11:
            state = absurd_tensors(chance, of_pytorch_examples(chance.choice([1, 4]), chance.choice([0, 1, 2])))
            yield "absurd tensors", saved(chance.choice([state] * 5 + [absurd(chance), [state]])), ".pth"
        else:
            change = chance.choice(ANY)
            yield change.__name__.replace("_", " "), change(chance, data), f".{kind}"


# --- reading


def read_picture(path: Path) -> str:
    """The ways in which the package reads a picture: for infer.py, for train.py, and to be painted."""
    first = None
    for read in (
        lambda: read_image(path)[0],
        lambda: read_rgb(path, 24),
        lambda: read_picture.stylizer(path.read_bytes(), max_size=16),
    ):
        try:
            found = read()
            if isinstance(found, torch.Tensor) and not (
                found.isfinite().all() and 0 <= found.min() <= found.max() <= 1
            ):
                raise AssertionError("values that are no colour")
        except FastStyleError as error:
            first = first or error
    read_maker(path)
    if first:
        raise first
    return "picture"


def read_model(path: Path) -> str:
    """The ways in which the package reads a model, and a picture that it paints."""
    if path.suffix == ".pth":
        made = path.with_suffix(".safetensors")
        made.unlink(missing_ok=True)
        import_weights(path, made)
        path = made
    elif path.suffix == ".safetensors":
        read_metadata(path)
    stylizer = Stylizer(path, device="cpu", precision="32-true")
    style = stylizer.names[0] if stylizer.several else None
    write_image(path.with_name("painted.png"), stylizer(torch.full((3, 8, 8), 0.5), style=style))
    return "model"


def verdict(read: Callable[[Path], str], path: Path) -> tuple[str, str]:
    """(outcome, details) of reading a file."""
    try:
        return read(path), ""
    except FastStyleError as error:
        if len(str(error).splitlines()) != 1 or len(str(error)) > 1000:
            return "fault: not one line", str(error)[:300]
        return "error", str(error)
    except Exception as error:
        return "fault: foreign exception", f"{type(error).__name__}: {str(error)[:200]} {traceback.format_exc()[-900:]}"


def serve(pipe: multiprocessing.connection.Connection, seconds: float, memory: int) -> None:
    """Read the files whose paths come through a pipe; `seconds` of work on one end the process, and it never gets more
    than four times `memory`."""
    torch.set_num_threads(1)
    sys.stderr = open(os.devnull, "w")
    os.dup2(sys.stderr.fileno(), 2)  # where C libraries complain
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.safetensors"
        path.write_bytes(release(TransformerNet(**ARCHITECTURE), metadata_of()))
        read_picture.stylizer = Stylizer(path, device="cpu", precision="32-true")
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGESIZE")
    resource.setrlimit(resource.RLIMIT_AS, (taken + 4 * memory,) * 2)
    before = peak()
    pipe.send("ready")
    while True:
        kind, path = pipe.recv()
        signal.setitimer(signal.ITIMER_PROF, seconds)
        outcome, details = verdict(read_model if kind in MODELS else read_picture, path)
        if peak() - before > memory:
            outcome, details = "fault: memory", f"{(peak() - before) / GIGABYTE:.1f} GB, {outcome}, {details}"
        signal.setitimer(signal.ITIMER_PROF, 0)
        pipe.send((outcome, details))


def peak() -> int:
    """The most memory that this process has had, in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


class Reader:
    """A process that reads files, one after another; after a fault of memory or time it is a new one."""

    def __init__(self, context: multiprocessing.context.BaseContext, seconds: float, memory: int):
        self.context, self.seconds, self.memory, self.process = context, seconds, memory, None

    def read(self, kind: str, path: Path) -> tuple[str, str]:
        if self.process is None:
            self.pipe, other_end = self.context.Pipe()
            self.process = self.context.Process(target=serve, args=(other_end, self.seconds, self.memory), daemon=True)
            self.process.start()
            other_end.close()
            self.pipe.recv()
        self.pipe.send((kind, path))
        try:
            waited = WAIT * self.seconds
            outcome = self.pipe.recv() if self.pipe.poll(waited) else ("fault: no end", f"after {waited:g} s")
        except EOFError:
            self.process.join()
            timed_out = self.process.exitcode == -signal.SIGPROF
            outcome = ("fault: no end" if timed_out else "fault: died"), f"exit status {self.process.exitcode}"
        if outcome[0] in ("fault: no end", "fault: died", "fault: memory"):
            self.process.kill()
            self.process = None
        return outcome


def measure(args: argparse.Namespace, folder: Path) -> Iterator[dict]:
    """What has been found after every kind."""
    reader = Reader(multiprocessing.get_context("fork"), args.seconds, int(args.memory * GIGABYTE))
    canary, counts, faults = folder / "canary", {}, []
    for kind in args.kinds:
        make = model_mutants if kind in MODELS else picture_mutants
        mutants = make(kind, args.count, random.Random(f"{args.seed} {kind}"), canary)
        outcomes = Counter()
        for index, (way, data, suffix) in enumerate(track(mutants, f"{kind:12}", total=args.count)):
            path = folder / f"{index}{suffix}"
            path.write_bytes(data)
            outcome, details = reader.read(kind, path)
            if canary.exists():
                outcome, details = "fault: executed", details
                canary.rmdir() if canary.is_dir() else canary.unlink()
            outcomes[f"{way}: {outcome}" if args.ways else outcome] += 1
            if outcome.startswith("fault"):
                faults.append({"kind": kind, "made": way, "index": index, "outcome": outcome, "details": details})
                args.faults.mkdir(parents=True, exist_ok=True)
                (args.faults / f"{kind}_{index}{suffix}").write_bytes(data)
            path.unlink()
        counts[kind] = dict(sorted(outcomes.items()))
        yield {"counts": counts, "faults": faults}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    kinds = [*pictures(), *MODELS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=kinds, default=kinds, help="(default: all)")
    parser.add_argument("--count", type=int, default=2000, help="mutants of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=10, help="of work that a file may take")
    parser.add_argument("--memory", type=float, default=1, help="gigabytes that a file may take")
    parser.add_argument("--ways", action="store_true", help="count by how a mutant was made, too")
    parser.add_argument(
        "--faults", type=Path, default=Path("outputs/hostile_input"), help="where mutants go that were faults"
    )
    parser.add_argument("--output", type=Path, help="write the result as JSON too")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    warnings.simplefilter("ignore")
    result = environment(torch.device("cpu"))
    result["versions"] |= {
        name: version for name in ("jpg", "webp", "avif", "libtiff") if (version := features.version(name))
    }
    result |= {"seed": args.seed, "mutants of each kind": args.count, "seconds": args.seconds, "gigabytes": args.memory}
    with tempfile.TemporaryDirectory() as folder:
        for found in measure(args, Path(folder).resolve()):
            result |= found
            write_result(result, args.output)
    print(json.dumps(result, indent=1))
    if result["faults"]:
        raise FastStyleError(f"{len(result['faults'])} faults, in {args.faults}")


if __name__ == "__main__":
    exit_on_error(main)
