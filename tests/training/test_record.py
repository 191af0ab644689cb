"""What is known of a run: by which code, and a log that keeps what ended it."""

import logging

import pytest

import fast_style
from fast_style.training.record import commit, logging_to, packages


def test_no_commit_outside_of_a_checkout_of_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(fast_style, "__file__", str(tmp_path / "site-packages" / "fast_style" / "__init__.py"))
    assert commit.__wrapped__() is None


def test_packages_are_those_that_are_installed():
    assert {"torch", "pytorch-lightning", "hydra-core"} <= packages().keys() and "no" not in packages()


def test_a_log_keeps_warnings_and_what_ended_the_run(tmp_path):
    with pytest.raises(RuntimeError), logging_to(tmp_path / "run" / "train.log"):
        logging.getLogger("fast_style").info("step 2")
        logging.getLogger("somebody").warning("slow")
        raise RuntimeError("out of memory\nsee above")
    logging.getLogger("fast_style").error("afterwards")
    lines = (tmp_path / "run" / "train.log").read_text().splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == [
        "INFO step 2", "WARNING slow", "ERROR RuntimeError: out of memory"
    ]  # fmt: skip
