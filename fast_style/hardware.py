"""Which device and precision suit this machine, whether it can compile, and memory that is kept between layers."""

import ctypes
import platform
import sys
from contextlib import suppress

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
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


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
