"""Files of this machine, and of object storage: s3://bucket/photos, gs://, az://, whatever fsspec knows.

Object storage needs the extra `remote` (universal-pathlib), and the package of its kind: s3fs, gcsfs, adlfs.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from fast_style.errors import FastStyleError, one_line


def located(place: str | Path) -> Path:
    """The path that a key names; of object storage, what has the methods of a Path. Raises FastStyleError."""
    if not isinstance(place, str):
        return place
    if not is_url(place):
        return Path(place)
    try:
        from upath import UPath
    except ImportError as error:
        raise FastStyleError(f'{place}: object storage needs pip install "fast-style[remote]"') from error
    try:
        path = UPath(place)
        _ = path.fs
        return path
    except (ImportError, ValueError) as error:  # the package of this kind is missing; there is no such kind
        raise FastStyleError(f"{place}: {one_line(error)}") from error


def is_url(place: str | None) -> bool:
    return "://" in str(place)


def is_remote(path: Path) -> bool:
    return not isinstance(path, Path)


@contextmanager
def reaching(key: str, place: str | None) -> Iterator[None]:
    """Have whatever goes wrong with object storage that a key names, of no common type, be one line."""
    try:
        yield
    except FastStyleError:
        raise
    except Exception as error:
        if is_url(place):
            raise FastStyleError(f"{key}={place}: {one_line(error)}") from error
        raise


def files_in(folder: Path) -> list[Path]:
    """All files under a folder of object storage, sorted, without hidden ones: as `find_files` of a machine."""
    names = (name.removeprefix(folder.path).lstrip("/") for name in sorted(folder.fs.find(folder.path)))
    return [folder / name for name in names if not any(part.startswith(".") for part in name.split("/"))]


def already_there(paths: Iterable[Path]) -> set[Path]:
    """Those of `paths` that are there; of object storage a question a folder, and not one a file."""
    paths = set(paths)
    folders = {path.parent for path in paths if is_remote(path)}
    listed = {path for folder in folders if folder.exists() for path in folder.iterdir()}
    return {path for path in paths if (path in listed if is_remote(path) else path.exists())}


def common_folder(paths: Iterable[Path]) -> Path:
    """The deepest folder that all files are in. Raises FastStyleError if there is none."""
    folders = [path.parent for path in paths]
    common = folders[0] if folders else Path()
    for folder in folders:
        while is_remote(folder) != is_remote(common) or not folder.is_relative_to(common):
            if common == common.parent:
                raise FastStyleError(f"{folders[0]} and {folder} have no folder in common: give one after the other")
            common = common.parent
    return common


def answers(path: Path) -> bool:
    """Whether the object storage that a file is in can be reached at all, whatever it then says."""
    try:
        path.fs.info(f"{path.parent.path}/{uuid4().hex}/none")  # of which no listing that has been kept knows
    except (FileNotFoundError, PermissionError):
        return True
    except Exception:  # of no common type
        return False
    return True


class Fetched:
    """A file of object storage, which is read once."""

    def __init__(self, path: Path):
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @cached_property
    def content(self) -> bytes:
        return self.path.read_bytes()

    def read_bytes(self) -> bytes:
        return self.content
