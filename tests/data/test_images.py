"""Files are generated, and their pixels checked against numpy formulas."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image, ImageCms

from fast_style.data import images
from fast_style.data.images import (
    ImageError,
    find_files,
    find_images,
    left_out,
    only_images,
    read_image,
    read_maker,
    read_on_white,
    read_rgb,
    resize_short_side,
    write_image,
)

pytestmark = pytest.mark.filterwarnings("error")

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = RGB[..., 0]
ALPHA = RNG.integers(0, 256, (5, 7), dtype=np.uint8)
ALPHA[1:3, 2] = 0
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 128, 200]], dtype=np.uint8)


def to_hwc(image):
    return image.permute(1, 2, 0).numpy()


def levels(image):
    """A tensor of exact 8-bit levels as integers."""
    scaled = to_hwc(image) * 255
    np.testing.assert_allclose(scaled, np.rint(scaled), atol=1e-4)
    return np.rint(scaled).astype(int)


def save(path, array, mode=None, **options):
    image = Image.fromarray(array)
    (image if mode is None else image.convert(mode)).save(path, **options)
    return path


def stored_mode(path):
    with Image.open(path) as picture:
        return picture.mode


def pixels(path):
    with Image.open(path) as picture:
        return np.array(picture)


def white_where_hidden(colours, opacity):
    return np.where(opacity[..., None] == 0, 255, colours)


def triangle_resize(array, size):
    """Antialiased bilinear resizing, from its definition, of (H, W, C)."""

    def matrix(source, target):
        scale = source / target
        centres = (np.arange(target)[:, None] + 0.5) * scale
        weights = np.maximum(0, 1 - np.abs(np.arange(source)[None] + 0.5 - centres) / max(scale, 1))
        return weights / weights.sum(1, keepdims=True)

    height, width = array.shape[:2]
    rows = np.tensordot(matrix(height, size[0]), array.astype(float), axes=1)
    return np.einsum("xw,ywc->yxc", matrix(width, size[1]), rows, optimize=True)


def smooth(height, width):
    """A picture that survives JPEG: slow waves."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    waves = np.stack([np.sin(5 * x + y), np.cos(3 * y), np.sin(4 * (x + y))], axis=-1)
    return np.rint(127.5 + 110 * waves).astype(np.uint8)


# --- modes


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".ppm"])
def test_rgb(tmp_path, suffix):
    image, alpha = read_image(save(tmp_path / f"a{suffix}", RGB))
    assert image.dtype == torch.float32 and image.shape == (3, 5, 7) and image.is_contiguous() and alpha is None
    np.testing.assert_array_equal(levels(image), RGB)
    np.testing.assert_array_equal(to_hwc(image), RGB.astype(np.float32) / np.float32(255))


def test_grey(tmp_path):
    image, alpha = read_image(save(tmp_path / "a.png", GREY))
    assert alpha is None
    np.testing.assert_array_equal(levels(image), np.stack([GREY] * 3, -1))


def test_bilevel(tmp_path):
    image, alpha = read_image(save(tmp_path / "a.png", GREY > 128))
    assert alpha is None
    np.testing.assert_array_equal(to_hwc(image), np.stack([GREY > 128] * 3, -1))


def test_grey_with_alpha(tmp_path):
    image, alpha = read_image(save(tmp_path / "a.png", np.stack([GREY, ALPHA], -1)))
    np.testing.assert_array_equal(levels(image), white_where_hidden(np.stack([GREY] * 3, -1), ALPHA))
    np.testing.assert_array_equal(levels(alpha)[..., 0], ALPHA)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_rgb_with_alpha(tmp_path, suffix):
    image, alpha = read_image(save(tmp_path / f"a{suffix}", np.dstack([RGB, ALPHA])))
    assert alpha.dtype == torch.float32 and alpha.shape == (1, 5, 7)
    np.testing.assert_array_equal(levels(image), white_where_hidden(RGB, ALPHA))
    np.testing.assert_array_equal(levels(alpha)[..., 0], ALPHA)


def test_transparent_colour_key(tmp_path):
    key = tuple(int(value) for value in RGB[2, 3])
    image, alpha = read_image(save(tmp_path / "rgb.png", RGB, transparency=key))
    np.testing.assert_array_equal(levels(image), white_where_hidden(RGB, (RGB != RGB[2, 3]).any(-1)))
    np.testing.assert_array_equal(alpha[0], (RGB != RGB[2, 3]).any(-1))
    image, alpha = read_image(save(tmp_path / "grey.png", GREY, transparency=int(GREY[1, 1])))
    np.testing.assert_array_equal(levels(image)[..., 0], np.where(GREY == GREY[1, 1], 255, GREY))
    np.testing.assert_array_equal(alpha[0], GREY != GREY[1, 1])


def palette_image():
    image = Image.fromarray(np.array([[0, 1, 2], [3, 0, 1]], dtype=np.uint8)).convert("L")
    image.putpalette(COLOURS.tobytes())
    return image, COLOURS[np.array([[0, 1, 2], [3, 0, 1]])]


def test_palette(tmp_path):
    picture, expected = palette_image()
    assert picture.mode == "P"
    for name in ("a.png", "a.gif", "a.bmp"):
        picture.save(tmp_path / name)
        image, alpha = read_image(tmp_path / name)
        np.testing.assert_array_equal(levels(image), expected)
        assert alpha is None


