"""Environment variables of child processes."""

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
"""Variables of the sound system's libraries."""
WEB_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables of HTTP clients, used in lower and upper case."""


def child_environment(environment: Mapping[str, str], *names: str) -> dict[str, str]:
    """Select the environment of a child process by name; NAME_* is a prefix.

    Other variables, such as the broker's password, are withheld from programs that read untrusted data.
    """
    wanted = {each for name in (*_EVERY_CHILD, *names) for each in (name, name.upper())}
    prefixes = tuple(name.removesuffix("*") for name in wanted if name.endswith("*"))
    kept = {name: value for name, value in environment.items() if name in wanted or (prefixes and name.startswith(prefixes))}
    return kept | {"LC_ALL": "C"}
