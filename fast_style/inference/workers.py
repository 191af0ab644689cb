"""The pictures of many files, painted by many processes, on this machine or on others: Ray Data runs them.

Needs the extra `ray`. Every process does what infer.py alone does, with some files at a time.
"""

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.progress import Progress
from torch import nn

from fast_style.data.storage import is_remote, located
from fast_style.errors import FastStyleError, one_line
from fast_style.hardware import free_memory, keep_freed_memory, resident_memory
from fast_style.inference.stylize import SHARE_OF_FREE, stylize_files

FILES_AT_A_TIME = 32  # that a worker gets, and that are done again if its machine is lost


class Worker:
    """What paints files in one of several processes."""

    def __init__(self, transformer: nn.Module, device: str, workers: int, limits: dict):
        self.transformer, self.limits = transformer.to(device), limits
        if device == "cpu":
            keep_freed_memory()
            if limits["max_memory"] is None:  # the others may be on the same machine
                memory = SHARE_OF_FREE * free_memory(torch.device(device)) / workers
                self.limits = limits | {"max_memory": resident_memory() + memory}

    def __call__(self, batch: dict[str, Sequence[str]]) -> dict[str, list[str]]:
        """From columns `source` and `target` of paths to one, `failure`, of reasons, empty for what is written."""
        pairs = zip(batch["source"], batch["target"], strict=True)
        files = {located(str(source)): located(str(target)) for source, target in pairs}
        failed = stylize_files(self.transformer, files, **self.limits)
        return {"source": list(batch["source"]), "failure": [failed.get(path, "") for path in files]}


def stylize_in_workers(
    transformer: nn.Module, files: dict[Path, Path], workers: int, **limits: object
) -> dict[Path, str]:
    """As `stylize_files`, with the same arguments, by so many processes, of which each has a core or a GPU.

    They run on the cluster that the variable RAY_ADDRESS names, else on this machine. Files and what a network is
    made of must be found at the same paths everywhere. Raises FastStyleError.
    """
    ray, device = started(), next(transformer.parameters()).device.type
    needs = {"num_cpus": 1} | ({"num_gpus": 1} if device == "cuda" else {})
    for kind, name in (("CPU", "cores"), ("GPU", "GPUs")):
        there = int(ray.cluster_resources().get(kind, 0))
        if f"num_{kind.lower()}s" in needs and there < workers:
            raise FastStyleError(f"workers={workers}: each takes one of {there} {name}")
    by_name = {str(path if is_remote(path) else path.absolute()): path for path in files}
    rows = [
        {"source": name, "target": str(files[path] if is_remote(files[path]) else files[path].absolute())}
        for name, path in by_name.items()
    ]
    work = ray.data.from_items(rows, override_num_blocks=math.ceil(len(rows) / FILES_AT_A_TIME)).map_batches(
        Worker,
        fn_constructor_args=(transformer.cpu(), device, workers, limits),
        batch_size=FILES_AT_A_TIME,
        compute=ray.data.ActorPoolStrategy(size=workers),
        **needs,
    )
    failures = {}
    try:
        with Progress() as progress:
            shown = progress.add_task("stylising", total=len(files))
            for row in work.iter_rows():
                progress.advance(shown)
                if row["failure"]:
                    failures[by_name[row["source"]]] = row["failure"]
    except ray.exceptions.RayError as error:
        raise FastStyleError(f"workers={workers}: {one_line(getattr(error, 'cause', None) or error)}") from error
    return failures


def started():
    """Ray, which has joined its cluster or has become one."""
    try:
        import pyarrow  # noqa: F401, of which Ray Data has no word before its first block
        import ray
        import ray.data
    except ImportError as error:
        raise FastStyleError(
            'workers= needs Ray Data: pip install "fast-style[ray]", or pip install "ray[data]"'
        ) from error
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would send them
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
        ray.data.DataContext.get_current().enable_progress_bars = False
    return ray
