"""How fast pictures are painted: ours, at equal architecture and with the slim network, beside the ports' way.

    python -m benchmarks.stylize [--device cuda] [--output benchmarks/results/stylize_cpu.json] [--plot FILE.png]

ports   eager float32, NCHW, the paper's network (benchmarks/ports.py), one image after the other, in a process of its
        own; and beside ours with freed memory kept as ours is (hardware.keep_freed_memory)
equal   the same network and weights, as infer.py runs it on this machine; on a GPU with compile=true
slim    `model=slim`, the smallest

Latency of one image at each size, from the device's memory to it, the sides taking turns (Johnson et al. 2016, table 1,
has 256, 512 and 1024); images a second in batches; a folder of JPEGs end to end, files in and files out; and the memory
that a process needs at most beyond what it has before its first image. `ratio` and `ratio_slim` are the ports' seconds
over ours at 512 px.
`psnr` compares the pictures of `equal` with the ports', in dB.
"""

import argparse
import json
import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.ports import copy_parameters, ports_transformer
from benchmarks.result import write_result
from benchmarks.timing import OwnProcess, alternate, environment, matrix_peak
from fast_style.data.images import read_image, write_image
from fast_style.data.procedural import procedural_image
from fast_style.hardware import keep_freed_memory, pick_device, pick_precision
from fast_style.inference.stylize import stylize, stylize_files
from fast_style.networks.transformer_net import TransformerNet

ROOT = Path(__file__).resolve().parent.parent

SIDES = ("ports", "equal", "slim")
KEPT = "ports, memory kept"
RATIO_SIZE = 512


def build(side: str, device: torch.device) -> partial:
    """stylize(transformer, ...) of a side: a function from images to stylised images, both on the device."""
    torch.manual_seed(0)
    model = yaml.safe_load((ROOT / f"configs/model/{'slim' if side == 'slim' else 'johnson'}.yaml").read_text())
    transformer = TransformerNet(**model).eval()
    if side == "ports":
        theirs = ports_transformer()
        copy_parameters(transformer, theirs)
        return partial(stylize, theirs.eval().to(device))
    transformer = transformer.to(device, memory_format=torch.channels_last)
    if device.type == "cuda":
        transformer.compile(dynamic=False)
    return partial(stylize, transformer, precision=pick_precision("auto", device))


def ports_latency(device: torch.device) -> Callable[[int, int], Tensor]:
    """The ports' way with images that lie ready: (size, batch size) -> stylised images."""
    run = build("ports", device)
    images = cache(lambda size, batch: torch.rand(batch, 3, size, size, device=device))
    return lambda size, batch: run(images(size, batch))


def ports_folder(device: torch.device) -> Callable[[dict[Path, Path]], None]:
    run = build("ports", device)

    def stylize_folder(files: dict[Path, Path]) -> None:
        for source, target in files.items():
            write_image(target, run(read_image(source)[0][None])[0])

    return stylize_folder


def latency(args: argparse.Namespace, sides: dict[str, partial], device: torch.device) -> list[dict]:
    rows, ports = [], OwnProcess(ports_latency, device)
    for size in args.sizes:
        for batch in args.batch_sizes if size == RATIO_SIZE else [1]:
            images = torch.rand(batch, 3, size, size, device=device)
            runs = {name: partial(side, images) for name, side in sides.items()}
            runs |= {"ports": partial(ports, size, batch), KEPT: runs["ports"]}
            seconds = alternate(runs, args.repeats)
            rows.append({"size": size, "batch_size": batch, "seconds": seconds})
            rates = {name: round(batch / value["median"], 2) for name, value in seconds.items()}
            print(f"{size} px, batch {batch}: images/s", rates, flush=True)
    return rows


def folder(args: argparse.Namespace, sides: dict[str, partial], device: torch.device) -> dict:
    """Images per second of a folder of JPEGs: files in, files out."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        photo = torch.from_numpy(procedural_image(RATIO_SIZE, np.random.default_rng(0))).permute(2, 0, 1) / 255
        files = {root / f"{index}.jpg": root / f"{index}_out.jpg" for index in range(args.files)}
        for path in files:
            write_image(path, photo)

        ports = partial(OwnProcess(ports_folder, device), files)
        ours = {name: partial(stylize_files, *sides[name].args, files, batch_size=4) for name in SIDES[1:]}
        runs = {"ports": ports} | {name: partial(run, **sides[name].keywords) for name, run in ours.items()}
        seconds = alternate(runs, max(2, args.repeats // 3), warm_up=1)
    return {
        "size": RATIO_SIZE,
        "files": args.files,
        "images_per_second": {side: round(args.files / value["median"], 2) for side, value in seconds.items()},
    }


def peak_memory(side: str, size: int, device: torch.device) -> float:
    """MiB that stylising one image of this size takes at most, in a process of its own; nan if it fails."""
    command = [sys.executable, __file__, "--memory", side, str(size), "--device", str(device)]
    finished = subprocess.run(command, capture_output=True, text=True)
    return round(float(finished.stdout.split()[-1]), 1) if finished.returncode == 0 else math.nan


def measure_memory(side: str, size: int, device: torch.device) -> float:
    run = build(side, device)
    if side != "ports":
        keep_freed_memory()
    run(torch.rand(1, 3, 64, 64))
    images = torch.rand(1, 3, size, size, device=device)
    if device.type == "cuda":
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run(images)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    before = resident_peak()
    run(images)
    return (resident_peak() - before) / 1024


def resident_peak() -> int:
    """Most KiB that this process has had in memory. Linux's own count: getrusage's starts with the parent's."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1])


