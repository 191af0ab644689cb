"""Paint any number of pictures in random procedural styles: python -m scripts.painting.random_styles --count 100

A motif, a palette, a medium, lines and a surface are drawn for each.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import Delaunay, cKDTree
from skimage.measure import find_contours

from scripts.painting.brushes import (
    SUPERSAMPLE,
    InkSheet,
    OilCanvas,
    Scene,
    Size,
    Watercolour,
    WoodBlock,
    lay_tiles,
    paint_layer,
    ramp,
    ribbon,
    row_seeds,
    sample,
    shrink,
    smooth_curve,
    smoothstep,
    table,
    to_bytes,
    to_image,
    trace_paths,
    unit_vectors,
)

SIZES = ((384, 384), (384, 384), (480, 384), (384, 480))
JPEG_QUALITY = 92


@dataclass
class Plan(Scene):
    """What a picture shows: a scene, its lightness `tone` (H, W) in 0..1 and the palette (N, 3), dark to light."""

    tone: Array
    palette: Array
    rng: Generator

    @property
    def shape(self) -> Size:
        """Height and width in pixels."""
        return self.tone.shape

    @property
    def size(self) -> Size:
        """Width and height in pixels."""
        return self.tone.shape[::-1]

    def noise(self, scale: float) -> Array:
        """Smooth noise (H, W) of unit variance with details of `scale` pixels."""
        return quick_noise(self.rng, self.shape, scale)

    def chance(self, probability: float) -> bool:
        """True in `probability` of all pictures."""
        return self.rng.random() < probability

    def place(self, mask: Array, tone: Array | float) -> None:
        """Put a new region of lightness `tone` wherever `mask` (H, W) holds."""
        self.tone[mask] = np.broadcast_to(tone, self.shape)[mask]
        self.region[mask] = self.region.max() + 1

    def dark(self) -> Array:
        """The darkest colour, for outlines."""
        return self.palette[0] * self.rng.uniform(0.1, 0.9)

    def paper(self) -> Array:
        """A light ground related to the palette."""
        return 1 - (1 - self.palette[-1]) * self.rng.uniform(0.15, 0.9)


def quick_noise(rng: Generator, shape: Size, scale: float) -> Array:
    """Noise (H, W) of unit variance with details of `scale` pixels, enlarged from a coarse grid: fast at any scale."""
    scale = max(scale, 1.0)
    rows, columns = (int(np.ceil(side / scale)) + 4 for side in shape)
    coarse = Image.fromarray(rng.standard_normal((rows, columns)).astype(np.float32))
    offset = rng.uniform(1, 2, 2)
    box = (*offset, offset[0] + shape[1] / scale, offset[1] + shape[0] / scale)
    noise = np.asarray(coarse.resize(shape[::-1], Image.Resampling.BICUBIC, box=box), float)
    return (noise - noise.mean()) / noise.std()


def log_uniform(rng: Generator, low: float, high: float) -> float:
    """A number in low..high whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


# ---------------------------------------------------------------- palettes

HARMONIES = ((0,), (0, 35, -35), (0, 180), (0, 60, 220), (0, 150, 210), (0, 120, 240), (0, 90, 180, 270), (0, 40, 190))
OKLAB_TO_CONES = table("1 0.39634 0.21580, 1 -0.10556 -0.06385, 1 -0.08948 -1.29149")
CONES_TO_RGB = table("4.07674 -3.30771 0.23097, -1.26844 2.60976 -0.34132, -0.00420 -0.70342 1.70761")


def random_palette(rng: Generator) -> Array:
    """Three to eight colours (N, 3) in 0..1, dark to light, in a random harmony from near grey to vivid."""
    count = rng.integers(3, 9)
    hues = rng.uniform(0, 360) + rng.choice(HARMONIES[rng.integers(len(HARMONIES))], count) + rng.normal(0, 8, count)
    low, high = rng.uniform(0.12, 0.45), rng.uniform(0.72, 0.98)
    lightness = np.sort(np.linspace(low, high, count) + rng.normal(0, 0.06, count)).clip(0.08, 0.98)
    range_of_chroma = rng.choice([(0, 0.03), (0.03, 0.09), (0.09, 0.18), (0.18, 0.32)], p=[0.1, 0.2, 0.35, 0.35])
    chroma = rng.uniform(*range_of_chroma) * rng.uniform(0.5, 1.1, count) * np.sqrt(np.sin(np.pi * lightness))
    chroma[rng.random(count) < 0.15] *= 0.2
    return from_oklab(lightness, chroma * np.cos(np.deg2rad(hues)), chroma * np.sin(np.deg2rad(hues)))


def from_oklab(lightness: Array, a: Array, b: Array) -> Array:
    """Turn OKLab coordinates (N,) into sRGB (N, 3) in 0..1, clipped to what a screen can show."""
    cones = np.stack([lightness, a, b], axis=-1) @ OKLAB_TO_CONES.T
    linear = np.clip(cones**3 @ CONES_TO_RGB.T, 0, 1)
    return np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


# ---------------------------------------------------------------- motifs: tone and regions


def landscape(plan: Plan) -> None:
    """A sky with a sun above ranges of hills."""
    rng, (x, y) = plan.rng, plan.grid()
    plan.tone[:] = rng.uniform(0.4, 0.8) + rng.uniform(-0.6, 0.6) * y + 0.12 * plan.noise(rng.uniform(20, 80))
    if plan.chance(0.6):
        r = np.hypot(x - rng.uniform(0, x.max()), y - rng.uniform(0.08, 0.35))
        plan.place(r < rng.uniform(0.05, 0.16), rng.choice([0.02, 0.98]))
    count, top = rng.integers(2, 6), rng.uniform(0.3, 0.6)
    for base in np.linspace(top, 0.9, count):
        profile = quick_noise(rng, (4, plan.size[0]), rng.uniform(25, 120))[:1] * rng.uniform(0.02, 0.07)
        depth = y - base - profile
        plan.place(depth > 0, rng.uniform(0, 0.8) + depth * rng.uniform(-0.8, 0.8) + 0.1 * plan.noise(30))


def vortices(plan: Plan) -> None:
    """Spirals on a wavy ground."""
    rng, (x, y) = plan.rng, plan.grid()
    plan.tone[:] = 0.5 + 0.35 * np.sin(rng.uniform(8, 30) * (y + 0.1 * plan.noise(90)) + plan.noise(60))
    for _ in range(rng.integers(1, 6)):
        dx, dy, size = x - rng.uniform(0, x.max()), y - rng.uniform(0, 1), rng.uniform(0.08, 0.35)
        r, turn = np.hypot(dx, dy) + 1e-6, np.arctan2(dy, dx)
        spiral = 0.5 + 0.4 * np.sin(rng.integers(1, 4) * (turn + rng.uniform(2, 6) * np.log(r / size)))
        plan.place(r < size * (1 + 0.07 * plan.noise(25)), spiral)


