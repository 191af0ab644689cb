"""Content images: what the transformer is trained on, as endless streams of random crops."""

import itertools
import os
import shlex
import signal
from collections.abc import Iterator, Sequence
from functools import cache, cached_property, lru_cache
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_only
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from fast_style.data.images import ImageError, PackedPhoto, find_files, left_out, only_images, read_rgb
from fast_style.data.procedural import procedural_image
from fast_style.data.sample_photos import sample_photo
from fast_style.data.zipped import zipped_files
from fast_style.errors import FastStyleError

# Room for a random crop: COCO at 256 is read at 288.
CROP_MARGIN = 1.125

# Photos of so many shards are mixed at a time, so that reading stays with these.
SHARDS_MIXED = 8

Photos = list[Path] | list[PackedPhoto]


class ContentError(FastStyleError):
    """Content images that are not where the config says."""


class ImageFolder(Sequence):
    """Photos of a folder, of a zip archive or in shards, decoded at `short_side`; an unreadable one is reported and
    replaced by the next."""

    def __init__(self, paths: Photos, short_side: int, unreadable_log: Path):
        self.paths, self.short_side, self.unreadable_log = paths, short_side, unreadable_log

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < len(self):
            raise IndexError(index)
        for offset in range(len(self.paths)):
            path = self.paths[(index + offset) % len(self.paths)]
            try:
                return read_rgb(path, self.short_side)
            except ImageError as error:
                # A file, because loader workers are processes of their own and lines this short are appended whole.
                self.unreadable_log.parent.mkdir(parents=True, exist_ok=True)
                with self.unreadable_log.open("a") as log:
                    log.write(f"{error}\n")
        ends = f"from {self.paths[0]} to {self.paths[-1]}"
        raise ContentError(f"none of the {len(self.paths)} images {ends} can be read; see {self.unreadable_log}")


class SampleImages(Sequence):
    """Photos that scikit-image carries in its package, `photo_share` of the total, and procedural images, kept once
    drawn. Image i of a seed is always the same."""

    PHOTOS = ("astronaut.png", "motorcycle_left.png", "rocket.jpg", "hubble_deep_field.jpg", "retina.jpg", "ihc.png",
              "brick.png", "gravel.png", "grass.png", "camera.png")  # fmt: skip

    def __init__(self, count: int, short_side: int, photo_share: float, seed: int):
        self.count, self.short_side, self.seed = count, short_side, seed
        self.photo_count = round(count * photo_share)
        self.paths = [sample_photo(name) for name in self.PHOTOS[: self.photo_count]]

    @cached_property
    def photos(self) -> list[np.ndarray]:
        # Larger than needed, so that crops differ: few photos have to stand for many.
        return [read_rgb(path, round(1.4 * self.short_side)) for path in self.paths]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> np.ndarray:
        if not 0 <= index < len(self):
            raise IndexError(index)
        if index < self.photo_count:
            return self.photos[index % len(self.photos)]
        return self.draw(index)

    @cache  # noqa: B019 - one dataset lives as long as the run
    def draw(self, index: int) -> np.ndarray:
        return procedural_image(self.short_side, np.random.default_rng([self.seed, index]))


