"""What the operating system says of this process and its sound devices."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

_SOUND = Path("/dev/snd")
_STATM = Path("/proc/self/statm")

_EVERY_CHILD = ("PATH", "HOME", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
SOUND_VARIABLES = (
    "ALSA_*",
    "PULSE_*",
    "PIPEWIRE_*",
    "PA_*",
    "JACK_*",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "DBUS_SESSION_BUS_ADDRESS",
)
"""What the sound system's libraries look at."""
WEB_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""What an HTTP client looks at, in small and in capital letters."""


def child_environment(*names: str, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for a program that we start: only what it needs, by name; NAME_* means all that begin so.

    A password for the broker, which may stand in ours, is nothing for a program that reads what strangers send.
    """
    wanted = {each for name in (*_EVERY_CHILD, *names) for each in (name, name.upper())}
    prefixes = tuple(name.removesuffix("*") for name in wanted if name.endswith("*"))
    kept = {name: value for name, value in environment.items() if name in wanted or (prefixes and name.startswith(prefixes))}
    return kept | {"LC_ALL": "C"}


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
