"""The benchmark of long videos, in small: a real kill, and the rest is painted once."""

import json

import pytest

from benchmarks.long_video import main


@pytest.mark.slow
def test_all_of_it(tmp_path):
    pytest.importorskip("av", reason="video needs the extra: pip install av")
    main(["--frames=1100", "batch_size=1", "device=cpu", f"--output={tmp_path}/a.json"])
    measured = json.loads((tmp_path / "a.json").read_text())["measured"]
    assert measured["undisturbed"]["parts that were there"] == 0
    assert measured["after a kill"]["parts that were there"] >= 3
    assert measured["undisturbed"]["memory by frames, MB"].keys() == {"1000"}
