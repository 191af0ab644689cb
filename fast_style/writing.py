"""Files that appear whole or not at all, whatever ends the writing: a full disk, a kill."""

import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import torch

from fast_style.errors import FastStyleError


class WriteError(FastStyleError):
    """A file that cannot be written."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to: what is there at the end becomes `path`; after an error nothing is left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Hidden, so that find_images never meets it, and next to the target, because a rename cannot cross file systems.
    unfinished = path.with_name(f".{uuid4().hex}.tmp")
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_whole(path: str | Path, data: bytes) -> None:
    """Write bytes to a file, which is there whole or as it was. Raises WriteError."""
    try:
        with whole_file(Path(path)) as unfinished:
            unfinished.write_bytes(data)
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror}") from error


def write_whole_folder(path: str | Path, files: dict[str, bytes]) -> None:
    """Write a folder that has these files, by their paths in it, and no others. It is there whole, or as it was, or,
    after a stop at the wrong moment, not at all. Raises WriteError."""
    path = Path(path)
    unfinished = path.with_name(f".{uuid4().hex}.tmp")
    try:
        for name, data in files.items():
            (unfinished / name).parent.mkdir(parents=True, exist_ok=True)
            (unfinished / name).write_bytes(data)
        if path.exists():
            shutil.rmtree(path)
        unfinished.rename(path)
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def save_whole(path: str | Path, state: object) -> None:
    """torch.save to a file that is there whole or as it was. Raises WriteError."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_whole(path, buffer.getbuffer())
