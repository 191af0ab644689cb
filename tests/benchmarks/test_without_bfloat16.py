"""The benchmark of processors without bfloat16, in small."""

import pytest
import torch

from benchmarks import without_bfloat16


@pytest.mark.skipif(not hasattr(torch, "quantize_per_tensor"), reason="this PyTorch has no 8-bit tensors any more")
def test_every_side_is_measured():
    threads = torch.get_num_threads()
    try:
        seconds = without_bfloat16.measure(size=160, turns=1)
    finally:
        torch.set_num_threads(threads)
    assert seconds.keys() == {"picture", "float32", "int8"} and all(value > 0 for value in seconds.values())
