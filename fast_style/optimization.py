"""The slow way: optimise the pixels of an image (Gatys, Ecker, Bethge, "Image Style Transfer Using CNNs", CVPR 2016).

objective = partial(perceptual_loss, content_images=photo)
for iteration, terms, image in optimize_pixels(objective, start=photo, iterations=500):
    ...
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

HISTORY = 100  # steps that L-BFGS remembers; two images of memory each
FIRST_STEP = 1e-3  # mean change of a pixel value
HALVINGS = 10  # of a step, before the memory is dropped


def optimize_pixels(
    objective: Callable[[Tensor], dict[str, Tensor]], start: Tensor, iterations: int
) -> Iterator[tuple[int, dict[str, float], Tensor]]:
    """Minimise the sum of an objective's terms over the images in [0, 1] with L-BFGS; one yield per iteration.

    objective    image -> weighted terms by name, scalars
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


def evaluate(objective: Callable[[Tensor], dict[str, Tensor]], image: Tensor) -> tuple[dict[str, float], Tensor]:
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
