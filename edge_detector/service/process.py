"""What the operating system says of this process and its sound devices."""

import os
import time
from pathlib import Path

_SOUND = Path("/dev/snd")
_STATM = Path("/proc/self/statm")


def rss_bytes() -> int:
    """Resident memory now; 0 where the system does not tell."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def cpu_seconds() -> float:
    """CPU time of this process so far, all threads."""
    return time.process_time()


def sound_devices() -> tuple[str, ...]:
    """The kernel's sound devices now: a change says that one was plugged in or pulled out."""
    try:
        return tuple(sorted(path.name for path in _SOUND.iterdir()))
    except OSError:
        return ()
