"""Shards: their photos are those that were prepared, each seen once in an epoch, by whatever reads them."""

import json
import shutil
import sys
import zipfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT

from fast_style.data import shards
from fast_style.data.content import SHARDS_MIXED, ContentError, RandomCrops, StepSampler, shuffled
from fast_style.data.images import StorageError, read_rgb
from fast_style.data.shards import ShardedPhoto, Shards, photos_a_shard
from fast_style.errors import FastStyleError, one_line

sys.path.insert(0, str(ROOT / "scripts"))

from prepare_photos import main

PHOTOS = 24
INSTALL = 'needs LitData: pip install -e ".[shards]"'


@pytest.fixture(scope="module")
def prepared(photo, tmp_path_factory):
    """Shards of a few photos each, and beside them the photos."""
    pytest.importorskip("litdata", reason=INSTALL)
    folder = tmp_path_factory.mktemp("prepared")
    for index in range(PHOTOS):
        photo(folder / "photos" / f"{index % 3}" / f"{index}.png", 40, 44 + index, seed=index)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SHARD_BYTES", 6000)
        main([str(folder / "photos"), str(folder / "small"), "--short-side=36", "--workers=1"])
    return folder / "small"


def data(root, step=0, rank=0, world_size=1, **options):
    defaults = {"validation_count": 3, "image_size": 32, "batch_size": 2, "seed": 0, "num_workers": 0}
    images = Shards(root=str(root), unreadable_log="unreadable.txt", **defaults | options)
    images.setup("fit")
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    images.trainer = SimpleNamespace(global_step=step, global_rank=rank, world_size=world_size, strategy=strategy)
    return images


def batches(images, count):
    return [batch for _, batch in zip(range(count), images.train_dataloader(), strict=False)]


# --- the order


def test_an_epoch_shows_every_image_once_and_a_few_shards_at_a_time():
    counts = [5, 3, 8, 1, 0, 6] * 5
    shard_of = np.repeat(np.arange(len(counts)), counts)
    orders = [shuffled(counts, np.random.default_rng(seed)) for seed in range(3)]
    for order in orders:
        assert sorted(order) == list(range(sum(counts)))
        seen, begun = Counter(), []
        for shard in shard_of[order]:
            begun += [] if shard in seen else [shard]
            seen[shard] += 1
            unfinished = [other for other in begun if seen[other] < counts[other]]
            assert len(unfinished) <= SHARDS_MIXED
        assert begun != sorted(begun)
        first = [shard for shard in shard_of[order][:12]]
        assert first != sorted(first), "their images are mixed"
    assert not np.array_equal(*orders[:2])


def test_processes_share_an_epoch_out():
    """Of any number: each image is seen by one of them, once."""
    images = [np.full((4, 4, 3), [index, 0, 255], np.uint8) for index in range(24)]
    crops = RandomCrops(images, 4, seed=1, shards=[7, 9, 8])
    for processes in (1, 2, 3, 4):
        for epoch in range(2):
            first = epoch * 24 // (2 * processes)
            seen = Counter()
            for rank in range(processes):
                sampler = iter(StepSampler(first, 2, rank, processes))
                for positions in (next(sampler) for _ in range(24 // (2 * processes))):
                    seen.update(int(crops[position][0, 0, 0]) for position in positions)
            assert seen == Counter(range(24))


# --- preparing


def test_prepared_photos_are_small_and_mixed(prepared):
    manifest = json.loads((prepared / "manifest.json").read_text())
    assert manifest | {"versions": {}, "bytes": 0} == {
        "source": str(prepared.parent / "photos"),
        "photos": PHOTOS,
        "bytes": 0,
        "short_side": 36,
        "longest_side": 60,
        "jpeg_quality": 92,
        "left_out": [],
        "versions": {},
    }
    from litdata import StreamingDataset

    samples = list(StreamingDataset(str(prepared)))
    assert manifest["bytes"] == sum(len(sample["jpeg"]) for sample in samples)
    names = [sample["name"] for sample in samples]
    assert len(set(names)) == PHOTOS and names != sorted(names)
    for index, name in enumerate(names):
        small = read_rgb(ShardedPhoto(str(prepared), index), 36)
        expected = read_rgb(prepared.parent / "photos" / name, 36)
        assert small.shape == expected.shape and np.abs(small.astype(int) - expected).mean() < 6
    assert len(photos_a_shard(str(prepared))) > 3


def test_what_is_left_out_is_told(photo, tmp_path, capsys):
    pytest.importorskip("litdata", reason=INSTALL)
    photo(tmp_path / "photos" / "a.png", 20, 30)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "photos" / "notes.txt").write_text("no picture")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as zipped:
        for path in (tmp_path / "photos").iterdir():
            zipped.write(path, path.name)
    for source in (tmp_path / "photos", tmp_path / "photos.zip"):
        target = tmp_path / "small" / source.name
        main([str(source), str(target), "--short-side=20"])
        left_out = json.loads((target / "manifest.json").read_text())["left_out"]
        assert left_out[0] == "left out 1 that are no pictures by their suffix (1 .txt)"
        assert left_out[1].startswith(f"{source}/broken.jpg: not an image") and len(left_out) == 2
        printed = capsys.readouterr().out
        assert all(line in printed for line in left_out)
        assert f"1 photos, 0.0 MB, in {target}" in printed and f"train.py data=shards data.root={target}" in printed
        with pytest.raises(FastStyleError, match="is there already"):
            main([str(source), str(target)])
    (tmp_path / "photos" / "a.png").unlink()
    with pytest.raises(FastStyleError, match=r"photos: has no photo that can be read; .*notes|broken.jpg"):
        main([str(tmp_path / "photos"), str(tmp_path / "none")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos", "photos.zip", "small"]


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["out", "--short-side=0"], "--short-side 0: must be at least 1"),
        (["out", "--workers=0"], "--workers 0: must be at least 1"),
        (["photos/a.png/out"], "out: cannot be written: File exists"),
        (["photos"], "photos: is there already"),
    ],
)
def test_bad_arguments(photo, tmp_path, arguments, reason):
    photo(tmp_path / "photos" / "a.png", 20, 20)
    with pytest.raises(FastStyleError, match=reason):
        main([str(tmp_path / "photos"), str(tmp_path / arguments[0]), *arguments[1:]])


