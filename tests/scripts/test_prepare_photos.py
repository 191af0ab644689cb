"""Photos made small once, and then read as the same training photos."""

import numpy as np
import pytest
from conftest import run_command

from fast_style.data.images import find_images, read_rgb


def test_prepared_photos(photo, tmp_path):
    source, target = tmp_path / "photos", tmp_path / "small"
    for name, size in {"a.png": (60, 80), "sub/a.jpg": (90, 50), "b.png": (20, 30)}.items():
        photo(source / name, *size)
    (source / "broken.jpg").write_bytes(b"no picture")
    (source / "notes.txt").write_text("no picture")
    command = ("scripts/prepare_photos.py", source, target, "--short-side=40", "--workers=1")
    finished = run_command(*command)
    assert finished.returncode == 0 and "3 photos" in finished.stdout
    assert f"{source / 'broken.jpg'}" in finished.stdout
    assert f"{source}: left out 1 that are no pictures by their suffix (1 .txt)" in finished.stdout
    small = {path.relative_to(target).as_posix(): path for path in find_images(target)}
    assert set(small) == {"a.png.jpg", "sub/a.jpg.jpg", "b.png.jpg"}
    for name, path in small.items():
        expected, prepared = (read_rgb(p, 40).astype(int) for p in (source / name.removesuffix(".jpg"), path))
        assert prepared.shape == expected.shape and min(prepared.shape[:2]) == 40
        assert np.abs(prepared - expected).mean() < 4
    small["b.png.jpg"].unlink()
    assert "1 photos" in run_command(*command).stdout


@pytest.mark.parametrize(
    "arguments, reason", [(("photos/small",), "lies in"), (("out", "--short-side=0"), "at least 1")]
)
def test_bad_arguments(photo, tmp_path, arguments, reason):
    photo(tmp_path / "photos" / "a.png", 20, 20)
    target, *options = arguments
    finished = run_command("scripts/prepare_photos.py", tmp_path / "photos", tmp_path / target, *options)
    assert finished.returncode == 1 and reason in finished.stderr and "Traceback" not in finished.stderr
