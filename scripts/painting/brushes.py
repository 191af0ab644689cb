"""Brushes, surfaces and small geometry of the painted pictures: what studies.py and random_styles.py share."""

from dataclasses import dataclass

import numpy as np
from numpy import ndarray as Array
from numpy.random import Generator
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from skimage.measure import find_contours

SUPERSAMPLE = 2

Size = tuple[int, int]


def rgb(*hex_codes: str) -> Array:
    """Turn hex colours such as "1c2a6e" into an (N, 3) array of floats in 0..1."""
    return np.array([[int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)] for code in hex_codes])


def table(text: str) -> Array:
    """Read rows of numbers such as "0.1 0.2, 0.3 0.4" into an (N, columns) array."""
    return np.array([row.split() for row in text.split(",")], float)


def ramp(colours: Array, t: Array) -> Array:
    """Interpolate along (N, 3) colours at positions t in 0..1; returns t.shape + (3,)."""
    stops = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(t, stops, colours[:, channel]) for channel in range(3)], axis=-1)


def smoothstep(low: float, high: float, x: Array) -> Array:
    """Rise smoothly from 0 at `low` to 1 at `high` (which may be the smaller one)."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def unit_vectors(angle: Array) -> Array:
    """Directions of angle.shape + (2,) for angles in radians."""
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def smooth_noise(rng: Generator, shape: Size, scale: float | tuple[float, float]) -> Array:
    """Gaussian noise of (H, W) blurred over `scale` pixels and brought back to unit variance."""
    noise = gaussian_filter(rng.standard_normal(shape), scale, mode="wrap")
    return noise / noise.std()


def cloud_noise(rng: Generator, shape: Size, scale: float) -> Array:
    """Sum of four smooth noises, each half as large and half as strong as the one before, about unit variance."""
    return sum(smooth_noise(rng, shape, scale / 2**k) * 0.5**k for k in range(4)) / 1.15


def paper_grain(rng: Generator, shape: Size, strength: float = 0.022) -> Array:
    """Brightness (H, W) around 1 of hand-made paper: fine tooth, curling fibres, soft clouds."""
    fibres = sum(np.exp(-((smooth_noise(rng, shape, scale) / 0.035) ** 2)) for scale in (9, 13, 18))
    return 1 + strength * (0.45 * smooth_noise(rng, shape, 0.7) - fibres + 0.4 * cloud_noise(rng, shape, 40))


def polygon_mask(shape: Size, points: Array) -> Array:
    """Coverage in 0..1 of (H, W) by a polygon whose (N, 2) corners are in units of the picture height."""
    height, width = shape
    mask = Image.new("L", (width * 2, height * 2))
    ImageDraw.Draw(mask).polygon((np.asarray(points) * height * 2).ravel().tolist(), fill=255)
    return np.asarray(mask.resize((width, height), Image.Resampling.BOX)) / 255.0


def smooth_curve(points: Array, samples: int = 60) -> Array:
    """Catmull-Rom curve through the points (N, 2); returns (samples, 2)."""
    p = np.vstack([2 * points[0] - points[1], points, 2 * points[-1] - points[-2]])
    s = np.linspace(0, len(p) - 3 - 1e-6, samples)
    i, t = s.astype(int), (s % 1)[:, None]
    a, b, c, d = p[i], p[i + 1], p[i + 2], p[i + 3]
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)


def ribbon(path: Array, half_width: Array | float) -> Array:
    """Outline (2K, 2) of a band along `path` (K, 2) with half widths (K, 1)."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
    side = tangent[:, ::-1] * (-1, 1) * half_width
    return np.vstack([path + side, (path - side)[::-1]])


def sample(field: Array, points: Array) -> Array:
    """Values of `field` (H, W, ...) at the pixels that hold the points (N, 2), clamped to the border."""
    column, row = (np.clip(points[:, k].astype(int), 0, field.shape[1 - k] - 1) for k in (0, 1))
    return field[row, column]


def to_bytes(colour: Array) -> tuple[int, ...]:
    """Clip a colour in 0..1 to a tuple of bytes."""
    return tuple(int(c) for c in np.clip(np.asarray(colour).ravel() * 255, 0, 255))


