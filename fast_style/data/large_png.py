"""A PNG file read a strip at a time, for pictures that as a whole would fill the memory."""

import struct
import zlib
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import BinaryIO

from PIL import Image

PIECE = 2**20  # bytes of the file at a time
SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type


def has_strips(file: BinaryIO) -> bool:
    """Whether `png_strips` reads a PNG file: not if it is interlaced, or its pixels are not of whole bytes each."""
    *_, depth, kind, interlaced = _header(file)
    return not interlaced and (depth == 8 or (depth, kind) == (1, 0))


def png_strips(file: BinaryIO, rows: int) -> Iterator[Image.Image]:
    """The picture in strips of so many rows. Raises OSError for a file that ends too early.

    Pillow decodes each as a small PNG of its own, with the row above on top, which the filters of PNG refer to.
    """
    width, height, depth, kind, _ = _header(file)
    line, above = 1 + -(-width * depth * CHANNELS[kind] // 8), None
    palette: list[bytes] = []
    strips = _inflated(_pixels(file, palette), rows * line)
    for top in range(0, height, rows):
        count = min(rows, height - top)
        strip = next(strips, b"")[: count * line]
        if len(strip) < count * line:
            raise OSError("image file is truncated")
        header = struct.pack(">IIBBBBB", width, count + 1, depth, kind, 0, 0, 0)
        pixels = zlib.compress((above or bytes(line)) + strip, 0)
        whole = [SIGNATURE, _chunk(b"IHDR", header), *palette, _chunk(b"IDAT", pixels), _chunk(b"IEND", b"")]
        with Image.open(BytesIO(b"".join(whole)), formats=["PNG"]) as image:
            above = b"\0" + image.crop((0, count, width, count + 1)).tobytes()
            yield image.crop((0, 1, width, count + 1))


def _header(file: BinaryIO) -> tuple[int, ...]:
    """Width, height, bits of a number, colour type, and whether the file is interlaced."""
    file.seek(len(SIGNATURE) + 8)
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", file.read(13))
    return width, height, depth, kind, interlaced


def _pixels(file: BinaryIO, palette: list[bytes]) -> Iterator[bytes]:
    """The compressed pixels, in pieces; the chunks that say what a pixel means go to `palette` before."""
    file.seek(len(SIGNATURE))
    while len(start := file.read(8)) == 8:
        size, name = struct.unpack(">I4s", start)
        if name == b"IDAT":
            while size and (piece := file.read(min(size, PIECE))):
                size -= len(piece)
                yield piece
        elif name in (b"PLTE", b"tRNS"):
            palette.append(_chunk(name, file.read(size)))
        else:
            file.seek(size, 1)
        file.seek(4, 1)  # the checksum


def _inflated(pieces: Iterable[bytes], count: int) -> Iterator[bytes]:
    """Compressed bytes as others, so many at a time, and the rest."""
    inflater, found = zlib.decompressobj(), bytearray()
    for piece in pieces:
        while piece:
            found += inflater.decompress(piece, count - len(found))
            piece = inflater.unconsumed_tail
            if len(found) == count:
                yield bytes(found)
                found.clear()
    yield bytes(found + inflater.flush())


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