def still_life(plan: Plan) -> None:
    """Shaded fruits and vessels on a table before a wall."""
    rng, (x, y) = plan.rng, plan.grid()
    plan.tone[:] = rng.uniform(0.2, 0.9) + 0.1 * plan.noise(60)
    plan.place(y > rng.uniform(0.4, 0.75) + rng.uniform(-0.2, 0.2) * (x - 0.5), rng.uniform(0.1, 0.9) + 0.2 * (1 - y))
    for base in np.sort(rng.uniform(0.45, 0.95, rng.integers(4, 11))):
        cx, half, tall = rng.uniform(0, x.max()), rng.uniform(0.06, 0.16), rng.uniform(0.7, 2.6)
        u, v = (x - cx) / half, (y - base + half * tall) / (half * tall)
        width = 1 + rng.uniform(-0.35, 0.35) * np.sin(rng.uniform(2, 5) * v) if tall > 1.5 else 1.0
        light = rng.uniform(0.3, 0.7) - rng.uniform(0.2, 0.45) * (0.7 * u + 0.6 * v)
        plan.place((u / width) ** 2 + np.abs(v) ** rng.uniform(2, 6) < 1, light)


def skyline(plan: Plan) -> None:
    """Blocks of houses with windows in rows, under a sky."""
    rng, (x, y) = plan.rng, plan.grid()
    plan.tone[:] = 0.8 - rng.uniform(-0.4, 0.6) * y + 0.1 * plan.noise(50)
    for top in np.sort(rng.uniform(0.15, 0.85, rng.integers(8, 26))):
        cx, half = rng.uniform(0, x.max()), rng.uniform(0.03, 0.12)
        roof = top + rng.choice([0, 1.0, 0.3]) * np.abs(x - cx)
        house = (np.abs(x - cx) < half) & (y > roof)
        lit = rng.uniform(0, 0.85)
        plan.place(house, lit)
        cell = rng.uniform(0.018, 0.05)
        pane = (((x - cx) / cell) % 1 > 0.55) & (((y - top) / cell / 1.4) % 1 > 0.5) & (y > roof + cell)
        plan.place(house & pane, (lit + 0.5) % 1)


def portrait(plan: Plan) -> None:
    """A head, hair and shoulders before a ground."""
    rng, (x, y) = plan.rng, plan.grid()
    plan.tone[:] = rng.uniform(0.1, 0.9) + 0.15 * plan.noise(70)
    cx, cy, size = x.max() * rng.uniform(0.4, 0.6), rng.uniform(0.35, 0.45), rng.uniform(0.17, 0.26)
    u, v = (x - cx) / size, (y - cy) / size
    light = 0.6 + 0.35 * np.tanh(u * rng.choice([-1, 1]) * 1.5)
    plan.place((u / 2.2) ** 2 + ((v - 3.1) / 1.6) ** 2 < 1, rng.uniform(0, 0.9) + 0.12 * plan.noise(20))
    plan.place((u / 1.15) ** 2 + ((v + 0.15) / rng.uniform(1.3, 2.0)) ** 2 < 1, rng.choice([0.05, 0.3, 0.9]))
    plan.place((np.abs(u) < 0.4) & (v > 0) & (v < 1.8), light * 0.8)
    plan.place((u / 0.85) ** 2 + (v / 1.2) ** 2 < 1, light)
    for side in (-0.35, 0.35):
        plan.place(((u - side) / 0.2) ** 2 + ((v + 0.1) / 0.11) ** 2 < 1, 0.95)
        plan.place(np.hypot(u - side, v + 0.1) < 0.1, 0.0)
        plan.place(((u - side) / 0.28) ** 2 + ((v + 0.38) / 0.05) ** 2 < 1, 0.1)
    plan.place((np.abs(u + 0.02) < 0.06 + 0.08 * v) & (v > -0.05) & (v < 0.4), light * 0.75)
    plan.place((u / 0.3) ** 2 + ((v - 0.7) / 0.1) ** 2 < 1, 0.3)


def flowers(plan: Plan) -> None:
    """Blossoms of many petals and leaves, crowded or scattered."""
    rng, (x, y) = plan.rng, plan.grid()
    plan.tone[:] = rng.uniform(0, 1) + 0.15 * plan.noise(40)
    leaves, count = rng.integers(0, 16), rng.integers(5, 22)
    for k in range(leaves + count):
        dx, dy, size = x - rng.uniform(0, x.max()), y - rng.uniform(0, 1), rng.uniform(0.05, 0.2)
        turn, r = np.arctan2(dy, dx) + rng.uniform(0, 6), np.hypot(dx, dy) / size
        if k < leaves:
            plan.place((r < 1.6 * np.abs(np.cos(turn)) ** 6), rng.uniform(0, 0.6) + 0.3 * np.cos(turn))
            continue
        petals = rng.integers(4, 12)
        plan.place(r < 0.75 + 0.25 * np.cos(petals * turn), rng.uniform(0.3, 0.9) + rng.uniform(-0.5, 0.5) * r)
        plan.place(r < rng.uniform(0.2, 0.35), rng.uniform(0, 1))


def forest(plan: Plan) -> None:
    """Swaying trunks, thin ones behind, before a glow."""
    rng, (x, y) = plan.rng, plan.grid()
    plan.tone[:] = 0.75 - 0.5 * np.hypot(x - rng.uniform(0, 1), y - rng.uniform(0, 0.6)) + 0.15 * plan.noise(25)
    if plan.chance(0.7):
        plan.place(y > rng.uniform(0.7, 0.9) + 0.02 * plan.noise(60), rng.uniform(0, 0.8) + 0.12 * plan.noise(15))
    for half in np.sort(log_uniform(rng, 0.005, 0.02) * rng.uniform(1, 3.5, rng.integers(8, 22))):
        sway = rng.uniform(-0.06, 0.06) * np.sin(rng.uniform(2, 8) * y + rng.uniform(0, 6))
        across = (x - rng.uniform(0, x.max()) - sway) / (half * (0.6 + 0.6 * y))
        trunk = (np.abs(across) < 1) & (y < rng.uniform(0.75, 1.05))
        plan.place(trunk, rng.uniform(0, 0.5) - 0.25 * across + 0.1 * plan.noise(8))


def shapes(plan: Plan) -> None:
    """Discs, rings, bars, triangles and half planes thrown over each other."""
    rng, (x, y) = plan.rng, plan.grid()
    plan.tone[:] = rng.uniform(0, 1) + 0.08 * plan.noise(80)
    for size in np.sort(rng.uniform(0.04, 0.4, rng.integers(6, 28)))[::-1]:
        turn, dx, dy = rng.uniform(0, 2 * np.pi), x - rng.uniform(0, x.max()), y - rng.uniform(0, 1)
        u, v = (dx * np.cos(turn) + dy * np.sin(turn)) / size, (dy * np.cos(turn) - dx * np.sin(turn)) / size
        r = np.hypot(u, v)
        masks = (r < 1, (r < 1) & (r > 0.6), (np.abs(u) < 1.5) & (np.abs(v) < 0.18), (r < 1) & (v > 0),
                 (v > -0.5) & (np.abs(u) < (1 - v) * 0.5), np.maximum(np.abs(u), np.abs(v)) < 0.7)  # fmt: skip
        plan.place(masks[rng.integers(len(masks))], rng.uniform(0, 1) + rng.uniform(-0.25, 0.25) * v)


def clouds(plan: Plan) -> None:
    """Soft forms without objects: warped noise at one or two scales, cut into regions of equal tone."""
    rng, scale = plan.rng, log_uniform(plan.rng, 25, 130)
    plan.tone[:] = 0.5 + 0.25 * plan.noise(scale) + rng.uniform(0, 0.12) * plan.noise(scale / 3)
    plan.region[:] = np.clip(plan.tone * rng.integers(2, 7), 0, 6).astype(int)


def waves(plan: Plan) -> None:
    """Layers of crests, each in front of the one above."""
    rng, (x, y) = plan.rng, plan.grid()
    plan.tone[:] = rng.uniform(0.5, 1) + 0.08 * plan.noise(60)
    height, length = rng.uniform(0.02, 0.07), rng.uniform(6, 22)
    for base in np.linspace(rng.uniform(0.1, 0.5), 1, rng.integers(4, 14)):
        phase = length * x + rng.uniform(0, 6) + 0.5 * plan.noise(80)
        depth = y - base + height * (1 - np.abs(np.sin(phase / 2)) * 2)
        rings = 0.25 * np.sin(depth * rng.uniform(30, 110)) if plan.chance(0.5) else 1.5 * depth
        plan.place(depth > 0, rng.uniform(0.15, 0.75) + rings)


def ornament(plan: Plan) -> None:
    """A repeated figure of folded stars, diamonds and rings: textiles, tiles, folk art."""
    rng, (x, y) = plan.rng, plan.grid()
    cell, turn = rng.uniform(0.12, 0.5), rng.choice([0, np.pi / 4, rng.uniform(0, 1)])
    u, v = (x * np.cos(turn) + y * np.sin(turn)) / cell, (y * np.cos(turn) - x * np.sin(turn)) / cell
    shift = np.floor(v) * rng.choice([0, 0.5])
    a, b = np.abs((u + shift) % 1 - 0.5) * 2, np.abs(v % 1 - 0.5) * 2
    figures = (np.maximum(a, b), a + b, np.hypot(a, b), np.hypot(a, b) * (1 + 0.4 * np.cos(8 * np.arctan2(b, a))), a)
    levels = rng.uniform(0, 1, 12)
    first = (figures[rng.integers(5)] * rng.uniform(2, 5)).astype(int)
    second = (figures[rng.integers(5)] * rng.uniform(1, 4)).astype(int)
    plan.region[:] = (first * 5 + second) % 12
    plan.tone[:] = levels[plan.region] + 0.06 * plan.noise(70)


MOTIFS = (landscape, vortices, still_life, skyline, portrait, flowers, forest, shapes, clouds, waves, ornament)


def choose_colours(plan: Plan) -> None:
    """Colour every region along some of the palette by its tone, or all of them along the whole palette."""
    rng, count = plan.rng, len(plan.palette)
    darkest, lightest = np.percentile(plan.tone, (2, 98)) + (-0.02, 0.02)
    # Without deep shadows somewhere, a drawing in lines alone would be an empty sheet.
    plan.tone[:] = np.clip((plan.tone - darkest) / (lightest - darkest), 0, 1) ** rng.uniform(0.75, 1.5)
    tone = plan.tone
    if plan.chance(0.3):
        steps = rng.integers(2, 6)
        tone = np.round(tone * steps) / steps
    plan.colour[:] = ramp(plan.palette, tone)
    if plan.chance(0.8):
        for region in np.unique(plan.region):
            own = plan.palette[np.sort(rng.choice(count, rng.integers(2, count + 1), replace=False))]
            inside = plan.region == region
            plan.colour[inside] = ramp(own, tone[inside])


def choose_directions(plan: Plan) -> None:
    """Stroke directions: around the forms, a prevailing slant, eddies, or wandering; mixed in random shares."""
    rng, (x, y) = plan.rng, plan.grid()
    slope_y, slope_x = np.gradient(gaussian_filter(plan.tone, 5))
    # Directions of strokes have no sign, so they are averaged as unit complex numbers of twice the angle.
    around = -((slope_x + 1j * slope_y) ** 2)
    around /= np.abs(around) + 1e-5
    slant = np.exp(2j * (rng.uniform(0, np.pi) + rng.uniform(0, 0.5) * plan.noise(90)))
    wander = np.exp(1j * rng.uniform(1, 4) * plan.noise(log_uniform(rng, 30, 150)))
    cx, cy = rng.uniform(0, x.max()), rng.uniform(0, 1)
    eddy = np.exp(2j * (np.arctan2(y - cy, x - cx) + rng.choice([0, np.pi / 2, 1.2])))
    shares = rng.dirichlet([0.5] * 4)
    plan.angle[:] = np.angle(shares[0] * around + shares[1] * slant + shares[2] * wander + shares[3] * eddy) / 2


def random_plan(rng: Generator) -> Plan:
    """Choose size, palette, motif, colours and directions of a picture."""
    scene = Scene.blank(SIZES[rng.integers(len(SIZES))])
    tone = np.zeros(scene.region.shape)
    plan = Plan(scene.colour, scene.angle, scene.region, tone, random_palette(rng), rng)
    MOTIFS[rng.integers(len(MOTIFS))](plan)
    choose_colours(plan)
    choose_directions(plan)
    return plan


# ---------------------------------------------------------------- media: colour


def jitter(plan: Plan, colours: Array, amount: float) -> Array:
    """Vary colours (N, 3) by `amount`, mostly in lightness, some towards another colour of the palette."""
    rng, count = plan.rng, len(colours)
    stray = rng.random((count, 1)) < amount * 0.8
    other = plan.palette[rng.integers(0, len(plan.palette), count)]
    varied = colours * (1 + amount * rng.standard_normal((count, 1))) + 0.25 * amount * rng.standard_normal((count, 3))
    return np.clip(np.where(stray, 0.5 * (varied + other), varied), 0, 1)