def to_image(picture: Array) -> Image.Image:
    """Turn (H, W, 3) in 0..1 into an image."""
    return Image.fromarray((np.clip(picture, 0, 1) * 255).round().astype(np.uint8))


def shrink(picture: Array, size: Size) -> Array:
    """Scale (H, W, 3) in 0..1 down to `size` (width, height) with a Lanczos filter."""
    return np.asarray(to_image(picture).resize(size, Image.Resampling.LANCZOS)) / 255.0


@dataclass
class Scene:
    """The plan of a picture: colour (H, W, 3) in 0..1, stroke direction (H, W) in radians, region (H, W)."""

    colour: Array
    angle: Array
    region: Array

    @classmethod
    def blank(cls, size: Size) -> "Scene":
        """An empty plan for a picture of `size` (width, height) pixels."""
        width, height = size
        return cls(np.zeros((height, width, 3)), np.zeros((height, width)), np.zeros((height, width), int))

    def grid(self) -> tuple[Array, Array]:
        """Pixel coordinates x and y, each (H, W), in units of the picture height."""
        y, x = np.mgrid[: self.region.shape[0], : self.region.shape[1]] / self.region.shape[0]
        return x, y

    def fill(self, mask: Array, colour: Array, region: int, angle: Array | float = 0.0) -> None:
        """Put colour, region number and direction wherever `mask` (H, W) is above one half."""
        inside = mask > 0.5
        self.colour[inside] = np.broadcast_to(colour, self.colour.shape)[inside]
        self.angle[inside] = np.broadcast_to(angle, self.angle.shape)[inside]
        self.region[inside] = region


