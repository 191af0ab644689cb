"""Photos that are read from within a zip archive, which need not be unpacked."""

import os
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile

from fast_style.data.images import ImageError


class ZippedPhoto(NamedTuple):
    """A file in a zip archive; as text, the path that it would have if the archive were a folder."""

    archive: Path
    name: str

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    def read_bytes(self) -> bytes:
        """The file, whose checksum the archive has. Raises what zipfile does for damage."""
        return _opened(self.archive, os.getpid()).read(self.name)

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"


def zipped_files(archive: str | Path) -> list[ZippedPhoto]:
    """All files in a zip archive, but hidden ones, in the order that `find_files` would have them unpacked.

    Raises ImageError if it is not a zip archive, or is cut short.
    """
    try:
        with ZipFile(archive) as opened:
            paths = [PurePosixPath(info.filename) for info in opened.infolist() if not info.is_dir()]
    except FileNotFoundError as error:
        raise ImageError(f"{archive}: no such file") from error
    except (BadZipFile, OSError) as error:
        raise ImageError(f"{archive}: {error}; is it a zip archive, and whole?") from error
    # macOS adds folders with its attributes of the files.
    seen = [path for path in paths if not any(part.startswith((".", "__MACOSX")) for part in path.parts)]
    return [ZippedPhoto(Path(archive), str(path)) for path in sorted(seen)]


@lru_cache(maxsize=4)
def _opened(archive: Path, process: int) -> ZipFile:
    # Once in every process: those that a fork has made would share one place in the file.
    return ZipFile(archive)
