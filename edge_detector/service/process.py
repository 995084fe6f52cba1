"""Memory, CPU time and sound devices of this process, from the operating system."""

import os
import time
from pathlib import Path

_SOUND = Path("/dev/snd")
_STATM = Path("/proc/self/statm")


def rss_bytes() -> int:
    """Return the resident memory; 0 where the system does not report it."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def cpu_seconds() -> float:
    """Return the CPU time of this process so far, all threads."""
    return time.process_time()


def sound_devices() -> tuple[str, ...]:
    """Return the kernel's sound devices; a change means that one was plugged in or removed."""
    try:
        return tuple(sorted(path.name for path in _SOUND.iterdir()))
    except OSError:
        return ()