def scattered(plan: Plan, spacing: float) -> Array:
    """Points (N, 2) in pixels that cover the picture about `spacing` apart, in random order."""
    rows, columns = plan.shape
    gy, gx = np.mgrid[-spacing : rows + spacing : spacing, -spacing : columns + spacing : spacing]
    points = np.stack([gx.ravel(), gy.ravel()], axis=1)
    return plan.rng.permutation(points + plan.rng.uniform(-0.5, 0.5, points.shape) * spacing)


def oil(plan: Plan) -> Array:
    """Loaded, ridged strokes of a broad brush over a rough underpainting."""
    rng, unit, everywhere = plan.rng, 656 / plan.size[1], plan.region >= 0
    canvas = OilCanvas(plan.size, to_bytes(plan.palette[rng.integers(len(plan.palette))]))
    width, variety = log_uniform(rng, 10, 22), rng.uniform(0.04, 0.22)
    length = np.clip(width * rng.uniform(1.5, 4), 20, 60)
    paint_layer(canvas, plan, rng, np.array([36, 46, 90]) * unit, variety, everywhere)
    spacing = max(width * rng.uniform(0.8, 1.1), 16.0)
    paint_layer(canvas, plan, rng, np.array([spacing, width * 1.2, length]) * unit, variety, everywhere)
    return canvas.finish()


def strokes(plan: Plan, under: Array, width: float, length: float) -> tuple[Array, Array]:
    """Flat tapered strokes, sizes in pixels, over `under` (H, W, 3); returns the paint and its relief (H, W)."""
    rng = plan.rng
    big = tuple(np.array(plan.size) * SUPERSAMPLE)
    paint, relief = to_image(under).resize(big), Image.new("L", big, 90)
    pens = ImageDraw.Draw(paint), ImageDraw.Draw(relief)
    starts = scattered(plan, max(np.sqrt(width * length) * rng.uniform(0.55, 1), 4.5))
    colours = sample(plan.colour, starts + rng.normal(0, width * 0.3, starts.shape))
    colours = jitter(plan, colours, rng.uniform(0.03, 0.3))
    swell = np.sin(np.linspace(0.25, np.pi - 0.25, 15))[:, None] ** rng.uniform(0.2, 1.2)
    open_plan = Scene(plan.colour, plan.angle, plan.region * int(plan.chance(0.6)))
    paths = trace_paths(open_plan, starts, length * rng.uniform(0.6, 1.3, len(starts)))
    for path, half, colour in zip(paths, width / 2 * rng.uniform(0.6, 1.3, len(starts)), colours, strict=True):
        if len(path) >= 3:
            outline = (ribbon(path, swell[: len(path)] * half) * SUPERSAMPLE).ravel().tolist()
            pens[0].polygon(outline, fill=to_bytes(colour))
            pens[1].polygon(outline, fill=int(rng.integers(40, 220)))
    height = np.asarray(relief.resize(plan.size, Image.Resampling.BOX)) / 255.0
    return shrink(np.asarray(paint) / 255.0, plan.size), height


def gouache(plan: Plan) -> Array:
    """Matt strokes, from tiny commas to broad swathes, over an underpainting or the bare ground."""
    rng, width = plan.rng, log_uniform(plan.rng, 2.2, 18)
    under = plan.colour * rng.uniform(0.5, 1) if plan.chance(0.7) else np.broadcast_to(plan.paper(), plan.colour.shape)
    return strokes(plan, under, width, np.clip(width * rng.uniform(1.2, 7), 4, 60))[0]


def impasto(plan: Plan) -> Array:
    """Thick strokes, furrowed by the bristles and lit from the upper left."""
    rng, width = plan.rng, log_uniform(plan.rng, 3, 20)
    under = plan.colour * rng.uniform(0.4, 0.9)
    paint, height = strokes(plan, under, width, np.clip(width * rng.uniform(1.5, 8), 8, 60))
    furrows = streaks(plan, 14)
    slope_y, slope_x = np.gradient(gaussian_filter(height + rng.uniform(0.02, 0.12) * furrows, 0.6))
    light = np.tanh((slope_x + slope_y) * rng.uniform(1, 3))[..., None]
    return paint * (1 + 0.45 * light + rng.uniform(0, 0.08) * furrows[..., None]) + 0.08 * np.clip(light, 0, 1)


def points(plan: Plan) -> Array:
    """Pointillism: round dabs of pure, divided colour on a light or dark ground."""
    rng, radius = plan.rng, log_uniform(plan.rng, 1.8, 6)
    ground = plan.paper() if plan.chance(0.6) else plan.dark()
    sheet = Image.new("RGB", tuple(np.array(plan.size) * SUPERSAMPLE), to_bytes(ground))
    pen, starts = ImageDraw.Draw(sheet), scattered(plan, radius * rng.uniform(1.2, 1.9))
    colours = jitter(plan, sample(plan.colour, starts), rng.uniform(0.08, 0.3))
    colours = (colours * 255).astype(int).tolist()
    for (x, y), r, colour in zip(starts * 2, 2 * radius * rng.uniform(0.6, 1.2, len(starts)), colours, strict=True):
        pen.ellipse((x - r, y - r, x + r, y + r), fill=tuple(colour))
    return shrink(np.asarray(sheet) / 255.0, plan.size)


def dot_rows(plan: Plan) -> Array:
    """Rows of dots along the forms on a dark ground."""
    rng, gap = plan.rng, row_gap(plan.rng)
    level = gaussian_filter(plan.tone, 6) * rng.uniform(150, 400)
    seeds = row_seeds(level, np.ones(plan.shape, bool), gap, rng)
    block = WoodBlock(np.broadcast_to(plan.dark() if plan.chance(0.8) else plan.paper(), plan.colour.shape))
    colours = jitter(plan, sample(plan.colour, seeds), rng.uniform(0.05, 0.25))
    for at, colour in zip(seeds / plan.size[1], colours, strict=True):
        block.dot(at, gap * rng.uniform(0.38, 0.46) / plan.size[1], colour)
    return shrink(np.asarray(block.image) / 255.0, plan.size)


def row_gap(rng: Generator) -> float:
    """Distance in pixels between the dots or stitches of one row."""
    return log_uniform(rng, 5, 13)


