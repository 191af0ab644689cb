"""Fast neural style transfer you train yourself.

from fast_style import Stylizer, train

trained = train("style=starry_night", "budget=60s")
Stylizer(trained.model)("photo.jpg").save("starry.png")
"""

from importlib import import_module

from fast_style.errors import FastStyleError

__all__ = ["FastStyleError", "Stylizer", "train"]

# Imported when they are asked for: a program that only stylises does without Lightning.
_HOMES = {"Stylizer": "fast_style.inference.stylizer", "train": "fast_style.training.from_python"}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
