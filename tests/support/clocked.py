"""`edge-detector` with a system clock that can be set: it is off by the seconds that the file CLOCK_OFFSET names.

    CLOCK_OFFSET=FILE python -m tests.support.clocked run --config edge.toml

The kernel's clock is everybody's, and a namespace has none of its own.
"""

import os
import sys
import time
from pathlib import Path


def set_clock_by(file: Path) -> None:
    """From now on `time.time` is off by what the file says."""
    real = time.time

    def shifted() -> float:
        return real() + float(file.read_text() or "0")

    time.time = shifted


if __name__ == "__main__":
    set_clock_by(Path(os.environ["CLOCK_OFFSET"]))
    from edge_detector.cli.main import main  # after the clock

    sys.exit(main())
