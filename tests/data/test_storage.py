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
    assert finished.returncode == 1 and "memory://bucket/in/d.png" in finished.stderr
    assert Path("fetched/sub/b.png").is_file() and Path("fetched/a.jpg").is_file()
    (bucket / "clip.mp4").write_bytes(b"none")
    assert_one_line_error(run_here(*COMMAND, "input=memory://bucket/clip.mp4"), "copy them here")
    assert_one_line_error(run_here(*COMMAND, "input=memory://bucket/none"), "no such image")


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
