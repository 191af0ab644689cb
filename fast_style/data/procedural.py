"""Procedural images with the statistics of photos, to train on where no data set is at hand.

A scene is painted back to front from textured, shaded, occluding shapes, the dead-leaves model of natural images
(Lee, Mumford and Huang, "Occlusion models for natural images", IJCV 2001), and then seen through a simple camera.
Inside this file images are float32 (3, H, W), because planes are faster to blend than interleaved pixels.
"""

import io
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

TILE = 256  # side of the periodic texture tiles
SMALLEST = 32  # side below which shapes have no room; smaller images are reduced from this one
BILINEAR = Image.Resampling.BILINEAR

# How often each texture and each shape is drawn.
TEXTURES = ("rough",) * 5 + ("grain",) * 4 + ("patches",) + ("leaves",) * 8 + ("grids",) * 4
SHAPES = ("ellipse",) * 3 + ("polygon",) + ("box",) * 3 + ("blob",) * 3 + ("petals",)
ANGLES = np.linspace(0, 2 * np.pi, 40, endpoint=False)
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)

# Mean RGB of common materials and how often a scene holds them: most of a photo is made of muted colours.
MATERIALS = (
    ((0.46, 0.38, 0.29), 0.20),  # earth, fur
    ((0.33, 0.38, 0.20), 0.16),  # foliage
    ((0.52, 0.52, 0.50), 0.16),  # stone, concrete
    ((0.74, 0.57, 0.45), 0.12),  # skin, wood
    ((0.60, 0.55, 0.44), 0.10),  # sand, straw
    ((0.42, 0.52, 0.62), 0.08),  # water, haze
    ((0.88, 0.87, 0.84), 0.09),  # paper, plaster
    ((0.08, 0.08, 0.08), 0.09),  # black
)


@dataclass
class Scene:
    """What all parts of one image share."""

    size: int
    generator: np.random.Generator
    materials: np.ndarray  # (n, 3) mean colours
    light: np.ndarray  # unit vector towards the light in the image plane, (y, x)
    roughness: float  # scales the contrast of all textures


def procedural_image(size: int, generator: np.random.Generator) -> np.ndarray:
    """Draw a random scene; uint8 RGB of shape (size, size, 3), the same for the same generator state."""
    if size < SMALLEST:
        image = Image.fromarray(procedural_image(SMALLEST, generator))
        return np.array(image.resize((size, size), Image.Resampling.BOX))
    angle = generator.uniform(-1.3, 1.3)
    light = np.array([-math.cos(angle), math.sin(angle)], np.float32)
    scene = Scene(size, generator, _palette(generator), light, math.exp(generator.normal(0, 0.4)))
    layout = generator.choice([_landscape, _room, _close_up, _clutter, _facade], p=[0.24, 0.26, 0.24, 0.18, 0.08])
    return _camera(_illuminate(layout(scene), scene), generator)


# Textures


def noise_field(side: int, exponent: float, generator: np.random.Generator, stretch: float = 1.0) -> np.ndarray:
    """Periodic Gaussian noise with amplitude spectrum 1/f^exponent, (side, side), zero mean and unit variance.

    Natural images have an exponent near 1 (Field, JOSA A 1987); `stretch` above 1 makes vertical grain.
    """
    fy, fx = np.fft.fftfreq(side)[:, None] * side, np.fft.rfftfreq(side)[None] * side
    radius = np.sqrt((fy * stretch) ** 2 + (fx / stretch) ** 2)
    radius[0, 0] = np.inf
    spectrum = np.fft.rfft2(generator.standard_normal((side, side))) / np.maximum(radius, 0.5) ** exponent
    return _standardise(np.fft.irfft2(spectrum, s=(side, side)))


def _standardise(tile: np.ndarray) -> np.ndarray:
    return ((tile - tile.mean()) / (tile.std() + 1e-6)).astype(np.float32)