@pytest.mark.parametrize(
    ("name", "transparency", "opacities"),
    [
        ("a.png", bytes([255, 0, 128, 7]), [255, 0, 128, 7]),
        ("a.png", 2, [255, 255, 0, 255]),
        ("a.gif", 2, [255, 255, 0, 255]),
    ],
)
def test_palette_with_transparency(tmp_path, name, transparency, opacities):
    picture, expected = palette_image()
    picture.save(tmp_path / name, transparency=transparency)
    image, alpha = read_image(tmp_path / name)
    opacity = np.array(opacities)[np.array([[0, 1, 2], [3, 0, 1]])]
    np.testing.assert_array_equal(levels(image), white_where_hidden(expected, opacity))
    np.testing.assert_array_equal(levels(alpha)[..., 0], opacity)


def test_palette_with_alpha_channel(tmp_path):
    picture, expected = palette_image()
    opacity = np.array([[9, 99, 199], [0, 255, 30]], dtype=np.uint8)
    picture = picture.convert("PA")
    picture.putalpha(Image.fromarray(opacity))
    picture.save(tmp_path / "a.tif")
    assert stored_mode(tmp_path / "a.tif") == "PA"
    image, alpha = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(levels(image), white_where_hidden(expected, opacity))
    np.testing.assert_array_equal(levels(alpha)[..., 0], opacity)


@pytest.mark.parametrize(
    ("name", "mode"), [("a.png", "I;16"), ("a.tif", "I;16"), ("b.tif", "I;16B"), ("a.pgm", "I"), ("i.tif", "I")]
)
def test_deep_grey_keeps_all_65536_values(tmp_path, name, mode):
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    if name == "i.tif":
        save(tmp_path / name, ramp.astype(np.int32))
    elif mode == "I;16B":
        Image.frombytes("I;16B", (256, 256), ramp.astype(">u2").tobytes()).save(tmp_path / name)
    else:
        save(tmp_path / name, ramp)
    assert stored_mode(tmp_path / name) == mode
    image, alpha = read_image(tmp_path / name)
    assert alpha is None and image.dtype == torch.float32 and image.max() <= 1
    np.testing.assert_allclose(to_hwc(image), np.stack([ramp / 65535] * 3, -1), atol=2e-7)
    assert len(image[0].unique()) == 65536
    expected = np.stack([np.rint(ramp / 257)] * 3, -1)
    assert np.abs(read_rgb(tmp_path / name, 256) - expected).max() <= 1


def test_float_grey_is_clamped(tmp_path):
    values = np.array([[0, 0.25, 1], [-0.5, 1.5, np.nan]], dtype=np.float32)
    image, _ = read_image(save(tmp_path / "a.tif", values))
    np.testing.assert_array_equal(image[1], [[0, 0.25, 1], [0, 1, 0]])


def test_cmyk_tiff(tmp_path):
    inks = RNG.integers(0, 256, (5, 7, 4), dtype=np.uint8)
    Image.frombytes("CMYK", (7, 5), inks.tobytes()).save(tmp_path / "a.tif")
    expected = (255 - inks[..., :3].astype(float)) * (255 - inks[..., 3:].astype(float)) / 255
    assert np.abs(levels(read_image(tmp_path / "a.tif")[0]) - expected).max() <= 1


def test_cmyk_jpeg_is_not_a_negative(tmp_path):
    # Pillow writes, as Adobe does, inverted inks with an Adobe marker
    Image.new("CMYK", (64, 64), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=95)
    assert b"Adobe" in (tmp_path / "red.jpg").read_bytes() and stored_mode(tmp_path / "red.jpg") == "CMYK"
    assert np.abs(levels(read_image(tmp_path / "red.jpg")[0]) - [255, 0, 0]).max() <= 2
    assert np.abs(read_rgb(tmp_path / "red.jpg", 16).astype(int) - [255, 0, 0]).max() <= 2


def test_ycbcr_tiff(tmp_path):
    Image.fromarray(RGB).convert("YCbCr").save(tmp_path / "a.tif", compression="tiff_lzw")
    assert np.abs(levels(read_image(tmp_path / "a.tif")[0]) - RGB).max() <= 3


def test_lab_tiff(tmp_path):
    # sRGB red, mid grey and white in CIELAB of D50
    lab = np.array([[54.29, 80.80, 69.89], [50, 0, 0], [100, 0, 0]]) * [255 / 100, 1, 1]
    Image.frombytes("LAB", (3, 1), np.rint(lab).astype(np.uint8).tobytes()).save(tmp_path / "a.tif")
    assert stored_mode(tmp_path / "a.tif") == "LAB"
    expected = [[255, 0, 0], [119, 119, 119], [255, 255, 255]]
    assert np.abs(levels(read_image(tmp_path / "a.tif")[0])[0] - expected).max() <= 6


@pytest.mark.parametrize(
    ("mode", "values"),
    [("HSV", [[0, 255, 255], [85, 255, 255], [0, 0, 77]]), ("YCbCr", [[76, 85, 255], [150, 44, 21], [77, 128, 128]])],
)
def test_modes_that_few_files_hold(monkeypatch, mode, values):
    picture = Image.frombytes(mode, (3, 1), np.array(values, dtype=np.uint8).tobytes())
    monkeypatch.setattr(Image, "open", lambda *args, **kwargs: picture)
    image, alpha = read_image("a.tif")
    assert np.abs(levels(image)[0] - [[255, 0, 0], [0, 255, 0], [77, 77, 77]]).max() <= 1 and alpha is None


