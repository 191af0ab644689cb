"""Draw the contact sheet of a sweep, or of any folder of runs: contact_sheet.png and contact_sheet.html in it.

    python scripts/contact_sheet.py multirun/2026-11-26_12-00-00
    python scripts/contact_sheet.py outputs/mosaic --photos cat.jpg street.jpg

The first axis of the sweep makes the rows, the second the columns. Without --photos the runs paint two photos that were
held out from their training.
"""

import argparse
import sys
from pathlib import Path

from fast_style.errors import exit_on_error
from fast_style.inference.contact_sheet import write_contact_sheet


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with runs in it, at any depth")
    parser.add_argument("--photos", nargs="+", type=Path, default=[], help="of yours, for every run to paint")
    args = parser.parse_args(arguments)
    print(*(f"wrote {path}" for path in write_contact_sheet(args.folder, args.photos)), sep="\n")


if __name__ == "__main__":
    exit_on_error(lambda: main(sys.argv[1:]))
