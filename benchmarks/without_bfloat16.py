"""What processors without bfloat16 and AVX-512 have of integers: emulated by what oneDNN and ATen let PyTorch use.

    python -m benchmarks.without_bfloat16 [--output benchmarks/results/without_bfloat16.json]

In one process of each kind: this processor as it is, and as one of AVX2 alone (ONEDNN_MAX_CPU_ISA=AVX2,
ATEN_CPU_CAPABILITY=avx2). Seconds of one core, the least of some turns, for

picture      of 512 px by checkpoints/mosaic.safetensors, infer.py's way in float32
float32      the convolution of its residual blocks, 3x3 between the widest layers, at a quarter of that size
int8         the same in 8 bits, from 8-bit images to such (torch.ops.quantized, oneDNN): the most that integers can
             gain, since a network also has instance norms, which stay in float32, and has to go from one to the other

Seconds are of the processor's time and one thread, so that other work on the machine does little to them. ONNX Runtime
cannot be limited like that; `python -m benchmarks.export` has it on the processor as it is.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.export import photo_of
from benchmarks.result import write_result
from benchmarks.timing import environment
from fast_style.checkpoint import load_network
from fast_style.errors import exit_on_error
from fast_style.hardware import keep_freed_memory
from fast_style.inference.stylize import stylize
from fast_style.networks.fast_layers import accelerate

CKPT = Path(__file__).resolve().parent.parent / "checkpoints" / "mosaic.safetensors"
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
KINDS = {"as it is": {}, "AVX2": AVX2}


def least(run: Callable[[], object], turns: int) -> float:
    """Seconds of the processor."""
    times = []
    run()
    for _ in range(turns):
        begun = time.process_time()
        run()
        times.append(time.process_time() - begun)
    return round(min(times), 4)


@torch.inference_mode()
def measure(size: int, turns: int) -> dict[str, float]:
    torch.set_num_threads(1)
    network = accelerate(load_network(CKPT)[0]).to(memory_format=torch.channels_last)
    channels = max(parameter.shape[0] for parameter in network.parameters())
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(1, channels, size // 4, size // 4, generator=generator).to(memory_format=torch.channels_last)
    weight, bias = torch.randn(channels, channels, 3, 3, generator=generator), torch.zeros(channels)
    torch.backends.quantized.engine = "onednn"
    integers = torch.quantize_per_tensor(maps, 1 / 255, 0, torch.quint8)
    scales, zeros = weight.abs().amax((1, 2, 3)) / 127, torch.zeros(channels, dtype=torch.long)
    kernel = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
    packed = torch.ops.quantized.conv2d_prepack(kernel, bias, [1, 1], [1, 1], [1, 1], 1)
    photo = photo_of(size)
    return {
        "picture": least(lambda: stylize(network, photo), turns),
        "float32": least(lambda: F.conv2d(maps, weight, bias, padding=1), 4 * turns),
        "int8": least(lambda: torch.ops.quantized.conv2d(integers, packed, 0.1, 128), 4 * turns),
    }


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="side of the picture")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--output", type=Path, help="write the result as JSON too")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # one kind, in this process
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    if args.here:
        keep_freed_memory()
        print(json.dumps(measure(args.size, args.turns)))
        return
    result = environment(torch.device("cpu")) | {"size": args.size, "turns": args.turns, "seconds": {}}
    line = [
        sys.executable,
        "-m",
        "benchmarks.without_bfloat16",
        "--here",
        f"--size={args.size}",
        f"--turns={args.turns}",
    ]
    for kind, limits in KINDS.items():
        said = subprocess.run(line, env=os.environ | limits, check=True, stdout=subprocess.PIPE, text=True).stdout
        result["seconds"][kind] = json.loads(said.splitlines()[-1])
        print(kind, result["seconds"][kind], flush=True)
    write_result(result, args.output)


if __name__ == "__main__":
    exit_on_error(main)
