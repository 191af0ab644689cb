"""The load test of the service, in small: a real server, pictures and refusals."""

import json

import pytest

pytest.importorskip("fastapi", reason='the service needs FastAPI: pip install -e ".[serve]"')
pytest.importorskip("httpx", reason='its load test needs httpx: pip install -e ".[benchmarks]"')

from benchmarks.serve import main  # noqa: E402


@pytest.mark.slow
def test_all_of_it(tmp_path):
    main(["--clients=3", "--seconds=1", "--hostile=20", f"--output={tmp_path}/serve.json"])
    measured = json.loads((tmp_path / "serve.json").read_text())["measured"]
    assert measured["load"]["wrong"] == measured["hostile"]["wrong"] == []
    assert measured["load"]["answers"].keys() == {"200"} and measured["load"]["answers"]["200"] >= 3
    assert sum(measured["hostile"]["answers"].values()) == 22 and measured["images/s"] > 0