# --- training


def test_training_resumes_exactly_whatever_reads(prepared):
    """Two epochs and more; and with object storage, which LitData's local: stands for, as from the folder."""
    whole = batches(data(prepared), 24)
    for step, workers in ((5, 0), (13, 2)):
        rest = batches(data(prepared, step=step, num_workers=workers), 24 - step)
        assert all(torch.equal(one, other) for one, other in zip(whole[step:], rest, strict=True))
    two = [batches(data(prepared, rank=rank, world_size=2), 12) for rank in range(2)]
    shared = [batch for step in zip(*two, strict=True) for batch in step]
    assert all(torch.equal(one, other) for one, other in zip(whole, shared, strict=True))


def test_object_storage_reads_as_a_folder(prepared, tmp_path, monkeypatch):
    """LitData's local: takes the way of s3://, a folder in place of the bucket."""
    monkeypatch.setattr("litdata.utilities.dataset_utilities._LITDATA_CACHE_DIR", str(tmp_path / "cache"))
    expected = batches(data(prepared), 14)
    for workers in (0, 2):
        found = batches(data(f"local:{prepared}", num_workers=workers), 14)
        assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))
    files = [shard["filename"] for shard in json.loads((prepared / "index.json").read_text())["chunks"]]
    wanted = {file for file, count in zip(files, data(prepared).shards(), strict=True) if count}
    assert wanted <= {path.name for path in (tmp_path / "cache").rglob("*.bin")}, "whole shards, kept"


def test_object_storage_that_is_away_for_a_while(prepared, tmp_path, monkeypatch):
    """What cannot be fetched is tried again, and no other photo is taken in its place; in the end it is an error."""
    monkeypatch.setattr("litdata.utilities.dataset_utilities._LITDATA_CACHE_DIR", str(tmp_path / "cache"))
    bucket, away, slept = tmp_path / "bucket", tmp_path / "away", []
    shutil.copytree(prepared, bucket)
    images = data(f"local:{bucket}").training_images()

    def take_away(sleep):
        shards._opened.cache_clear()
        shutil.rmtree(tmp_path / "cache")
        bucket.rename(away)
        monkeypatch.setattr(shards, "time", SimpleNamespace(sleep=sleep))

    take_away(lambda seconds: slept.append(seconds) or away.rename(bucket))
    assert images.paths[0].read_bytes() == ShardedPhoto(str(prepared), 0).read_bytes() and slept == [1]
    take_away(slept.append)
    with pytest.raises(StorageError, match=f"photo 0 of local:{bucket} cannot be fetched: "):
        images[0]
    assert slept == [1, 1, 10, 60] and not Path(images.unreadable_log).exists()


class Away(torch.utils.data.Dataset):
    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise StorageError("photo 0 of s3://bucket cannot be fetched: timed out")


def test_an_error_in_a_loaders_process_is_one_line():
    with pytest.raises(StorageError) as caught:
        next(iter(torch.utils.data.DataLoader(Away(), num_workers=1)))
    assert one_line(caught.value) == "photo 0 of s3://bucket cannot be fetched: timed out"


def test_held_out_photos_are_the_last_and_never_trained_on(prepared):
    images = data(prepared, validation_count=5)
    assert [photo.index for photo in images.validation_paths] == list(range(PHOTOS - 5, PHOTOS))
    counts = photos_a_shard(str(prepared))
    assert sum(images.shards()) == PHOTOS - 5 and sum(counts) == PHOTOS
    assert all(training <= whole for training, whole in zip(images.shards(), counts, strict=True))
    seen = Counter(RandomCrops(range(PHOTOS), 1, 0, images.shards()).order(0))
    assert seen == Counter(range(PHOTOS - 5))


def test_what_cannot_be_trained_on(prepared):
    with pytest.raises(ContentError, match="side of 36, and image_size=64 wants 72: prepare them with --short-side 72"):
        data(prepared, image_size=64)
    with pytest.raises(ContentError, match="holds 24 images: .*data.validation_count=24"):
        data(prepared, validation_count=24)
    with pytest.raises(ContentError, match="has no index.json of shards; python scripts/prepare_photos.py PHOTOS"):
        data(prepared.parent / "photos")
    with pytest.raises(ContentError, match="data.root=local:/no/such: the shards cannot be read: "):
        data("local:/no/such")


def test_a_photo_that_cannot_be_read_is_named(prepared, tmp_path):
    images = data(prepared).training_images()
    images.unreadable_log = tmp_path / "log.txt"
    images.paths[0] = SimpleNamespace(read_bytes=lambda: b"damaged")
    np.testing.assert_array_equal(images[0], images[1])
    assert str(images.paths[1]) == f"photo 1 of {prepared}"
    assert "not an image of a known format" in (tmp_path / "log.txt").read_text()


def test_without_litdata(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "litdata", None)
    monkeypatch.setitem(sys.modules, "litdata.streaming", None)
    (tmp_path / "index.json").write_text("{}")
    with pytest.raises(FastStyleError, match=r"pip install -e \"\.\[shards\]\""):
        data(tmp_path)
    with pytest.raises(FastStyleError, match=r"pip install -e \"\.\[shards\]\""):
        shards.write_shards(tmp_path / "out", [])
