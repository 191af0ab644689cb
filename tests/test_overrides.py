"""KEY=VALUE for Hydra and for a shell."""

import shlex

import pytest

from fast_style.overrides import for_shell, quoted

PATHS = [
    "photos/a b.jpg",
    "IMG (1).jpg",
    "it's, 50% = [x] {z}.jpg",
    'a "b".jpg',
    "caf\u00e9.jpg",
    "a${x}.jpg",
    "$HOME",
    "a\\",
]


@pytest.mark.parametrize("path", PATHS)
def test_paths_that_hydra_reads(compose_config, path):
    assert compose_config("infer", f"input={quoted(path)}").input == path
    assert shlex.split(for_shell("input", path)) == [f"input={quoted(path)}"]