def psnr(one: Tensor, other: Tensor) -> float:
    return round(10 * math.log10(1 / float((one - other).square().mean())), 1)


def measure(args: argparse.Namespace) -> dict:
    device = pick_device(args.device)
    if device.type == "cpu":
        keep_freed_memory()
    sides = {name: build(name, device) for name in SIDES}
    photo = torch.from_numpy(procedural_image(RATIO_SIZE, np.random.default_rng(1))).permute(2, 0, 1)[None] / 255
    result = environment(device) | {"repeats": args.repeats}
    precision = sides["equal"].keywords["precision"]
    result["precision"] = precision
    result["psnr"] = psnr(*(sides[name](photo) for name in ("ports", "equal")))
    result["latency"] = rows = latency(args, sides, device)
    result["folder"] = folder(args, sides, device)
    print(result["folder"], flush=True)
    result["peak_memory_mib"] = [
        {"size": size} | {name: peak_memory(name, size, device) for name in SIDES} for size in args.sizes
    ]
    dtype = torch.bfloat16 if precision == "bf16-mixed" else torch.float32
    peak = matrix_peak(device, dtype)
    with FlopCounterMode(display=False) as counter:
        sides["equal"](torch.rand(1, 3, RATIO_SIZE, RATIO_SIZE, device=device))
    single = next(row["seconds"] for row in rows if (row["size"], row["batch_size"]) == (RATIO_SIZE, 1))
    result["matrix_peak_gflops"] = peak
    result["share_of_peak"] = round(counter.get_total_flops() / single["equal"]["median"] / 1e9 / peak, 3)
    result["ratio"], result["ratio_slim"] = (
        round(single["ports"]["median"] / single[name]["median"], 2) for name in SIDES[1:]
    )
    return result


def plot(result: dict, path: Path) -> None:
    """Seconds and memory of one image against its size."""
    from matplotlib.figure import Figure  # only here: an optional dependency

    figure = Figure(figsize=(9, 4), layout="constrained")
    speed, memory = figure.subplots(1, 2)
    rows = [row for row in result["latency"] if row["batch_size"] == 1]
    for name in SIDES:
        speed.plot(
            [row["size"] for row in rows], [row["seconds"][name]["median"] for row in rows], marker="o", label=name
        )
        memory.plot(
            [row["size"] for row in result["peak_memory_mib"]],
            [row[name] for row in result["peak_memory_mib"]],
            marker="o",
            label=name,
        )
    for axes, label in ((speed, "seconds an image"), (memory, "peak memory, MiB")):
        axes.set(xscale="log", yscale="log", xlabel="side of the image in pixels", ylabel=label)
        sizes = [row["size"] for row in rows]
        axes.set_xticks(sizes, map(str, sizes))
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(result["hardware"])
    figure.savefig(path, dpi=110)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048], help="sides of the images")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 4], help="at 512 px")
    parser.add_argument("--files", type=int, default=12, help="in the folder")
    parser.add_argument("--repeats", type=int, default=7, help="of every side at every size")
    parser.add_argument("--output", type=Path, help="a JSON file to write as well")
    parser.add_argument("--plot", type=Path, help="a picture of speed and memory against size")
    parser.add_argument("--memory", nargs=2, metavar=("SIDE", "SIZE"), help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: list[str]) -> None:
    args = parse(argv)
    if args.memory:
        print(measure_memory(args.memory[0], int(args.memory[1]), pick_device(args.device)))
        return
    if RATIO_SIZE not in args.sizes or 1 not in args.batch_sizes:
        sys.exit(f"error: --sizes needs {RATIO_SIZE} and --batch-sizes needs 1, for the ratios")
    result = measure(args)
    write_result(result, args.output)
    if args.plot:
        plot(result, args.plot)
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