class OilCanvas:
    """Wet paint (RGB) and its thickness (relief), both kept at twice the final resolution."""

    def __init__(self, size: Size, ground: tuple[int, int, int]):
        big = (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE)
        self.size = size
        self.paint, self.relief = Image.new("RGB", big, ground), Image.new("L", big, 60)
        self.pens = ImageDraw.Draw(self.paint), ImageDraw.Draw(self.relief)

    def _polygon(self, points: Array, colour: Array, thickness: float) -> None:
        for pen, fill in zip(self.pens, (to_bytes(colour), int(thickness)), strict=True):
            pen.polygon(points.ravel().tolist(), fill=fill)

    def _line(self, points: Array, width: float, colour: Array, thickness: float) -> None:
        for pen, fill in zip(self.pens, (to_bytes(colour), int(thickness)), strict=True):
            pen.line(points.ravel().tolist(), fill=fill, width=max(1, round(width)))

    def stroke(self, path: Array, width: float, colour: Array, rng: Generator) -> None:
        """Draw one loaded brush stroke along `path` (K, 2) in final pixels: dark edge, body, bristles, ridge."""
        path, width = path * SUPERSAMPLE, width * SUPERSAMPLE
        along = np.linspace(0, 1, len(path))
        taper = np.sqrt(np.clip(np.minimum(along / 0.15, (1 - along) / 0.25), 0.08, 1))
        tangent = np.gradient(path, axis=0)
        tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-9
        side = np.stack([tangent[:, 1], -tangent[:, 0]], axis=1) * (taper * width / 2)[:, None]
        # The ridge has to lie on the side that the light, from the upper left, falls on.
        if side[len(side) // 2] @ (-1, -1) < 0:
            side = -side
        self._polygon(np.vstack([path + side, (path - side)[::-1]]), colour * 0.66, 70)
        self._polygon(np.vstack([path + side * 0.85, (path - side * 0.72)[::-1]]), colour, 130)
        bristles = max(2, round(width / 4))
        for offset in rng.permutation(np.linspace(-0.62, 0.7, bristles)):
            first = rng.integers(0, max(1, len(path) // 4))
            last = len(path) - rng.integers(0, max(1, len(path) // 4))
            if last - first >= 2:
                shade = colour * (1 + 0.12 * rng.standard_normal()) + 0.015 * rng.standard_normal(3)
                self._line((path + side * offset)[first:last], width / bristles, shade, rng.uniform(90, 200))
        self._line((path + side * 0.6)[1:-1], width * 0.13, colour * 0.8 + 0.2 * np.sqrt(np.clip(colour, 0, 1)), 245)

    def finish(self) -> Array:
        """Light the relief from the upper left and scale down; returns (H, W, 3) in 0..1."""
        slope_y, slope_x = np.gradient(gaussian_filter(np.asarray(self.relief) / 255.0, 0.9))
        light = np.tanh((slope_x + slope_y) * 2.5)[..., None]
        return shrink(np.asarray(self.paint) / 255.0 * (1 + 0.405 * light) + 0.054 * np.clip(light, 0, 1), self.size)


def trace_paths(scene: Scene, starts: Array, lengths: Array, steps: int = 7) -> list[Array]:
    """Follow the direction field both ways from `starts` (N, 2) pixels, stopping at region borders."""
    back, back_count = trace_one_way(scene, starts, -lengths / (2 * steps), steps)
    ahead, ahead_count = trace_one_way(scene, starts, lengths / (2 * steps), steps)
    return [np.vstack([back[i, back_count[i] : 0 : -1], ahead[i, : ahead_count[i] + 1]]) for i in range(len(starts))]


def trace_one_way(scene: Scene, starts: Array, step: Array, steps: int) -> tuple[Array, Array]:
    """Walk `steps` steps of length `step` (N,); returns points (N, steps + 1, 2) and how many are in the region."""
    points, counts, alive = [starts], np.zeros(len(starts), int), np.ones(len(starts), bool)
    here, home, previous = starts, sample(scene.region, starts), None
    for _ in range(steps):
        heading = unit_vectors(sample(scene.angle, here))
        if previous is not None:
            heading *= np.where((heading * previous).sum(1, keepdims=True) < 0, -1, 1)
            heading = heading + previous
            heading /= np.linalg.norm(heading, axis=1, keepdims=True) + 1e-9
        previous = heading
        here = here + heading * step[:, None]
        alive &= sample(scene.region, here) == home
        counts += alive
        points.append(here)
    return np.stack(points, axis=1), counts


def paint_layer(
    canvas: OilCanvas, scene: Scene, rng: Generator, brush: tuple[float, float, float], variety: float, where: Array
) -> None:
    """Cover `where` (H, W) with strokes along the field; `brush` is their spacing, width and length for 656 rows."""
    spacing, width, length = np.array(brush) * canvas.size[1] / 656
    rows, columns = scene.region.shape
    gy, gx = np.mgrid[-spacing : rows + spacing : spacing, -spacing : columns + spacing : spacing]
    starts = np.stack([gx.ravel(), gy.ravel()], axis=1)
    starts = rng.permutation(starts + rng.uniform(-0.5, 0.5, starts.shape) * spacing)
    starts = starts[sample(where, starts)]
    colours = sample(scene.colour, starts + rng.normal(0, spacing * 0.25, starts.shape))
    paths = trace_paths(scene, starts, length * rng.uniform(0.6, 1.3, len(starts)))
    for path, colour in zip(paths, colours, strict=True):
        if len(path) >= 4:
            mixed = colour * (1 + variety * rng.standard_normal() + variety * 0.45 * rng.standard_normal(3))
            canvas.stroke(path, width * rng.uniform(0.75, 1.25), mixed, rng)


(INK,) = rgb("14233f")


class WoodBlock:
    """A print in flat colours, drawn at three times the final size; points are in units of the picture height."""

    def __init__(self, ground: Array):
        height, width = ground.shape[:2]
        self.size, self.unit = (width, height), height * 3
        self.image = to_image(ground).resize((width * 3, height * 3), Image.Resampling.BICUBIC)
        self.pen = ImageDraw.Draw(self.image)

    def shape(self, points: Array, colour: Array, grow: float = 0.0) -> None:
        """Fill a polygon (N, 2), fattened by `grow` on every side."""
        flat = (points * self.unit).ravel().tolist()
        self.pen.polygon(flat, fill=to_bytes(colour))
        if grow > 0:
            self.pen.line(flat + flat[:4], fill=to_bytes(colour), width=round(2 * grow * self.unit), joint="curve")

    def dot(self, centre: Array, radius: float, colour: Array) -> None:
        """Fill a disc."""
        x, y, r = centre[0] * self.unit, centre[1] * self.unit, radius * self.unit
        self.pen.ellipse((x - r, y - r, x + r, y + r), fill=to_bytes(colour))

    def contour(self, path: Array, width: float, colour: Array = INK) -> None:
        """Draw a line along `path` (K, 2) that swells to `width` and tapers at both ends."""
        swell = np.sin(np.linspace(0.12, np.pi - 0.12, len(path)))[:, None]
        self.shape(ribbon(path, swell * width / 2), colour)


def row_seeds(level: Array, mask: Array, tile: float, rng: Generator) -> Array:
    """Tile centres (N, 2) in pixels, laid in rows along the contours of `level` (H, W, pixels) inside `mask`."""
    seeds = []
    rows = np.arange(np.floor(level[mask].min() / tile) + 0.5, level[mask].max() / tile) * tile
    for line in (line for row in rows for line in find_contours(level, row, mask=mask)):
        length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]
        count = max(1, round(length[-1] / (tile * rng.uniform(1.0, 1.25))))
        at = (np.arange(count) + rng.uniform(0.2, 0.8)) / count * length[-1]
        seeds.append(np.stack([np.interp(at, length, line[:, k]) for k in (1, 0)], axis=1))
    seeds = np.vstack(seeds)
    return seeds + rng.normal(0, 0.07 * tile, seeds.shape)


def lay_tiles(seeds: Array, colours: Array, size: Size, rng: Generator) -> Array:
    """Render Voronoi tesserae of `colours` (N, 3) around `seeds` (N, 2), bevelled and set in grout, as (H, W, 3)."""
    shape = (size[1] * SUPERSAMPLE, size[0] * SUPERSAMPLE)
    y, x = np.mgrid[: shape[0], : shape[1]] / SUPERSAMPLE
    points = np.stack([x, y], axis=-1)
    distance, index = cKDTree(seeds).query(points, k=2)
    across = seeds[index[..., 1]] - seeds[index[..., 0]]
    gap = np.linalg.norm(across, axis=-1) + 1e-6
    to_edge = (distance[..., 1] ** 2 - distance[..., 0] ** 2) / (2 * gap)
    # The nearest neighbour lies across the nearest edge, so it tells which way the bevel there faces.
    bevel = 0.38 * (across @ (-0.6, -0.8)) / gap * smoothstep(3.0, 0.6, to_edge)
    tilt = rng.normal(0, 1 / 60, (len(seeds), 2))[index[..., 0]]
    shade = 1 + bevel + ((points - seeds[index[..., 0]]) * tilt).sum(-1)
    shade += 0.035 * smooth_noise(rng, shape, 1.2) + 0.03 * smooth_noise(rng, shape, (2, 9))
    grout = rgb("544a40") * (1 + 0.13 * smooth_noise(rng, shape, 1.0))[..., None]
    solid = smoothstep(0.5, 1.15, to_edge)[..., None]
    return shrink(grout * (1 - solid) + colours[index[..., 0]] * shade[..., None] * solid, size)


Mark = tuple[Array, Array | float, float]  # path (K, 2), half width (K, 1), ink in 0..1


class InkSheet:
    """Ink density (H, W), 0 for bare paper, that soaks in layer by layer; points are in units of the height."""

    def __init__(self, size: Size, rng: Generator):
        shape = (size[1], size[0])
        self.size, self.rng, self.density = size, rng, np.zeros(shape)
        self.pooling = cloud_noise(rng, shape, 36)
        self.tooth = smooth_noise(rng, shape, 0.8) + 0.6 * smooth_noise(rng, shape, (0.6, 5))

    def soak(self, ink: Array, cover: Array) -> None:
        """Add a wash of `ink` (H, W) after hiding a share `cover` (H, W) of what lies below."""
        self.density = self.density * (1 - cover) + ink * (1 + 0.13 * self.pooling)

    def brush(self, marks: list[Mark], dry: float = 0.0, wet: float = 0.0, within: Array | float = 1.0) -> None:
        """Draw `marks` inside `within` (H, W), bleeding by `wet` pixels, broken by the paper's tooth where `dry`."""
        sheet = Image.new("L", (self.size[0] * SUPERSAMPLE, self.size[1] * SUPERSAMPLE), 0)
        pen = ImageDraw.Draw(sheet)
        for path, half, ink in marks:
            outline = ribbon(path, half) * self.size[1] * SUPERSAMPLE
            pen.polygon(outline.ravel().tolist(), fill=int(np.clip(ink, 0, 1) * 255))
        ink = gaussian_filter(np.asarray(sheet.resize(self.size, Image.Resampling.LANCZOS)) / 255.0, wet)
        ink = ink * (1 - dry * smoothstep(-0.6, 0.8, self.tooth)) * (1 + 0.18 * self.pooling) * within
        self.density = np.maximum(self.density, ink) + 0.25 * np.minimum(self.density, ink)


BLACK = "1b1a1d"


class Watercolour:
    """A paper (H, W, 3) that takes transparent stains and opaque ink; points are in units of the height."""

    def __init__(self, size: Size, ground: Array, rng: Generator):
        shape = (size[1], size[0])
        self.rng, (self.y, self.x) = rng, np.mgrid[: shape[0], : shape[1]] / shape[0]
        self.clouds, self.grain = cloud_noise(rng, shape, 40), smooth_noise(rng, shape, 1.0)
        warm = ramp(ground, np.clip(0.5 + 0.22 * self.clouds + 0.1 * smooth_noise(rng, shape, (3, 30)), 0, 1))
        self.picture = warm * paper_grain(rng, shape, 0.03)[..., None]

    def stain(self, mask: Array, colour: str, opaque: float = 0.75, load: float = 0.95) -> None:
        """Lay `colour` where `mask` (H, W) is 1: darker at the rim, clouded inside, letting some ground through."""
        rows, columns = (np.flatnonzero(mask.max(axis)) for axis in (1, 0))
        if not len(rows):
            return
        box = (slice(max(rows[0] - 9, 0), rows[-1] + 10), slice(max(columns[0] - 9, 0), columns[-1] + 10))
        shift = self.rng.integers(0, 400, 2)
        clouds, grain = (np.roll(field, shift, (0, 1))[box] for field in (self.clouds, self.grain))
        mask, ground = mask[box], self.picture[box]
        rim = mask * np.clip(1 - 1.35 * (gaussian_filter(mask, 5) - 0.25), 0, 1)
        share = (mask * np.clip(load * (0.92 + 0.08 * clouds + 0.03 * grain), 0, 1))[..., None]
        pigment = rgb(colour) * (1 - 0.2 * rim - 0.025 * grain + 0.07 * clouds)[..., None]
        covered = ground * (1 - share) + pigment * share
        self.picture[box] = opaque * covered + (1 - opaque) * ground * (1 - share * (1 - pigment))

    def ring(self, centre: Array, inner: float, outer: float, colour: str, opaque: float = 0.85) -> None:
        """Stain the ring between two radii, or a disc where `inner` is negative."""
        r, pixel = np.hypot(self.x - centre[0], self.y - centre[1]) + 0.0012 * self.clouds, 0.7 / len(self.y)
        mask = smoothstep(outer + pixel, outer - pixel, r) * smoothstep(inner - pixel, inner + pixel, r)
        self.stain(mask, colour, opaque)

    def glow(self, centre: Array, radius: float, colour: str) -> None:
        """Breathe a soft glow around a point."""
        r = np.hypot(self.x - centre[0], self.y - centre[1]) / radius
        share = (0.7 * np.exp(-((1.15 * r) ** 4)) * (0.9 + 0.1 * self.clouds))[..., None]
        self.picture = self.picture * (1 - share * (1 - rgb(colour)))

    def polygon(self, points: Array, colour: str, opaque: float = 0.75) -> None:
        """Stain a polygon (N, 2)."""
        self.stain(polygon_mask(self.x.shape, points), colour, opaque)

    def line(self, points: Array, width: float, colour: str = BLACK, taper: float = 0.0) -> None:
        """Rule a straight or curved line through the points of `width`, thinner at the ends by the share `taper`."""
        path = smooth_curve(np.asarray(points))
        swell = 1 - taper * np.abs(np.linspace(-1, 1, len(path)))[:, None]
        self.stain(polygon_mask(self.x.shape, ribbon(path, width / 2 * swell)), colour, 0.95, 1.0)
