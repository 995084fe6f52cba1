"""The demo's soundscape as a recording."""

from pathlib import Path

from edge_detector.audio.dump import Dump
from edge_detector.demo.soundscape import make_soundscape

RATE_HZ = 16_000


def write_soundscape(path: Path) -> Path:
    """Write the soundscape to a WAV file, and return its path."""
    dump = Dump(path, RATE_HZ)
    dump.write(make_soundscape().block)
    dump.close()
    return path
