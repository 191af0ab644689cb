"""Devices and precisions: names in, Lightning's names out."""

import pytest
import torch

from fast_style import FastStyleError
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


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: not checked that auto finds it")
def test_auto_finds_the_gpu():
    assert pick_device().type == "cuda"
    assert pick_device("cuda:0") == torch.device("cuda:0")