def _leaf_tile(generator: np.random.Generator) -> np.ndarray:
    """Overlapping marks with power-law sizes and random grey values: gravel, leaves, grass, hair or pebbles."""
    image = Image.new("L", (2 * TILE, 2 * TILE), 128)
    draw = ImageDraw.Draw(image)
    elongation, angle = math.exp(generator.uniform(0, 3.0)), generator.uniform(0, np.pi)
    spread, corners = generator.choice([0.15, 0.5, np.pi]), generator.choice([4, 5, 12])
    turns = 2 * np.pi * np.arange(corners) / corners
    for radius in np.minimum(generator.uniform(2, 5) * generator.uniform(0.01, 1, 1500) ** -0.5, 40) / elongation**0.5:
        theta, (x, y) = angle + generator.uniform(-spread, spread), generator.uniform(0, 2 * TILE, 2)
        along, across = radius * elongation * np.cos(turns), radius * np.sin(turns)
        xs = x + along * math.cos(theta) - across * math.sin(theta)
        ys = y + along * math.sin(theta) + across * math.cos(theta)
        grey = generator.normal(128, 45)
        draw.polygon(list(zip(xs - 1, ys + 2, strict=True)), fill=int(np.clip(grey - 70, 0, 255)))  # its shadow
        draw.polygon(list(zip(xs, ys, strict=True)), fill=int(np.clip(grey, 0, 255)))
    return _standardise(np.asarray(image.reduce(2), np.float32))


def _grid_tile(generator: np.random.Generator) -> np.ndarray:
    """Repeated cells that differ slightly: bricks, tiles, boards, mesh or stripes, slightly warped."""
    rows, columns = 2 ** generator.integers(0, 6, 2)
    if generator.random() < 0.4:
        rows = 1
    warp = generator.choice([0.0, 0.02, 0.1]) * noise_field(TILE, 2.0, generator)
    y = (np.arange(TILE)[:, None] / TILE + warp) * rows
    x = (np.arange(TILE)[None] / TILE + warp.T) * columns
    if generator.random() < 0.5:
        x = x + 0.5 * (np.floor(y) % 2)
    cells = generator.normal(0, generator.uniform(0.1, 1), (rows, columns))
    tile = cells[np.floor(y).astype(int) % rows, np.floor(x).astype(int) % columns]
    gap, softness = generator.uniform(0.02, 0.5), generator.uniform(0.02, 0.3)
    # The distance from the middle of a cell; a single row or column has no joints.
    edge = np.maximum(np.abs(y % 1 - 0.5) * (rows > 1), np.abs(x % 1 - 0.5) * (columns > 1))
    joint = np.clip((edge - 0.5 + gap / 2) / softness + 0.5, 0, 1)
    return _standardise(tile + generator.choice([-1.5, 1.5]) * joint + 0.2 * noise_field(TILE, 1.0, generator))


