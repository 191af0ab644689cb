"""Training photos in shards: a few large files of small JPEGs, on this machine or in object storage, in LitData's
format."""

import os
import time
from collections.abc import Iterable
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from fast_style.data.content import SHARDS_MIXED, ContentError, Folder
from fast_style.data.images import StorageError
from fast_style.errors import FastStyleError, one_line

SHARD_BYTES = 2**25
PAUSES = 1, 10, 60  # seconds between tries to fetch a shard
REMOTE = ("s3://", "gs://", "azure://", "r2://", "local:")  # LitData's; local: is a folder that it treats as the others
INSTALL = 'shards need LitData: pip install -e ".[shards]", or pip install litdata'


class ShardedPhoto(NamedTuple):
    """A photo in shards."""

    root: str
    index: int

    def read_bytes(self) -> bytes:
        """The JPEG file. The shard that it lies in is fetched first, and kept, if it is in object storage.

        Raises StorageError if that fails again and again; a shard in a folder raises what LitData does.
        """
        for pause in (*PAUSES, None):
            try:
                return bytes(_opened(self.root, os.getpid())[self.index]["jpeg"])
            except Exception as error:
                if not self.root.startswith(REMOTE):
                    raise
                if pause is None:
                    raise StorageError(f"{self} cannot be fetched: {one_line(error)}") from error
            _opened.cache_clear()  # once it has failed, LitData's reader fetches nothing more
            time.sleep(pause)

    def __str__(self) -> str:
        return f"photo {self.index} of {self.root}"


class Shards(Folder):
    """Photos in the shards under `root`, a folder or an address such as s3://bucket/coco288, that
    scripts/prepare_photos.py writes; the last `validation_count` are held out."""

    def find(self) -> tuple[list[ShardedPhoto], None]:
        if not self.root.startswith(REMOTE) and not Path(self.root, "index.json").is_file():
            raise ContentError(
                f"data.root={self.root}: has no index.json of shards; "
                f"python scripts/prepare_photos.py PHOTOS {self.root} makes them of a folder or a zip of photos"
            )
        try:
            self.counts = photos_a_shard(self.root)
            photos = [ShardedPhoto(self.root, index) for index in range(sum(self.counts))]
            self.check_size(photos[0].read_bytes())
        except FastStyleError:
            raise
        except Exception as error:  # of the network, of credentials, of a library for this kind of storage
            raise ContentError(f"data.root={self.root}: the shards cannot be read: {one_line(error)}") from error
        return photos, None

    def check_size(self, jpeg: bytes) -> None:
        """Raise ContentError if a photo would have to be enlarged: shards are made at the size that is needed."""
        with Image.open(BytesIO(jpeg)) as photo:
            stored = min(photo.size)
        if stored < self.short_side:
            raise ContentError(
                f"data.root={self.root}: its photos have a short side of {stored}, and image_size={self.image_size} "
                f"wants {self.short_side}: prepare them with --short-side {self.short_side}, or train on smaller crops"
            )

    def shards(self) -> list[int]:
        ends = np.cumsum(self.counts).clip(max=len(self.training_paths))
        return np.diff(ends, prepend=0).tolist()


def photos_a_shard(root: str) -> list[int]:
    """How many photos each shard has, in order."""
    return [end - start for start, end in _opened(root, os.getpid()).region_of_interest]


def write_shards(root: Path, photos: Iterable[tuple[str, bytes]]) -> None:
    """Write photos, names and JPEG files, into shards of up to SHARD_BYTES under a folder, in this order.

    Of no photos there are no shards.
    """
    try:
        from litdata.streaming import Cache
    except ImportError as error:
        raise FastStyleError(INSTALL) from error
    cache = Cache(str(root), chunk_bytes=SHARD_BYTES)
    count = 0
    for name, jpeg in photos:
        cache[count] = {"jpeg": jpeg, "name": name}
        count += 1
    if count:  # without shards to merge, it would wait for some
        cache.done()
        cache.merge()


@lru_cache(maxsize=4)
def _opened(root: str, process: int):
    # Once in every process: a fork copies open shards, but not the thread that fetches more of them.
    try:
        from litdata import StreamingDataset
    except ImportError as error:
        raise FastStyleError(INSTALL) from error
    dataset = StreamingDataset(root, max_pre_download=SHARDS_MIXED)
    dataset[:1]  # has it fetch whole shards from now on, and not each photo by requests of its own
    return dataset