def tiles(plan: Plan) -> Array:
    """A mosaic: bevelled tesserae scattered evenly or laid on a slanted grid."""
    rng, tile = plan.rng, log_uniform(plan.rng, 5, 22)
    if plan.chance(0.5):
        seeds = scattered(plan, tile)
    else:
        turn, reach = rng.uniform(0, np.pi), max(plan.size)
        grid = np.stack(np.meshgrid(*[np.arange(-reach, reach, tile)] * 2), axis=-1).reshape(-1, 2)
        seeds = grid @ np.array([unit_vectors(turn), unit_vectors(turn + np.pi / 2)]) + np.array(plan.size) / 2
        seeds = seeds[((seeds > -tile) & (seeds < np.array(plan.size) + tile)).all(1)]
        seeds = seeds + rng.normal(0, 0.08 * tile, seeds.shape)
    return lay_tiles(seeds, jitter(plan, sample(plan.colour, seeds), rng.uniform(0.04, 0.25)), plan.size, rng)


def cell_means(labels: Array, colour: Array) -> Array:
    """Mean colour (N, 3) of every cell of `labels` (H, W)."""
    counts = np.maximum(np.bincount(labels.ravel()), 1)
    return np.stack([np.bincount(labels.ravel(), colour[..., k].ravel()) / counts for k in range(3)], axis=1)


def glass(plan: Plan) -> Array:
    """Stained glass or shards: leaded cells, long or compact, straight or warped, glowing in the middle."""
    rng, (x, y) = plan.rng, np.mgrid[: plan.shape[0], : plan.shape[1]][::-1].astype(float)
    bend, scale = rng.choice([0, 0, 4, 10]), rng.uniform(20, 60)
    x, y = x + bend * plan.noise(scale), y + bend * plan.noise(scale)
    turn, stretch = rng.uniform(0, np.pi), rng.uniform(1, 3.5)
    u, v = x * np.cos(turn) + y * np.sin(turn), (y * np.cos(turn) - x * np.sin(turn)) * stretch
    count = int(log_uniform(rng, 40, 900))
    seeds = np.stack([rng.uniform(u.min(), u.max(), count), rng.uniform(v.min(), v.max(), count)], axis=1)
    distance, index = cKDTree(seeds).query(np.stack([u, v], axis=-1), k=2)
    gap = np.linalg.norm(seeds[index[..., 1]] - seeds[index[..., 0]], axis=-1) + 1e-6
    to_edge = (distance[..., 1] ** 2 - distance[..., 0] ** 2) / (2 * gap) / stretch**0.5
    panes = jitter(plan, cell_means(index[..., 0], plan.colour), rng.uniform(0.05, 0.25))[index[..., 0]]
    panes = panes * (1 + rng.uniform(0, 0.3) * (smoothstep(0, 12, to_edge) - 0.5 + 0.15 * plan.noise(4)))[..., None]
    lead = rng.uniform(0, 3.5)
    solid = smoothstep(lead - 0.7, lead + 0.7, to_edge)[..., None]
    return panes * solid + plan.dark() * (1 - solid)


def facets(plan: Plan) -> Array:
    """Cubism: planes cut by straight lines or arcs, each shaded from one edge to the other."""
    rng, (x, y) = plan.rng, plan.grid()
    label, edge, shade = np.zeros(plan.shape, int), np.full(plan.shape, 9.0), np.zeros(plan.shape)
    for _ in range(rng.integers(7, 22)):
        turn, at = rng.uniform(0, np.pi), (rng.uniform(0, x.max()), rng.uniform(0, 1))
        side = (x - at[0]) * np.cos(turn) + (y - at[1]) * np.sin(turn)
        if plan.chance(0.25):
            side = np.hypot(x - at[0], y - at[1]) - rng.uniform(0.1, 0.5)
        label = (label * 2 + (side > 0)) * 7919 % 100_003
        edge = np.minimum(edge, np.abs(side))
        shade += np.sign(side) * np.exp(-np.abs(side) / 0.05)
    cells = np.unique(label, return_inverse=True)[1].reshape(plan.shape)
    planes = jitter(plan, cell_means(cells, plan.colour), rng.uniform(0.08, 0.3))[cells]
    own = rng.uniform(0, 0.6)
    planes = (own * plan.colour + (1 - own) * planes) * (1 + rng.uniform(0.05, 0.25) * shade)[..., None]
    planes *= (1 + rng.uniform(0, 0.06) * plan.noise(2.5))[..., None]
    line = smoothstep(0.007, 0.003, edge)[..., None] * rng.choice([0, 0.6, 1])
    return planes * (1 - line) + plan.dark() * line


def triangles(plan: Plan) -> Array:
    """Folded paper: flat triangles, dense where the motif has edges, with or without seams."""
    rng, count = plan.rng, int(log_uniform(plan.rng, 120, 1500))
    corners = np.vstack([scattered(plan, 96), rng.uniform(-10, 10 + np.array(plan.size), (count, 2))])
    block = WoodBlock(plan.colour)
    mesh = corners[Delaunay(corners).simplices]
    colours = jitter(plan, sample(plan.colour, mesh.mean(1)), rng.uniform(0.03, 0.2))
    seam, grow = plan.dark(), rng.choice([0, 0, 0.0015, 0.004])
    for triangle, colour in zip(mesh / plan.size[1], colours, strict=True):
        block.shape(triangle, seam if grow else colour, grow or 0.001)
        if grow:
            block.shape(triangle + (triangle.mean(0) - triangle) * 0.08, colour)
    return shrink(np.asarray(block.image) / 255.0, plan.size)


def flat(plan: Plan) -> Array:
    """Poster, comic or woodblock: a few flat colours in clean shapes, some with halftone dots or a printed grain."""
    rng, count = plan.rng, len(plan.palette)
    smooth = gaussian_filter(plan.colour, (3, 3, 0))
    nearest = cKDTree(plan.palette).query(smooth)[1]
    colours = plan.palette if plan.chance(0.6) else rng.permutation(plan.palette)
    picture = colours[nearest]
    if plan.chance(0.4):
        size, turn, (x, y) = rng.uniform(4, 11), rng.uniform(0, 1.5), plan.grid()
        u, v = ((x * np.cos(a) + y * np.sin(a)) * plan.size[1] / size for a in (turn, turn + np.pi / 2))
        away = np.hypot(u % 1 - 0.5, v % 1 - 0.5) * size
        dots = smoothstep(0.6, -0.6, away - size * 0.62 * np.sqrt(1 - plan.tone))[..., None]
        tinted = colours[(nearest + 1) % count] if plan.chance(0.5) else np.broadcast_to(plan.dark(), picture.shape)
        picture = picture * (1 - dots) + tinted * dots
    return picture * (1 + rng.choice([0, 0.05]) * plan.noise(1.5))[..., None]