def _text_tile(generator: np.random.Generator) -> np.ndarray:
    """Rows of short strokes that look like writing."""
    image = Image.new("L", (2 * TILE, 2 * TILE))
    draw = ImageDraw.Draw(image)
    pitch = 2 * TILE // (8, 16, 32)[generator.integers(3)]
    alphabet = [generator.uniform(0.15, 0.85, (4, 2)) * [0.6, 1] for _ in range(20)]
    for row in range(0, 2 * TILE, pitch):
        for column in np.arange(0, 2 * TILE, 0.65 * pitch):
            if generator.random() < 0.85:
                glyph = alphabet[generator.integers(20)] * pitch + [column, row]
                draw.line(glyph.ravel().tolist(), fill=255, width=max(1, pitch // 8))
    return _standardise(np.asarray(image.reduce(2), np.float32)) * generator.choice([-0.5, 0.5])


@lru_cache(maxsize=1)
def _texture_bank() -> dict[str, list[Image.Image]]:
    """Tiles shared by all images, (2 TILE, 2 TILE) each; drawing them once leaves the time for the scenes."""
    generator = np.random.default_rng(0)
    smooth = [noise_field(TILE, exponent, generator) for exponent in (1.6, 1.8, 2.0, 2.2)]
    rough = [noise_field(TILE, exponent, generator) for exponent in np.linspace(0.5, 1.4, 8)]
    grain = [noise_field(TILE, 1.0, generator, stretch) for stretch in (1.6, 3.0, 1 / 1.6, 1 / 3, 1 / 4.5)]
    veins = [_standardise(-np.abs(noise_field(TILE, 1.3, generator, stretch))) for stretch in (1.0, 1.0, 2.5)]
    patches = [_standardise(np.tanh(4 * noise_field(TILE, e, generator))) for e in (1.2, 1.5, 1.8)]
    leaves = [_leaf_tile(generator) for _ in range(12)]
    grids = [_grid_tile(generator) for _ in range(14)] + [_text_tile(generator) for _ in range(4)]
    bank = dict(smooth=smooth, rough=rough + veins, grain=grain, patches=patches, leaves=leaves, grids=grids)
    return {kind: [Image.fromarray(np.tile(tile, (2, 2))) for tile in tiles] for kind, tiles in bank.items()}


def _texture(scene: Scene, kind: str, height: int, width: int, zoom: float = 1.0, tilt: float = 0.0) -> np.ndarray:
    """A rotated, enlarged and tilted window of a random tile, (height, width); tilt > 0 recedes towards the top."""
    generator = scene.generator
    tiles = _texture_bank()[kind]
    tile = tiles[generator.integers(len(tiles))]
    angle = generator.normal(0, 0.15) if tilt or generator.random() < 0.5 else generator.uniform(0, 2 * np.pi)
    cos, sin = math.cos(angle), math.sin(angle)
    extent = max(height, width) * (abs(cos) + abs(sin)) * (1 + tilt)
    scale = min(1 / (zoom * max(1.0, scene.size / TILE)), (2 * TILE - 4) / extent)
    a, b, d, e = scale * cos, -scale * sin, scale * sin, scale * cos
    left = -min(0, a * width, b * height, a * width + b * height)
    top = -min(0, d * width, e * height, d * width + e * height)
    slack = max(0.0, 2 * TILE - 2 - scale * extent)
    left, top = left + generator.uniform(0, slack), top + generator.uniform(0, slack)
    affine = (a, b, left, d, e, top)
    if not tilt:
        return np.asarray(tile.transform((width, height), Image.Transform.AFFINE, affine, BILINEAR))
    # The denominator of the projection grows downwards, so that the texture is finer at the top.
    projection = (*affine, 0.0, tilt / height)
    return np.asarray(tile.transform((width, height), Image.Transform.PERSPECTIVE, projection, BILINEAR))


def _surface(scene: Scene, height: int, width: int, contrast: float | None = None, tilt: float = 0.0) -> np.ndarray:
    """A textured material, (3, height, width): the texture mixes two colours and modulates the brightness."""
    generator = scene.generator
    if contrast is None:
        contrast = min(0.25 * scene.roughness * math.exp(generator.normal(0, 0.9)), 0.7)
    kind = TEXTURES[generator.integers(len(TEXTURES))]
    texture = contrast * _texture(scene, kind, height, width, math.exp(generator.uniform(-1.1, 0.2)), tilt)
    if height > 32:
        texture += (0.1 + 0.4 * contrast) * _texture(scene, "smooth", height, width, math.exp(generator.uniform(0, 1)))
    accent = height < 0.6 * scene.size  # large areas are rarely saturated
    first, second = _colour(scene, accent), _colour(scene, accent)
    share = np.clip(texture + generator.uniform(-0.2, 0.3), 0, 1)
    return (first[:, None, None] + (second - first)[:, None, None] * share) * np.exp(texture)


# Colour


def _palette(generator: np.random.Generator) -> np.ndarray:
    """A few materials under one tinted light, (6, 3); often the last one is saturated."""
    colours, shares = np.array([colour for colour, _ in MATERIALS]), [share for _, share in MATERIALS]
    chosen = colours[generator.choice(len(colours), 6, p=shares)]
    if generator.random() < 0.7:
        warm = generator.random() < 0.7  # red to yellow: fruit, flowers, paint, clothes
        hue = generator.normal(0.45, 0.55) if warm else generator.uniform(0, 2 * np.pi)
        cosines = np.cos(hue - np.array([0, 2, 4]) * np.pi / 3)
        chosen[-1] = np.clip(0.45 + generator.uniform(0.2, 0.45) * cosines, 0.03, 0.95)
    grey = (chosen @ LUMINANCE)[:, None]
    saturation = 0.0 if generator.random() < 0.03 else generator.uniform(0.75, 2.2)
    tint = np.exp(generator.normal() * saturation * np.array([0.08, 0.0, -0.1]))
    return np.clip((grey + (chosen - grey) * saturation) * tint, 0.02, 1).astype(np.float32)


def _colour(scene: Scene, accent: bool = True) -> np.ndarray:
    """A material at a random brightness, (3,): in photos luminance varies far more than hue."""
    generator = scene.generator
    chosen = -1 if accent and generator.random() < 0.3 else generator.integers(len(scene.materials) - 1)
    brightness = generator.normal(0, 0.7) + generator.normal(0, 0.06, 3)
    return np.clip(scene.materials[chosen] * np.exp(brightness), 0, 1.2).astype(np.float32)


# Shapes


def _outline(generator: np.random.Generator) -> np.ndarray:
    """Vertices of one closed shape in [-1, 1]^2, (n, 2): ellipse, polygon, box, blob or petals."""
    kind = SHAPES[generator.integers(len(SHAPES))]
    angles, radius, turn = ANGLES, np.ones(len(ANGLES)), generator.uniform(0, 2 * np.pi)
    if kind == "polygon":
        angles = np.sort(generator.uniform(0, 2 * np.pi, generator.integers(3, 8)))
        radius = np.ones(len(angles))
    elif kind == "box":
        power = (4, 8, 40)[generator.integers(3)]  # a superellipse: the corners are more or less round
        radius = 0.8 * (np.cos(angles) ** power + np.sin(angles) ** power) ** (-1 / power)
        turn = generator.normal(0, 0.1)
    elif kind == "blob":
        waves = np.arange(2, 8)
        sizes = generator.normal(0, 0.4, 6) / waves
        radius = 0.75 + sizes @ np.cos(waves[:, None] * angles + generator.uniform(0, 2 * np.pi, (6, 1)))
    elif kind == "petals":
        radius = 0.6 + 0.4 * np.cos(generator.integers(2, 9) * angles)
    points = np.stack([np.cos(angles), np.sin(angles)], 1) * radius[:, None]
    points[:, generator.integers(2)] *= math.exp(-generator.exponential(0.5))
    cos, sin = math.cos(turn), math.sin(turn)
    return points @ np.array([[cos, sin], [-sin, cos]])


def _mask(scene: Scene, side: int, symmetric: bool = False) -> np.ndarray:
    """Coverage in [0, 1] of a random silhouette, (side, side): one outline, or a body with limbs."""
    generator = scene.generator
    image = Image.new("L", (2 * side, 2 * side))  # twice the size, for smooth edges
    draw = ImageDraw.Draw(image)
    strokes = generator.random() < 0.15  # lines only: twigs, wires, legs, letters
    parts = 1 if not strokes and generator.random() < 0.5 else int(generator.integers(2, 7))
    for part in range(parts):
        scale = 0.95 if parts == 1 else generator.uniform(0.2, 0.65)
        centre = generator.normal(0, 0.25, 2) if part else 0
        if not strokes:
            draw.polygon(((scale * _outline(generator) + centre + 1) * side).ravel().tolist(), fill=255)
        if strokes or (part and generator.random() < 0.5):
            joints = (np.cumsum(generator.normal(0, 0.3, (4, 2)), 0) + 1) * side
            width = max(1, int(side * math.exp(generator.uniform(-4, -1.5))))
            draw.line(joints.ravel().tolist(), fill=255, width=width, joint="curve")
    mask = np.asarray(image.reduce(2), np.float32) / 255
    if symmetric:
        mask = np.maximum(mask, mask[:, ::-1])
    if side > 24 and generator.random() < 0.3:  # a ragged border: fur, foliage
        soft = _blur(mask, side / 20)
        ragged = _texture(scene, ("rough", "leaves")[generator.integers(2)], side, side)
        mask = np.clip((soft - 0.5 + 0.15 * ragged) * 6 + 0.5, 0, 1) * (soft > 0.02)
    return mask


def _resize(plane: np.ndarray, height: int, width: int, resample: Image.Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(np.ascontiguousarray(plane)).resize((width, height), resample))


def _blur(image: np.ndarray, radius: float) -> np.ndarray:
    """Low-pass filter of (H, W) or (3, H, W) by reducing and enlarging, enough for defocus and soft shadows."""
    if radius < 0.7:
        return image
    if image.ndim == 3:
        return np.stack([_blur(plane, radius) for plane in image])
    height, width = image.shape
    small = _resize(image, max(2, round(height / radius)), max(2, round(width / radius)), Image.Resampling.HAMMING)
    return np.maximum(_resize(small, height, width, Image.Resampling.BICUBIC), 0)


# Objects


def _shading(scene: Scene, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lambertian shading and specular highlight of a relief whose height is the blurred mask, (side, side) each."""
    generator = scene.generator
    side = len(mask)
    relief = _blur(mask, side / generator.uniform(4, 12))
    slope_y, slope_x = np.gradient(relief * float(side * generator.uniform(0.1, 0.5)))
    norm = np.sqrt(slope_y**2 + slope_x**2 + 1)
    facing = (0.8 - 0.6 * (slope_y * scene.light[0] + slope_x * scene.light[1])) / norm
    gloss = generator.uniform(0.1, 0.9) if generator.random() < 0.3 else 0.0
    return np.clip(facing + 0.25, 0.2, 1.4), gloss * np.clip(facing, 0, 1) ** 24


def _sprite(scene: Scene, side: int, parts: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """A shaded object with markings: its mask (side, side) and surface (3, side, side)."""
    generator = scene.generator
    symmetric = generator.random() < 0.4
    mask, surface = _mask(scene, side, symmetric), _surface(scene, side, side)
    if side >= 24:
        for _ in range(generator.poisson(parts)):
            small = max(4, int(side * generator.uniform(0.08, 0.6)))
            y, x = generator.integers(0, side - small, 2)
            marking = _sprite(scene, small, 0.5 * parts)
            _paint(surface, *marking, y, x)
            if symmetric:
                _paint(surface, marking[0][:, ::-1], marking[1][:, :, ::-1], y, side - small - x)
        shading, highlight = _shading(scene, mask)
        surface = surface * shading + highlight
    return mask, surface


def _paint(canvas: np.ndarray, mask: np.ndarray, surface: np.ndarray, top: int, left: int) -> None:
    """Blend a surface over the canvas, in place, where the mask lies; it may reach over the border."""
    height, width = canvas.shape[1:]
    y0, x0, y1, x1 = max(top, 0), max(left, 0), min(top + mask.shape[0], height), min(left + mask.shape[1], width)
    if y0 < y1 and x0 < x1:
        rows, columns = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
        target = canvas[:, y0:y1, x0:x1]
        target += (surface[:, rows, columns] - target) * mask[rows, columns]


def _place(canvas: np.ndarray, scene: Scene, sprite: tuple[np.ndarray, np.ndarray], y: float, x: float) -> None:
    """Paint a sprite centred at (y, x) over its cast shadow, in place."""
    mask, surface = sprite
    side = len(mask)
    top, left = round(y - side / 2), round(x - side / 2)
    if side > 16 and scene.generator.random() < 0.7:
        shadow = scene.generator.uniform(0.1, 0.7) * _blur(mask, side / 10)
        dy, dx = (-scene.light * side * scene.generator.uniform(0.02, 0.12)).round().astype(int)
        _paint(canvas, shadow, np.broadcast_to(np.float32(0), surface.shape), top + dy, left + dx)
    _paint(canvas, mask, surface, top, left)


def _scatter(canvas: np.ndarray, scene: Scene, count: int, smallest: float, largest: float, low: float = 0.0) -> None:
    """Place single objects with sizes p(r) ~ r^-2, below the height `low`."""
    size, generator = scene.size, scene.generator
    sprite = None
    for u in generator.random(count):
        if sprite is None or generator.random() < 0.7:
            sprite = _sprite(scene, max(6, int(size / (1 / smallest + u * (1 / largest - 1 / smallest)))))
        else:  # things come in groups
            sprite = sprite[0][:, ::-1], sprite[1][:, :, ::-1] * math.exp(generator.normal(0, 0.2))
        _place(canvas, scene, sprite, generator.uniform(low, 1) * size, generator.uniform(0, 1) * size)


def _flock(canvas: np.ndarray, scene: Scene, low: float = 0.0) -> None:
    """Place many turned copies of two small objects: leaves, pebbles, flowers, a crowd."""
    size, generator = scene.size, scene.generator
    sprites = [_sprite(scene, max(6, int(size * generator.uniform(0.03, 0.15))), 1.0) for _ in range(2)]
    centre, spread = generator.uniform(low, 1), generator.uniform(0.1, 0.5)
    for _ in range(generator.integers(10, 120)):
        mask, surface = sprites[generator.integers(2)]
        if generator.random() < 0.5:
            mask, surface = mask.T, surface.transpose(0, 2, 1)
        mask, surface = mask[:, :: generator.choice([-1, 1])], surface * math.exp(generator.normal(0, 0.25))
        y, x = generator.normal(centre, 0.4 * spread), generator.normal(0.5, spread)
        _paint(canvas, mask, surface, round(y * size), round(x * size))


def _strands(canvas: np.ndarray, scene: Scene) -> None:
    """Paint long thin shaded strokes across the picture, in place: twigs, stems, wires, fences, frames."""
    size, generator = scene.size, scene.generator
    image = Image.new("L", (2 * size, 2 * size))
    draw = ImageDraw.Draw(image)
    angle, spread = generator.normal(np.pi / 2, 0.6), (0.0, 0.1, 1.5)[generator.integers(3)]
    bend = (0, 0.3)[generator.integers(2)]
    width = size * math.exp(generator.uniform(-5.5, -2.7))
    for _ in range(generator.integers(3, 50)):
        theta = angle + spread * generator.normal() + bend * np.cumsum(generator.normal(0, 1, 6))
        steps = size * generator.uniform(0.1, 0.5) * np.stack([np.cos(theta), np.sin(theta)], 1)
        points = generator.uniform(-0.2, 2, 2) * size + np.cumsum(steps, 0)
        breadth = max(1, int(2 * width * math.exp(generator.normal(0, 0.4))))
        draw.line(points.ravel().tolist(), fill=255, width=breadth, joint="curve")
    mask = np.asarray(image.reduce(2), np.float32) / 255
    relief = _blur(mask, max(1.5, width / 2))
    shading = np.clip(1 + 1.5 * (np.roll(relief, 1, 0) - relief + np.roll(relief, 1, 1) - relief), 0.3, 1.7)
    _paint(canvas, mask, _surface(scene, size, size) * shading, 0, 0)


def _lights(canvas: np.ndarray, scene: Scene) -> None:
    """Add bright discs of one size, in place: lamps at night or highlights out of focus."""
    size, generator = scene.size, scene.generator
    radius = max(1.5, size * math.exp(generator.uniform(-5, -2.7)))
    axis = np.arange(-math.ceil(radius) - 1, math.ceil(radius) + 2, dtype=np.float32)
    disc = np.clip(radius - np.hypot(axis[:, None], axis), 0, 1) * generator.uniform(0.3, 1)
    for _ in range(generator.integers(3, 40)):
        colour = np.clip(generator.normal([1.3, 1.1, 0.8], 0.25), 0, 2).astype(np.float32)[:, None, None]
        y, x = generator.integers(0, size, 2)
        _paint(canvas, disc, np.broadcast_to(colour, (3, *disc.shape)), y, x)


# Layouts


def _gradient(scene: Scene) -> np.ndarray:
    """A wall or backdrop: one colour under slowly changing light, (3, size, size)."""
    generator = scene.generator
    axis = np.linspace(-1, 1, scene.size, dtype=np.float32)
    ramp = generator.normal(0, 0.2) * axis[:, None] + generator.normal(0, 0.15) * axis
    ramp = ramp + generator.uniform(0, 0.1) * _texture(scene, "smooth", scene.size, scene.size, 2.0)
    ramp += generator.uniform(0, 0.04) * _texture(scene, "rough", scene.size, scene.size)
    colour = _colour(scene, accent=generator.random() < 0.1)
    if generator.random() < 0.3:
        colour = np.full(3, generator.uniform(0.8, 1.1))
    return (colour[:, None, None] * np.exp(ramp)).astype(np.float32)


def _landscape(scene: Scene) -> np.ndarray:
    """A sky above ridges and a ground in perspective."""
    size, generator = scene.size, scene.generator
    ramp = np.linspace(0, 1, size, dtype=np.float32)[:, None]
    bright = generator.choice([1.0, 0.8, 0.5, 0.1], p=[0.4, 0.3, 0.2, 0.1])
    blue = bright * (1 - generator.uniform(0, 0.6) * np.array([1, 0.6, 0.15], np.float32))[:, None, None]
    canvas = (blue + (bright - blue) * ramp) * np.ones((3, size, size), np.float32)
    if generator.random() < 0.5:
        clouds = np.clip(0.6 * _texture(scene, "rough", size, size, 1.5), 0, 1)
        canvas += (bright * 1.1 - canvas) * clouds
    horizon = generator.uniform(0.0, 0.6)
    layers = generator.integers(1, 5)
    for layer in range(layers):
        level = horizon + 0.1 * layer * generator.uniform(0.5, 1.5)
        ridge = generator.choice([0.003, 0.05]) * _texture(scene, "smooth", size, size)[:1]
        ridge = ridge + generator.choice([0, 0.01, 0.04]) * _texture(scene, "rough", size, size)[:1]
        mask = np.clip((ramp - level - ridge) * size, 0, 1)
        land = _surface(scene, size, size, generator.uniform(0.05, 0.4), tilt=generator.choice([0.0, 2.0]))
        haze = generator.uniform(0, 0.5) / (1 + layer)
        _paint(canvas, mask, land * generator.uniform(0.6, 1.0) * (1 - haze) + haze * bright, 0, 0)
        if generator.random() < 0.3:
            _flock(canvas, scene, level)
    if generator.random() < 0.25:
        _strands(canvas, scene)
    if bright == 0.1:
        _lights(canvas, scene)
    _scatter(canvas, scene, generator.integers(2, 7), 0.12, 1.2, low=horizon)
    return canvas


def _room(scene: Scene) -> np.ndarray:
    """A plain wall, perhaps a floor, and a few objects before them."""
    size, generator = scene.size, scene.generator
    canvas = _gradient(scene)
    if generator.random() < 0.2:  # a product on white paper
        canvas = 1.3 + 0.1 * canvas
    elif generator.random() < 0.6:
        floor = _gradient(scene) if generator.random() < 0.5 else _surface(scene, size, size, tilt=1.5)
        rows = np.arange(size, dtype=np.float32)[:, None] + generator.normal(0, 0.2) * np.arange(size)[None]
        _paint(canvas, np.clip(rows - size * generator.uniform(0.4, 0.9), 0, 1), floor, 0, 0)
    _scatter(canvas, scene, generator.integers(3, 9), 0.2, 1.3)
    return canvas


def _close_up(scene: Scene) -> np.ndarray:
    """A defocused background behind one or two large sharp objects."""
    size, generator = scene.size, scene.generator
    canvas = _surface(scene, size, size)
    _scatter(canvas, scene, generator.integers(0, 8), 0.15, 0.9)
    if generator.random() < 0.3:
        _strands(canvas, scene)
    if generator.random() < 0.15:
        _lights(canvas, scene)
    canvas = _blur(canvas, size * math.exp(generator.uniform(-5.3, -3.3)))
    for _ in range(generator.integers(1, 4)):
        y, x = generator.normal(0.5, 0.18, 2) * size
        _place(canvas, scene, _sprite(scene, int(size * generator.uniform(0.5, 1.3)), 4.0), y, x)
    if generator.random() < 0.5:
        (_flock, _strands)[generator.integers(2)](canvas, scene)
    return canvas


def _clutter(scene: Scene) -> np.ndarray:
    """Objects of all sizes everywhere: the plain dead-leaves image."""
    canvas = _surface(scene, scene.size, scene.size)
    _scatter(canvas, scene, scene.generator.integers(12, 21), 0.12, 1.0)
    (_flock if scene.generator.random() < 0.6 else _strands)(canvas, scene)
    return canvas


def _facade(scene: Scene) -> np.ndarray:
    """The same object in rows and columns on a wall: windows, shelves, parked cars."""
    size, generator = scene.size, scene.generator
    canvas = _surface(scene, size, size)
    rows, columns = generator.integers(2, 9, 2)
    sprite = _sprite(scene, int(size / max(rows, columns) * generator.uniform(0.6, 1.1)))
    for row in range(-1, rows + 1):
        for column in range(-1, columns + 1):
            y = (row + 0.5) / rows + 0.02 * generator.normal()
            x = (column + 0.5) / columns
            _paint(canvas, sprite[0], sprite[1] * math.exp(generator.normal(0, 0.15)), round(y * size), round(x * size))
    if generator.random() < 0.6:
        canvas = _project(canvas, generator)
    _scatter(canvas, scene, generator.integers(0, 6), 0.2, 1.0)
    if generator.random() < 0.3:
        _strands(canvas, scene)
    return canvas


def _project(canvas: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The same picture on a plane seen at an angle: parallel lines converge."""
    size = canvas.shape[1]
    inset = size * generator.uniform(0, 0.3, (4, 2)) * generator.uniform(0, 1, (1, 2))
    inward = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])
    corners = (np.array([[0, 0], [0, size], [size, size], [size, 0]]) + inset * inward).ravel().tolist()
    views = (Image.fromarray(p).transform((size, size), Image.Transform.QUAD, corners, BILINEAR) for p in canvas)
    return np.stack([np.asarray(view) for view in views])


# Camera


def _illuminate(canvas: np.ndarray, scene: Scene) -> np.ndarray:
    """Uneven light over the whole scene: pools of light and the shadow of something outside the picture."""
    size, generator = scene.size, scene.generator
    light = 0.5 * generator.random() ** 2 * _texture(scene, "smooth", size, size, 2.0)
    if generator.random() < 0.2:
        light -= generator.uniform(0.3, 1.0) * np.clip(2 * _texture(scene, "smooth", size, size, 2.0), 0, 1)
    return canvas * np.exp(light)


def _camera(canvas: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Vignette, exposure, sensor noise, sharpening and JPEG compression: (3, size, size) to uint8 (size, size, 3)."""
    size = canvas.shape[1]
    axis = np.linspace(-1, 1, size, dtype=np.float32) ** 2
    canvas = canvas * (1 - generator.uniform(0, 0.2) * (axis[:, None] + axis))
    luminance = np.tensordot(LUMINANCE, canvas[:, ::4, ::4], 1)
    dark, bright = (float(level) for level in np.quantile(luminance, [0.01, 0.97]))
    scale = max(bright - dark, 0.1)
    luminance = np.clip((luminance - dark) / scale, 0.002, 1)
    mean = float(luminance.mean())
    target = min(max(0.53 + 0.9 * (mean - 0.45) + generator.normal(0, 0.08), 0.15), 0.92)
    gamma = min(max(math.log(target) / math.log(mean), 0.5), 1.8)
    luminance **= gamma
    gain = min(max(generator.normal(0.24, 0.065) / float(luminance.std()), 0.6), 2.0)
    canvas = np.maximum((canvas - dark) / scale, 0) ** gamma
    canvas = np.clip(target + gain * (canvas - float(luminance.mean())), 0, 1) * min(generator.normal(0.98, 0.08), 1.0)
    canvas += min(generator.exponential(0.004), 0.02) * generator.standard_normal(canvas.shape, dtype=np.float32)
    image = Image.fromarray((np.clip(canvas, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))
    image = image.filter(ImageFilter.UnsharpMask(radius=1.2, percent=int(generator.uniform(0, 50)), threshold=0))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=int(generator.integers(75, 97)))
    return np.array(Image.open(buffer))
