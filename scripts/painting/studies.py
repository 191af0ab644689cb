"""Paint the eight bundled style pictures, each from a fixed seed: python -m scripts.painting.studies"""

import argparse
import time
from copy import copy
from pathlib import Path

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from PIL import Image, ImageFile
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.spatial import cKDTree

from scripts.painting.brushes import (
    BLACK,
    INK,
    SUPERSAMPLE,
    InkSheet,
    Mark,
    OilCanvas,
    Scene,
    Size,
    Watercolour,
    WoodBlock,
    cloud_noise,
    lay_tiles,
    paint_layer,
    paper_grain,
    polygon_mask,
    ramp,
    rgb,
    ribbon,
    row_seeds,
    sample,
    shrink,
    smooth_curve,
    smooth_noise,
    smoothstep,
    table,
    to_image,
    trace_paths,
    unit_vectors,
)

DEFAULT_OUTPUT = Path(__file__).resolve().parents[2] / "fast_style" / "assets" / "styles"
MAX_PNG_BYTES = 700_000


# ---------------------------------------------------------------- 1. starry night

STARS = table(
    "0.06 0.10 0.050, 0.31 0.07 0.055, 0.42 0.22 0.042, 0.55 0.09 0.046, 0.73 0.09 0.050, 0.875 0.245 0.046,"
    "0.36 0.51 0.078, 0.31 0.32 0.036, 0.06 0.37 0.046, 1.16 0.44 0.042, 0.885 0.065 0.032"
)
MOON, MOON_RADIUS = np.array([1.09, 0.155]), 0.105
SWIRLS = table("0.615 0.335 0.160, 0.875 0.435 0.095, 0.10 0.60 0.055, 1.08 0.53 0.05")
STAR_LIGHT = rgb("fffbe6", "fbe06a", "f4c43a", "f9e588", "efcb58", "f6ecb4", "9cc2b4", "c6d6b4", "3f74b5")
MOON_LIGHT = rgb("f2b030", "f0a428", "f6cf4e", "fbeeb0", "f2c84c", "e9dc92", "a9cdb6", "e3e0a8", "6fa3bd")
NIGHT_BLUES = rgb("141d52", "1d3580", "27509f", "3f74b5", "5f9bc2", "8fc0cf", "d3e0c6", "efe9c2")
HILLS = (
    (lambda t: 0.665 - 0.10 * t + 0.022 * np.sin(9 * t + 0.5) + 0.012 * np.sin(21 * t), "27489a 4f86c0 a3c8d0"),
    (lambda t: 0.735 - 0.085 * t + 0.024 * np.sin(7 * t + 2.4) + 0.01 * np.sin(17 * t), "1b2f74 3768ae 74a9bd b9cfae"),
    (lambda t: 0.81 - 0.04 * t + 0.02 * np.sin(6 * t + 4.2), "14315a 2d6580 659a84 b8b968"),
)
COTTAGES = table(
    "0.44 0.93 0.085, 0.56 0.90 0.07, 0.63 0.965 0.095, 0.80 0.90 0.075, 0.86 0.965 0.09,"
    "0.97 0.91 0.08, 1.08 0.95 0.09, 1.17 0.905 0.07, 0.50 0.985 0.075"
)
SKY, TREES, WALLS, ROOFS, WINDOWS, CYPRESS = 0, 4, 5, 6, 7, 8  # regions 1 to 3 are the ranges of hills


def starry_sky(scene: Scene, rng: Generator) -> None:
    """Swirling night sky: a wavy wind, spiral vortices, and rings of light around the stars and the moon."""
    x, y = scene.grid()
    wander = smooth_noise(rng, x.shape, 70)
    vx, vy = np.ones_like(x), 0.35 * np.cos(7 * x + 2.0 + 3 * y) + 0.12 * wander
    bands = 0.36 + 0.24 * np.sin(52 * (y - 0.05 * np.sin(7 * x + 2.0 + 3 * y)) + 1.2 * wander)
    bands += 0.33 * np.exp(-(((y - 0.575 + 0.05 * np.sin(5 * x + 0.6)) / 0.035) ** 2)) - 0.14 * smoothstep(0.3, 0, y)
    for k, (cx, cy, size) in enumerate(SWIRLS):
        dx, dy = x - cx, (y - cy) * 1.12
        r, theta = np.hypot(dx, dy) + 1e-6, np.arctan2(dy, dx)
        weight = np.exp(-((r / (1.25 * size)) ** 4))
        pull = 7 * weight / r
        vx, vy = vx + pull * (-dy - 0.2 * dx), vy + pull * (dx - 0.2 * dy)
        spiral = 0.52 + 0.34 * np.sin(2 * (theta + 5 * np.log(r / size)) + 1.3 * k) + 0.1 * np.exp(-((r / 0.03) ** 2))
        bands = (1 - weight) * bands + weight * spiral
    scene.angle[:] = np.arctan2(vy, vx)
    scene.colour[:] = ramp(NIGHT_BLUES, bands + 0.05 * smooth_noise(rng, x.shape, 10))
    for star in STARS:
        light_rings(scene, rng, star[:2], star[2] * 1.45, STAR_LIGHT)
    light_rings(scene, rng, MOON, MOON_RADIUS * 1.3, MOON_LIGHT)


def light_rings(scene: Scene, rng: Generator, centre: Array, radius: float, colours: Array) -> None:
    """Concentric rings of light: a disc of `colours` fading into what is there, strokes turning around it."""
    x, y = scene.grid()
    dx, dy = x - centre[0], y - centre[1]
    r = np.hypot(dx, dy) / radius * (1 + 0.05 * smooth_noise(rng, x.shape, 12))
    weight = smoothstep(1.25, 0.75, r)[..., None]
    scene.colour[:] = scene.colour * (1 - weight) + ramp(colours, np.clip(r + 0.05 * np.sin(r * 17), 0, 1)) * weight
    around = np.arctan2(dx, -dy)
    around = np.where(np.cos(around - scene.angle) < 0, around + np.pi, around)
    turn = smoothstep(1.6, 1.1, r)[..., None]
    blend = (1 - turn) * unit_vectors(scene.angle) + turn * unit_vectors(around)
    scene.angle[:] = np.arctan2(blend[..., 1], blend[..., 0])


def rolling_hills(scene: Scene, rng: Generator) -> list[Array]:
    """Three ranges of hills, striped along their slopes; returns their ridge lines in height units."""
    x, y = scene.grid()
    for number, (ridge, colours) in enumerate(HILLS, start=1):
        depth = y - ridge(x)
        slope = (ridge(x + 0.01) - ridge(x - 0.01)) / 0.02
        roll = 0.5 * np.sin(26 * x + 40 * depth + number) * smoothstep(0, 0.08, depth)
        stripes = 0.45 + 0.35 * np.sin(depth * 150 + 2.5 * np.sin(11 * x + number))
        stripes = stripes + 0.15 * smooth_noise(rng, x.shape, 9)
        tones = ramp(rgb(*colours.split()), np.clip(stripes, 0, 1))
        scene.fill(depth > 0, tones, number, np.arctan(slope + roll))
    t = np.linspace(0, x.max(), 60)
    return [np.stack([t, ridge(t)], axis=1) for ridge, _ in HILLS]


def village(scene: Scene, rng: Generator) -> list[Array]:
    """Round trees, cottages with lit windows and a church spire; returns outlines in height units."""
    outlines = []
    x, y = scene.grid()
    for _ in range(26):
        cx, cy, radius = rng.uniform(0.28, 1.28), rng.uniform(0.83, 1.0), rng.uniform(0.03, 0.055)
        blob = np.array([cx, cy]) + unit_vectors(np.linspace(0, 2 * np.pi, 24)) * radius * (1, 0.75)
        t = np.clip(0.45 + (cy - y) / radius * 0.35 + 0.2 * smooth_noise(rng, x.shape, 5), 0, 1)
        tones = ramp(rgb("0f2435", "1f4a4a", "4a7a55", "8fa060"), t)
        scene.fill(polygon_mask(x.shape, blob), tones, TREES, np.arctan2(x - cx, -(y - cy)) + 0.4)
        outlines.append(blob[13:21])
    for cx, base, width in COTTAGES:
        outlines += cottage(scene, rng, cx, base, width)
    return outlines + church(scene, np.array([0.72, 0.93]))


def cottage(scene: Scene, rng: Generator, cx: float, base: float, w: float) -> list[Array]:
    """One house of width `w` standing on height `base`: wall, hipped roof and two lit windows."""
    h = w * rng.uniform(0.42, 0.55)
    left, right, eaves, top = cx - w / 2, cx + w / 2, base - h, base - h * 1.95
    wall = np.array([(left, base), (left, eaves), (right, eaves), (right, base)])
    roof = np.array([(left - 0.006, eaves), (left + w * 0.22, top), (right - w * 0.2, top), (right + 0.006, eaves)])
    shape = scene.region.shape
    scene.fill(polygon_mask(shape, wall), rng.choice(rgb("6d93b5", "8aa7b0", "4c6f9c", "a9b49a")), WALLS)
    scene.fill(polygon_mask(shape, roof), rng.choice(rgb("2b3f7a", "4b5a80", "7a6a5a", "35506a")), ROOFS, 1.0)
    for offset in (-0.2, 0.18):
        pane = table("-0.5 0, -0.5 1, 0.5 1, 0.5 0") * (w * 0.17, h * 0.5) + (cx + offset * w, eaves + h * 0.22)
        scene.fill(polygon_mask(shape, pane), rgb("fbd34a"), WINDOWS, np.pi / 2)
    return [np.vstack([wall, wall[:1]]), np.vstack([roof, roof[:1]])]


def church(scene: Scene, foot: Array) -> list[Array]:
    """A small church with a tall spire; returns its outlines."""
    parts = [
        ("-0.01 0, -0.01 -0.05, 0.08 -0.05, 0.08 0", "7f9fb2", WALLS, 0.0),
        ("0 -0.05, 0.025 -0.095, 0.065 -0.095, 0.088 -0.05", "33487c", ROOFS, 1.0),
        ("-0.026 0, -0.026 -0.12, 0.014 -0.12, 0.014 0", "6b8cae", WALLS, np.pi / 2),
        ("-0.032 -0.118, -0.006 -0.33, 0.02 -0.118", "25386f", ROOFS, np.pi / 2),
        ("-0.015 -0.1, -0.015 -0.07, 0.003 -0.07, 0.003 -0.1", "fbd34a", WINDOWS, np.pi / 2),
    ]
    shapes = [table(corners) + foot for corners, *_ in parts]
    for corners, (_, colour, region, angle) in zip(shapes, parts, strict=True):
        scene.fill(polygon_mask(scene.region.shape, corners), rgb(colour), region, angle)
    return [np.vstack([corners, corners[:1]]) for corners in shapes[:4]]


def cypress(scene: Scene, rng: Generator) -> None:
    """A dark, flame-shaped tree at the left, its strokes licking upwards."""
    x, y = scene.grid()
    for centre, top, breadth in table("0.19 0.03 0.10, 0.10 0.40 0.075, 0.27 0.55 0.05"):
        t = np.clip((y - top) / (1.02 - top), 0, 1)
        axis = centre + 0.022 * np.sin(8 * t + centre * 9) * t + 0.012 * np.sin(19 * t)
        tongue = 0.82 + 0.18 * np.sin(31 * t + 9 * np.sign(x - axis) + 40 * centre)
        half = breadth * t**0.85 * (1.15 - 0.35 * t) * tongue
        across = (x - axis) / (half + 1e-3)
        lean = np.pi / 2 + 0.30 * across * (1 - t) + 0.38 * np.sin(16 * t + 2.2 * across + 30 * centre)
        shade = 0.40 + 0.38 * np.sin(6 * across + 5 * np.sin(9 * t)) + 0.2 * smooth_noise(rng, x.shape, (14, 4))
        tones = ramp(rgb("0a0f14", "12211c", "1c3a2c", "33502c", "5a5a2a", "7d6a35"), np.clip(shade, 0, 1))
        scene.fill((np.abs(x - axis) < half) & (y > top), tones, CYPRESS, lean)