# --- hidden colours


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("a.png", "RGBA", {}),
        ("a.png", "LA", {}),
        ("a.tif", "RGBA", {}),
        ("a.tif", "LA", {}),
        ("a.webp", "RGBA", {"lossless": True, "exact": True}),
        ("a.tga", "RGBA", {}),
    ],
)
@pytest.mark.parametrize("max_size", [None, 20])
def test_hidden_colours_do_not_count(tmp_path, name, mode, options, max_size):
    """Two pictures that look the same: noise under alpha 0, or black."""
    visible = np.dstack([smooth(30, 40), np.where(smooth(30, 40)[..., 0] > 120, 255, 0).astype(np.uint8)])
    visible[:, 30:, 3] //= 2
    for folder in ("noise", "black"):
        hidden = 0 if folder == "black" else RNG.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        colours = np.where(visible[..., 3:] == 0, hidden, visible[..., :3]).astype(np.uint8)
        (tmp_path / folder).mkdir()
        save(tmp_path / folder / name, np.dstack([colours, visible[..., 3]]), mode, **options)
        assert stored_mode(tmp_path / folder / name) == mode
    noise, black = tmp_path / "noise" / name, tmp_path / "black" / name
    assert not np.array_equal(pixels(noise), pixels(black))
    (image, alpha), (other, _) = read_image(noise, max_size), read_image(black, max_size)
    assert torch.equal(image, other) and (image[:, alpha[0] == 0] == 1).all() and (alpha == 0).any()
    np.testing.assert_array_equal(read_rgb(noise, 30), read_rgb(black, 30))
    on_white = Image.new("RGBA", (40, 30), "white")
    on_white.alpha_composite(Image.open(noise).convert("RGBA"))
    for read in (np.rint(to_hwc(read_on_white(noise)) * 255).astype(int), read_rgb(noise, 30).astype(int)):
        assert np.abs(read - np.array(on_white.convert("RGB"))).max() <= 1


def test_hidden_colour_of_a_gif(tmp_path):
    picture, expected = palette_image()
    picture.save(tmp_path / "a.gif", transparency=2)
    hidden = np.array([[0, 0, 1], [0, 0, 0]])[..., None] == 1
    np.testing.assert_array_equal(levels(read_on_white(tmp_path / "a.gif")), np.where(hidden, 255, expected))


def test_opaque_pictures_are_as_they_are(tmp_path):
    path = save(tmp_path / "a.png", RGB)
    assert torch.equal(read_on_white(path), read_image(path)[0])


def test_grey_with_alpha_that_is_multiplied_in(tmp_path):
    grey, alpha = np.full((4, 4), 200, np.uint8), np.full((4, 4), 128, np.uint8)
    stored = np.stack([np.rint(grey * (alpha / 255)).astype(np.uint8), alpha], -1)
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="minisblack", extrasamples=["assocalpha"])
    image, read_alpha = read_image(tmp_path / "a.tif")
    assert np.abs(to_hwc(image) * 255 - 200).max() <= 1 and (levels(read_alpha) == 128).all()


# --- frames and pages


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif", "a.avif"])
@pytest.mark.parametrize("read", [read_image, lambda path: read_rgb(path, 8)], ids=["read_image", "read_rgb"])
def test_animations_and_pages_say_so(tmp_path, name, read):
    if Image.registered_extensions().get(f".{name[2:]}", "").upper() not in Image.SAVE:
        pytest.skip("this Pillow does not write it")
    first, *others = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue", "lime")]
    first.save(tmp_path / name, save_all=True, append_images=others)
    with pytest.raises(ImageError, match="3 frames or pages") as error:
        read(tmp_path / name)
    assert_one_clear_line(error, tmp_path / name)
    first.save(tmp_path / name)
    assert np.abs(read_rgb(tmp_path / name, 8).astype(int) - [255, 0, 0]).max() <= 4


def test_pictures_that_belong_to_another_are_no_pages(tmp_path):
    """The other eye of a JPEG; the smaller copies, and the mask, of a TIFF."""
    whole, small = smooth(32, 48), smooth(16, 24)
    Image.fromarray(whole).save(tmp_path / "a.mpo", save_all=True, append_images=[Image.fromarray(small)], quality=95)
    assert np.abs(levels(read_image(tmp_path / "a.mpo")[0]) - whole).max() <= 12
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(whole, photometric="rgb")
        tiff.write(small, photometric="rgb", subfiletype=1)
        tiff.write(whole[..., 0] > 99, photometric="mask", subfiletype=4)
    np.testing.assert_array_equal(levels(read_image(tmp_path / "a.tif")[0]), whole)


def test_a_page_that_is_not_read_counts(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(smooth(8, 8), photometric="rgb")
        tiff.write(smooth(8, 8).astype(np.float32), photometric="rgb")
    with pytest.raises(ImageError, match="2 frames or pages"):
        read_image(tmp_path / "a.tif")


def test_raw_photos_are_not_their_thumbnails(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(smooth(16, 24), photometric="rgb", subfiletype=1, subifds=1)
        tiff.write(smooth(64, 96), photometric="rgb")
    tifffile.imwrite(
        tmp_path / "b.tif", smooth(16, 24), photometric="rgb", extratags=[(50706, 1, 4, (1, 4, 0, 0), True)]
    )
    for name in ("a.tif", "b.tif"):
        with pytest.raises(ImageError, match="raw photo") as error:
            read_image(tmp_path / name)
        assert_one_clear_line(error, tmp_path / name)


# --- deep files

RAMP = np.linspace(0, 1, 40 * 56).reshape(40, 56)
COLOUR_RAMP = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], -1)


