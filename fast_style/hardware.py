"""Which device and precision suit this machine, whether it can compile, its free memory, and that which is kept."""

import ctypes
import math
import os
import platform
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch

from fast_style.errors import FastStyleError, one_line


def pick_device(name: str = "auto") -> torch.device:
    """The device of a config value: auto (the accelerator if there is one), cpu, cuda, cuda:1, mps, ..."""
    if name == "auto":
        return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    try:
        torch.zeros(1, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise FastStyleError(f"device={name} cannot be used here: {one_line(error)}") from error


def describe_device(device: torch.device) -> str:
    """The GPU's name, or the CPU's and how many threads PyTorch has on it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    cpu = getattr(torch.cpu, "get_capabilities", dict)().get("cpu_name") or platform.machine()
    return f"{cpu}, {threads} thread{'s' * (threads != 1)}"


def pick_precision(name: str, device: torch.device) -> str:
    """Lightning's name of a precision; auto is bf16-mixed where the hardware multiplies bfloat16, else 32-true."""
    if name != "auto":
        return name
    return "bf16-mixed" if _multiplies_bfloat16(device) else "32-true"


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """Computation at a precision, by Lightning's name: 32-true, bf16-mixed or 16-mixed."""
    dtype = torch.float16 if precision.startswith("16") else torch.bfloat16
    return torch.autocast(device.type, dtype, enabled=precision.endswith("mixed"))


def _multiplies_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        # Elsewhere bfloat16 is emulated, and slower than float32.
        capabilities = getattr(torch.cpu, "get_capabilities", dict)()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False


def why_not_compiled(device: torch.device) -> str | None:
    """Why torch.compile fails on this machine, which may lack Triton or a C compiler; None: it works."""
    try:
        torch.compile(torch.sin)(torch.ones(1, device=device))
    except Exception as error:  # of as many types as there are parts that can be missing
        return one_line(error)
    return None


# Of glibc's <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8


def keep_freed_memory() -> None:
    """Have a Linux process keep the memory of tensors that are done with, for the next ones.

    By default glibc hands large blocks back to the system, which must fill with zeros whatever it gives out again: for
    pictures of a megapixel that takes a quarter of the time. The price: memory is not returned before the process ends.
    The memory of threads beside the first glibc still gives back in part.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            libc = ctypes.CDLL("libc.so.6")
            libc.mallopt(M_MMAP_MAX, 0)
            libc.mallopt(M_TRIM_THRESHOLD, -1)  # never


def share_freed_memory() -> None:
    """Have the threads of a Linux process that is to run for long take memory from two places, before there are any.

    By default glibc gives each thread its own, and what is free in one is no use to the others: a service grew by 15 MB
    with every thousand hostile uploads (benchmarks/serve).
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL("libc.so.6").mallopt(M_ARENA_MAX, 2)


def free_memory(device: torch.device) -> float:
    """Bytes that this process may still take of a device's memory; on a CPU with what a cgroup and a limit of the
    process (ulimit -v) leave of them."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    left = [math.inf]
    with suppress(OSError, AttributeError):
        left.append(_kilobytes("/proc/meminfo", "MemAvailable"))
    if len(left) == 1:
        with suppress(OSError, AttributeError, ValueError):  # other systems: all there is, half of it for the others
            left.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2)
    with suppress(OSError, AttributeError, ImportError):
        import resource  # not on Windows

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            left.append(limit - _kilobytes("/proc/self/status", "VmSize"))
    return max(0, min([*left, *_left_by_cgroups()]))


def resident_memory() -> float:
    """Bytes that this process has in memory; 0 where the system does not say."""
    with suppress(OSError, AttributeError):
        return _kilobytes("/proc/self/status", "VmRSS")
    return 0


def _kilobytes(path: str, name: str) -> int:
    return 1024 * int(re.search(rf"{name}:\s+(\d+) kB", Path(path).read_text())[1])


def _left_by_cgroups(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """Bytes that each cgroup of this process leaves, of version 2 or 1; what only caches files counts as free."""
    with suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, place = line.split(":", 2)
            if controllers not in ("", "memory"):
                continue
            top, limit, usage = (
                (root / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes") if controllers else
                (root, "memory.max", "memory.current")
            )  # fmt: skip
            # A container may see its own group as the root, under a name that is not there.
            groups = {top, *(top / part for part in (Path(place.strip("/")), *Path(place.strip("/")).parents))}
            for group in groups:
                with suppress(OSError, ValueError):  # a limit of "max"
                    statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
                    cached = sum(int(statistics.get(f"{kind}_file", 0)) for kind in ("active", "inactive"))
                    yield int((group / limit).read_text()) - int((group / usage).read_text()) + cached