def outline_strokes(canvas: OilCanvas, rng: Generator, lines: list[Array], width: float) -> None:
    """Go over `lines` (K, 2), in height units, with short dark strokes that overlap end to end."""
    for line in lines:
        steps = np.r_[0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]
        at = np.linspace(0, steps[-1], max(6, int(steps[-1] / 0.008)))
        dense = np.stack([np.interp(at, steps, line[:, k]) for k in (0, 1)], axis=1) * canvas.size[1]
        for first in range(0, len(dense) - 3, 6):
            piece = dense[first : first + 9] + rng.normal(0, width * 0.12, 2)
            canvas.stroke(piece, width * rng.uniform(0.7, 1.2), rgb("101a3a")[0] * rng.uniform(0.8, 1.5), rng)


def star_dabs(canvas: OilCanvas, rng: Generator, unit: float) -> None:
    """Thick short touches of light in the heart of each star, and the crescent of the moon in long arcs."""
    height = canvas.size[1]
    for cx, cy, radius in STARS:
        for ring, count in ((0.30, 9), (0.08, 5)):
            for turn in np.arange(count) * 2 * np.pi / count + rng.uniform(0, 6):
                path = np.array([cx, cy]) + radius * ring * unit_vectors(turn + np.linspace(0, 7.5 / count, 8))
                tone = ramp(rgb("fffbe6", "fff0a8", "f9d24e"), rng.uniform(0, 0.5) + ring)
                canvas.stroke(path * height, 7.5 * unit, tone, rng)
    for reach in (0.026, 0.016, 0.007, 0.0015):
        path = MOON + reach * unit_vectors(np.linspace(0, 2 * np.pi, 16)) - (0.012, 0)
        canvas.stroke(path * height, 9 * unit, rgb("fbe48e")[0], rng)
    for bend in np.tile(np.linspace(0.0, 1.0, 6), 3):
        arc = np.linspace(-1.9, 1.9, 14) * rng.uniform(0.75, 1.0) + 0.35
        reach = 0.056 - 0.034 * bend * np.cos(np.linspace(-1.5, 1.5, 14))
        path = MOON + reach[:, None] * unit_vectors(arc)
        canvas.stroke(path * height, 8 * unit, rng.choice(rgb("f7a823", "f39a1e", "fbc23c", "ef8f1c")), rng)


def accents(canvas: OilCanvas, scene: Scene, rng: Generator, count: int, unit: float) -> None:
    """Scattered strokes of a contrasting colour that keep the sky alive."""
    starts = rng.uniform(0, 1, (count, 2)) * canvas.size
    starts = starts[sample(scene.region, starts) == SKY]
    grounds = sample(scene.colour, starts)
    bluish = grounds[:, 2] > grounds[:, 0] + 0.1
    starts, grounds = starts[bluish], grounds[bluish]
    paths = trace_paths(scene, starts, unit * rng.uniform(40, 80, len(starts)))
    tints = rgb("e9e4b8", "a8d0cc", "6fb0a8", "121a52", "121a52", "8fb4e0", "2440a0")
    for path, ground in zip(paths, grounds, strict=True):
        if len(path) >= 6:
            width = unit * rng.uniform(4.5, 7.5)
            canvas.stroke(path, width, ground + (rng.choice(tints) - ground) * rng.beta(3, 2), rng)


def starry_night(rng: Generator, size: Size = (816, 656)) -> Array:
    """A swirling night in van Gogh's manner: thousands of loaded strokes along a flow field."""
    scene, unit = Scene.blank(size), size[1] / 656
    starry_sky(scene, rng)
    ridges = rolling_hills(scene, rng)
    outlines = village(scene, rng)
    cypress(scene, rng)
    region = scene.region
    canvas = OilCanvas(size, (24, 34, 78))
    under = Scene(scene.colour * 0.72, scene.angle, region)
    paint_layer(canvas, under, rng, (26, 26, 120), 0.07, region >= SKY)
    paint_layer(canvas, scene, rng, (16, 12.5, 85), 0.10, region < TREES)
    outline_strokes(canvas, rng, ridges, 6 * unit)
    paint_layer(canvas, scene, rng, (19, 9, 62), 0.12, region < TREES)
    paint_layer(canvas, scene, rng, (9, 6.5, 24), 0.10, (region >= TREES) & (region <= ROOFS))
    outline_strokes(canvas, rng, outlines, 2.6 * unit)
    paint_layer(canvas, scene, rng, (4, 4, 12), 0.06, region == WINDOWS)
    paint_layer(canvas, scene, rng, (13, 10, 90), 0.15, region == CYPRESS)
    paint_layer(canvas, scene, rng, (15, 6, 70), 0.22, region == CYPRESS)
    bright = gaussian_filter(scene.colour.mean(-1), 3) > 0.62
    glow = Scene(scene.colour * 0.85 + 0.15 * rgb("fff3c4"), scene.angle, region)
    paint_layer(canvas, glow, rng, (15, 7, 34), 0.05, bright & (region == SKY))
    accents(canvas, scene, rng, 420, unit)
    star_dabs(canvas, rng, unit)
    return canvas.finish()


# ---------------------------------------------------------------- 2. great wave

PRUSSIAN, MID_BLUE, PALE_BLUE, FOAM = rgb("1f3f73", "4a78a6", "a9c4cf", "f4efe0")
BOAT_WOOD, BOAT_SHADE, OARSMAN, FACE, FUJI = rgb("d9b56a", "8a6a3c", "35588c", "e9cfa6", "5d7f9f")
FAR_SEA = "-0.1 0.64, 0.45 0.73, 0.66 0.70, 0.85 0.715, 1.02 0.67, 1.14 0.57, 1.23 0.50, 1.32 0.47"
FAR_FLOOR = "-0.1 1.05, 0.45 1.0, 0.66 1.0, 0.85 0.98, 1.02 0.97, 1.14 0.97, 1.23 0.98, 1.32 0.98"
WAVE_BACK = "-0.08 0.66, 0.03 0.46, 0.13 0.25, 0.27 0.10, 0.44 0.06, 0.59 0.12, 0.68 0.23, 0.70 0.33"
WAVE_FACE = "0.92 0.93, 0.66 0.87, 0.51 0.75, 0.44 0.60, 0.445 0.45, 0.50 0.36, 0.60 0.31, 0.70 0.33"
WAVE_LIP = (
    "-0.06 0.63, 0.03 0.46, 0.14 0.235, 0.27 0.10, 0.44 0.06, 0.59 0.12, 0.68 0.23, 0.70 0.33,"
    "0.63 0.375, 0.54 0.375, 0.475 0.425"
)
NEAR_SEA = "-0.08 0.80, 0.06 0.73, 0.18 0.70, 0.30 0.76, 0.42 0.88, 0.62 0.945, 0.90 0.91, 1.10 0.86, 1.34 0.84"
FUJI_SNOW = "0.93 0.60, 0.915 0.612, 0.905 0.592, 0.888 0.63, 0.872 0.596, 0.855 0.622, 0.84 0.594, 0.815 0.60"