def wash(plan: Plan) -> Array:
    """Watercolour: transparent stains with dark rims, from light to dark, on toothed paper."""
    rng, ground = plan.rng, np.tile(plan.paper(), (2, 1)) * [[1.0], [0.96]]
    art = Watercolour(plan.size, ground, rng)
    soft = gaussian_filter(plan.tone, rng.uniform(1, 6)) + 0.02 * plan.noise(12)
    opaque = rng.uniform(0.1, 0.8)
    for level, colour in zip(np.linspace(0.95, 0.1, len(plan.palette)), plan.palette[::-1], strict=True):
        art.stain(smoothstep(level + 0.012, level - 0.012, soft), hex_code(colour), opaque)
    for region in rng.permutation(np.unique(plan.region))[:8]:
        mask = gaussian_filter((plan.region == region).astype(float), rng.uniform(0.8, 2))
        art.stain(mask, hex_code(plan.palette[rng.integers(len(plan.palette))]), opaque * 0.4, rng.uniform(0.3, 0.8))
    return art.picture


def hex_code(colour: Array) -> str:
    """Six hex digits of a colour in 0..1."""
    return "".join(f"{byte:02x}" for byte in to_bytes(colour))


def ink(plan: Plan) -> Array:
    """Brush and one ink: pale washes with soft edges, then dry strokes along the forms where it is dark."""
    rng, sheet = plan.rng, InkSheet(plan.size, plan.rng)
    sheet.soak(rng.uniform(0.3, 0.8) * (1 - gaussian_filter(plan.tone, rng.uniform(2, 8))) ** 1.5, np.zeros(plan.shape))
    starts = scattered(plan, rng.uniform(8, 16))
    starts = starts[rng.random(len(starts)) < 1.3 - 1.3 * sample(plan.tone, starts)]
    half = log_uniform(rng, 0.001, 0.008)
    marks = []
    for path in trace_paths(plan, starts, rng.uniform(12, 60, len(starts))):
        if len(path) >= 4:
            swell = np.sin(np.linspace(0.2, np.pi - 0.2, len(path)))[:, None] * half * rng.uniform(0.4, 1.4)
            marks.append((path / plan.size[1], swell, rng.uniform(0.3, 1.0)))
    sheet.brush(marks, dry=rng.uniform(0.1, 0.7), wet=rng.uniform(0, 1.5))
    strength = rng.uniform(1.6, 3.2) * (1 - rng.uniform(0.6, 1) * plan.palette[0])
    return plan.paper() * np.exp(-np.clip(sheet.density, 0, 1.1)[..., None] * strength)