def in_16_bits(values):
    return np.rint(values * 65535).astype(np.uint16)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize(
    ("values", "options"),
    [
        (in_16_bits(RAMP), {}),
        (in_16_bits(1 - RAMP), {"photometric": "miniswhite"}),
        ((RAMP * 32767).astype(np.int16), {}),
        ((RAMP * 127).astype(np.int8), {}),
        ((RAMP * (2**32 - 1)).astype(np.uint32), {}),
        ((RAMP * (2**31 - 1)).astype(np.int32), {}),
        (RAMP.astype(np.float16), {}),
        (RAMP.astype(np.float32), {}),
        (RAMP, {}),
        ((RAMP * 255).astype(np.float32), {}),
        ((1 - RAMP).astype(np.float32), {"photometric": "miniswhite"}),
        (in_16_bits(COLOUR_RAMP), {"photometric": "rgb"}),
        (in_16_bits(COLOUR_RAMP).transpose(2, 0, 1).copy(), {"photometric": "rgb", "planarconfig": "separate"}),
        (COLOUR_RAMP.astype(np.float32), {"photometric": "rgb"}),
        (in_16_bits(RAMP), {"bitspersample": 12}),
    ],
    ids=["16", "inverted 16", "signed 16", "signed 8", "32", "signed 32", "half", "float", "double", "float to 255",
         "inverted float", "rgb 16", "planes of 16", "rgb float", "12"],
)  # fmt: skip
def test_deep_tiff_is_read_right_or_refused(tmp_path, values, options, compression, byteorder):
    path = tmp_path / "a.tif"
    if "bitspersample" in options:
        write_12_bits(path, RAMP)
    else:
        options = {"photometric": "minisblack"} | options
        tifffile.imwrite(path, values, compression=compression, byteorder=byteorder, **options)
    expected = COLOUR_RAMP if options.get("photometric") == "rgb" else np.stack([RAMP] * 3, -1)
    try:
        image, alpha = read_image(path)
        assert np.abs(to_hwc(image) - expected).max() <= 1 / 255 and alpha is None
    except ImageError as error:
        assert str(path) in str(error) and "\n" not in str(error) and "save it" in str(error)
        plain = values.dtype == np.uint16 and options in ({"photometric": "minisblack"}, {"photometric": "rgb"})
        assert not plain, "16 bits, with no more to it, are read"


def write_12_bits(path, values):
    """A grey TIFF of two numbers in three bytes: a header, eight tags, the numbers."""
    height, width = values.shape
    pairs = np.rint(values * 4095).astype(np.uint32).reshape(-1, 2)
    joined = (pairs[:, 0] << 12) | pairs[:, 1]
    data = np.stack([joined >> 16, joined >> 8 & 255, joined & 255], -1).astype(np.uint8).tobytes()
    tags = [(256, 4, width), (257, 4, height), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8 + 2 + 8 * 12 + 4),
            (277, 3, 1), (279, 4, len(data))]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + data)


def test_planes_of_8_bits_are_read(tmp_path):
    for compression in (None, "zlib"):
        options = {"photometric": "rgb", "planarconfig": "separate", "compression": compression}
        tifffile.imwrite(tmp_path / "a.tif", RGB.transpose(2, 0, 1).copy(), **options)
        np.testing.assert_array_equal(levels(read_image(tmp_path / "a.tif")[0]), RGB)
        stored = np.stack([GREY, ALPHA])
        options |= {"photometric": "minisblack", "extrasamples": ["unassalpha"]}
        tifffile.imwrite(tmp_path / "b.tif", stored, **options)
        with pytest.raises(ImageError, match="grey and alpha in separate planes"):
            read_image(tmp_path / "b.tif")


@pytest.mark.parametrize("colour_type", [0, 2], ids=["grey", "rgb"])
def test_transparent_colour_of_16_bits_is_refused(tmp_path, colour_type):
    """Pillow does not compare it with all 16 bits."""
    values = in_16_bits(COLOUR_RAMP if colour_type else RAMP)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = {
        b"IHDR": struct.pack(">IIBBBBB", 56, 40, 16, colour_type, 0, 0, 0),
        b"tRNS": values[3, 7].astype(">u2").tobytes(),
        b"IDAT": zlib.compress(rows),
        b"IEND": b"",
    }
    path = tmp_path / "a.png"
    for without in (b"", b"tRNS"):
        kept = {name: data for name, data in chunks.items() if name != without}
        framed = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in kept.items()]
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(framed))
        if without:
            expected = values if colour_type else np.stack([values] * 3, -1)
            assert np.abs(to_hwc(read_image(path)[0]) - expected / 65535).max() <= 1 / 255
        else:
            with pytest.raises(ImageError, match="one transparent colour") as error:
                read_image(path)
            assert_one_clear_line(error, path)


# --- orientation and profiles

UPRIGHT = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored.swapaxes(0, 1), 2),
    8: lambda stored: np.rot90(stored),
}


def orientation_exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp", "a.jpg"])
def test_exif_orientation(tmp_path, name, orientation):
    stored = smooth(40, 64)
    options = {"lossless": True} if name == "a.webp" else {"quality": 100, "subsampling": 0} if name == "a.jpg" else {}
    path = save(tmp_path / name, stored, exif=orientation_exif(orientation), **options)
    expected = UPRIGHT[orientation](stored)
    tolerance = 4 if name == "a.jpg" else 0
    image = levels(read_image(path)[0])
    assert image.shape == expected.shape
    assert np.abs(image - expected).max() <= tolerance
    # resized, and for JPEG decoded at half size, it is turned once and not twice
    small = to_hwc(read_image(path, max_size=16)[0]) * 255
    assert small.shape == (16, 10, 3) if orientation > 4 else small.shape == (10, 16, 3)
    assert np.abs(small - triangle_resize(expected, small.shape[:2])).max() <= 8
    thumbnail = read_rgb(path, 10)
    assert np.abs(thumbnail - triangle_resize(expected, thumbnail.shape[:2])).max() <= 8


def test_broken_exif_is_ignored(tmp_path):
    path = save(tmp_path / "a.png", RGB, exif=b"Exif\0\0II*\0\xff\xff\xff\xffgarbage")
    np.testing.assert_array_equal(levels(read_image(path)[0]), RGB)


