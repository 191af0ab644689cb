"""Errors that the user can mend."""

from collections.abc import Collection


class FastStyleError(Exception):
    """An error the user can mend: the message is one line that names the file or the key, and says what to do."""


def check_choice(key: str, value: str, choices: Collection[str]) -> None:
    """Raise FastStyleError unless the value of a config key is one of `choices`."""
    if value not in list(choices):
        raise FastStyleError(f"{key}={value}: choose from {', '.join(map(str, choices))}")


def one_line(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)
