"""What the benchmarks of speed share: a clock, the machine's name, and its peak."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Collection
from importlib.metadata import version

import torch
from rich.progress import track

from fast_style.hardware import M_MMAP_MAX, M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, keep_freed_memory, mallopt

SECONDS_A_TURN = 1


def now() -> float:
    """Seconds, when the accelerator has done all that it was given."""
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
    return time.perf_counter()


def alternate(
    sides: dict[str, Callable[[], object]],
    repeats: int,
    warm_up: int = 2,
    default_malloc: Collection[str] = ("ports",),
) -> dict[str, dict[str, float]]:
    """Median, smallest and largest seconds of each side; they take turns, so that a slow moment hits them all.

    A turn lasts a second at least, after one run that is not timed, so that no side's time is that of caches and memory
    as the side before it left them. The sides of `default_malloc` run without keep_freed_memory.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in track(range(warm_up + repeats), "measuring"):
        for name, run in sides.items():
            give_freed_memory_back() if name in default_malloc else keep_freed_memory()
            run()
            begun, runs = now(), 0
            while not runs or now() - begun < SECONDS_A_TURN:
                run()
                runs += 1
            if repeat >= warm_up:
                times[name].append((now() - begun) / runs)
    return {name: spread(values) for name, values in times.items()}


def give_freed_memory_back() -> None:
    """Undo keep_freed_memory, with the largest thresholds that glibc comes to by itself.

    What is free already stays with the process, so at 512 px a run has 0.6 of the page faults that it would have in a
    process of its own.
    """
    mallopt({M_MMAP_THRESHOLD: 2**25, M_MMAP_MAX: 2**16, M_TRIM_THRESHOLD: 2**26})


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
    cpu = getattr(torch.cpu, "get_capabilities", dict)().get("cpu_name") or platform.machine()
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else cpu
    return {
        "hardware": f"{hardware}, CPU threads: {torch.get_num_threads()} of {os.cpu_count()}",
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version()} | {name: version(name) for name in names},
    }
