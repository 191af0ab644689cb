"""Download the photos of COCO, to train on.

    python scripts/download_coco.py /data/coco                      # train2017: 118,287 photos, 19.3 GB
    python scripts/download_coco.py /data/coco --split train2014    # what the paper trained on: 82,783, 13.5 GB
    python scripts/download_coco.py /data/coco --split val2017      # 5,000 photos, 0.8 GB
    python train.py data=coco data.root=/data/coco ...              # or data=folder data.root=/data/coco/val2017.zip

A broken connection is taken up where it broke; stopped and started again, so is the download. The archive is checked
against COCO's checksum. It may stay a zip, which training reads in place; --unzip unpacks it beside itself.
"""

import argparse
import hashlib
import http.client
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
    track,
)

from fast_style.errors import FastStyleError, exit_on_error
from fast_style.writing import whole_file

HOME = "http://images.cocodataset.org/zips"
BLOCK = 2**20
TIMEOUT = 30  # seconds without a byte, after which a connection counts as broken
WAITS = (0, 2, 5, 15, 60)  # seconds before a new try, when the last brought nothing
BROKEN = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError)


class Archive(NamedTuple):
    bytes: int
    md5: str


# COCO publishes no checksums: these are those that data set libraries have found, and check.
ARCHIVES = {
    "train2017": Archive(19_336_861_798, "cced6f7f71b7629ddf16f17bbcfab6b2"),
    "train2014": Archive(13_510_573_713, "0da8c0bd3d6becc4dcb32757491aca88"),
    "val2017": Archive(815_585_330, "442b8da7639aecaf257c1dceb8ba8c80"),
    "val2014": Archive(6_645_013_297, "a3d79f5ed8d289b7a7554ce06a5782b3"),
}


class Download:
    """A file on its way: what has come of it lies beside it in a .part, and is gone on from."""

    def __init__(self, url: str, target: Path, archive: Archive):
        self.url, self.target, self.archive = url, target, archive
        self.part = target.with_name(f"{target.name}.part")

    def have(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def run(self) -> None:
        """Fetch, check and put in its place. Raises FastStyleError."""
        if self.have() > self.archive.bytes:
            self.part.unlink()
        with bar(f"fetching {self.target.name}", self.archive.bytes) as show:
            self.fetch(show)
        with bar(f"checking {self.target.name}", self.archive.bytes) as show:
            md5 = md5_of(self.part, show)
        if md5 != self.archive.md5:
            self.part.unlink()
            raise FastStyleError(
                f"{self.url}: damaged on its way, or not COCO's archive: its MD5 is {md5}, not {self.archive.md5}. "
                "What came was deleted: start again, or take another --mirror"
            )
        self.part.replace(self.target)

    def fetch(self, show: Callable[[int], None]) -> None:
        """Bring `part` to its full size, in as many requests as that takes; the first has to succeed."""
        waits = []
        while self.have() < self.archive.bytes:
            before, reason = self.have(), "the connection was closed"
            try:
                self.receive(show)
            except urllib.error.HTTPError as error:
                reason = f"the server says {error.code} {error.reason}"
                waits = waits if error.code in (429, 500, 502, 503, 504) else []
            except BROKEN as error:
                reason = str(getattr(error, "reason", error)) or type(error).__name__
            if self.have() > before:
                waits = list(WAITS)
            elif not waits:
                raise FastStyleError(
                    f"{self.url}: {reason}. Start again when it can be reached: {self.have() / 1e9:.1f} GB are there. "
                    "A proxy is set with http_proxy=URL, another server with --mirror URL"
                )
            time.sleep(waits.pop(0) if self.have() < self.archive.bytes else 0)

    def receive(self, show: Callable[[int], None]) -> None:
        """Append to `part` what one request brings."""
        have = self.have()
        request = urllib.request.Request(self.url, headers={"Range": f"bytes={have}-"} if have else {})
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            if response.status != 206:
                have = 0  # a server that always begins at the beginning
            size = have + int(response.headers["Content-Length"] or self.archive.bytes - have)
            if size != self.archive.bytes:
                raise FastStyleError(
                    f"{self.url}: has {size:,} bytes, where COCO's archive has {self.archive.bytes:,}: not the same"
                )
            with self.part.open("ab" if have else "wb") as file:
                while block := read_block(response):
                    file.write(block)
                    have += len(block)
                    show(have)


def read_block(response: http.client.HTTPResponse) -> bytes:
    """The next bytes of a response. Raises ConnectionError, where the network may raise any OSError, like the disk."""
    try:
        return response.read(BLOCK)
    except OSError as error:
        raise ConnectionError(error.strerror or str(error)) from error


def md5_of(path: Path, show: Callable[[int], None]) -> str:
    md5 = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            md5.update(block)
            show(file.tell())
    return md5.hexdigest()


@contextmanager
def bar(name: str, size: int) -> Iterator[Callable[[int], None]]:
    """A progress bar over `size` bytes, as a function that shows so many as done."""
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task(name, total=size)
        yield lambda done: progress.update(task, completed=done)


def unpack(archive: Path) -> None:
    """Unpack a zip beside itself; what is there already stays. zipfile checks every file."""
    with ZipFile(archive) as zipped:
        for info in track([info for info in zipped.infolist() if not info.is_dir()], f"unpacking {archive.name}"):
            target = archive.parent / info.filename
            if target.exists() and target.stat().st_size == info.file_size:
                continue
            with whole_file(target) as unfinished, zipped.open(info) as source, unfinished.open("wb") as file:
                shutil.copyfileobj(source, file)


def check_space(folder: Path, needed: int) -> None:
    """Raise FastStyleError if the disk has no room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FastStyleError(f"{folder}: {needed / 1e9:.1f} GB are needed, and {free / 1e9:.1f} GB are free")


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write; the same again goes on with what is there")
    parser.add_argument("--split", choices=ARCHIVES, default="train2017", help="default: %(default)s")
    parser.add_argument(
        "--mirror", default=HOME, metavar="URL", help="a folder with the same archives; default: %(default)s"
    )
    parser.add_argument("--unzip", action="store_true", help="unpack it as well, for as much space again")
    args = parser.parse_args(argv)
    if not args.mirror.startswith(("http://", "https://")):
        raise FastStyleError(f"--mirror {args.mirror}: must begin with http:// or https://")
    archive, target = ARCHIVES[args.split], args.folder / f"{args.split}.zip"
    try:
        args.folder.mkdir(parents=True, exist_ok=True)
        work = Download(f"{args.mirror.rstrip('/')}/{target.name}", target, archive)
        to_fetch = 0 if target.exists() else archive.bytes - work.have()
        # Photos are as large in the archive as out of it.
        check_space(args.folder, to_fetch + archive.bytes * (args.unzip and not (args.folder / args.split).exists()))
        if not target.exists():
            work.run()
        if args.unzip:
            unpack(target)
    except OSError as error:
        raise FastStyleError(f"{args.folder}: cannot be written: {error.strerror or error}") from error
    print(f"{args.folder / args.split if args.unzip else target} is there")
    key = f"coco data.root={args.folder}" if args.split.startswith("train") else f"folder data.root={target}"
    print(f"\npython train.py data={key}")


if __name__ == "__main__":
    exit_on_error(lambda: main(sys.argv[1:]))
