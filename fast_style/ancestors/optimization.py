"""The slow way: optimise the pixels of an image (Gatys, Ecker, Bethge, "Image Style Transfer Using CNNs", CVPR 2016).

objective = perceptual_loss.for_content(photo)
for iteration, terms, image in optimize_pixels(objective, start=photo, iterations=500):
    ...
"""

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from fast_style.data.images import write_image
from fast_style.errors import FastStyleError

Objective = Callable[[Tensor], dict[str, Tensor]]  # image -> weighted terms by name, scalars
States = Iterator[tuple[int, dict[str, float], Tensor]]

HISTORY = 100  # steps that L-BFGS remembers; two images of memory each
FIRST_STEP = 1e-3  # mean change of a pixel value
HALVINGS = 10  # of a step, before the memory is dropped


def optimize_pixels(objective: Objective, start: Tensor, iterations: int) -> States:
    """Minimise the sum of an objective's terms over the images in [0, 1] with L-BFGS; one yield per iteration.

    start        (1, 3, H, W) RGB in [0, 1]: the content photo, noise, any image; not changed
    iterations   of L-BFGS: one evaluation of the objective and its gradient each, and rarely more

    Yields (iteration, terms, image) from 0, the start, to `iterations`; the image is float32 and the total never grows.

    Not torch.optim.LBFGS, which knows no bounds. What a free image gains outside [0, 1] it loses when it is clamped,
    and clipped at every iteration (Johnson et al. 2016, section 4.1) it goes astray after a hundred of them, since the
    memory holds steps that were not made. Here it holds the clipped steps, and pixels that push against a bound take no
    part in the next one (two-metric projection, Bertsekas 1982).
    """
    image = start.detach().float().clamp(0, 1)
    terms, gradient = evaluate(objective, image)
    memory: deque[tuple[Tensor, Tensor]] = deque(maxlen=HISTORY)
    yield 0, terms, image
    for iteration in range(1, iterations + 1):
        free = ~((image <= 0) & (gradient > 0) | (image >= 1) & (gradient < 0))
        step = -newton_direction(gradient * free, memory) * free
        for _ in range(HALVINGS):
            moved = (image + step).clamp(0, 1)
            change = moved - image
            moved_terms, moved_gradient = evaluate(objective, moved)
            expected = min(0.0, dot(gradient, change).item())
            if sum(moved_terms.values()) <= sum(terms.values()) + 1e-4 * expected:
                if dot(change, moved_gradient - gradient) > 0:
                    memory.append((change, moved_gradient - gradient))
                image, terms, gradient = moved, moved_terms, moved_gradient
                break
            step = step / 2
        else:
            memory.clear()
        yield iteration, terms, image


def optimize_pixels_with_adam(objective: Objective, start: Tensor, iterations: int, lr: float) -> States:
    """The same with Adam (Kingma & Ba 2015): `lr` is about how far a pixel moves at first. The total may grow.

    Less memory than L-BFGS, four images instead of up to 200, for more iterations.
    """
    pixels = start.detach().float().clamp(0, 1)
    optimizer = torch.optim.Adam([pixels], lr=lr)
    for iteration in range(iterations + 1):
        terms, pixels.grad = evaluate(objective, pixels)
        yield iteration, terms, pixels.clone()
        optimizer.step()
        pixels.clamp_(0, 1)


def coarse_to_fine(
    stage: Callable[[float], tuple[Objective, Tensor]],
    scales: Sequence[float],
    iterations: Sequence[int],
    optimize: Callable[[Objective, Tensor, int], States],
) -> States:
    """Optimise a small image first, enlarge it, and go on (Gatys et al. 2017, section 6).

    stage        scale -> the objective and a start, (1, 3, H, W) at that scale; later stages take only its size
    iterations   at each of `scales`
    """
    image, done = None, 0
    for scale, count in zip(scales, iterations, strict=True):
        objective, start = stage(scale)
        if image is not None:
            start = F.interpolate(image, start.shape[-2:], mode="bicubic")
        for iteration, terms, image in optimize(objective, start, count):
            yield done + iteration, terms, image
        done += count


def halvings(size: int, coarsest_size: int) -> list[float]:
    """Scales from the first at which `size` is at most `coarsest_size` up to 1: (512, 200) -> [0.25, 0.5, 1]."""
    levels = max(0, math.ceil(math.log2(size / coarsest_size)))
    return [0.5**level for level in range(levels, -1, -1)]


def split(iterations: int, levels: int) -> list[int]:
    """Iterations from the coarsest level to the finest: half as many at each, where one costs four times as much."""
    return [max(1, iterations >> level) for level in range(levels)]


def follow(states: Iterable, total: int, preview: Path, preview_every: float) -> tuple[Tensor, bool]:
    """Run an optimisation with a progress bar; the best image at the last size, and whether it came to its end.

    Ctrl-C ends it early. The best image so far is written to `preview` every `preview_every` seconds.
    Raises FastStyleError if the loss is never a finite number.
    """
    best, least, written = None, math.inf, time.monotonic()
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns) as progress:
        bar = progress.add_task("", total=total)
        try:
            for iteration, terms, image in states:
                loss = sum(terms.values())
                if math.isfinite(loss) and (best is None or image.shape != best.shape or loss < least):
                    best, least = image, loss
                shown = " ".join(f"{name} {value:.3g}" for name, value in terms.items())
                progress.update(bar, completed=iteration, description=f"{tuple(image.shape[-2:])} {shown}")
                if best is not None and time.monotonic() - written > preview_every:
                    write_image(preview, best[0])
                    written = time.monotonic()
        except KeyboardInterrupt:
            if best is None:
                raise
            return best, False
    if best is None:
        raise FastStyleError("the loss is not a finite number from the first step on: use smaller weights")
    return best, True


def evaluate(objective: Objective, image: Tensor) -> tuple[dict[str, float], Tensor]:
    """The terms of an image, and the gradient of their sum."""
    with torch.enable_grad():
        pixels = image.clone().requires_grad_()
        terms = objective(pixels)
        (gradient,) = torch.autograd.grad(sum(terms.values()), pixels)
    return {name: value.item() for name, value in terms.items()}, gradient


def newton_direction(gradient: Tensor, memory: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The gradient times the inverse Hessian as (step, change of the gradient) pairs tell it, the oldest first.

    Nocedal & Wright, "Numerical Optimization", algorithm 7.4. Without pairs: scaled to a mean of FIRST_STEP.
    """
    if not memory:
        return gradient * (FIRST_STEP / gradient.abs().mean().clamp_min(torch.finfo(gradient.dtype).tiny))
    direction, factors = gradient, []
    for step, change in reversed(memory):
        factors.append(dot(step, direction) / dot(step, change))
        direction = direction - factors[-1] * change
    step, change = memory[-1]
    direction = direction * (dot(step, change) / dot(change, change))
    for (step, change), factor in zip(memory, reversed(factors), strict=True):
        direction = direction + (factor - dot(change, direction) / dot(step, change)) * step
    return direction


def dot(one: Tensor, other: Tensor) -> Tensor:
    return torch.dot(one.flatten(), other.flatten())