class RandomCrops(Dataset):
    """Sample k is a function of (seed, k) alone: which image, which crop, mirrored or not.

    So a run resumed at any step continues with the very samples it would have seen, whatever the number of workers.
    Every image is seen once before any is seen again. To a crop without contents, flat to within a level, noise of a
    level is added.

    shards  how many of the images, in order, share a file; None: each has its own
    """

    def __init__(self, images: Sequence[np.ndarray], image_size: int, seed: int, shards: list[int] | None = None):
        self.images, self.image_size, self.seed, self.shards = images, image_size, seed, shards

    def __getitem__(self, position: int) -> Tensor:
        epoch, rank = divmod(position, len(self.images))
        image = self.images[self.order(epoch)[rank]]
        generator = np.random.default_rng([self.seed, position])
        top, left = (generator.integers(side - self.image_size + 1) for side in image.shape[:2])
        crop = image[top : top + self.image_size, left : left + self.image_size]
        if generator.random() < 0.5:
            crop = crop[:, ::-1]
        if crop.std() < 1:
            # A black or white frame: norms would divide by nothing, and gradients grow by hundreds from layer to layer.
            crop = (crop + generator.normal(size=crop.shape)).round().clip(0, 255).astype(np.uint8)
        return torch.from_numpy(crop.transpose(2, 0, 1).copy())

    @lru_cache(maxsize=2)  # noqa: B019 - one dataset lives as long as the run
    def order(self, epoch: int) -> np.ndarray:
        generator = np.random.default_rng([self.seed, epoch])
        if self.shards is None:
            return generator.permutation(len(self.images))
        return shuffled(self.shards, generator)


def shuffled(shards: list[int], generator: np.random.Generator) -> np.ndarray:
    """A permutation of images that lie in shards of so many each: the shards in random order, and the images of
    SHARDS_MIXED of them at a time."""
    ends = np.cumsum(shards)
    order = generator.permutation(len(shards))
    parts = [np.arange(ends[shard] - shards[shard], ends[shard]) for shard in order]
    groups = [np.concatenate(parts[first : first + SHARDS_MIXED]) for first in range(0, len(parts), SHARDS_MIXED)]
    return np.concatenate([generator.permutation(group) for group in groups])


