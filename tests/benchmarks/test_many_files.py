"""The benchmark of many files, in small: a real kill, and nothing is lost."""

import json

import pytest

from benchmarks.many_files import main


@pytest.mark.slow
def test_all_of_it(photo, tmp_path):
    for index in range(30):
        photo(tmp_path / "photos" / str(index % 3) / f"{index}.jpg", 40, 50, seed=index)
    main([f"{tmp_path}/photos", "batch_size=1", "device=cpu", f"--output={tmp_path}/a.json"])
    measured = json.loads((tmp_path / "a.json").read_text())["measured"]
    assert measured["photos"] == 30 and measured["there at the kill"] >= 10
    assert measured["and again"] == "wrote 0 images, skipped 30 that were done before"