def striped_body(block: WoodBlock, outer: Array, inner: Array, stripes: int, rng: Generator) -> None:
    """Fill the water between two curves (K, 2) with bands that follow both, dark ones around pale ones."""
    count, along = len(outer), np.linspace(0, 1, len(outer))[:, None]
    gap = np.linalg.norm(outer - inner, axis=1, keepdims=True) / stripes
    block.shape(np.vstack([outer, inner[::-1]]), PRUSSIAN, 0.002)
    for k in range(stripes):
        centre = (k + 0.5) / stripes + 0.012 * np.sin(5 * along + k)
        part = slice(rng.integers(0, count // 8), count - rng.integers(0, count // 10))
        path, width = (outer * (1 - centre) + inner * centre)[part], gap[part]
        taper = np.sqrt(np.sin(np.linspace(0.05, np.pi - 0.05, len(path))))[:, None]
        tones = (MID_BLUE, PALE_BLUE, FOAM) if k % 2 else (MID_BLUE, MID_BLUE, PALE_BLUE)
        for share, colour in zip((0.36, 0.25, 0.14), tones, strict=True):
            block.shape(ribbon(path, taper * width * share), colour)
        block.contour(path + width * (0.05, 0.02), 0.0035)
    block.contour(outer, 0.007)
    block.contour(inner, 0.007)


def claw(base: Array, heading: float, length: float, bend: float, rng: Generator) -> list[Array]:
    """A hooked finger of foam with smaller fingers along it; returns outlines (N, 2) of all."""
    along = np.linspace(0, 1, 14)[:, None]
    turn = heading + bend * along[:, 0] ** 1.5
    path = base + np.cumsum(unit_vectors(turn), axis=0) * length / 14
    shapes = [ribbon(path, length * 0.17 * (1 - 0.8 * along**1.5) * np.sqrt(np.clip(along / 0.3, 0.02, 1)))]
    if length > 0.022:
        for k, side in ((3, -1), (6, 1), (8, -1), (11, 1), (12, -1)):
            angle = turn[k] + side * rng.uniform(0.5, 0.9)
            shapes += claw(path[k], angle, length * rng.uniform(0.38, 0.52), bend * 0.9, rng)
    return shapes


def foam_edge(block: WoodBlock, edge: Array, depth: float, reach: float, bend: float, rng: Generator) -> None:
    """White water along `edge` (K, 2): a band of thickness `depth`, claws up to `reach` outside, drips inside."""
    tangent, along = np.gradient(edge, axis=0), np.linspace(0, 1, len(edge))
    outward = np.arctan2(tangent[:, 1], tangent[:, 0]) - np.pi / 2
    inward, lean = -unit_vectors(outward), np.sign(bend)
    thickness = depth * np.sin(np.pi * (0.03 + 0.94 * along)) ** 0.6
    inner = edge + inward * thickness[:, None]
    groups = [[np.vstack([edge, inner[::-1]])]]
    for k in range(2, len(edge) - 1, 3):
        drip, size = outward[k] + np.pi - 0.9 * lean + rng.normal(0, 0.15), thickness[k] * rng.uniform(0.5, 0.95)
        groups[0] += claw(inner[k] - inward[k] * 0.006, drip, size, -0.5 * bend, rng)
        size = reach * (0.35 + 0.75 * along[k]) * min(1, 8 * (1 - along[k]) + 0.3) * rng.uniform(0.75, 1.25)
        groups.append(claw(edge[k] + inward[k] * 0.008, outward[k] + 0.5 * lean + rng.normal(0, 0.22), size, bend, rng))
    # Each claw is inked and whitened before the next one, so that its contour stays visible over its neighbour.
    for group in groups:
        for colour, grow in ((INK, 0.0022), (FOAM, 0.0)):
            for outline in group:
                block.shape(outline, colour, grow)
    for k in rng.permutation(np.arange(3, len(edge) - 3)):
        start, size = edge[k] + inward[k] * thickness[k] * rng.uniform(0.1, 0.75), thickness[k] * rng.uniform(0.25, 0.5)
        curl = claw(start, outward[k] + np.pi - 0.9 * lean, size, -bend, rng)[0]
        block.contour(curl[:14], 0.0035, (PALE_BLUE, PALE_BLUE, MID_BLUE, PRUSSIAN)[k % 4])


def spray(block: WoodBlock, edge: Array, count: int, spread: float, rng: Generator) -> None:
    """Drops of foam thrown off `edge` (K, 2) to distances of about `spread`."""
    for at in edge[rng.integers(0, len(edge), count)]:
        place, radius = at + rng.normal((0.6, -0.3), 1) * spread, 0.0016 + 0.0045 * rng.beta(1, 3)
        block.dot(place, radius + 0.0011, PALE_BLUE * 0.75)
        block.dot(place, radius, FOAM)


def boat(block: WoodBlock, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A long, slender boat with a row of crouching oarsmen."""
    t = np.linspace(0, 1, 40)[:, None]
    path = start * (1 - t) + end * t + (0, 0.05) * (1 - (2 * t - 1) ** 2)
    hull = ribbon(path, 0.019 * np.sin(np.pi * (0.04 + 0.92 * t)) ** 0.6)
    block.shape(hull, INK, 0.0025)
    block.shape(hull, BOAT_WOOD)
    block.contour(path + (0, 0.006), 0.005, BOAT_SHADE)
    for seat in path[7:33:4]:
        for shift, radius, colour in (((0.002, -0.010), 0.0115, OARSMAN), ((0.006, -0.023), 0.0058, FACE)):
            block.dot(seat + shift, radius + 0.002, INK)
            block.dot(seat + shift, radius, colour)


def mount_fuji(block: WoodBlock) -> None:
    """The far, snow-capped cone."""
    left = smooth_curve(table("0.68 0.73, 0.80 0.62, 0.855 0.535"))
    right = smooth_curve(table("0.885 0.535, 0.94 0.62, 1.08 0.73"))
    block.shape(np.vstack([left, right]), FUJI)
    block.shape(np.vstack([left[40:], right[:26], smooth_curve(table(FUJI_SNOW))]), FOAM)
    for side in (left, right):
        block.contour(side, 0.004)


def great_wave(rng: Generator, size: Size = (832, 656)) -> Array:
    """A claw of foam over tiny boats in Hokusai's manner: flat blues, ruled contours, a graded paper sky."""
    _, y = Scene.blank(size).grid()
    tone = 1.1 * smoothstep(0.75, 0.25, y) - 0.75 * smoothstep(0.22, 0.0, y) + 0.05 * cloud_noise(rng, y.shape, 60)
    block = WoodBlock(ramp(rgb("a9a08c", "cfc3a3", "e6d9b8", "efe4c8"), np.clip(tone, 0, 1)))
    far, far_floor = smooth_curve(table(FAR_SEA), 90), smooth_curve(table(FAR_FLOOR), 90)
    back, face = smooth_curve(table(WAVE_BACK), 120), smooth_curve(table(WAVE_FACE), 120)
    lip, near = smooth_curve(table(WAVE_LIP), 124), smooth_curve(table(NEAR_SEA), 120)
    mount_fuji(block)
    striped_body(block, far, far_floor, 6, rng)
    foam_edge(block, far[60:88], 0.04, 0.045, -0.8, rng)
    boat(block, np.array([0.80, 0.80]), np.array([1.22, 0.70]))
    striped_body(block, back, face, 9, rng)
    foam_edge(block, lip, 0.075, 0.1, 1.2, rng)
    spray(block, lip[45:], 240, 0.075, rng)
    boat(block, np.array([0.40, 0.90]), np.array([0.86, 0.83]))
    striped_body(block, near, near * (1, 0.25) + (0, 0.95), 5, rng)
    for part, depth, reach in ((slice(8, 52), 0.05, 0.06), (slice(78, 112), 0.025, 0.035)):
        foam_edge(block, near[part], depth, reach, 1.1, rng)
    spray(block, near[8:50], 70, 0.04, rng)
    pressed = np.asarray(block.image.resize(size, Image.Resampling.LANCZOS)) / 255.0
    return pressed * paper_grain(rng, y.shape)[..., None] + 0.015 * cloud_noise(rng, y.shape, 12)[..., None]


# ---------------------------------------------------------------- 3. mosaic

PEACOCK = (
    "0 0.43, 0.026 0.445, 0.032 0.475, 0.026 0.505, 0.036 0.56, 0.066 0.64, 0.078 0.72, 0.06 0.8, 0.02 0.85, 0 0.86"
)
EYE_RINGS = ((0.17, 8), (0.262, 12), (0.352, 14))


def medallion(scene: Scene) -> dict[int, tuple[Array, float]]:
    """Blue ground, corner flowers and a roped ring; returns per region the level its rows follow and a tile size."""
    x, y = scene.grid()
    r, turn = np.hypot(x - 0.5, y - 0.5), np.arctan2(y - 0.5, x - 0.5)
    corner_x, corner_y = np.minimum(x, 1 - x) - 0.075, np.minimum(y, 1 - y) - 0.075
    corner = np.hypot(corner_x, corner_y)
    petals = 0.075 * (1 + 0.28 * np.cos(6 * np.arctan2(corner_y, corner_x)))
    blues = ramp(rgb("182a5c", "27477f", "3e74a4"), 0.5 + 0.5 * np.sin(70 * r + 3 * np.sin(8 * turn)))
    scene.fill(r >= 0, blues, 1)
    scene.fill(corner < petals, ramp(rgb("f6e7b0", "e9b43c", "c4502e", "8c2430"), np.clip(corner / petals, 0, 1)), 2)
    rope = np.where(np.cos(24 * turn + 190 * (r - 0.45))[..., None] > 0, rgb("b5382a"), rgb("e2a83a"))
    for radius, colour in ((0.485, rgb("f3e6c4")), (0.4716, rope), (0.4314, rgb("f3e6c4"))):
        scene.fill(r < radius, colour, 3)
    fan_r = np.hypot(x - 0.5, y - 0.64)
    warmth = np.clip(0.5 + 0.3 * np.sin(38 * fan_r) + 0.25 * (y - 0.5), 0, 1)
    scene.fill(r < 0.418, ramp(rgb("f2dca2", "e8b866", "d98a4a", "bf5c3a"), warmth), 4)
    return {1: (r, 15.0), 2: (corner, 9.5), 3: (r - 0.418, 10.28), 4: (fan_r, 14.0)}


def peacock(scene: Scene) -> dict[int, tuple[Array, float]]:
    """The bird and its fan of eyes; returns per region the level its rows follow and a tile size."""
    x, y = scene.grid()
    fan_r, fan_turn = np.hypot(x - 0.5, y - 0.64), np.arctan2(x - 0.5, 0.64 - y)
    fan = (fan_r < 0.392 + 0.016 * np.cos(22.6 * fan_turn)) & (np.abs(fan_turn) < 1.95)
    fan &= np.hypot(x - 0.5, y - 0.5) < 0.425
    green = np.clip(0.375 + 0.375 * np.cos(45.1 * fan_turn) + 0.625 * fan_r, 0, 1)
    scene.fill(fan, ramp(rgb("0d3f3c", "17695a", "3b9a6c", "a5bd56"), green), 5)
    nearest = np.full(x.shape, np.inf)
    for radius, count in EYE_RINGS:
        for dx, dy in radius * unit_vectors((np.arange(count) + 0.5) / count * 3.75 - 1.875):
            nearest = np.minimum(nearest, np.hypot(x - 0.5 - dy, y - 0.64 + dx) / (0.088 * radius + 0.0125))
    eye = ramp(rgb("0e1742", "1b2f88", "2a9fc0", "43c3c0", "d48c2c", "f0cc5a", "7f9c3c"), np.clip(nearest, 0, 1))
    scene.fill((nearest < 1) & fan, eye, 6)
    side = smooth_curve(table(PEACOCK))
    body = polygon_mask(x.shape, np.vstack([side, side[::-1] * (-1, 1)]) + (0.5, 0))
    inside = distance_transform_edt(body > 0.5) / x.shape[0]
    scales = 0.5 + 0.5 * np.sin(150 * y + 2.5 * np.cos(110 * (x - 0.5)))
    blue = np.clip(0.55 * inside / inside.max() + 0.45 * scales * smoothstep(0.5, 0.6, y), 0, 1)
    scene.fill(body, ramp(rgb("10206a", "1d49b4", "2f8fe0", "74d0e6"), blue), 7)
    for cx, cy, colour in ((0.486, 0.462, "fbf4dc"), (0.514, 0.462, "fbf4dc"), (0.5, 0.487, "f2b632")):
        scene.fill(np.hypot(x - cx, y - cy) < 0.0105, rgb(colour), 7)
    crest, lean = np.hypot(x - 0.5, y - 0.435), np.arctan2(x - 0.5, 0.435 - y)
    plume = np.where((crest > 0.058)[..., None], rgb("f6d25a"), rgb("2450b8"))
    scene.fill((crest < 0.088) & (np.abs(lean) < 0.72) & (body < 0.5), plume, 8)
    return {5: (fan_r, 10.5), 6: (nearest * 0.036, 8.0), 7: (inside, 8.5), 8: (crest, 9.0)}


def mosaic(rng: Generator, size: Size = (768, 768)) -> Array:
    """A peacock medallion in glass tesserae, small ones for the bird and larger ones for the ground."""
    scene, height = Scene.blank(size), size[1]
    plan = medallion(scene) | peacock(scene)
    seeds = []
    for region, (level, tile) in plan.items():
        seeds.append(row_seeds(level * height, scene.region == region, tile * height / 768, rng))
    seeds = np.vstack(seeds)
    colours = sample(scene.colour, seeds) * (1 + 0.13 * rng.standard_normal((len(seeds), 1)))
    return lay_tiles(seeds, np.clip(colours + 0.035 * rng.standard_normal(colours.shape), 0.03, 1), size, rng)


# ---------------------------------------------------------------- 4. ink wash

MOUNTAINS = (  # peaks as x, top, breadth; then the foot in the mist, the ink, the number of dry strokes
    ("0.10 0.30 0.10, 0.95 0.24 0.13, 1.18 0.33 0.12, 0.72 0.36 0.09", 0.62, 0.28, 250),
    ("0.30 0.18 0.09, 0.44 0.10 0.085, 0.57 0.27 0.07, 0.80 0.40 0.06", 0.68, 0.55, 1400),
    ("0.02 0.38 0.12, 0.19 0.44 0.08, 1.26 0.50 0.12", 0.80, 0.75, 1400),
    ("-0.02 0.70 0.18, 0.20 0.80 0.16, 0.38 0.90 0.10", 1.16, 0.95, 2200),
)
SEAL_CUTS = (  # white lines as x0 y0 x1 y1 in units of the seal's side
    "0.14 0.2 0.44 0.2, 0.29 0.12 0.29 0.46, 0.14 0.36 0.44 0.36, 0.16 0.56 0.16 0.88, 0.16 0.58 0.42 0.58,"
    "0.42 0.56 0.42 0.88, 0.18 0.72 0.40 0.72, 0.58 0.14 0.86 0.14, 0.58 0.28 0.86 0.28, 0.58 0.42 0.86 0.42,"
    "0.72 0.14 0.72 0.86, 0.60 0.62 0.86 0.62, 0.58 0.86 0.86 0.86"
)


def mountains(sheet: InkSheet, peaks: Array, foot: float, ink: float, strokes: int) -> None:
    """One range of peaks: a wash, dark along the ridge, that fades into mist towards `foot`, and dry strokes on it."""
    rng, (width, height) = sheet.rng, sheet.size
    x, y = np.arange(width) / height, np.arange(height)[:, None] / height
    crag = sum(smooth_noise(rng, (1, width), s * height / 656)[0] * s for s in (3, 8, 20, 45)) / 24 * 0.014
    centre, top, breadth = peaks.T[..., None]
    skewed = breadth * (1 + 0.3 * np.sin(40 * centre) * np.sign(x - centre))
    ridge = foot - ((foot - top) * np.exp(-(np.abs((x - centre) / skewed) ** 2.2))).max(0) + crag
    depth = y - ridge
    inside, below = smoothstep(-0.0015, 0.002, depth), np.clip(depth, 0, None)
    tone = 0.22 + 0.55 * np.exp(-below / 0.012) + 0.35 * np.exp(-below / 0.07)
    tone += 0.14 * np.clip(smooth_noise(rng, depth.shape, (22, 4)) + 0.4, 0, 2)
    mist = smoothstep(foot, foot - 0.22, y) * (0.8 + 0.2 * np.tanh(sheet.pooling))
    sheet.soak(gaussian_filter(inside * mist * ink * tone, 0.7), inside * smoothstep(foot + 0.02, foot - 0.15, y))
    marks = []
    for column in rng.integers(4, width - 4, strokes):
        slope = np.clip((ridge[column + 4] - ridge[column - 4]) * height / 8, -3, 3)
        fall = np.arctan2(1.0, 0.5 * slope / (1 + slope**2) + rng.normal(0, 0.15))
        steps = unit_vectors(fall + np.cumsum(rng.normal(0, 0.09, 9))) * rng.uniform(0.02, 0.07) / 9
        path = (x[column], ridge[column] + rng.exponential(0.08) + 0.004) + np.cumsum(steps, axis=0)
        half = np.linspace(1, 0.1, 9)[:, None] * rng.uniform(0.0008, 0.0032)
        fade = smoothstep(foot - 0.03, foot - 0.22, path[-1, 1])
        marks.append((path, half, ink * fade * rng.uniform(0.45, 1.0)))
    sheet.brush(marks, dry=0.6, wet=0.5, within=inside)


def pine(sheet: InkSheet, base: tuple[float, float], size: float) -> None:
    """A wind-bent pine: a knotted trunk and flat clouds of needles."""
    rng = sheet.rng
    trunk = base + smooth_curve(table("0 0, 0.10 -0.35, 0.32 -0.62, 0.30 -1") * size, 30)
    marks = [(trunk, np.linspace(0.045, 0.01, 30)[:, None] * size * rng.uniform(0.8, 1.2, (30, 1)), 0.8)]
    needles = []
    for k, side in ((12, -1), (16, 1), (20, -1), (23, 1), (26, -1), (29, 1)):
        tip = trunk[k] + np.array([side * rng.uniform(0.22, 0.42), -rng.uniform(-0.02, 0.08)]) * size
        bough = smooth_curve(np.array([trunk[k], (trunk[k] + tip) / 2 + (0, 0.03 * size), tip]), 14)
        marks.append((bough, np.linspace(0.016, 0.005, 14)[:, None] * size, 0.8))
        for at in bough[rng.integers(4, 14, 16)] + rng.normal(0, size, (16, 2)) * (0.049, 0.021):
            for spine in unit_vectors(np.linspace(np.pi * 1.05, np.pi * 1.95, 11) + rng.normal(0, 0.06, 11)):
                path = at + np.linspace(0, 0.085 * size, 4)[:, None] * rng.uniform(0.7, 1.1) * spine
                needles.append((path, 0.0028 * size, rng.uniform(0.5, 0.95)))
    sheet.brush([(path, half * 6, ink * 0.22) for path, half, ink in needles], wet=2.5)
    sheet.brush(marks, dry=0.55)
    sheet.brush(needles, dry=0.15)


def bamboo(sheet: InkSheet, foot: float, lean: float, girth: float, ink: float) -> None:
    """One stalk in a few dry strokes, broken at the nodes, with clusters of pointed leaves."""
    rng = sheet.rng
    stalk = smooth_curve((foot, 0) + table("0 1.05, 0.4 0.6, 1 0.1, 1.3 -0.08") * (lean, 1), 90)
    flare = girth * (1 + 0.25 * np.abs(np.linspace(-1, 1, 10)[:, None]) ** 6)
    stems, leaves = [], []
    for piece in np.split(stalk[:80], 8):
        stems.append((piece, flare, ink * rng.uniform(0.65, 0.85)))
        stems.append((piece + (girth * 0.75, 0), flare * 0.2, ink))
        stems.append((piece[:2] + rng.normal(0, 0.001, (2, 2)), girth * 1.25, ink))
        for _ in range(rng.integers(1, 4)):
            heart = piece[0] + rng.normal(0, 0.05, 2)
            stems.append((np.linspace(piece[0], heart, 6), 0.0016, ink))
            leaves += [leaf(heart, angle, ink, rng) for angle in rng.uniform(0.25, np.pi - 0.05, rng.integers(3, 6))]
    sheet.brush(stems, dry=0.5, wet=0.4)
    sheet.brush(leaves, dry=0.2)


def leaf(heart: Array, angle: float, ink: float, rng: Generator) -> Mark:
    """One pressed-and-lifted brush mark that hangs from `heart`."""
    t = np.linspace(0, 1, 16)
    path = heart + np.cumsum(unit_vectors(angle + 0.25 * rng.normal() * t), axis=0) * rng.uniform(0.07, 0.13) / 16
    half = 0.0095 * np.sin(np.pi * t**0.6)[:, None] * rng.uniform(0.7, 1.1) + 0.0003
    return path, half, ink * rng.uniform(0.6, 1.05)


def fishing_boat(sheet: InkSheet, at: tuple[float, float]) -> None:
    """A punt with one fisherman, in four strokes, and a few ripples."""
    t = np.linspace(-1, 1, 16)[:, None]
    marks = [
        (at + np.hstack([0.06 * t, 0.010 * (1 - t**2)]), 0.0045 * (1 - t**4) + 0.0006, 0.85),
        (at + table("0.012 0.004, 0.010 -0.012, 0.013 -0.024"), table("0.008, 0.0075, 0.003"), 0.7),
        (at + table("-0.001 -0.020, 0.012 -0.030, 0.025 -0.020"), 0.0022, 0.9),
        (at + smooth_curve(table("0.01 -0.012, -0.05 -0.05, -0.10 -0.055"), 12), 0.0008, 0.8),
    ]
    for k in range(9):
        shift = sheet.rng.normal((0, 0.03 + 0.004 * k), (0.09, 0.012))
        ripple = at + shift + np.hstack([0.05 * t, 0.0015 * np.sin(9 * t + k)])
        marks.append((ripple, 0.0012 * (1 - t**2) + 0.0002, 0.3))
    sheet.brush(marks, dry=0.3)


def red_seal(picture: Array, corner: tuple[float, float], side: float, rng: Generator) -> Array:
    """Stamp a worn square seal with white characters of straight cuts on `picture` (H, W, 3)."""
    height, width = picture.shape[:2]
    v, u = (np.mgrid[:height, :width] / height - np.reshape(corner[::-1], (2, 1, 1))) / side
    ink = smoothstep(0.0, 0.03, np.min([u, 1 - u, v, 1 - v], axis=0))
    for x0, y0, x1, y1 in table(SEAL_CUTS):
        ink = ink * smoothstep(0.03, 0.055, np.hypot(u - np.clip(u, x0, x1), v - np.clip(v, y0, y1)))
    ink = (ink * (0.92 - 0.25 * smoothstep(0.4, 1.6, smooth_noise(rng, ink.shape, 1.2))))[..., None]
    return picture * (1 - ink) + rgb("b3261c") * ink


def ink_wash(rng: Generator, size: Size = (832, 656)) -> Array:
    """Peaks in mist, pines, a fisherman and bamboo in the manner of East-Asian ink landscapes."""
    sheet = InkSheet(size, rng)
    for peaks, foot, ink, strokes in MOUNTAINS:
        mountains(sheet, table(peaks), foot, ink, strokes)
    fishing_boat(sheet, (0.72, 0.80))
    pine(sheet, (0.035, 0.76), 0.30)
    pine(sheet, (0.21, 0.845), 0.21)
    for foot, lean, girth, ink in table("1.20 0.05 0.008 0.35, 1.07 0.10 0.0095 0.7, 1.15 -0.05 0.011 0.95"):
        bamboo(sheet, foot, lean, girth, ink)
    paper = rgb("efe6d0") * paper_grain(rng, sheet.density.shape, 0.03)[..., None]
    density = np.clip(sheet.density * (1 + 0.07 * sheet.tooth), 0, 1.1)[..., None]
    return red_seal(paper * np.exp(-2.9 * density * (1.0, 0.97, 0.9)), (0.055, 0.06), 0.062, rng)


# ---------------------------------------------------------------- 5. composition

RULED_LINES = table(  # x0 y0 x1 y1 width
    "0.02 0.58 1.24 0.24 0.0055, 0.05 0.46 0.98 0.98 0.004, 0.38 0.04 1.20 0.70 0.0045, 0.70 0.06 0.44 0.96 0.003,"
    "0.98 0.58 1.22 0.98 0.006, 1.03 0.58 1.24 0.92 0.003, 1.08 0.58 1.25 0.86 0.002, 0.40 0.10 0.84 0.05 0.004,"
    "0.33 0.93 0.60 0.20 0.006, 0.60 0.20 0.76 0.93 0.0045"
)
GLOWS = (("0.22 0.22 0.26", "e9a0a8"), ("1.05 0.30 0.24", "9fc3dc"), ("0.62 0.80 0.26", "f2cf6a"),
         ("0.16 0.80 0.20", "a9c9b0"), ("1.12 0.82 0.20", "d9a4c4"))  # fmt: skip
HALF_DISCS = (("0.80 0.20 0.055 0.6", "3f8f78"), ("0.45 0.27 0.04 3.6", "c63a35"), ("1.19 0.14 0.06 2.2", "8a3f86"),
              ("0.30 0.50 0.035 5.2", "e8b43a"), ("0.99 0.72 0.04 1.2", "2f5ea8"))  # fmt: skip


def chequer(art: Watercolour, origin: Array, along: Array, cells: Size, colours: str) -> None:
    """A skewed chessboard of stained cells, ruled in ink."""
    u, v = along, along[::-1] * (-0.8, 1.1)
    for i, j in np.ndindex(cells):
        corner = origin + i * u + j * v
        art.polygon(np.array([corner, corner + u, corner + u + v, corner + v]), art.rng.choice(colours.split()), 0.88)
    for i in range(cells[0] + 1):
        art.line([origin + i * u, origin + i * u + cells[1] * v], 0.0032)
    for j in range(cells[1] + 1):
        art.line([origin + j * v, origin + j * v + cells[0] * u], 0.0032)


def target(art: Watercolour, centre: tuple[float, float], radius: float, colours: str) -> None:
    """Concentric discs from the outside in, the outermost ringed in ink."""
    names = colours.split()
    for k, colour in enumerate(names):
        art.ring(centre, -1, radius * (1 - k / len(names)), colour, 0.75)
    art.ring(centre, radius, radius + 0.004, BLACK, 0.95)


def nested_arcs(art: Watercolour, centre: tuple[float, float], radius: float, colours: str) -> None:
    """Bands of a little less than half a turn, one inside the other."""
    dx, dy = art.x - centre[0], centre[1] - art.y
    r, turn = np.hypot(dx, dy), np.arctan2(dy, dx)
    span = smoothstep(0.30, 0.31, turn) * smoothstep(2.85, 2.84, turn)
    for k, colour in enumerate(colours.split()):
        away = np.abs(r - radius + 0.026 * k)
        art.stain(smoothstep(0.0115, 0.0095, away) * span, colour, 0.7)


def half_disc(art: Watercolour, centre: Array, radius: float, start: float, colour: str) -> None:
    """Half a disc on a ruled line that leans by `start` radians."""
    art.polygon(centre + radius * unit_vectors(start + np.linspace(0, np.pi, 40)), colour)
    art.line(centre + 1.4 * radius * unit_vectors(np.array([start, start + np.pi])), 0.003)


def signs(art: Watercolour) -> None:
    """The small handwriting of the picture: arches, waves, a comb, a row of tents."""
    for k in range(4):
        arch = table("0 0.145, 0.01 0.098, 0.042 0.078, 0.074 0.098, 0.084 0.145") + (0.44 + 0.085 * k, 0)
        art.line(arch, 0.006 - 0.001 * k)
    wave = "0.74 0.52, 0.84 0.44, 0.92 0.55, 1.01 0.63, 1.10 0.60, 1.14 0.68, 1.22 0.70"
    art.line(table(wave), 0.010, taper=0.75)
    art.line(table("0.05 0.52, 0.10 0.47, 0.14 0.53, 0.19 0.48, 0.23 0.54, 0.28 0.49"), 0.006, "8a2f2a", taper=0.6)
    for k in range(9):
        art.line([(0.455 + 0.018 * k, 0.60 - 0.004 * k), (0.50 + 0.022 * k, 0.70 - 0.012 * k)], 0.0028)
    for k, colour in enumerate("3565a6 e58a3c 1b1a1d d8432f 7fae6c".split()):
        tent = np.array([(0, 0.955), (0.05, 0.955), (0.02, 0.90 - 0.008 * k)])
        art.polygon(tent + (0.035 + 0.052 * k, 0), colour, 0.8)


def composition(rng: Generator, size: Size = (832, 656)) -> Array:
    """Circles, wedges, arcs and grids floating on a warm ground, in the manner of Kandinsky's geometric years."""
    art = Watercolour(size, rgb("e3cfa0", "eddfba", "f3e9cf", "ead3b4"), rng)
    for place, colour in GLOWS:
        x, y, radius = table(place)[0]
        art.glow((x, y), radius, colour)
    for radius, colour, opaque in ((0.185, "f0c7c0", 0.7), (0.160, "1c1a22", 0.97), (0.122, "84327f", 0.9)):
        art.ring((0.22, 0.22), -1, radius, colour, opaque)
    art.ring((0.235, 0.235), -1, 0.066, "d8432f", 0.9)
    art.ring((0.315, 0.325), -1, 0.052, "2f5ea8", 0.6)
    art.polygon(table("0.33 0.93, 0.60 0.20, 0.76 0.93"), "6fb0c9", 0.35)
    art.polygon(table("0.52 0.95, 0.86 0.34, 1.00 0.88"), "e8b43a", 0.35)
    art.polygon(table("0.66 0.62, 0.93 0.50, 0.80 0.74"), "c63a35", 0.6)
    cells = "1b1a1d f1e7cf c63a35 e8b43a 3565a6 7fb6a0 f1e7cf"
    chequer(art, np.array([0.86, 0.10]), np.array([0.050, -0.014]), (5, 4), cells)
    cells = "3565a6 f1e7cf 1b1a1d e58a3c f1e7cf 8a5a9a"
    chequer(art, np.array([0.12, 0.62]), np.array([0.036, 0.013]), (4, 5), cells)
    target(art, (1.06, 0.46), 0.082, "2f4f95 f0d35e d8432f f1e7cf 1b1a1d")
    target(art, (0.46, 0.44), 0.060, "3f8f78 f1e7cf e58a3c 1b1a1d")
    target(art, (0.90, 0.83), 0.070, "8a3f86 f2b5b0 2f5ea8 f0d35e")
    nested_arcs(art, (0.42, 0.98), 0.224, "1b1a1d f1e7cf d8432f e8b43a 1b1a1d 3f84b4")
    for x0, y0, x1, y1, width in RULED_LINES:
        art.line([(x0, y0), (x1, y1)], width, taper=0.4)
    signs(art)
    for place, colour in HALF_DISCS:
        x, y, radius, start = table(place)[0]
        half_disc(art, np.array([x, y]), radius, start, colour)
    for _ in range(22):
        centre, radius = rng.uniform((0.04, 0.05), (1.23, 0.95)), rng.uniform(0.006, 0.02)
        art.ring(centre, -1, radius, rng.choice("d8432f 2f5ea8 e8b43a 1b1a1d 3f8f78 8a3f86".split()))
        if rng.random() < 0.5:
            art.ring(centre, radius * 1.55, radius * 1.7, BLACK, 0.9)
    return art.picture


# ---------------------------------------------------------------- 6. sunset fjord

HORIZON, SETTING_SUN, PIER_END = 0.47, np.array([0.44, 0.345]), np.array([1.02, 0.505])
FAR_EDGE, NEAR_EDGE = np.array([-1.12, 0.44]), np.array([-0.88, 0.80])
FJORD_SKY, FAR_SHORE, FJORD, HEADLAND, DECK = range(5)
SUNSET = rgb("6d1420", "a81f1c", "d23a18", "e95f17", "f58a1e", "fbb52f", "fdda5e", "fff1a8")
DEEP_WATER = rgb("060d1c", "0a1d36", "0f3550", "155a6a", "2f8585", "7fb3a0", "d8d9a4")
EDDIES = table("0.16 0.68 0.10 0.035, 0.70 0.60 0.09 0.06, 0.93 0.83 0.16 0.20, 0.66 1.03 0.18 -0.14")
HEADLAND_EDGE = (
    "1.40 0.20, 1.20 0.235, 1.10 0.30, 1.03 0.40, 0.93 0.475, 0.86 0.52, 0.90 0.58, 1.02 0.63,"
    "1.08 0.74, 1.03 0.86, 1.10 1.1, 1.5 1.1"
)
DARK_LAND = rgb("05090f", "0b1c26", "123a3f", "1d5a4f", "4a6b3c", "8a6a2c", "b5541f")
PLANKS = rgb("3a1416", "6e2418", "a34a22", "c97a35", "dca25a", "7a4a52", "4a2a3c")


def contour_angle(level: Array) -> Array:
    """Direction (H, W) along the contours of `level` (H, W)."""
    slope_y, slope_x = np.gradient(level)
    return np.arctan2(-slope_x, slope_y)


def burning_sky(scene: Scene, rng: Generator) -> None:
    """Wavy bands of red, orange and yellow with a few cold streaks, arching over a low sun."""
    x, y = scene.grid()
    wander = smooth_noise(rng, x.shape, 55)
    halo = np.hypot(x - SETTING_SUN[0], y - SETTING_SUN[1])
    level = y + (0.052 * np.sin(4.7 * x + 0.9 + 2.4 * y) + 0.024 * np.sin(10.5 * x - 6 * y)) * smoothstep(0.47, 0.3, y)
    level += 0.010 * wander + 0.17 * np.exp(-((halo / 0.105) ** 2))
    bands = 0.08 + 1.35 * level + 0.24 * np.sin(72 * level + 0.8 * wander) + 0.12 * np.sin(31 * level + 2 + wander)
    glow = smoothstep(0.055, 0.04, halo)
    colour = ramp(SUNSET, np.clip(bands + 0.05 * smooth_noise(rng, x.shape, 9) + glow, 0, 1))
    streak = smoothstep(0.72, 0.95, np.sin(27 * level + 1.2 * wander + 3.6)) * smoothstep(0.16, 0.26, halo)
    cold = ramp(rgb("1c3a5c", "3f7088", "8fb3a4"), np.clip(2.2 * y, 0, 1))
    scene.fill(y < 2, colour + (cold - colour) * (0.85 * streak)[..., None], FJORD_SKY, contour_angle(level))


def swirling_water(scene: Scene, rng: Generator) -> None:
    """Dark water in long eddies that grow towards the viewer, with the sun's broken path across it."""
    x, y = scene.grid()
    wander, depth = smooth_noise(rng, x.shape, 45), np.clip(y - HORIZON, 0, None)
    level = 0.30 * np.log(depth + 0.07) + 0.03 * wander * smoothstep(0, 0.2, depth)
    level += 0.06 * np.sin(6.5 * x + 3 * depth + 0.4) * smoothstep(0, 0.15, depth)
    for cx, cy, reach, lift in EDDIES:
        level += lift * np.exp(-(((x - cx) / (1.6 * reach)) ** 2) - ((y - cy) / reach) ** 2)
    bands = 0.42 + 0.34 * np.sin(80 * level + 0.5 * wander) + 0.12 * np.sin(33 * level)
    bands += 0.04 * smooth_noise(rng, x.shape, 8) - 0.12 * smoothstep(0.2, 0.5, depth)
    colour = ramp(DEEP_WATER, np.clip(bands, 0, 1))
    swing = x - SETTING_SUN[0] + 0.25 * depth + 0.03 * np.sin(40 * level)
    path = np.exp(-((swing / (0.06 + 0.5 * depth)) ** 4)) * smoothstep(-0.4, 0.4, np.sin(80 * level + 2.6))
    fire = ramp(SUNSET, np.clip(0.95 - 1.9 * depth + 0.08 * wander, 0.25, 1))
    colour += (fire - colour) * (0.95 * path)[..., None]
    scene.fill(y > HORIZON, colour, FJORD, contour_angle(level))


def shores(scene: Scene, rng: Generator) -> list[Array]:
    """Blue mountains beyond the fjord and a dark headland at the right; returns their outlines in height units."""
    x, y = scene.grid()
    ridge = 0.425 - 0.030 * np.sin(5 * x + 2.2) - 0.016 * np.sin(13 * x) - 0.05 * smoothstep(0.55, 1.2, x)
    ridge_level = y - ridge + 0.010 * np.sin(30 * x)
    tones = ramp(rgb("14264a", "2b4f78", "4f7f98", "8a7a9a"), 0.5 + 0.5 * np.sin(150 * ridge_level + 3 * x))
    scene.fill((y > ridge) & (y < HORIZON + 0.004), tones, FAR_SHORE, contour_angle(ridge_level))
    edge = smooth_curve(table(HEADLAND_EDGE), 200)
    mask = polygon_mask(x.shape, edge)
    inland = distance_transform_edt(mask > 0.5) / x.shape[0]
    level = gaussian_filter(inland, 5) + 0.018 * np.sin(14 * y + 9 * x) + 0.010 * smooth_noise(rng, x.shape, 30)
    bands = 0.40 + 0.36 * np.sin(88 * level) + 0.20 * np.sin(37 * level + 1) + 0.05 * smooth_noise(rng, x.shape, 7)
    tones = ramp(DARK_LAND, np.clip(bands + 0.25 * smoothstep(0.05, 0, inland) * smoothstep(0.5, 0.3, y), 0, 1))
    scene.fill(mask, tones, HEADLAND, contour_angle(level))
    return [np.stack([x[0], ridge[0]], axis=1)[::9], edge[:-16]]


def pier_deck(scene: Scene, rng: Generator) -> None:
    """Planks that run from the lower left towards the headland."""
    x, y = scene.grid()
    turn = np.arctan2(y - PIER_END[1], PIER_END[0] - x)
    bands = 0.45 + 0.3 * np.sin(95 * turn) + 0.2 * np.sin(41 * turn + 1) + 0.1 * smooth_noise(rng, x.shape, (3, 22))
    corners = PIER_END + np.array([0.05 * FAR_EDGE, FAR_EDGE, NEAR_EDGE, 0.05 * NEAR_EDGE])
    scene.fill(polygon_mask(x.shape, corners), ramp(PLANKS, np.clip(bands, 0, 1)), DECK, np.pi - turn)


def railing(canvas: OilCanvas, rng: Generator, unit: float) -> None:
    """Three rails and their posts along the far side of the pier, shrinking towards its end."""
    height = canvas.size[1]
    for scale in 0.72 ** np.arange(9):
        rise = np.linspace(0.02, -0.27 * scale, 12)[:, None] * (0, 1)
        for k, colour in enumerate(rgb("220a12", "5c1d18", "9a4420")):
            path = PIER_END + FAR_EDGE * scale + (0.006 * scale * (k - 1), 0) + rise
            canvas.stroke(path * height, (4 + 10 * scale) * unit * (1.1 - 0.25 * k), colour, rng)
    for lift in (0.255, 0.165, 0.075):
        for drop, low, high in ((0.010, 0.0, 0.3), (-0.004, 0.5, 1.0), (0.001, 0.3, 0.8)):
            for scale in rng.permutation(0.8 ** np.arange(13)):
                t = np.linspace(0.72, 1.12, 10)[:, None] * scale
                path = PIER_END + (FAR_EDGE - (0, lift - drop)) * t
                tone = ramp(rgb("2c0c16", "8a2c1a", "c9601f", "f0a040"), rng.uniform(low, high))
                canvas.stroke(path * height, (2.5 + 7 * scale) * unit, tone, rng)


def sails_and_walkers(canvas: OilCanvas, rng: Generator, unit: float) -> None:
    """Two far boats on the fjord and two dark figures on the pier, in a few touches each."""
    touches = []
    for x, y, size in table("0.13 0.525 1.1, 0.66 0.505 0.75"):
        touches.append((table("-0.03 0, -0.015 0.006, 0.015 0.006, 0.035 0"), 7, "0a0f18", x, y, size))
        for k, colour in enumerate(("f9d27a", "f0903a", "c4502a", "7a2a2a")):
            sail = np.array([(0.006 * k, -0.006), (0.004 * k, -0.05), (0, -0.09 + 0.008 * k)])
            touches.append((sail, 5, colour, x, y, size))
    for x, y, size in table("0.655 0.690 1.35, 0.715 0.672 1.25"):
        for k, colour in enumerate(("07090f", "101a2a", "1a1420", "34486a")):
            body = table("0 0, 0.002 -0.03, 0 -0.062") + (k - 1.5) * table("0.0062 0, 0.0042 0, 0.0022 0")
            touches.append((body, 4.5, colour, x, y, size))
        touches.append((table("-0.004 -0.067, 0 -0.070, 0.004 -0.067"), 5, "d09a58", x, y, size))
        touches.append((table("-0.006 -0.073, 0 -0.077, 0.006 -0.073"), 3.5, "07090f", x, y, size))
    for path, width, colour, x, y, size in touches:
        path = (x, y) + size * smooth_curve(path, 10)
        canvas.stroke(path * canvas.size[1], width * unit * size, rgb(colour)[0], rng)


def sunset_fjord(rng: Generator, size: Size = (832, 656)) -> Array:
    """A burning evening sky over a dark fjord in Munch's manner: everything flows in the same wavy bands."""
    scene, unit = Scene.blank(size), size[1] / 656
    burning_sky(scene, rng)
    swirling_water(scene, rng)
    outlines = shores(scene, rng)
    pier_deck(scene, rng)
    region = scene.region
    canvas = OilCanvas(size, (60, 20, 24))
    under = Scene(scene.colour * 0.75, scene.angle, region)
    paint_layer(canvas, under, rng, (26, 24, 170), 0.06, region >= FJORD_SKY)
    paint_layer(canvas, scene, rng, (15, 12, 150), 0.09, region >= FJORD_SKY)
    outline_strokes(canvas, rng, outlines, 5 * unit)
    paint_layer(canvas, scene, rng, (17, 8, 120), 0.12, region < DECK)
    paint_layer(canvas, scene, rng, (14, 8, 90), 0.14, region == DECK)
    paint_layer(canvas, scene, rng, (21, 4.5, 90), 0.16, region >= FJORD_SKY)
    railing(canvas, rng, unit)
    sails_and_walkers(canvas, rng, unit)
    return canvas.finish()


# ---------------------------------------------------------------- 7. pointillism

SEA_LINE, EVENING_SUN = 0.50, np.array([0.82, 0.30])
AIR, DISTANCE, TOWN, SEA, BOAT, SHORE, PINE = range(7)
PIGMENTS = rgb(
    *"fff6d6 fde58a fbc93a f79a2b ee6a2c d93a3a c2307a f4a6b4 e9c6d8 b58ac6 7a4fa3".split(),
    *"43388f 2449a4 2f7fc9 6fb4e0 bfe0ea 2a9d9a 1f7a4f 5fae4a b5d04f 0f2f4a 5a1f3a".split(),
)
PINE_CROWN = table(  # clumps as x, y, radius
    "0.05 0.10 0.11, 0.20 0.06 0.12, 0.36 0.10 0.10, 0.47 0.17 0.075, 0.12 0.20 0.10, 0.28 0.19 0.10,"
    "0.40 0.25 0.075, 0 0.26 0.09, 0.08 0.32 0.07, 0.22 0.28 0.08"
)
EVENING_AIR = rgb("fff3b0", "fdd873", "f9b46a", "f0a0a0", "cfa2cf", "8fb0e2", "5f93d6", "3f74c4")
SEA_TONES = rgb("f6d9a0", "9fc6e0", "4f9fd0", "2f78b8", "2a5aa0", "2f3f86")


def evening_air(scene: Scene, rng: Generator) -> None:
    """Rings of yellow, rose, lilac and blue around a low sun, with long clouds, over violet hills."""
    x, y = scene.grid()
    dx, dy = x - EVENING_SUN[0], (y - EVENING_SUN[1]) * 1.25
    r, turn = np.hypot(dx, dy), np.arctan2(dy, dx)
    curl = 0.03 * np.sin(7 * turn + 14 * r) + 0.012 * smooth_noise(rng, x.shape, 40)
    tone = (r + curl) / 0.70 + 0.045 * np.sin(48 * (r + curl))
    scene.fill(y < 2, ramp(EVENING_AIR, np.clip(tone, 0, 1)), AIR, turn + np.pi / 2)
    cloud = np.sin(9 * y + 3 * x + 1.4 * np.sin(4 * x + 1) + 0.5 * smooth_noise(rng, x.shape, (18, 60)))
    scene.fill((cloud > 0.80) & (r > 0.2) & (y < 0.42), ramp(rgb("f7d9c4", "f6a9a0", "d98fc0"), np.clip(r, 0, 1)), AIR)
    scene.fill(r < 0.058, rgb("fffbe0"), AIR, turn)
    for number, (height, colours) in enumerate(((0.10, "a98acb 8f7fc8 c49ac0"), (0.062, "6a5aa8 4f5fae 8a6ab0"))):
        profile = 0.45 + 0.32 * np.sin(4.1 * x + 2.6 * number + 0.5) + 0.14 * np.sin(11 * x + number)
        ridge = SEA_LINE - height * profile
        tones = ramp(rgb(*colours.split()), 0.5 + 0.5 * np.sin(60 * (y - ridge) + 7 * x))
        scene.fill((y > ridge) & (y < SEA_LINE), tones, DISTANCE, 0.5)


def harbour_town(scene: Scene, rng: Generator) -> None:
    """A row of houses with warm walls and red roofs and a tall bell tower along the far quay."""
    shape = scene.region.shape
    blocks = [(at, rng.uniform(0.022, 0.04), rng.uniform(0.03, 0.062)) for at in np.arange(0.30, 0.74, 0.033)]
    for left, width, height in [*blocks, (0.40, 0.026, 0.15)]:
        top, right = SEA_LINE - height, left + width
        wall = np.array([(left, SEA_LINE), (left, top), (right, top), (right, SEA_LINE)])
        scene.fill(polygon_mask(shape, wall), rng.choice(rgb("f6c27a", "f3dcb0", "ee9f6a", "c9a0c0")), TOWN, np.pi / 2)
        tip = ((left + right) / 2, top - 0.5 * width - 0.1 * height)
        roof = np.array([(left - 0.004, top), tip, (right + 0.004, top)])
        scene.fill(polygon_mask(shape, roof), rng.choice(rgb("d0452f", "b83a4a", "7a4a9a")), TOWN, 0.4)


def bright_sea(scene: Scene, rng: Generator) -> None:
    """Rippled blue water that mirrors the sky, the town and the sun in broken horizontal touches."""
    x, y = scene.grid()
    rows = len(y)
    depth = np.clip(y - SEA_LINE, 0, None)
    sway = 2.5 * np.sin(5 * x + 9 * depth) + smooth_noise(rng, x.shape, (5, 30))
    ripple = np.sin(150 * np.sqrt(depth + 0.002) + sway)
    mirror = np.clip(2 * SEA_LINE - y + 0.012 * ripple, 0, 0.999)
    columns = np.clip((x + 0.012 * smooth_noise(rng, x.shape, (2, 14))) * rows, 0, x.shape[1] - 1).astype(int)
    reflected = scene.colour[(mirror * rows).astype(int), columns]
    water = ramp(SEA_TONES, np.clip(0.28 + 1.15 * depth + 0.22 * ripple, 0, 1))
    share = (smoothstep(0.42, 0.0, depth) * (0.52 + 0.25 * ripple))[..., None]
    colour = water * (1 - share) + reflected * share
    path = np.exp(-(((x - EVENING_SUN[0]) / (0.045 + 0.22 * depth)) ** 2)) * smoothstep(-0.5, 0.6, ripple)
    colour += (ramp(rgb("fff6c0", "fdd05a", "f59a4a"), np.clip(2.4 * depth, 0, 1)) - colour) * (0.9 * path)[..., None]
    scene.fill(y > SEA_LINE, colour, SEA, 0.06 * np.sin(9 * x + 30 * depth))


def sailing_boat(scene: Scene, at: tuple[float, float], size: float, colours: str) -> None:
    """A boat with two tall sails, each graded between two colours, and its broken reflection."""
    x, y = scene.grid()
    u, v = (x - at[0]) / size, (y - at[1]) / size
    main, main_shade, jib, jib_shade, hull = rgb(*colours.split())
    afloat = v <= 0
    across, up = u + 0.05 * np.sin(45 * v) * ~afloat, np.where(afloat, -v, v * 1.3)
    broken = afloat | ((v < 0.85) & (np.sin(70 * v + 9 * u) > -0.45))
    leech, foreleech = 0.50 * np.clip(1 - up, 0, 1) ** 0.7, 0.42 * np.clip(0.9 - up, 0, 1) ** 0.9
    parts = (
        ((up > 0.10) & (across > 0) & (across < leech), across * 2.2, main, main_shade, 1.9 - 0.8 * u),
        ((up > 0.12) & (across < 0) & (across > -foreleech), -across * 2.4, jib, jib_shade, 1.2),
        ((up < 1.04) & (np.abs(across) < 0.015), 0 * u, hull + 0.12, hull, np.pi / 2),
        ((up <= 0.10) & (np.abs(across - 0.03) < 0.44 + 0.9 * up), 8 * up, hull * 0.8, hull * 1.5, 0.0),
    )
    for mask, t, colour, shade, angle in parts:
        mixed = colour + (shade - colour) * np.clip(t, 0, 1)[..., None]
        mixed = np.where(afloat[..., None], mixed, 0.7 * mixed + 0.3 * scene.colour)
        scene.fill(mask & broken, mixed, BOAT, np.where(afloat, angle, 0.0))


def shore_and_pine(scene: Scene, rng: Generator) -> None:
    """A sunlit bank with violet shadows, and a great pine that frames the view at the left."""
    x, y = scene.grid()
    bank = 0.90 - 0.14 * smoothstep(0.45, -0.1, x) + 0.02 * np.sin(6 * x + 1) + 0.10 * smoothstep(0.5, 1.3, x)
    lit = 0.5 + 0.35 * np.sin(55 * (y - bank) + 6 * np.sin(5 * x)) + 0.28 * smooth_noise(rng, x.shape, (7, 20))
    tones = ramp(rgb("4a3a8a", "2f7a5f", "7ab04a", "e3c050", "f6a04a"), np.clip(lit, 0, 1))
    scene.fill(y > bank, tones, SHORE, 0.35 * np.sin(7 * x))
    trunk = smooth_curve(table("0.10 0.95, 0.13 0.75, 0.10 0.55, 0.17 0.38, 0.24 0.22"), 40)
    limbs = [(trunk, 0.026), (smooth_curve(table("0.11 0.58, 0.05 0.42, -0.03 0.33")), 0.014),
             (smooth_curve(table("0.16 0.40, 0.26 0.34, 0.38 0.27")), 0.012)]  # fmt: skip
    for path, half in limbs:
        band = ribbon(path, half * np.linspace(1, 0.45, len(path))[:, None])
        lit = 0.5 + 18 * (x - np.interp(y, trunk[::-1, 1], trunk[::-1, 0]))
        bark = ramp(rgb("3a1f5a", "7a2f5a", "c9503a", "f0904a"), np.clip(lit, 0, 1))
        scene.fill(polygon_mask(x.shape, band), bark, PINE, np.pi / 2)
    for cx, cy, reach in PINE_CROWN:
        dx, dy = (x - cx) / reach, (y - cy) / (0.62 * reach)
        r = np.hypot(dx, dy) + 0.16 * smooth_noise(rng, x.shape, 9)
        light = np.clip(0.42 + 0.38 * dx - 0.34 * dy + 0.16 * smooth_noise(rng, x.shape, 6), 0, 1)
        tones = ramp(rgb("2a2468", "1f4a6a", "1f7a4f", "4fa04a", "a9c84a", "f3d860"), light)
        scene.fill(r < 1, tones, PINE, np.arctan2(dy, dx) + np.pi / 2)


def divided(colours: Array, rng: Generator, spread: float) -> Array:
    """Break mixed colours (N, 3) up into purer touches that scatter around them, some of them complementary."""
    count = len(colours)
    grey = colours.mean(1, keepdims=True)
    vivid = grey + (colours - grey) * 1.35 + rng.normal(0, spread, colours.shape)
    opposite = rng.random(count) < 0.13
    vivid[opposite] = (2 * grey - colours + rng.normal(0, 0.1, colours.shape))[opposite] * 0.9 + 0.05
    nearest = PIGMENTS[cKDTree(PIGMENTS).query(vivid)[1]]
    return 0.62 * nearest + 0.38 * vivid


def dab_layer(canvas: OilCanvas, scene: Scene, rng: Generator, dab: tuple[float, float, float], where: Array) -> None:
    """Cover `where` (H, W) with short touches of divided colour; `dab` is their spacing, width and length."""
    spacing, width, length = np.array(dab) * canvas.size[1] / 656
    rows, columns = scene.region.shape
    gy, gx = np.mgrid[-spacing : rows + spacing : spacing, -spacing : columns + spacing : spacing]
    gx[::2] += spacing / 2
    starts = rng.permutation(np.stack([gx.ravel(), gy.ravel()], axis=1))
    starts += rng.uniform(-0.36, 0.36, starts.shape) * spacing
    starts = starts[sample(where, starts)]
    colours = divided(sample(scene.colour, starts), rng, 0.10)
    angles = sample(scene.angle, starts) + rng.normal(0, 0.16, len(starts))
    t = np.linspace(-0.5, 0.5, 6)[:, None]
    for start, angle, colour in zip(starts, angles, colours, strict=True):
        path = start + t * length * rng.uniform(0.8, 1.2) * unit_vectors(angle)
        canvas.stroke(path, width * rng.uniform(0.85, 1.15), colour, rng)


def pointillism(rng: Generator, size: Size = (832, 656)) -> Array:
    """A harbour at evening in Seurat's and Signac's manner: nothing but touches of divided colour."""
    scene = Scene.blank(size)
    evening_air(scene, rng)
    harbour_town(scene, rng)
    bright_sea(scene, rng)
    sailing_boat(scene, (0.76, 0.565), 0.13, "fdf6e0 b08ac6 f4c0c0 8a6ab8 43388f")
    sailing_boat(scene, (0.55, 0.67), 0.34, "e8482f 9a2a5a ffe890 f5a83a 3a1f4a")
    sailing_boat(scene, (1.01, 0.77), 0.50, "f4f0f4 3f5ac0 f59a3a c8403a 1f2a5a")
    shore_and_pine(scene, rng)
    region = scene.region
    canvas = OilCanvas(size, (226, 208, 176))
    dab_layer(canvas, scene, rng, (8.0, 11, 13), region >= AIR)
    dab_layer(canvas, scene, rng, (9.0, 9.5, 11), region >= AIR)
    dab_layer(canvas, scene, rng, (8.6, 8.4, 9.6), region <= DISTANCE)
    dab_layer(canvas, scene, rng, (6.6, 6.8, 8.4), region > DISTANCE)
    return canvas.finish()


# ---------------------------------------------------------------- 8. woodcut

SUN_AT, SUN_DISC, CROWN = np.array([0.80, 0.235]), 0.088, np.array([1.12, 0.42])
CREAM, SOOT, VERMILION, OCHRE, SAGE = rgb("f1e6c8", "17130f", "cf3f23", "e0a63c", "8fa583")
CLOUDS = (  # puffs as x, y, radius, from the back to the front of each bank
    "0.02 0.30 0.075, 0.12 0.25 0.085, 0.23 0.27 0.075, 0.33 0.31 0.055, 0.17 0.33 0.07, 0.06 0.36 0.065,"
    "0.27 0.36 0.055",
    "1.25 0.36 0.075, 1.16 0.33 0.07, 1.07 0.37 0.05, 1.20 0.40 0.06, 1.11 0.415 0.045",
    "0.36 0.085 0.05, 0.44 0.06 0.06, 0.53 0.085 0.045, 0.41 0.12 0.04, 0.48 0.125 0.045",
)
PEAKS = table(
    "-0.02 0.40, 0.05 0.34, 0.08 0.37, 0.13 0.42, 0.18 0.36, 0.24 0.28, 0.27 0.33, 0.30 0.35, 0.345 0.31, 0.40 0.40,"
    "0.46 0.435, 0.52 0.37, 0.55 0.395, 0.60 0.43, 0.65 0.40, 0.71 0.345, 0.745 0.385, 0.78 0.40, 0.83 0.365,"
    "0.90 0.43, 0.96 0.40, 1.02 0.44, 1.09 0.38, 1.16 0.43, 1.30 0.36"
)
FIELDS = (  # height of the crest at four places, slant of the furrows, darkness, ink
    ("-0.05 0.53, 0.35 0.475, 0.75 0.515, 1.32 0.47", 0.9, 0.34, "e0a63c"),
    ("-0.05 0.60, 0.30 0.62, 0.80 0.555, 1.32 0.60", -1.1, 0.46, "8fa583"),
    ("-0.05 0.74, 0.40 0.66, 0.85 0.70, 1.32 0.66", 1.3, 0.40, "e0a63c"),
    ("-0.05 0.80, 0.35 0.86, 0.80 0.78, 1.32 0.84", -0.7, 0.55, "8fa583"),
)
HOUSES = table(  # left, base, width, wall height, roof height
    "0.46 0.60 0.05 0.05 0.045, 0.73 0.60 0.06 0.05 0.05, 0.50 0.615 0.065 0.055 0.055, 0.67 0.62 0.06 0.06 0.05,"
    "0.565 0.60 0.045 0.15 0.11, 0.43 0.64 0.06 0.05 0.05, 0.62 0.64 0.065 0.055 0.055, 0.545 0.65 0.07 0.055 0.055,"
    "0.70 0.66 0.06 0.045 0.045, 0.80 0.635 0.04 0.07 0.05"
)

WINDOW = "-0.007 0, -0.007 -0.022, 0 -0.028, 0.007 -0.022, 0.007 0"
GATE = "-0.02 0, -0.02 -0.035, -0.012 -0.047, 0 -0.052, 0.012 -0.047, 0.02 -0.035, 0.02 0"
COPSES = table(  # small trees as x, y, radius
    "0.07 0.485 0.022, 0.12 0.475 0.025, 0.93 0.465 0.02, 0.20 0.565 0.027, 0.26 0.575 0.03, 0.33 0.57 0.026,"
    "0.05 0.70 0.042, 0.14 0.685 0.046, 0.86 0.65 0.034, 0.93 0.66 0.038, 0.72 0.755 0.036"
)


class CutBlock:
    """Black key block (H, W), 0 for cut away, and flat tints (H, W, 3); points are in units of the picture height."""

    def __init__(self, size: Size, rng: Generator):
        width, height = size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE
        self.size, self.rng = size, rng
        self.y, self.x = np.mgrid[:height, :width] / height
        self.key, self.tint = np.zeros((height, width)), np.ones((height, width, 3)) * CREAM
        self.wobble, self.knife = smooth_noise(rng, (height, width), 30), smooth_noise(rng, (height, width), 5)

    def around(self, points: Array) -> "CutBlock":
        """The part of this block that holds the points (N, 2): a window on the same wood."""
        last = np.array(self.key.shape[::-1]) - 1
        low, high = ((reach * len(self.y)).astype(int) for reach in (points.min(0) - 0.004, points.max(0) + 0.006))
        (left, top), (right, bottom) = np.clip(low, 0, last), np.clip(high, 0, last) + 1
        part = copy(self)
        for name in ("x", "y", "key", "tint", "wobble", "knife"):
            setattr(part, name, getattr(self, name)[top:bottom, left:right])
        return part

    def mask(self, points: Array) -> Array:
        """Coverage in 0..1 of this block or window by a polygon (N, 2)."""
        pixels = (points - (self.x[0, 0], self.y[0, 0])) * self.size[1] * SUPERSAMPLE
        return polygon_mask(self.key.shape, pixels / len(self.key))

    def clear(self, mask: Array, ink: Array) -> None:
        """Cut everything away inside `mask` and lay a flat tint there."""
        self.key *= 1 - mask
        self.tint[mask > 0.5] = ink

    def cut(self, points: Array, ink: Array) -> tuple["CutBlock", Array]:
        """Clear a polygon (N, 2); returns the window around it and its mask there, ready for hatching."""
        part = self.around(points)
        mask = part.mask(points)
        part.clear(mask, ink)
        return part, mask

    def hatch(self, mask: Array, level: Array, tone: Array, period: float = 0.0135) -> None:
        """Leave lines `period` apart along the contours of `level` (H, W), swelling with `tone`, each cut by hand."""
        phase = level / period + 0.10 * self.wobble
        hand = self.rng.normal(0, 0.07, 997)[np.floor(phase).astype(int) % 997]
        width = np.where(tone > 0.02, np.minimum(tone + hand + 0.045 * self.knife, 0.93), -1)
        blur = 1.6 / (period * self.size[1] * SUPERSAMPLE)
        lines = mask * smoothstep(-blur, blur, width - 2 * np.abs(phase % 1 - 0.5))
        np.maximum(self.key, lines, out=self.key)

    def line(self, path: Array, width: float, swell: bool = False) -> None:
        """Leave one line along `path` (K, 2), tapering at both ends if it is to `swell`."""
        shape = np.sin(np.linspace(0.1, np.pi - 0.1, len(path)))[:, None] if swell else 1.0
        self.black(ribbon(path, width / 2 * shape))

    def black(self, points: Array) -> None:
        """Leave a polygon (N, 2) black."""
        part = self.around(points)
        np.maximum(part.key, part.mask(points), out=part.key)

    def pull(self) -> Array:
        """Print the tints a little out of register under the worn key block; returns (H, W, 3) in 0..1."""
        rng, shape = self.rng, self.key.shape
        grain = 0.6 * smooth_noise(rng, shape, (1.2, 26)) + 0.5 * smooth_noise(rng, shape, 1.1)
        worn = (self.key * (1 - 0.5 * smoothstep(1.7, 2.3, grain)))[..., None]
        tint = np.roll(self.tint, (3, -4), (0, 1)) * (1 + 0.02 * grain[..., None])
        picture = shrink(tint * (1 - worn) + SOOT * worn, self.size)
        return picture * paper_grain(rng, picture.shape[:2], 0.02)[..., None]


def rayed_sky(block: CutBlock) -> None:
    """Concentric lines around the sun, darker outwards, cut through by straight and wavy rays."""
    dx, dy = block.x - SUN_AT[0], block.y - SUN_AT[1]
    r, turn = np.hypot(dx, dy), np.arctan2(dy, dx)
    sky = np.ones_like(r)
    block.tint[:] = np.where((r < 0.30 + 0.03 * np.cos(11 * turn))[..., None], OCHRE, CREAM)
    spokes = 11 * turn / np.pi
    ray = np.abs((spokes + 0.18 * np.sin(55 * r) * (np.floor(spokes + 0.5) % 2)) % 1 - 0.5) * 2
    shadow = smoothstep(0.30, 0.55, 1 - ray + 0.15) * smoothstep(SUN_DISC * 1.15, SUN_DISC * 1.5, r)
    tone = (0.30 + 0.50 * smoothstep(0.12, 0.75, r)) * shadow + 0.10 * smoothstep(0.35, 0.8, r)
    block.hatch(sky, r + 0.004 * np.sin(12 * turn), tone)
    block.hatch(sky, block.y + 0.8 * block.x, 0.75 * smoothstep(0.42, 0.85, r) * shadow, 0.0145)
    disc = smoothstep(SUN_DISC + 0.001, SUN_DISC - 0.001, r)
    block.clear(disc, VERMILION)
    block.hatch(disc, r, 0.12 + 0.55 * smoothstep(-0.3, 1.0, (dx + dy) / SUN_DISC), 0.0125)
    block.line(SUN_AT + SUN_DISC * unit_vectors(np.linspace(0, 2 * np.pi, 90)), 0.007)


def cloud_bank(block: CutBlock, puffs: Array) -> None:
    """Rolling puffs, each with a heavy contour, hatched round its shaded side and curled inside."""
    for cx, cy, radius in puffs:
        angle = np.linspace(0, 2 * np.pi, 120)
        rim = radius * (1 + 0.07 * np.abs(np.sin(3.5 * angle + 40 * cx)))[:, None] * unit_vectors(angle) * (1, 0.85)
        rim += (cx, cy)
        part, mask = block.cut(rim, CREAM)
        dx, dy = (part.x - cx) / radius, (part.y - cy) / (0.85 * radius)
        side = 0.75 * dy - 0.5 * dx * np.sign(SUN_AT[0] - cx)
        part.hatch(mask, radius * np.hypot(dx + 0.25, dy + 0.45), 0.85 * smoothstep(-0.25, 0.9, side), 0.0125)
        block.line(rim, 0.0065)
        spiral = np.linspace(0.4, 5.2, 40)
        block.line((cx, cy) + radius * (0.08 * spiral)[:, None] * unit_vectors(spiral + 3 + cx * 9), 0.006, swell=True)


def mountain_chain(block: CutBlock) -> None:
    """Sharp peaks: lit faces with few lines, shaded faces with dense slanting ones."""
    x = block.x[0]
    ridge = np.interp(x, PEAKS[:, 0], PEAKS[:, 1]) + 0.006 * smooth_noise(block.rng, (1, len(x)), 14)[0]
    slope = np.gradient(gaussian_filter(np.interp(x, PEAKS[:, 0], PEAKS[:, 1]), 6), x)
    depth, mask = block.y - ridge, (block.y > ridge) * 1.0
    block.clear(mask, rgb("d9d6ba")[0])
    drift = slope[np.clip((block.x - 0.35 * depth) * len(block.y), 0, len(x) - 1).astype(int)]
    shaded = smoothstep(-0.15, 0.25, drift + 0.12 * block.wobble)
    block.hatch(mask, block.x + 0.55 * block.y, (0.16 + 0.5 * shaded) * smoothstep(0.26, 0.03, depth), 0.0125)
    block.hatch(mask, block.x - 0.9 * block.y, 0.55 * shaded * smoothstep(0.12, 0.0, depth), 0.0135)
    block.line(np.stack([x, ridge], 1)[::6], 0.007)


def ploughed_field(block: CutBlock, crest: str, slant: float, dark: float, ink: str) -> None:
    """A swelling hill whose furrows run over its back, darker behind the crest of the next one."""
    knots = smooth_curve(table(crest), 200)
    ridge = np.interp(block.x[0], knots[:, 0], knots[:, 1])
    depth, mask = block.y - ridge, (block.y > ridge) * 1.0
    block.clear(mask, rgb(ink)[0])
    swell = np.sin(5.2 * block.x + 9 * slant + 6 * depth)
    level = 0.85 * slant * (block.x - 0.62) * (0.6 + 1.1 * depth) + block.y + 0.018 * swell
    tone = dark * (0.75 + 0.6 * swell) + 0.05 * block.wobble + 0.25 * smoothstep(0.06, 0.16, depth)
    block.hatch(mask, level, np.clip(tone, 0.14, 0.86), 0.0135)
    block.hatch(mask, ridge * 0.6 + block.y - 0.5 * slant * block.x, 0.6 * smoothstep(0.55, 0.85, tone), 0.0145)
    block.line(np.stack([block.x[0], ridge], 1)[::8], 0.008)


def house(block: CutBlock, left: float, base: float, width: float, wall: float, roof: float) -> None:
    """A gabled house, or a tower with a spire where the wall is high: lit front, dark side, red tiles."""
    eaves, ridge, tower = base - wall, base - wall - roof, wall > 0.1
    middle, front, right = left + np.array([0.275, 0.55, 1]) * width
    if tower:
        gable, tiles = (front, eaves), [(left - 0.006, eaves + 0.004), (left + 0.5 * width, ridge)]
    else:
        gable, tiles = (middle, ridge), [(front + 0.006, eaves + 0.004), (middle, ridge), (right - 0.2 * width, ridge)]
    faces = (
        ([(left, base), (left, eaves), gable, (front, eaves), (front, base)], CREAM, 0.14, (1, 0.2)),
        ([(front, base), (front, eaves), (right, eaves), (right, base)], CREAM, 0.66, (-0.25, 1)),
        ([*tiles, (right + 0.006, eaves + 0.004)], VERMILION, 0.36, (1, 0.9)),
    )
    for corners, ink, tone, slant in faces:
        outline = np.array([*corners, corners[0]])
        part, mask = block.cut(outline, ink)
        part.hatch(mask, part.x * slant[0] + part.y * slant[1], np.full_like(mask, tone), 0.0125)
        for a, b in zip(outline[:-1], outline[1:], strict=True):
            block.line(np.linspace(a, b, 3), 0.0055)
    for k in range(1 + tower):
        block.black(table(WINDOW) + (middle, eaves + 0.035 + 0.06 * k))


def great_tree(block: CutBlock) -> None:
    """A gnarled tree at the right: a ribbed trunk with limbs, and clumps of leaves hatched like shells."""
    rng = block.rng
    trunk = smooth_curve(table("1.13 1.02, 1.12 0.88, 1.15 0.74, 1.10 0.62, 1.12 0.50"), 60)
    limbs = [(trunk, 0.040), (smooth_curve(table("1.11 0.66, 1.02 0.58, 0.98 0.50")), 0.018),
             (smooth_curve(table("1.13 0.70, 1.21 0.60, 1.25 0.50")), 0.020)]  # fmt: skip
    for path, half in limbs[::-1]:
        band = ribbon(path, half * (1.25 - 0.6 * np.linspace(0, 1, len(path)) ** 0.5)[:, None])
        part, mask = block.cut(band, OCHRE)
        inside = gaussian_filter(distance_transform_edt(mask > 0.5), 3) / len(block.y)
        axis = np.interp(part.y, path[::-1, 1], path[::-1, 0])
        part.hatch(mask, inside + 0.004 * part.wobble, 0.45 + 9 * (part.x - axis), 0.0120)
        block.line(np.vstack([band, band[:1]]), 0.007)
    clumps = CROWN + rng.uniform(-1, 1, (170, 2)) * (0.19, 0.155)
    clumps = clumps[(((clumps - CROWN) / (0.19, 0.155)) ** 2).sum(1) < 1]
    for at in clumps[np.argsort(-clumps[:, 1] + rng.normal(0, 0.03, len(clumps)))]:
        scalloped_clump(block, at, rng.uniform(0.026, 0.040))
    for at in clumps[::5]:
        fruit = at + 0.0125 * unit_vectors(np.linspace(0, 2 * np.pi, 24))
        block.cut(fruit, VERMILION)
        block.line(fruit, 0.0045)


def scalloped_clump(block: CutBlock, at: Array, radius: float) -> None:
    """One scalloped clump of leaves, light towards the sun."""
    angle = np.linspace(0, 2 * np.pi, 70)
    rim = at + radius * (0.85 + 0.25 * np.abs(np.sin(3.5 * angle + 90 * at[0])))[:, None] * unit_vectors(angle)
    part, mask = block.cut(rim, SAGE)
    dx, dy = part.x - at[0] + 0.6 * radius, part.y - at[1] + 0.7 * radius
    part.hatch(mask, np.hypot(dx, dy), 0.10 + 0.75 * smoothstep(0.4, 2.0, (dx + dy) / radius), 0.0115)
    block.line(rim, 0.005)


def road_and_grass(block: CutBlock) -> None:
    """A pale road that winds up to the town, and tufts of grass along the lower edge."""
    rng = block.rng
    road = smooth_curve(table("0.36 1.06, 0.47 0.93, 0.61 0.84, 0.61 0.765, 0.58 0.725, 0.597 0.685"), 90)
    band = ribbon(road, 0.008 + 0.07 * np.linspace(1, 0, 90)[:, None] ** 1.5)
    part, mask = block.cut(band, CREAM)
    part.hatch(mask, part.y + 0.15 * part.x, 0.14 + 0.1 * part.wobble, 0.0145)
    for side in (band[:90], band[90:]):
        block.line(side, 0.008)
    tufts = rng.uniform((0, 0.88), (1.28, 1.03), (90, 2))
    for tuft in tufts[np.argsort(tufts[:, 1])]:
        if np.abs(road - tuft).max(1).min() > 0.06:
            blades = []
            for lean in np.linspace(-0.05, 0.05, 7):
                top = (lean, -rng.uniform(0.055, 0.08) * (1 - 8 * abs(lean)))
                blades.append(smooth_curve(tuft + np.array([(lean * 0.2, 0), (lean * 0.4, -0.03), top]), 12))
            for blade in blades:
                block.cut(ribbon(blade, np.linspace(0.011, 0.005, 12)[:, None]), SAGE)
            for blade in blades:
                block.black(ribbon(blade, np.linspace(0.0052, 0.0008, 12)[:, None]))


def copses(block: CutBlock) -> None:
    """Small round trees along the crests of the fields, smaller with distance."""
    for x, y, radius in COPSES:
        block.line(np.array([(x, y + 1.9 * radius), (x + 0.1 * radius, y)]), 0.35 * radius)
        for dx, dy in table("-0.5 0.1, 0.5 0.15, 0 -0.5"):
            scalloped_clump(block, (x, y) + radius * np.array([dx, dy]), 0.8 * radius)


def town_wall(block: CutBlock) -> None:
    """A crenellated wall with a gate in front of the houses."""
    top, foot, notches = 0.630, 0.700, np.repeat(np.linspace(0.40, 0.87, 30), 2)
    teeth = np.stack([notches, top - 0.010 * np.isin(np.arange(60) % 4, (1, 2))], axis=1)
    outline = np.vstack([teeth, [(0.87, foot), (0.40, foot)], teeth[:1]])
    part, mask = block.cut(outline, CREAM)
    part.hatch(mask, part.y, 0.24 + 0.5 * smoothstep(0.55, 0.9, part.x), 0.0125)
    block.line(outline, 0.006)
    block.black(table(GATE) + (0.597, foot))


def woodcut(rng: Generator, size: Size = (832, 656)) -> Array:
    """A walled town under a rayed sun, cut in black line with three tints in the manner of Renaissance woodcuts."""
    block = CutBlock(size, rng)
    rayed_sky(block)
    for puffs in CLOUDS:
        cloud_bank(block, table(puffs))
    mountain_chain(block)
    for field in FIELDS[:2]:
        ploughed_field(block, *field)
    for row in HOUSES:
        house(block, *row)
    town_wall(block)
    for field in FIELDS[2:]:
        ploughed_field(block, *field)
    copses(block)
    road_and_grass(block)
    great_tree(block)
    block.key[(np.abs(block.x / block.x.max() - 0.5) > 0.493) | (np.abs(block.y - 0.5) > 0.491)] = 1
    return block.pull()


# ---------------------------------------------------------------- command line

PAINTINGS = {
    "starry_night": (starry_night, 1889),
    "great_wave": (great_wave, 1831),
    "mosaic": (mosaic, 548),
    "ink_wash": (ink_wash, 1279),
    "composition": (composition, 1923),
    "sunset_fjord": (sunset_fjord, 1893),
    "pointillism": (pointillism, 1886),
    "woodcut": (woodcut, 1498),
}


def save_picture(picture: Array, stem: Path) -> Path:
    """Write (H, W, 3) in 0..1 as PNG, or as JPEG where the PNG would be large; returns the path written."""
    image, path = to_image(picture), stem.with_suffix(".png")
    image.save(path, optimize=True)
    if path.stat().st_size > MAX_PNG_BYTES:
        path.unlink()
        path = stem.with_suffix(".jpg")
        # Pillow optimizes a JPEG in one buffer, which by default is too small for pictures as busy as these.
        ImageFile.MAXBLOCK = max(ImageFile.MAXBLOCK, picture.size)
        image.save(path, quality=92, subsampling=0, optimize=True)
    return path


def main() -> None:
    """Paint the pictures named on the command line, by default all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"pictures to paint, of: {', '.join(PAINTINGS)}")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, metavar="DIR", help="where to write them")
    options = parser.parse_args()
    unknown = set(options.names) - set(PAINTINGS)
    if unknown:
        parser.error(f"unknown picture: {', '.join(sorted(unknown))}")
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.names or PAINTINGS:
        painter, seed = PAINTINGS[name]
        start = time.perf_counter()
        path = save_picture(painter(np.random.default_rng(seed)), options.output / name)
        seconds = time.perf_counter() - start
        print(f"{name}: {path} ({path.stat().st_size / 1024:.0f} KB) in {seconds:.1f} s", flush=True)


if __name__ == "__main__":
    main()