class CentreCrops(Dataset):
    """The fixed middle of every image."""

    def __init__(self, images: Sequence[np.ndarray], image_size: int):
        self.images, self.image_size = images, image_size

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        image = self.images[index]
        top, left = ((side - self.image_size) // 2 for side in image.shape[:2])
        return torch.from_numpy(
            image[top : top + self.image_size, left : left + self.image_size].transpose(2, 0, 1).copy()
        )


class StepSampler:
    """Batches of stream positions from step `start` on, without end, for one of `world_size` processes."""

    def __init__(self, start: int, batch_size: int, rank: int, world_size: int):
        self.start, self.batch_size, self.rank, self.world_size = start, batch_size, rank, world_size

    def __iter__(self) -> Iterator[range]:
        for step in itertools.count(self.start):
            first = (step * self.world_size + self.rank) * self.batch_size
            yield range(first, first + self.batch_size)


class ContentImages(pl.LightningDataModule):
    """Training crops and held-out centre crops, (B, 3, image_size, image_size) RGB in [0, 1].

    short_side  that images are resized to first; None: CROP_MARGIN times image_size
    """

    def __init__(
        self,
        image_size: int,
        batch_size: int,
        seed: int,
        num_workers: int | None = None,
        short_side: int | None = None,
    ):
        super().__init__()
        self.image_size, self.batch_size, self.seed = image_size, batch_size, seed
        self.num_workers = self.default_workers if num_workers is None else num_workers
        self.short_side = short_side or round(image_size * CROP_MARGIN)
        if self.short_side < image_size:
            raise ContentError(f"short_side={short_side}: must be at least image_size={image_size}")

    # Decoding wants processes of its own; a few, since a crop costs milliseconds and a step many of them.
    default_workers = min(8, (os.cpu_count() or 2) // 2)

    def training_images(self) -> Sequence[np.ndarray]:
        raise NotImplementedError

    def validation_images(self) -> Sequence[np.ndarray]:
        """A few images that training never sees, for the held-out loss and the previews."""
        raise NotImplementedError

    def shards(self) -> list[int] | None:
        """How many of the training images, in order, share a file; None: each has its own."""
        return None

    def train_dataloader(self) -> DataLoader:
        trainer = self.trainer
        sampler = StepSampler(trainer.global_step, self.batch_size, trainer.global_rank, trainer.world_size)
        return DataLoader(
            RandomCrops(self.training_images(), self.image_size, self.seed, self.shards()),
            batch_sampler=sampler,
            num_workers=self.num_workers,
            worker_init_fn=_ignore_interrupt,
            pin_memory=trainer.strategy.root_device.type == "cuda",
        )

    def val_dataloader(self) -> DataLoader:
        # At least the four that a preview shows.
        return DataLoader(CentreCrops(self.validation_images(), self.image_size), batch_size=max(4, self.batch_size))

    def on_after_batch_transfer(self, batch: Tensor, dataloader_idx: int) -> Tensor:
        return batch.float() / 255


def _ignore_interrupt(worker: int) -> None:
    """Ctrl-C reaches every process of a terminal; the training stops by itself, and needs its workers until then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Samples(ContentImages):
    """Nothing to download: procedural images, with the few photos that scikit-image carries mixed in."""

    default_workers = 0  # drawn once and kept, so that a worker would have nothing to do

    def __init__(self, count: int, photo_share: float, **kwargs):
        super().__init__(**kwargs)
        self.count, self.photo_share = count, photo_share

    def training_images(self) -> Sequence[np.ndarray]:
        return SampleImages(self.count, self.short_side, self.photo_share, self.seed)

    def validation_images(self) -> Sequence[np.ndarray]:
        photos = [read_rgb(sample_photo(name), self.short_side) for name in ("chelsea.png", "coffee.png")]
        # A seed of their own: the training images may be drawn with any other.
        drawn = [procedural_image(self.short_side, np.random.default_rng([2**32 - 1, index])) for index in range(6)]
        return photos + drawn


class Folder(ContentImages):
    """All images under `root`, a folder or a zip archive; the last `validation_count` by path are held out."""

    def __init__(self, root: str, validation_count: int, unreadable_log: str, **kwargs):
        super().__init__(**kwargs)
        self.root, self.validation_count, self.unreadable_log = root, validation_count, Path(unreadable_log)

    def setup(self, stage: str) -> None:
        paths, note = self.find()
        if len(paths) <= self.validation_count:
            raise ContentError(
                f"data.root={self.root} holds {len(paths)} images: training needs more than the "
                f"data.validation_count={self.validation_count} that are held out{f'; {note}' if note else ''}"
            )
        self.training_paths = paths[: len(paths) - self.validation_count]
        self.validation_paths = paths[len(paths) - self.validation_count :]
        if stage == "fit":
            if note:
                rank_zero_only(print)(f"data.root={self.root}: {note}")
            for images in (self.training_images(), self.validation_images()):
                images[0]  # or none can be read, which is to be known before the training

    def find(self) -> tuple[Photos, str | None]:
        """The photos, and a line on what else is there."""
        place = self.place()
        files = zipped_files(place) if place.is_file() else find_files(place)
        return only_images(files), left_out(files)

    def place(self) -> Path:
        """The folder or zip archive that has the photos."""
        root = Path(self.root)
        if root.is_file() and root.suffix.lower() != ".zip":
            raise ContentError(f"data.root={self.root}: is a file, give the folder that it is in, or a zip archive")
        if not root.exists():
            raise ContentError(f"data.root={self.root}: no such folder")
        return root

    def training_images(self) -> Sequence[np.ndarray]:
        return ImageFolder(self.training_paths, self.short_side, self.unreadable_log)

    def validation_images(self) -> Sequence[np.ndarray]:
        return ImageFolder(self.validation_paths, self.short_side, self.unreadable_log)


class Coco(Folder):
    """The training photos of COCO 2017 or 2014 under `root`, unpacked or as the zip archive that they come in."""

    def place(self) -> Path:
        for split in ("train2017", "train2014"):
            for place in (Path(self.root, split), Path(self.root, f"{split}.zip")):
                if place.exists():
                    return place
        raise ContentError(
            f"no COCO under data.root={self.root}: it has neither train2017 nor train2014, as a folder or a zip. "
            f"Get the photos (19 GB) with\n  python scripts/download_coco.py {shlex.quote(str(self.root))}\n"
            f"or train on any folder of photos with data=folder data.root=FOLDER"
        )