def swapped_profile():
    """sRGB with the red and the blue primary exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert profile.count(b"rXYZ") == profile.count(b"bXYZ") == 1
    return profile.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")


def linear_grey_profile():
    """A minimal ICC profile of a grey scanner with gamma 1."""
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    curve = b"curv\0\0\0\0" + struct.pack(">IH2x", 1, 256)
    tags = struct.pack(">I4s2I4s2I", 2, b"wtpt", 156, len(white), b"kTRC", 156 + len(white), len(curve))
    header = struct.pack(
        ">I4sI4s4s4s12x4s", 156 + len(white) + len(curve), b"lcms", 0x02100000, b"scnr", b"GRAY", b"XYZ ", b"acsp"
    )
    header = header.ljust(68, b"\0") + struct.pack(">3i", 63190, 65536, 54061)
    return header.ljust(128, b"\0") + tags + white + curve


def srgb_encoded(linear):
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)


def test_profile_is_converted_to_srgb(tmp_path):
    path = save(tmp_path / "a.png", RGB, icc_profile=swapped_profile())
    assert np.abs(levels(read_image(path)[0]) - RGB[..., ::-1]).max() <= 1
    assert np.abs(read_rgb(path, 5).astype(int) - RGB[..., ::-1]).max() <= 1


def test_profile_leaves_alpha_alone(tmp_path):
    path = save(tmp_path / "a.png", np.dstack([RGB, ALPHA]), icc_profile=swapped_profile())
    image, alpha = read_image(path)
    assert np.abs(levels(image) - white_where_hidden(RGB[..., ::-1], ALPHA)).max() <= 1
    np.testing.assert_array_equal(levels(alpha)[..., 0], ALPHA)


def test_profile_of_a_palette_image(tmp_path):
    picture, expected = palette_image()
    picture.save(tmp_path / "a.png", icc_profile=swapped_profile())
    assert np.abs(levels(read_image(tmp_path / "a.png")[0]) - expected[..., ::-1]).max() <= 1


def test_srgb_profile_changes_nothing(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = save(tmp_path / "a.png", RGB, icc_profile=srgb)
    np.testing.assert_array_equal(levels(read_image(path)[0]), RGB)


def test_grey_profile(tmp_path):
    ramp = np.arange(256, dtype=np.uint8)[None]
    expected = srgb_encoded(ramp / 255)[..., None]
    eight, _ = read_image(save(tmp_path / "8.png", ramp, icc_profile=linear_grey_profile()))
    assert np.abs(to_hwc(eight) - expected).max() <= 1.5 / 255
    sixteen, _ = read_image(save(tmp_path / "16.png", ramp.astype(np.uint16) * 257, icc_profile=linear_grey_profile()))
    assert np.abs(to_hwc(sixteen) - expected).max() <= 1.5 / 255


@pytest.mark.parametrize(
    "profile", [b"junk", swapped_profile()[:200], linear_grey_profile()], ids=["junk", "cut", "grey"]
)
def test_unusable_profile_is_ignored(tmp_path, profile):
    path = save(tmp_path / "a.png", RGB, icc_profile=profile)
    np.testing.assert_array_equal(levels(read_image(path)[0]), RGB)


def test_profile_of_another_colour_space_is_ignored(tmp_path):
    path = save(tmp_path / "grey.png", GREY, icc_profile=swapped_profile())
    np.testing.assert_array_equal(levels(read_image(path)[0])[..., 0], GREY)
    Image.new("CMYK", (4, 4), (255, 0, 0, 0)).save(tmp_path / "cyan.tif", icc_profile=swapped_profile())
    assert (levels(read_image(tmp_path / "cyan.tif")[0]) == [0, 255, 255]).all()


# --- sizes


@pytest.mark.parametrize(
    ("size", "max_size", "expected"),
    [
        ((300, 200), 90, (90, 60)),
        ((200, 300), 90, (60, 90)),
        ((300, 200), 300, (300, 200)),
        ((300, 200), 1000, (300, 200)),
        ((300, 200), 1, (1, 1)),
        ((1, 500), 50, (1, 50)),
        ((301, 199), 151, (151, 100)),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_max_size(tmp_path, suffix, size, max_size, expected):
    stored = smooth(size[1], size[0])
    image, _ = read_image(save(tmp_path / f"a{suffix}", stored, quality=95), max_size=max_size)
    assert tuple(image.shape) == (3, expected[1], expected[0])
    assert 0 <= image.min() and image.max() <= 1
    assert np.abs(to_hwc(image) * 255 - triangle_resize(stored, expected[::-1])).max() <= (
        15 if min(expected) == 1 else 6
    )


def test_max_size_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match="max_size"):
        read_image(save(tmp_path / "a.png", RGB), max_size=0)


def test_max_size_is_antialiased(tmp_path):
    checker = (np.indices((400, 400)).sum(0) % 2 * 255).astype(np.uint8)
    image, _ = read_image(save(tmp_path / "a.png", checker), max_size=37)
    assert (image - 0.5).abs().max() < 0.03


def test_resized_transparency_does_not_bleed(tmp_path):
    picture = np.zeros((64, 64, 4), dtype=np.uint8)
    picture[:, :31] = [255, 0, 0, 0]  # red that nobody sees
    picture[:, 31:] = [0, 0, 255, 255]
    image, alpha = read_image(save(tmp_path / "a.png", picture), max_size=16)
    visible = alpha[0] > 0.1
    assert image[0][visible].max() < 0.02 and image[2][visible].min() > 0.98
    assert alpha[0, :, :6].max() < 0.1 and alpha[0, :, 9:].min() > 0.9


def test_deep_grey_is_resized_in_floats(tmp_path):
    ramp = np.tile(np.linspace(1000, 1800, 64).astype(np.uint16), (64, 1))  # three 8-bit levels
    image, _ = read_image(save(tmp_path / "a.png", ramp), max_size=32)
    assert image.shape == (3, 32, 32) and len((image[0, 0] * 65535).round().unique()) == 32


@pytest.mark.parametrize(
    "size", [(64, 48), (48, 64), (100, 100), (7, 11), (1, 7), (7, 1), (1, 1), (640, 101), (333, 777)]
)
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_read_rgb_short_side_is_exact(tmp_path, suffix, size):
    width, height = size
    path = save(tmp_path / f"a{suffix}", smooth(height, width), quality=95)
    for short_side in (1, 32, 53):
        photo = read_rgb(path, short_side)
        assert photo.dtype == np.uint8 and photo.flags.writeable and min(photo.shape[:2]) == short_side
        expected = (height * short_side / min(size), width * short_side / min(size), 3)
        assert np.abs(np.subtract(photo.shape, expected)).max() <= 0.5


@pytest.mark.parametrize("size", [(90, 60), (60, 40), (24, 16)])
def test_read_rgb_is_antialiased_bilinear(tmp_path, size):
    noise = RNG.integers(0, 256, (80, 120, 3), dtype=np.uint8)
    photo = read_rgb(save(tmp_path / "a.png", noise), size[1])
    assert np.abs(photo - triangle_resize(noise, size[::-1])).max() <= 2


def test_jpeg_at_reduced_scale_is_not_stretched(tmp_path):
    # an eighth of 137 is 17.125 columns, of which the decoder makes 18
    stored = np.tile(np.linspace(0, 255, 137).round().astype(np.uint8)[None, :, None], (137, 1, 3))
    photo = read_rgb(save(tmp_path / "a.jpg", stored, quality=95), 17)
    assert np.abs(photo - triangle_resize(stored, (17, 17)))[:, 1:-1].max() <= 3


def test_read_rgb_shares_the_handling_of_modes(tmp_path):
    picture, expected = palette_image()
    picture.save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "palette.png", 2), expected)
    np.testing.assert_array_equal(read_rgb(save(tmp_path / "grey.png", GREY), 5), np.stack([GREY] * 3, -1))
    opacity = ALPHA[..., None] / 255
    on_white = read_rgb(save(tmp_path / "alpha.png", np.dstack([RGB, ALPHA])), 5)
    assert np.abs(on_white - (RGB * opacity + 255 * (1 - opacity))).max() <= 0.51


@pytest.mark.parametrize(
    ("size", "short_side"), [((40, 60), 20), ((60, 40), 33), ((9, 9), 9), ((3, 5), 10), ((1, 4), 6)]
)
def test_resize_short_side(size, short_side):
    image = torch.rand(3, *size, generator=torch.Generator().manual_seed(0))
    before = image.clone()
    resized = resize_short_side(image, short_side)
    expected = triangle_resize(to_hwc(image), [round(side * short_side / min(size)) for side in size])
    np.testing.assert_allclose(to_hwc(resized), expected, atol=1e-5)
    assert min(resized.shape[1:]) == short_side and torch.equal(image, before)


@pytest.mark.parametrize("size", [(4000, 1), (3, 500), (101, 10)])
def test_strips_are_not_enlarged(tmp_path, size):
    """A line of pixels 288 rows high would be a gigabyte."""
    path = save(tmp_path / "a.png", smooth(*size[::-1]))
    with pytest.raises(ImageError, match="times as long as wide.* short side of 288: crop it") as error:
        read_rgb(path, 288)
    assert_one_clear_line(error, path)
    with pytest.raises(ImageError, match="times as long as wide"):
        resize_short_side(read_image(path)[0], 288)
    assert read_image(path)[0].shape == (3, *size[::-1]), "as it is, it is read"
    assert min(read_rgb(path, min(size)).shape[:2]) == min(size)


def test_panoramas_are_enlarged_and_strips_shrunk(tmp_path):
    assert read_rgb(save(tmp_path / "a.png", smooth(10, 100)), 20).shape == (20, 200, 3)
    assert resize_short_side(torch.rand(3, 100, 10), 20).shape == (3, 200, 20)
    assert read_rgb(save(tmp_path / "b.png", smooth(40, 1200)), 20).shape == (20, 600, 3)


def test_prints_for_a_wall_open(tmp_path):
    # 190 megapixels: Pillow's own limit is an error above 179; warnings are errors in this file
    Image.new("1", (20000, 9500), 1).save(tmp_path / "a.png", compress_level=1)
    image, _ = read_image(tmp_path / "a.png", max_size=200)
    assert image.shape == (3, 95, 200) and (image == 1).all()


@pytest.mark.parametrize("mode, side, refused", [("RGB", 1125, True), ("RGB", 750, False), ("P", 1500, True)])
def test_a_small_file_does_not_fill_the_memory(tmp_path, monkeypatch, mode, side, refused):
    """By what it states, before a pixel is read: to a gigabyte, here a 64th of one; of photos any."""
    assert images.MOST_MEMORY == 2**30
    monkeypatch.setattr(images, "MOST_MEMORY", 2**24)
    header = struct.pack(">IIBBBBB", side, side, 8, {"RGB": 2, "P": 3}[mode], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"PLTE", bytes(range(6))), (b"IDAT", zlib.compress(bytes(100)))]
    packed = [struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
              for name, data in chunks]  # fmt: skip
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    with pytest.raises(ImageError, match=f"{side}x{side} pixels in .* GB: a trap" if refused else "truncated"):
        read_image(tmp_path / "a.png")
    with open(tmp_path / "a.png", "ab") as file:
        file.truncate(3 * side * side)  # as large as a photo, which is damaged
    with pytest.raises(ImageError, match="truncated|broken"):
        read_image(tmp_path / "a.png", max_size=100)


# --- errors


def test_bytes_that_are_no_picture():
    for content, reason in ((b"nothing", "not an image of a known format"), (b"", "the file is empty")):
        with pytest.raises(ImageError, match=f"^the picture: {reason}"):
            read_image(io.BytesIO(content))


def assert_one_clear_line(error, path):
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("read", [read_image, lambda path: read_rgb(path, 16)], ids=["read_image", "read_rgb"])
def test_unreadable_files(tmp_path, read):
    for suffix in (".jpg", ".png", ".webp", ".gif", ".tif", ".bmp"):
        whole = save(tmp_path / f"whole{suffix}", RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).read_bytes()
        for kept in (len(whole) // 2, 20, 0):
            cut = tmp_path / f"cut{kept}{suffix}"
            cut.write_bytes(whole[:kept])
            with pytest.raises(ImageError) as error:
                read(cut)
            assert_one_clear_line(error, cut)
    (tmp_path / "text.jpg").write_text("hello\n" * 100)
    (tmp_path / "script.jpg").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "empty.pgm").write_bytes(b"P5 0 4 255\n")
    for name, reason in [
        ("text.jpg", "not an image"),
        ("script.jpg", "not an image"),
        ("missing.jpg", "No such file"),
        ("folder.jpg", "Is a directory"),
        ("empty.pgm", None),
    ]:
        with pytest.raises(ImageError, match=reason) as error:
            read(tmp_path / name)
        assert_one_clear_line(error, tmp_path / name)


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "damaged" if "HEIF" in Image.OPEN else "pip install pillow-heif"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "a video or a raw photo"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"8BPS\0\1", "Photoshop"),
        (b"", "the file is empty"),
    ],
)
@pytest.mark.parametrize("suffix", [".jpg", ".heic"])
def test_what_is_no_known_format_says_what_it_is(tmp_path, suffix, start, reason):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(start and start.ljust(300, b"\0"))
    with pytest.raises(ImageError, match=reason) as error:
        read_image(path)
    assert_one_clear_line(error, path)


def test_heic(tmp_path):
    """With the extra `heif` only."""
    pytest.importorskip("pillow_heif")
    stored = smooth(64, 96)
    Image.fromarray(stored).save(tmp_path / "IMG_1.HEIC", quality=95)
    assert find_images(tmp_path) == [tmp_path / "IMG_1.HEIC"]
    (tmp_path / "IMG_1.HEIC").rename(tmp_path / "renamed.jpg")
    assert np.abs(levels(read_image(tmp_path / "renamed.jpg")[0]) - stored).max() <= 8


def test_truncated_says_so(tmp_path):
    path = save(tmp_path / "a.jpg", smooth(64, 64))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ImageError, match="truncated"):
        read_image(str(path))


# --- writing


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF", ".bmp"])
def test_all_256_levels_survive(tmp_path, suffix):
    ramp = np.arange(256, dtype=np.uint8)
    stored = np.stack([ramp, ramp[::-1], np.roll(ramp, 77)], -1).reshape(16, 16, 3)
    write_image(tmp_path / f"a{suffix}", torch.from_numpy(stored / np.float32(255)).permute(2, 0, 1))
    np.testing.assert_array_equal(pixels(tmp_path / f"a{suffix}"), stored)
    image, _ = read_image(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(to_hwc(image), stored / np.float32(255))
    write_image(tmp_path / "again.png", image)
    np.testing.assert_array_equal(pixels(tmp_path / "again.png"), stored)


def test_values_are_clamped_and_rounded_to_nearest(tmp_path):
    values = torch.tensor([-3.0, 0.0, 0.49 / 255, 0.51 / 255, 127.4 / 255, 127.6 / 255, 1.0, 9.0]).expand(3, 1, -1)
    before = values.clone()
    write_image(tmp_path / "a.png", values)
    assert pixels(tmp_path / "a.png")[0, :, 0].tolist() == [0, 0, 0, 1, 127, 128, 255, 255]
    assert torch.equal(values, before)
    write_image(tmp_path / "half.png", torch.ones(3, 2, 2, dtype=torch.bfloat16, requires_grad=True))
    assert (pixels(tmp_path / "half.png") == 255).all()


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_alpha_survives(tmp_path, suffix):
    image = torch.from_numpy(smooth(16, 24) / np.float32(255)).permute(2, 0, 1)
    alpha = torch.linspace(0, 1, 384).reshape(1, 16, 24)
    image[:, 0, 0] = 1  # where alpha is 0
    write_image(tmp_path / f"a{suffix}", image, alpha)
    read, read_alpha = read_image(tmp_path / f"a{suffix}")
    assert (read_alpha - alpha).abs().max() <= 0.501 / 255
    if suffix != ".webp":
        assert torch.equal(read, image)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_a_picture_states_what_made_it(tmp_path, suffix):
    image = torch.rand(3, 9, 7)
    plain, marked = tmp_path / f"plain{suffix}", tmp_path / f"marked{suffix}"
    write_image(plain, image)
    write_image(marked, image, maker="fast_style 12ab")
    assert read_maker(plain) is None and read_maker(marked) == "fast_style 12ab"
    with Image.open(marked) as picture:
        assert picture.getexif()[305] == "fast_style 12ab", "EXIF's number for software"
    assert torch.equal(read_image(plain)[0], read_image(marked)[0])
    (tmp_path / "text.png").write_text("no picture")
    assert read_maker(tmp_path / "text.png") is read_maker(tmp_path / "none.png") is None


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".bmp"])
def test_alpha_is_laid_on_white_where_it_cannot_be_kept(tmp_path, suffix):
    image = torch.zeros(3, 64, 64)
    image[0] = 0.8
    alpha = torch.full((1, 64, 64), 0.25)
    write_image(tmp_path / f"a{suffix}", image, alpha)
    read, read_alpha = read_image(tmp_path / f"a{suffix}")
    assert read_alpha is None
    expected = torch.tensor([0.8 * 0.25 + 0.75, 0.75, 0.75]).reshape(3, 1, 1)
    assert (read - expected).abs().max() <= 2.5 / 255


def test_jpeg_keeps_full_colour_resolution(tmp_path):
    write_image(tmp_path / "a.jpg", torch.rand(3, 32, 32))
    with Image.open(tmp_path / "a.jpg") as picture:
        assert [layer[1:3] for layer in picture.layer] == [(1, 1)] * 3
        quantization = picture.quantization
    reference = io.BytesIO()
    Image.new("RGB", (32, 32)).save(reference, "JPEG", quality=95)
    with Image.open(reference) as picture:
        assert quantization == picture.quantization


def test_folders_are_made_and_nothing_else_is_left(tmp_path):
    write_image(tmp_path / "new" / "deeper" / "a.png", torch.rand(3, 4, 4))
    assert os.listdir(tmp_path / "new" / "deeper") == ["a.png"]


def test_input_can_be_overwritten(tmp_path):
    path = save(tmp_path / "a.png", RGB)
    image, _ = read_image(path)
    write_image(path, 1 - image)
    np.testing.assert_array_equal(levels(read_image(path)[0]), 255 - RGB.astype(int))
    assert os.listdir(tmp_path) == ["a.png"]


def test_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = save(tmp_path / "a.png", RGB)
    before = path.read_bytes()

    def half_a_file(self, target, *args, **kwargs):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", half_a_file)
    with pytest.raises(ImageError, match="No space left") as error:
        write_image(path, torch.rand(3, 4, 4))
    assert_one_clear_line(error, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.png"]


def test_unknown_suffix(tmp_path):
    for name in ("a.xyz", "a"):
        with pytest.raises(ImageError, match=r"\.jpg.*\.png") as error:
            write_image(tmp_path / name, torch.rand(3, 4, 4))
        assert_one_clear_line(error, tmp_path / name)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_colour(tmp_path, value):
    image = torch.rand(3, 4, 4)
    image[1, 2, 3] = value
    with pytest.raises(ImageError, match="NaN") as error:
        write_image(tmp_path / "a.png", image)
    assert_one_clear_line(error, tmp_path / "a.png")
    with pytest.raises(ImageError, match="no pixels"):
        write_image(tmp_path / "a.png", torch.rand(3, 0, 4))
    assert not os.listdir(tmp_path)


def test_wrong_shapes(tmp_path):
    for image, alpha in [((1, 3, 4, 4), None), ((4, 4, 4), None), ((3, 4, 4), (1, 4, 5)), ((3, 4, 4), (4, 4))]:
        with pytest.raises(ValueError, match="must be"):
            write_image(tmp_path / "a.png", torch.rand(image), None if alpha is None else torch.rand(alpha))


# --- folders


def test_find_images(tmp_path):
    for name in ("b.jpg", "a/z.PNG", "a/b/c.webp", "a/notes.txt", ".hidden/x.jpg", "a/._c.webp", "b.jpg.part"):
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).touch()
    (tmp_path / "root" / "folder.png").mkdir()
    expected = [tmp_path / "root" / name for name in ("a/b/c.webp", "a/z.PNG", "b.jpg")]
    assert find_images(tmp_path / "root") == find_images(str(tmp_path / "root")) == expected
    (tmp_path / "root" / "a" / "loop").symlink_to(tmp_path / "root", target_is_directory=True)
    assert find_images(tmp_path / "root") == expected
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "photos").symlink_to(tmp_path / "root" / "a" / "b", target_is_directory=True)
    assert find_images(tmp_path / "linked") == [tmp_path / "linked" / "photos" / "c.webp"]


def test_find_images_needs_a_folder(tmp_path):
    for path in (tmp_path / "missing", save(tmp_path / "a.png", RGB)):
        with pytest.raises(ImageError, match="no such folder"):
            find_images(path)


def test_what_a_folder_holds_besides_images_is_counted(tmp_path):
    for name in ("a.jpg", "deep/IMG_1.HEIC", "IMG_2.heic", "notes.txt", "b.txt", "README", ".hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    files = find_files(tmp_path)
    assert len(files) == 6 and only_images(files) == find_images(tmp_path)
    others = "3 that are no pictures by their suffix (2 .txt, 1 without suffix)"
    if "HEIF" in Image.OPEN:
        assert left_out(files) == f"left out {others}"
    else:
        hint = "HEIC is read after: pip install pillow-heif; or save it as JPEG"
        assert left_out(files) == f"left out 2 HEIC ({hint}) and {others}"
    assert left_out([tmp_path / "a.jpg"]) is None and left_out([]) is None


def test_many_kinds_of_other_files_stay_one_short_line():
    note = left_out(images.Path(f"a.x{index}") for index in range(40))
    assert note.startswith("left out 40 ") and note.endswith(", ...)") and len(note) < 200


def test_suffixes():
    assert images.IMAGE_SUFFIXES >= {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"}
    assert not images.IMAGE_SUFFIXES & {".eps", ".pdf", ".txt", ".mpg"}
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in images.IMAGE_SUFFIXES)
