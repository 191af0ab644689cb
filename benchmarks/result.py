"""The file that a benchmark leaves."""

import json
from pathlib import Path


def write_result(result: dict, output: Path | None) -> None:
    """Write a result as JSON, in a folder that is made if need be; to no file, nothing."""
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(result, indent=1) + "\n")
