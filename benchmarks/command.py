"""How a benchmark ends that is run as a command."""

import sys
from collections.abc import Callable

from fast_style.errors import FastStyleError


def run(main: Callable[[], None]) -> None:
    """Call `main`; what the user can mend, and Ctrl-C, end it with one line and a non-zero exit."""
    try:
        main()
    except FastStyleError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("stopped")
