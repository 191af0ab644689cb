"""The benchmark of reading photos, in small, and what it found."""

import json

import pytest
from conftest import ROOT

from benchmarks.content_reading import main
from fast_style.errors import FastStyleError

SIDES = {"folder", "zip", "shards", "samples"}


def test_every_path_is_measured(photo, tmp_path, capfd):
    pytest.importorskip("litdata", reason='needs LitData: pip install -e ".[shards]"')
    for index in range(3):
        photo(tmp_path / "photos" / f"{index}.jpg", 40, 50, seed=index)
    sizes = ("--image-size=32", "--count=4", "--repeats=2", "--enlarge=40")
    main([f"--photos={tmp_path / 'photos'}", *sizes, f"--output={tmp_path / 'out.json'}"])
    result = json.loads((tmp_path / "out.json").read_text())
    assert set(result["images_per_second"]) == SIDES and result["photos"] == 3 and min(result["bytes"].values()) > 0
    for rate in result["images_per_second"].values():
        assert 0 < rate["min"] <= rate["median"] + 0.5 and rate["median"] <= rate["max"] + 0.5


def test_shards_are_read_twice_as_fast_as_photos_of_cocos_size():
    rates = json.loads((ROOT / "benchmarks" / "results" / "content_reading.json").read_text())["images_per_second"]
    assert set(rates) == SIDES
    assert rates["shards"]["min"] > 2 * rates["folder"]["max"]
    assert rates["zip"]["median"] > 0.9 * rates["folder"]["median"]


def test_no_photos(tmp_path):
    with pytest.raises(FastStyleError, match="--photos .*: has no images"):
        main([f"--photos={tmp_path}"])
