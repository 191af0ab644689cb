"""Errors that the user can mend."""

import sys
from collections.abc import Callable, Collection


class FastStyleError(Exception):
    """An error the user can mend: the message is one line that names the file or the key, and says what to do."""


def check_choice(key: str, value: str, choices: Collection[str]) -> None:
    """Raise FastStyleError unless the value of a config key is one of `choices`."""
    if value not in list(choices):
        raise FastStyleError(f"{key}={value}: choose from {', '.join(map(str, choices))}")


def one_line(error: BaseException) -> str:
    """The first line of an error's message, or its type where it has none; of an error in a worker process of a loader,
    which comes with the traceback there, the last."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[-1].partition(": ")[2] if "in DataLoader worker process" in lines[0] else lines[0]


def exit_on_error(work: Callable[[], object]) -> None:
    """Do `work`; what the user can mend, and Ctrl-C, end the process with one line and a non-zero exit."""
    try:
        work()
    except FastStyleError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped")
