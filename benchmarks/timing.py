"""What the benchmarks of speed share: a clock, the machine's name, and its peak."""

import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from multiprocessing.connection import Connection

import torch
from rich.progress import track

from fast_style.hardware import describe_device

SECONDS_A_TURN = 1


def now() -> float:
    """Seconds, when the accelerator has done all that it was given."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.perf_counter()


def alternate(sides: dict[str, Callable[[], object]], repeats: int, warm_up: int = 2) -> dict[str, dict[str, float]]:
    """Median, smallest and largest seconds of each side; they take turns, so that a slow moment hits them all.

    A turn lasts a second at least, after one run that is not timed, so that no side's time is that of the caches as the
    side before it left them.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in track(range(warm_up + repeats), "measuring"):
        for name, run in sides.items():
            run()
            begun, runs = now(), 0
            while not runs or now() - begun < SECONDS_A_TURN:
                run()
                runs += 1
            if repeat >= warm_up:
                times[name].append((now() - begun) / runs)
    return {name: spread(values) for name, values in times.items()}


class OwnProcess:
    """A side in a process of its own, whose memory is as it would be if there were no other: called, it runs once.

    build   gives the function that is run, `build(*arguments)`; both are pickled
    """

    def __init__(self, build: Callable, *arguments):
        context = multiprocessing.get_context("spawn")
        self.pipe, other_end = context.Pipe()
        self.process = context.Process(target=_serve, args=(other_end, build, arguments), daemon=True)
        self.process.start()
        other_end.close()
        self.pipe.recv()

    def __call__(self, *arguments) -> None:
        self.pipe.send(arguments)
        self.pipe.recv()


def _serve(pipe: Connection, build: Callable, arguments: tuple) -> None:
    run = build(*arguments)
    with suppress(EOFError):  # nobody asks any more
        while True:
            pipe.send(now())
            run(*pipe.recv())


def spread(seconds: list[float]) -> dict[str, float]:
    pick = {"median": statistics.median, "min": min, "max": max}
    return {name: round(function(seconds), 5) for name, function in pick.items()}


def matrix_peak(device: torch.device, dtype: torch.dtype, side: int = 4096, repeats: int = 5) -> float:
    """GFLOP/s of the product of two square matrices, the best of some."""
    side = side if device.type != "cpu" else side // 2
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = min(alternate({"": lambda: a @ b}, repeats)[""].values())
    return round(2 * side**3 / best / 1e9, 1)


def environment(device: torch.device) -> dict:
    names = ("torch", "torchvision", "pytorch-lightning")
    return {
        "hardware": f"{describe_device(device)}; {os.cpu_count()} CPU cores",
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version()} | {name: version(name) for name in names},
    }
