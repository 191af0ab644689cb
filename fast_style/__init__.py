"""Fast neural style transfer you train yourself."""

from fast_style.errors import FastStyleError

__all__ = ["FastStyleError"]
