"""Devices and precisions: names in, Lightning's names out."""

import platform
import resource
import subprocess
import sys

import pytest
import torch

from fast_style.errors import FastStyleError
from fast_style.hardware import pick_device, pick_precision

CPU = torch.device("cpu")


def test_device_by_name():
    assert pick_device("cpu") == CPU
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else CPU
    assert pick_device("auto").type == pick_device().type == found.type


@pytest.mark.parametrize("name", ["toaster", "cuda:99"])
def test_device_that_is_not_there(name):
    with pytest.raises(FastStyleError, match=f"device={name} ") as caught:
        pick_device(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["32-true", "bf16-mixed", "16-mixed"])
def test_precision_by_name(name):
    assert pick_precision(name, CPU) == name


@pytest.mark.parametrize(
    "capabilities, expected",
    [
        ({}, "32-true"),
        ({"avx512_bf16": False, "avx2": True}, "32-true"),
        ({"avx512_bf16": True}, "bf16-mixed"),
        ({"amx_bf16": True}, "bf16-mixed"),
    ],
)
def test_bfloat16_only_where_the_processor_multiplies_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert pick_precision("auto", CPU) == expected


@pytest.mark.parametrize("capability, expected", [((7, 5), "32-true"), ((8, 0), "bf16-mixed"), ((9, 0), "bf16-mixed")])
def test_bfloat16_from_ampere_on(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert pick_precision("auto", torch.device("cuda")) == expected


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc: the setting does nothing here")
def test_freed_memory_is_kept():
    """Resident pages while a tensor of 64 MiB exists no more, before and after the setting."""
    program = """
import torch
from fast_style.hardware import keep_freed_memory
def pages():
    torch.ones(2**24)
    return int(open("/proc/self/statm").read().split()[1])
before = pages()
keep_freed_memory()
print(pages() - before)
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(finished.stdout) * resource.getpagesize() > 2**25


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: not checked that auto finds it")
def test_auto_finds_the_gpu():
    assert pick_device().type == "cuda"
    assert pick_device("cuda:0") == torch.device("cuda:0")
