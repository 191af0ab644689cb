"""Photos within a zip archive: the same as unpacked, from any number of processes."""

import zipfile
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fast_style.data.content import Coco, ContentError, Folder
from fast_style.data.images import ImageError, find_files, read_rgb
from fast_style.data.zipped import zipped_files

NAMES = ("b/2.jpg", "b/1.png", "a.jpg", "b-c.jpg", "b/deep/0.gif", "notes.txt", ".hidden/3.jpg", "__MACOSX/._a.jpg")


@pytest.fixture
def archive(photo, tmp_path):
    """A zip archive, and beside it the folder of what is in it."""
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as zipped:
        zipped.mkdir("b/")
        for index, name in enumerate(NAMES):
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.startswith("__") or name.endswith(".txt"):
                path.write_text("no picture")
            else:
                photo(path, 40 + index, 60, seed=index)
            zipped.write(path, name)
    return tmp_path / "photos.zip"


def data(root, kind=Folder, step=0, **options):
    defaults = {"validation_count": 1, "image_size": 32, "batch_size": 3, "seed": 0, "num_workers": 0}
    images = kind(root=str(root), unreadable_log=str(root) + ".log", **defaults | options)
    images.setup("validate")
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    images.trainer = SimpleNamespace(global_step=step, global_rank=0, world_size=1, strategy=strategy)
    return images


def test_files_are_those_of_the_folder_in_its_order(archive):
    folder = archive.with_suffix("")
    unpacked = [path for path in find_files(folder) if "__MACOSX" not in path.parts]
    files = zipped_files(archive)
    assert [file.name for file in files] == [str(path.relative_to(folder)) for path in unpacked]
    assert str(files[0]) == f"{archive}/a.jpg"
    for file, path in zip(files, unpacked, strict=True):
        assert file.read_bytes() == path.read_bytes()
        if path.suffix != ".txt":
            np.testing.assert_array_equal(read_rgb(file, 32), read_rgb(path, 32))


def test_a_zip_trains_as_its_folder_does_whatever_reads_it(archive):
    """Workers are forks of a process that has read from the archive: each needs a place in it of its own."""
    (archive.with_suffix("") / "__MACOSX" / "._a.jpg").unlink()
    unpacked = list(islice(data(archive.with_suffix("")).train_dataloader(), 8))
    for workers in (0, 2):
        zipped = list(islice(data(archive, num_workers=workers).train_dataloader(), 8))
        for one, other in zip(unpacked, zipped, strict=True):
            assert torch.equal(one, other)
    assert torch.equal(next(iter(data(archive, step=5).train_dataloader())), unpacked[5])


def test_what_else_a_zip_has_is_told(archive, capsys):
    data(archive).setup("fit")
    assert "left out 1 that are no pictures by their suffix (1 .txt)" in capsys.readouterr().out


def test_a_damaged_photo_is_named_and_replaced(archive):
    whole = data(archive).training_images()[0]
    content = archive.read_bytes()
    photo = archive.with_suffix("") / "a.jpg"
    place = content.index(photo.read_bytes()[200:])
    damaged = archive.with_name("damaged.zip")
    damaged.write_bytes(content[:place] + bytes(60) + content[place + 60 :])
    images = data(damaged).training_images()
    assert not np.array_equal(images[0], whole)
    assert damaged.with_name("damaged.zip.log").read_text().startswith(f"{damaged}/a.jpg: Bad CRC-32")


def test_what_is_no_zip(archive, tmp_path):
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(ImageError, match=r"photos.zip: .*is it a zip archive, and whole\?"):
        data(archive)
    with pytest.raises(ContentError, match="data.root=.*notes.txt: is a file, give .* or a zip archive"):
        data(tmp_path / "photos" / "notes.txt")


def test_coco_as_it_was_downloaded(archive):
    archive.rename(archive.with_name("train2017.zip"))
    assert len(data(archive.parent, Coco).training_paths) == 4
