"""The detector's program in a process of its own."""

import subprocess
import sys
from pathlib import Path


def edge_detector(*arguments: str | Path) -> str:
    """What it wrote to stdout. Raises CalledProcessError if it failed."""
    command = [sys.executable, "-m", "edge_detector", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout
