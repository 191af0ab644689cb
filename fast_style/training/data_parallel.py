"""Data parallelism on a CPU: every core trains on images of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor, nn

from fast_style.checkpoint import section_of


def sharing_cores(config: dict, device: torch.device) -> int:
    """How many cores may each train on images of their own; 1 where one process should do without, as a config says."""
    # Batch norm mixes the images of a batch; the threads of several processes would be in each other's way.
    separable = config[section_of(config)].get("norm") in ("instance", "none")
    alone = device.type == "cpu" and config["trainer"]["devices"] == 1 and separable
    cores = torch.get_num_threads()
    return cores if config["data_parallel"] and alone and config["batch_size"] % cores == 0 else 1


class DataParallel:
    """Terms of a training step, their means over the batch, by `count` threads with an equal share of the images each.

    What torch.nn.DataParallel is to GPUs. PyTorch by itself shares out every single operation among the cores: a step
    has thousands, and after each the cores wait for one another and read what the other has just written. Here they
    meet once a step. Not for batch norm, which mixes the images of a batch.

    terms     a function of images (B, 3, H, W), or of several tensors (B, ...): scalars by name, each a mean over them
    network   whose parameters get the gradient of the terms' sum
    count     divides the number of images evenly
    """

    def __init__(self, terms: Callable[..., dict[str, Tensor]], network: nn.Module, count: int):
        self.terms, self.network, self.count = terms, network, count
        self.threads = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(1,))

    def __call__(self, *batch: Tensor) -> dict[str, Tensor]:
        """The terms of a batch, scalars by name; only their sum can be differentiated."""
        parameters = list(self.network.parameters())
        autocast = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

        def share_of(*share: Tensor) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
            # Threads start with autocast off.
            with torch.autocast("cpu", enabled=autocast[0], dtype=autocast[1]):
                terms = self.terms(*share)
            gradients = torch.autograd.grad(sum(terms.values()), parameters)
            return {name: value.detach() for name, value in terms.items()}, gradients

        shares = [tensor.split(len(tensor) // self.count) for tensor in batch]
        terms, gradients = zip(*self.threads.map(share_of, *shares), strict=True)
        gradient = [sum(column) / self.count for column in zip(*gradients, strict=True)]
        means = torch.stack([sum(share[name] for share in terms) / self.count for name in terms[0]])
        return dict(zip(terms[0], _Known.apply(gradient, means, *parameters), strict=True))


class _Known(torch.autograd.Function):
    """Values whose sum has a gradient that is known."""

    @staticmethod
    def forward(ctx, gradient: list[Tensor], values: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        ctx.gradient = gradient
        return values.unbind()

    @staticmethod
    def backward(ctx, *of_values: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(of_values[0] * part for part in ctx.gradient)