def streaks(plan: Plan, steps: int) -> Array:
    """Fine noise smeared along the directions over `steps` pixels each way: (H, W), unit variance."""
    noise, total = plan.noise(plan.rng.uniform(1.0, 3.0)), 0.0
    start = np.stack(np.mgrid[: plan.shape[0], : plan.shape[1]]).astype(float)
    field = np.stack([np.sin(plan.angle), np.cos(plan.angle)])
    for sign in (-1.0, 1.0):
        at, previous = start, sign * field
        for _ in range(steps // 2):
            at = at + 2 * previous
            row, column = (np.clip(at[k].astype(int), 0, plan.shape[k] - 1) for k in (0, 1))
            total = total + noise[row, column]
            heading = field[:, row, column]
            previous = heading * np.where((heading * previous).sum(0) < 0, -1, 1)
    return (total - total.mean()) / total.std()


def pencil(plan: Plan) -> Array:
    """Pastel and coloured pencil: hairy streaks of neighbouring colours along the forms, paper shining through."""
    rng, hair = plan.rng, streaks(plan, int(plan.rng.integers(8, 26)))
    picture = plan.colour + rng.uniform(0.05, 0.25) * hair[..., None] * (ramp(plan.palette, 1 - plan.tone) - 0.4)
    picture = picture * (1 + rng.uniform(0.03, 0.12) * hair)[..., None]
    bare = (smoothstep(0.3, 1.4, streaks(plan, 12)) * rng.uniform(0, 0.9))[..., None]
    return picture * (1 - bare) + plan.paper() * bare


def bands(plan: Plan) -> Array:
    """Expressionist wavy bands: contour stripes of the motif, brushed along, dark between them."""
    rng = plan.rng
    level = gaussian_filter(plan.tone, rng.uniform(4, 14)) * rng.uniform(3, 14) + 0.15 * plan.noise(30)
    stripe, number = level % 1, np.floor(level).astype(int)
    t = (number * rng.uniform(0.2, 0.8) + stripe * rng.uniform(0, 0.4)) % 1
    own = rng.uniform(0.1, 0.7)
    picture = own * plan.colour + (1 - own) * ramp(plan.palette, t)
    picture = picture * (1 + rng.uniform(0.03, 0.1) * streaks(plan, 14))[..., None]
    slope = np.hypot(*np.gradient(level)) + 1e-3
    line = smoothstep(rng.uniform(1, 3), 0.3, np.minimum(stripe, 1 - stripe) / slope)
    edge = line[..., None] * rng.choice([0, 0.5, 1])
    return picture * (1 - edge) + plan.dark() * edge


def marble(plan: Plan) -> Array:
    """Marbled paper: bands of floating colour, stirred and combed, thin veins between them."""
    rng, (x, y) = plan.rng, plan.grid()
    turn, size = rng.uniform(0, np.pi), rng.uniform(6, 22)
    for _ in range(rng.integers(1, 4)):
        x, y = x + rng.uniform(0.01, 0.1) * plan.noise(70), y + rng.uniform(0.01, 0.1) * plan.noise(50)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    comb = rng.integers(4, 22)
    level = size * (v + rng.uniform(0, 0.12) * np.abs((comb * u) % 2 - 1)) + rng.uniform(0, 2) * plan.tone
    level = level + 0.25 * plan.noise(rng.uniform(8, 40))
    number = np.floor(level).astype(int)
    picture = rng.permutation(plan.palette)[number % len(plan.palette)]
    slope = np.hypot(*np.gradient(level)) + 1e-3
    vein = smoothstep(1.6, 0.4, np.minimum(level % 1, 1 - level % 1) / slope)[..., None] * rng.uniform(0, 1)
    return picture * (1 - vein) + plan.palette[rng.integers(len(plan.palette))] * vein


def colour_field(plan: Plan) -> Array:
    """Large feathered fields of one colour each, layered thin, with ragged edges."""
    rng, (x, y) = plan.rng, plan.grid()
    picture = np.broadcast_to(rng.choice(plan.palette), plan.colour.shape) * (1 + 0.05 * plan.noise(20))[..., None]
    rag, feather = rng.uniform(0.001, 0.012) * streaks(plan, 16), rng.uniform(0.01, 0.05)
    edges = np.sort(rng.uniform(0.05, 0.95, rng.integers(1, 6)))
    for top, bottom in zip(np.r_[0.04, edges], np.r_[edges, 0.96], strict=True):
        margin = np.minimum(np.minimum(y - top, bottom - y), np.minimum(x, x.max() - x) - rng.uniform(0, 0.08))
        cover = smoothstep(0, feather, margin + rag)[..., None] * rng.uniform(0.6, 1)
        mottle = 0.06 * plan.noise(rng.uniform(3, 40)) + 0.04 * rag / rag.std()
        tint = rng.choice(plan.palette) * (1 + mottle)[..., None]
        picture = picture * (1 - cover) + tint * cover
    share = rng.uniform(0, 0.45)
    return picture * (1 - share) + plan.colour * share


def stitches(plan: Plan) -> Array:
    """Tapestry, knitting or cross-stitch: every cell one colour, shaded like a thread."""
    rng, cell = plan.rng, row_gap(plan.rng)
    row, column = np.mgrid[: plan.shape[0], : plan.shape[1]] / cell
    kind = rng.integers(3)
    if kind == 0:
        row = row + np.abs(column % 1 - 0.5) * rng.uniform(0.6, 1.4)
    u, v = column % 1 - 0.5, row % 1 - 0.5
    label = row.astype(int) * (int(column.max()) + 1) + column.astype(int)
    threads = jitter(plan, cell_means(label, plan.colour), rng.uniform(0.03, 0.15))[label]
    cross = np.minimum(np.abs(u - v), np.abs(u + v))
    weave = np.where((label + row.astype(int)) % 2 == 0, np.abs(u), np.abs(v))
    shade = (1 - 1.6 * np.abs(v) ** 2 - 0.5 * np.abs(u), 1.1 - 1.3 * cross, 1.1 - 1.6 * weave**1.5)[kind]
    return threads * (shade * (1 + 0.08 * plan.noise(1.2)))[..., None]


def drips(plan: Plan) -> Array:
    """Action painting: long whipped lines and splashes over thin stains."""
    rng, unit = plan.rng, plan.size[1]
    share = rng.uniform(0, 0.7)
    ground = plan.colour * share + rng.choice(plan.palette) * (1 - share)
    block = WoodBlock(ground)
    for _ in range(rng.integers(25, 120)):
        walk = rng.uniform(-0.1, 1.3, 2) + np.cumsum(rng.normal(0, rng.uniform(0.03, 0.18), (7, 2)), axis=0)
        path, colour = smooth_curve(walk, 50), rng.choice(plan.palette)
        swell = np.abs(quick_noise(rng, (2, 50), 6)[:1].T) * log_uniform(rng, 0.001, 0.006) + 0.0008
        block.shape(ribbon(path, swell), colour)
        for at in path[rng.integers(0, 50, rng.integers(0, 12))] + rng.normal(0, 0.03, 2):
            block.dot(at, log_uniform(rng, 0.8, 6) / unit, colour)
    return shrink(np.asarray(block.image) / 255.0, plan.size)


def plain(plan: Plan) -> Array:
    """Paper, light or dark, for pictures made of lines alone."""
    return np.broadcast_to(plan.paper(), plan.colour.shape)


def smooth_paint(plan: Plan) -> Array:
    """Glazes without visible strokes: soft or crisp forms with a little modelling."""
    rng = plan.rng
    picture = gaussian_filter(plan.colour, (*[rng.choice([0.7, 2, 4])] * 2, 0))
    light = np.gradient(gaussian_filter(plan.tone, 4))
    return picture * (1 + rng.uniform(0, 5) * np.clip(light[0] + light[1], -0.1, 0.1))[..., None]


# ---------------------------------------------------------------- lines: ink coverage (H, W) in 0..1


def outlines(plan: Plan) -> Array:
    """Contours of the regions, even or broken by the hand."""
    rng, label = plan.rng, plan.region.astype(float)
    edge = gaussian_filter(((np.gradient(label)[0] != 0) | (np.gradient(label)[1] != 0)).astype(float), 0.8)
    thick = gaussian_filter(edge, rng.uniform(0.2, 2.2)) * rng.uniform(1.5, 4)
    return np.clip(smoothstep(0.35, 0.75, thick) * (1 - rng.uniform(0, 0.5) * (plan.noise(12) > 0.6)), 0, 1)


def level_lines(plan: Plan) -> Array:
    """Drawn lines that follow equal tone, wobbling and swelling."""
    rng = plan.rng
    sheet = Image.new("L", tuple(np.array(plan.size) * SUPERSAMPLE), 0)
    pen, soft = ImageDraw.Draw(sheet), gaussian_filter(plan.tone, 4) + 0.01 * plan.noise(30)
    half = rng.uniform(0.5, 1.8)
    for level in np.linspace(0.05, 0.95, rng.integers(5, 18)):
        for line in find_contours(soft, level):
            if len(line) > 12:
                path = line[::3, ::-1]
                swell = 0.4 + np.abs(np.sin(np.arange(len(path)) * 0.07))[:, None]
                pen.polygon((ribbon(path, half * swell) * SUPERSAMPLE).ravel().tolist(), fill=255)
    return np.asarray(sheet.resize(plan.size, Image.Resampling.LANCZOS)) / 255.0


def engraving(plan: Plan) -> Array:
    """Parallel cuts that bend with the forms and swell in the dark; crossed by others in the deepest shadows."""
    rng, (x, y) = plan.rng, plan.grid()
    relief, cover = gaussian_filter(plan.tone, 5), 0.0
    pitch, bend, first = rng.uniform(3.5, 9), rng.uniform(0, 0.12), rng.uniform(0, np.pi)
    for k, turn in enumerate(first + np.array([0, 1.1, 2.1])[: rng.integers(1, 4)]):
        across = x * np.cos(turn) + y * np.sin(turn) + bend * relief + rng.uniform(0, 0.003) * plan.noise(25)
        wave = np.abs((across * plan.size[1] / pitch) % 1 - 0.5) * pitch
        dark = np.clip(1.05 - 1.1 * plan.tone - 0.22 * k, 0, 0.9)
        cover = np.maximum(cover, smoothstep(0.5, -0.5, wave - dark * pitch / 2) * (dark > 0.03))
    return cover


def hatching(plan: Plan) -> Array:
    """Short separate pen strokes, denser in the dark, along the forms or at fixed slants."""
    rng = plan.rng
    sheet = Image.new("L", tuple(np.array(plan.size) * SUPERSAMPLE), 0)
    pen, width, length = ImageDraw.Draw(sheet), rng.integers(1, 6), rng.uniform(6, 30)
    slants = rng.uniform(0, np.pi) + np.array([0, 0.8, 1.7])
    follows, spacing = plan.chance(0.5), rng.uniform(3.5, 7)
    for k in range(rng.integers(1, 4)):
        at = scattered(plan, spacing)
        at = at[rng.random(len(at)) < np.clip(1.3 - 1.4 * sample(plan.tone, at) - 0.3 * k, 0.02, 1)]
        turn = (sample(plan.angle, at) + 0.7 * k if follows else slants[k]) + rng.normal(0, 0.1, len(at))
        reach = unit_vectors(turn) * length * rng.uniform(0.3, 0.6, (len(at), 1))
        ends = np.hstack([at - reach, at + reach]) * SUPERSAMPLE
        for end in ends.tolist():
            pen.line(end, fill=255, width=int(width))
    return np.asarray(sheet.resize(plan.size, Image.Resampling.LANCZOS)) / 255.0


def scribble(plan: Plan) -> Array:
    """Loose looping pen lines that crowd into the shadows."""
    rng = plan.rng
    sheet = Image.new("L", tuple(np.array(plan.size) * SUPERSAMPLE), 0)
    pen, radius, loops = ImageDraw.Draw(sheet), rng.uniform(3, 12), np.linspace(0, rng.uniform(9, 25), 40)
    starts = scattered(plan, radius * 1.6)
    starts = starts[rng.random(len(starts)) < np.clip(1.2 - 1.3 * sample(plan.tone, starts), 0.02, 1)]
    for at in starts:
        path = at + radius * unit_vectors(loops + rng.uniform(0, 6)) * rng.uniform(0.4, 1.1)
        path = path + np.linspace(-1, 1, 40)[:, None] * rng.normal(0, 1.5 * radius, 2)
        pen.line((path * SUPERSAMPLE).ravel().tolist(), fill=255, width=2)
    return np.asarray(sheet.resize(plan.size, Image.Resampling.LANCZOS)) / 255.0


LINES = (outlines, level_lines, engraving, hatching, scribble)
# A medium, and how often lines go over it.
MEDIA: tuple[tuple[Callable[[Plan], Array], float], ...] = (
    (oil, 0.15), (impasto, 0.1), (gouache, 0.15), (gouache, 0.1), (points, 0.05), (dot_rows, 0.0), (tiles, 0.0),
    (glass, 0.05), (facets, 0.3), (triangles, 0.1), (flat, 0.7), (wash, 0.5), (ink, 0.15), (pencil, 0.3), (bands, 0.2),
    (marble, 0.1), (colour_field, 0.3), (stitches, 0.0), (drips, 0.1), (plain, 1.0), (plain, 1.0), (smooth_paint, 0.7),
)  # fmt: skip


def draw_lines(plan: Plan, picture: Array) -> Array:
    """Put one or two kinds of lines on `picture` (H, W, 3), dark or, on a darkened ground, light."""
    rng, bare = plan.rng, np.ptp(picture) < 0.5
    kinds = rng.choice(len(LINES), 2 if plan.chance(0.35) else 1, replace=False)
    if bare and 0 in kinds:
        kinds = np.union1d(kinds, rng.integers(2, 4, 1))
    inverted = plan.chance(0.2)
    if inverted:
        picture, plan.tone[:] = picture * rng.uniform(0.1, 0.5), 1 - plan.tone
    colourful = plan.chance(0.35 if bare else 0.15)
    pen = plan.paper() if inverted else plan.dark()
    for kind in kinds:
        cover = np.clip(LINES[kind](plan), 0, 1)[..., None] * rng.uniform(0.7, 1)
        tint = plan.colour * (1.2 if inverted else 0.55) if colourful else pen
        picture = picture * (1 - cover) + tint * cover
    return picture


# ---------------------------------------------------------------- surface


def add_surface(plan: Plan, picture: Array) -> Array:
    """Paper tooth, canvas weave, cracks or none, then a little exposure, on (H, W, 3)."""
    rng, kind = plan.rng, plan.rng.integers(5)
    if kind == 0:
        grain = 0.5 * plan.noise(1) + 0.4 * plan.noise(3) + 0.4 * plan.noise(60)
        picture = picture * (1 + rng.uniform(0.01, 0.06) * grain)[..., None]
    elif kind == 1:
        row, column = np.mgrid[: plan.shape[0], : plan.shape[1]] * 2 * np.pi / rng.uniform(2.6, 5)
        weave = np.sin(row) * np.sin(column) + 0.3 * plan.noise(1.5)
        picture = picture * (1 + rng.uniform(0.02, 0.08) * weave)[..., None]
    elif kind == 2 and plan.chance(0.5):
        crack = np.exp(-((plan.noise(rng.uniform(10, 30)) / 0.02) ** 2)) * rng.uniform(0.1, 0.5)
        picture = picture * (1 - crack)[..., None]
    return np.clip(picture, 0, 1) ** rng.uniform(0.85, 1.15)


def bend_forms(plan: Plan, picture: Array) -> Array:
    """Sway all of (H, W, 3) by smooth waves, as a hand would draw straight things."""
    rows, columns = np.mgrid[: plan.shape[0], : plan.shape[1]].astype(float)
    reach = plan.rng.uniform(4, 14)
    at = [rows + reach * plan.noise(70), columns + reach * plan.noise(70)]
    return np.stack([map_coordinates(picture[..., k], at, order=1, mode="reflect") for k in range(3)], axis=-1)


def random_painting(generator: Generator) -> Image.Image:
    """Paint a picture in a random style; its short side has 384 pixels."""
    plan = random_plan(generator)
    medium, share = MEDIA[generator.integers(len(MEDIA))]
    picture = medium(plan)
    if plan.chance(share):
        picture = draw_lines(plan, picture)
    if plan.chance(0.12):
        picture = bend_forms(plan, picture)
    return to_image(add_surface(plan, picture))


def numbered_painting(seed: int, number: int) -> Image.Image:
    """Painting `number` of a series: the same whichever others are painted."""
    return random_painting(np.random.default_rng([seed, number]))


def main() -> None:
    """Paint the pictures first .. first + count - 1 of the series `seed`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="how many pictures")
    parser.add_argument("--first", type=int, default=0, help="number of the first picture")
    parser.add_argument("--seed", type=int, default=0, help="which series of pictures")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where to write them")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()
    for number in range(options.first, options.first + options.count):
        path = options.output / f"style_{number:05d}.jpg"
        numbered_painting(options.seed, number).save(path, quality=JPEG_QUALITY, subsampling=0)
    seconds = time.perf_counter() - start
    print(f"{options.count} pictures in {options.output}: {seconds / max(options.count, 1):.2f} s each")


if __name__ == "__main__":
    main()
