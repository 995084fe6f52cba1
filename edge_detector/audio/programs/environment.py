"""What a program that this one starts may know of it."""

from collections.abc import Mapping

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


def child_environment(environment: Mapping[str, str], *names: str) -> dict[str, str]:
    """The part of our environment for a program that we start: what it needs, by name; NAME_* means all that begin so.

    A password for the broker, which may stand in ours, is nothing for a program that reads what strangers send.
    """
    wanted = {each for name in (*_EVERY_CHILD, *names) for each in (name, name.upper())}
    prefixes = tuple(name.removesuffix("*") for name in wanted if name.endswith("*"))
    kept = {name: value for name, value in environment.items() if name in wanted or (prefixes and name.startswith(prefixes))}
    return kept | {"LC_ALL": "C"}
