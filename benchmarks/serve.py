"""The service under load: 100 clients at once, then a thousand hostile uploads; is anything lost, does memory grow?

    python -m benchmarks.serve --output benchmarks/results/serve.json

Starts fast-style-serve in a process of its own. --clients ask without a pause for --seconds, each with a small photo,
and every answer must be a picture of the photo's size; then --hostile mutants of pictures (benchmarks/hostile_input.py)
are uploaded by 20 clients, in two halves, and every answer must be a picture or a refusal, 413, 415 or 422.
Latency, images/s, the answers by status, and what the server holds in memory after each. Exit status 1 if an answer is
another.
"""

import argparse
import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import torch
from PIL import Image

from benchmarks.hostile_input import encoded, picture_mutants
from benchmarks.result import write_result
from benchmarks.timing import environment
from fast_style.errors import FastStyleError, exit_on_error

ROOT = Path(__file__).resolve().parent.parent
HOSTILE = ("jpeg", "png", "webp", "gif", "tiff")
UPLOADERS = 20
REFUSALS = (413, 415, 422)


class Server:
    """fast-style-serve on a free port, until the block ends."""

    def __init__(self, models: str):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        keys = [f"models={models}", f"port={self.port}", "waiting=200", "timeout=300"]
        self.command = [sys.executable, "-m", "fast_style.commands.serve", *keys]

    def __enter__(self) -> "Server":
        self.process = subprocess.Popen(self.command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
        while True:
            if self.process.poll() is not None:
                raise FastStyleError(f"the server ended with {self.process.returncode}")
            try:
                httpx.get(f"http://127.0.0.1:{self.port}/healthz").raise_for_status()
                return self
            except httpx.HTTPError:
                time.sleep(0.5)

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait()

    def megabytes(self) -> int:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") // 2**20

    def work(self) -> float:
        """Seconds of processor time that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Answers:
    """What came back: by status, how long it took, and what should not have come."""

    def __init__(self):
        self.statuses, self.seconds, self.wrong = Counter(), [], []

    async def ask(self, client: httpx.AsyncClient, url: str, photo: bytes, check: Callable[[httpx.Response], str]):
        begun = time.perf_counter()
        try:
            answer = await client.post(url, content=photo)
            status, wrong = answer.status_code, check(answer)
        except httpx.HTTPError as error:
            status, wrong = "lost", f"{type(error).__name__} {error}"
        self.seconds.append(time.perf_counter() - begun)
        self.statuses[str(status)] += 1
        if wrong:
            self.wrong.append(wrong[:300])

    def told(self) -> dict:
        percentiles = {f"p{share}": round(float(np.percentile(self.seconds, share)), 3) for share in (50, 90, 99)}
        return {"answers": dict(self.statuses), "seconds": percentiles, "wrong": self.wrong[:20]}


def is_picture(size: tuple[int, int]) -> Callable[[httpx.Response], str]:
    """A check of answers: what is wrong with one, or nothing."""

    def check(answer: httpx.Response) -> str:
        if answer.status_code != 200:
            return f"{answer.status_code} {answer.text}"
        picture = Image.open(BytesIO(answer.content))
        picture.load()
        return "" if picture.size == size else f"a picture of {picture.size}"

    return check


def is_picture_or_refusal(answer: httpx.Response) -> str:
    if answer.status_code in REFUSALS:
        detail = answer.json()["detail"]
        return "" if isinstance(detail, str) and len(detail.splitlines()) == 1 else f"refused by {detail}"
    if answer.status_code != 200:
        return f"{answer.status_code} {answer.text}"
    Image.open(BytesIO(answer.content)).load()
    return ""


def measure(args: argparse.Namespace, server: Server) -> dict:
    photo, url = encoded("JPEG"), f"http://127.0.0.1:{server.port}/stylize?style={args.style}"
    size = Image.open(BytesIO(photo)).size
    limits = httpx.Limits(max_connections=None)

    async def load(answers: Answers) -> None:
        async with httpx.AsyncClient(timeout=600, limits=limits) as client:
            end = time.perf_counter() + args.seconds

            async def one() -> None:
                while time.perf_counter() < end:
                    await answers.ask(client, url, photo, is_picture(size))

            await asyncio.gather(*(one() for _ in range(args.clients)))

    async def upload(answers: Answers, half: int) -> None:
        chance, each = random.Random(f"{args.seed} {half}"), args.hostile // len(HOSTILE) // 2
        mutants = [data for kind in HOSTILE for _, data, _ in picture_mutants(kind, each, chance, Path("/canary"))]
        async with httpx.AsyncClient(timeout=600, limits=limits) as client:

            async def one() -> None:
                while mutants:
                    await answers.ask(client, url, mutants.pop(), is_picture_or_refusal)

            await asyncio.gather(*(one() for _ in range(UPLOADERS)))
            await answers.ask(client, url, photo, is_picture(size))

    warm, loaded, hostile = Answers(), Answers(), Answers()
    for _ in range(5):
        asyncio.run(warm.ask(httpx.AsyncClient(timeout=600), url, photo, is_picture(size)))
    memory, before, begun = {"after five photos": server.megabytes()}, server.work(), time.perf_counter()
    asyncio.run(load(loaded))
    seconds, work = time.perf_counter() - begun, server.work() - before
    memory[f"after {args.clients} clients"] = server.megabytes()
    for half in (1, 2):
        asyncio.run(upload(hostile, half))
        memory[f"after {half * args.hostile // 2} hostile uploads"] = server.megabytes()
    painted = loaded.statuses["200"]
    return {
        "photo": "{}x{}".format(*size),
        "images/s": round(painted / seconds, 2),
        "images for a second of the server's processor time": round(painted / max(work, 0.01), 1),
        "load": loaded.told(),
        "hostile": hostile.told(),
        "megabytes of the server": memory,
    }


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="checkpoints", help="what fast-style-serve loads")
    parser.add_argument("--style", default="mosaic")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--hostile", type=int, default=1000, help="uploads")
    parser.add_argument("--seed", type=int, default=0, help="of the hostile uploads")
    parser.add_argument("--output", type=Path, help="write the result as JSON too")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    warnings.simplefilter("ignore")
    result = environment(torch.device("cpu")) | {"load of the machine before": round(os.getloadavg()[0], 1)}
    result |= {key: getattr(args, key) for key in ("clients", "seconds", "hostile", "seed")}
    with Server(args.models) as server:
        result["measured"] = measure(args, server)
    write_result(result, args.output)
    print(json.dumps(result, indent=1))
    if wrong := result["measured"]["load"]["wrong"] + result["measured"]["hostile"]["wrong"]:
        raise FastStyleError(f"{len(wrong)} answers that should not have come, such as: {wrong[0]}")


if __name__ == "__main__":
    exit_on_error(main)
