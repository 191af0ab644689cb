"""Photos in object storage, and what infer.py makes of them: in memory, for which fsspec has a protocol."""

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from fast_style.data.storage import common_folder, located
from fast_style.errors import FastStyleError
from fast_style.inference.files import name_outputs

COMMAND = ("infer.py", f"ckpt={ROOT}/checkpoints/mosaic.safetensors", "device=cpu")


def assert_one_line_error(finished, part):
    assert finished.returncode == 1 and part in finished.stderr and finished.stderr.count("\n") == 1, finished.stderr


@pytest.fixture
def bucket():
    upath = pytest.importorskip("upath", reason="object storage needs the extra: pip install universal-pathlib")
    bucket = upath.UPath("memory://bucket")
    yield bucket
    bucket.fs.rm(bucket.path, recursive=True)


def test_a_folder_of_photos_becomes_another(run_here, photo, bucket, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "sub/b.png", ".hidden/c.png", "sub/notes.txt"):
        data = photo(tmp_path / "in" / name, 20, 24).read_bytes() if name[-3:] != "txt" else b"none"
        (bucket / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (bucket / "in" / name).write_bytes(data)
    assert run_here(*COMMAND, "input=in", "output=out").returncode == 0
    finished = run_here(*COMMAND, "input=memory://bucket/in", "output=memory://bucket/out")
    assert finished.returncode == 0, finished.stderr
    assert "wrote 2 images" in finished.stdout and "1 that are no pictures" in finished.stdout
    found = {path.relative_to(bucket).as_posix() for path in (bucket / "out").rglob("*") if path.is_file()}
    assert found == {"out/a.jpg", "out/sub/b.png"}
    for name in found:
        local, remote = Path(name).read_bytes(), (bucket / name).read_bytes()
        np.testing.assert_array_equal(*(np.asarray(Image.open(BytesIO(data))) for data in (local, remote)))
    again = run_here(*COMMAND, "input=memory://bucket/in", "output=memory://bucket/out")
    assert "wrote 0 images, skipped 2 that were done before" in again.stdout
    (tmp_path / "list.txt").write_text(
        "memory://bucket/in/a.jpg\nmemory://bucket/in/sub/b.png\nmemory://bucket/in/d.png\n"
    )
    finished = run_here(*COMMAND, "input=list.txt", "output=fetched")
    assert finished.returncode == 1 and "failed: memory://bucket/in/d.png: No such file" in finished.stderr
    assert Path("fetched/sub/b.png").is_file() and Path("fetched/a.jpg").is_file()
    (bucket / "clip.mp4").write_bytes(b"none")
    assert_one_line_error(run_here(*COMMAND, "input=memory://bucket/clip.mp4"), "copy them here")
    assert_one_line_error(run_here(*COMMAND, "input=memory://bucket/none"), "no such image")
    assert_one_line_error(run_here(*COMMAND, "input=memory://bucket/in/*.jpg"), "give a folder, or a list.txt")


def test_a_store_that_goes_away_ends_the_work(run_here, photo, bucket, tmp_path, monkeypatch):
    for index in range(20):
        (bucket / f"in/{index:02}.png").write_bytes(photo(tmp_path / "photo.png", 20, 24).read_bytes())
    store, reads = type(bucket.fs), []
    opened, info = store._open, store.info

    def there():
        if len(reads) > 20 + 8:  # for what made each, and eight as photos
            raise ConnectionError("Could not connect")

    def open_while_there(self, path, mode="rb", block_size=None, **options):
        if mode == "rb":
            reads.append(block_size)
        there()
        return opened(self, path, mode, block_size=block_size, **options)

    monkeypatch.setattr(store, "_open", open_while_there)
    monkeypatch.setattr(store, "info", lambda *arguments, **options: there() or info(*arguments, **options))
    finished = run_here(*COMMAND, "input=memory://bucket/in", f"output={tmp_path / 'out'}", "batch_size=1")
    assert_one_line_error(finished, "Could not connect; nothing there can be reached now")
    assert len(reads) < 40 and all(size <= 2**16 for size in reads[:20])  # others are not tried; no photo is read whole
    assert len(list((tmp_path / "out").iterdir())) >= 4
    monkeypatch.undo()
    finished = run_here(*COMMAND, "input=memory://bucket/in", f"output={tmp_path / 'out'}")
    assert finished.returncode == 0 and "that were done before" in finished.stdout
    assert len(list((tmp_path / "out").iterdir())) == 20


def test_pictures_of_a_bucket_keep_their_names():
    upath = pytest.importorskip("upath", reason="object storage needs the extra: pip install universal-pathlib")
    root = upath.UPath("s3://bucket/photos")  # of S3 names alone are looked at, for which s3fs is not needed
    outputs = name_outputs([root / "a.jpg", root / "sub/b.gif"], root, "out", "mosaic")
    assert list(outputs.values()) == [Path("out/a.jpg"), Path("out/sub/b.gif.png")]
    with pytest.raises(FastStyleError, match="s3://bucket/photos and here have no folder in common"):
        common_folder([root / "a.jpg", root / "b.jpg", Path("here/a.jpg"), root / "c.jpg"])


def test_storage_that_cannot_be_had_says_why(monkeypatch, run_here):
    monkeypatch.setitem(sys.modules, "upath", None)
    with pytest.raises(FastStyleError, match=r'pip install "fast-style\[remote\]"'):
        located("s3://bucket/photos")
    monkeypatch.undo()
    pytest.importorskip("upath", reason="object storage needs the extra: pip install universal-pathlib")
    finished = run_here(*COMMAND, "input=nonsense://bucket")
    assert_one_line_error(finished, "nonsense://bucket: ")


@pytest.mark.parametrize("paths, common", [
    (["a/b/c.png", "a/d.png"], "a"), (["a.png", "b/c.png"], "."), (["/a/b.png"], "/a"), ([], "."),
    (["/a/b.png", "c/d.png"], None),
])  # fmt: skip
def test_the_folder_of_a_list(paths, common):
    if common is None:
        with pytest.raises(FastStyleError, match="no folder in common"):
            common_folder(map(Path, paths))
    else:
        assert common_folder(map(Path, paths)) == Path(common)
