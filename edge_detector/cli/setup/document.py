"""A configuration as a document of TOML: each function returns a copy with the answers to some questions in it.

What setup does not ask about stays as it is.
"""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from edge_detector.cli.setup.toml_text import toml_text
from edge_detector.config import PLAIN_PORT, TLS_PORT, MqttConfig
from edge_detector.detection.classes import NEWEST_CLASS_LIST
from edge_detector.schema import MAX_SLUG_CHARACTERS

Document: TypeAlias = dict[str, Any]

HEAD = "# Made by edge-detector setup. After a change: edge-detector check-config FILE\n\n"
TABLES = ("node", "source", "detection", "mqtt", "home_assistant", "web", "clips", "bundle", "outbox", "class")
NEW: Document = {"source": [{"name": "mic"}], "detection": {"class_list": NEWEST_CLASS_LIST}}
"""What a configuration without a file begins with."""
MICROPHONES = ("mic", "arecord")


@dataclass(frozen=True, slots=True)
class BrokerAnswers:
    """How to reach the broker.

    Attributes:
        ca_file: certificates to trust in place of the system's, or None.
        username: login, or None for none.
        password: a new password, or None for the one that the configuration names, if any.

    """

    host: str
    port: int
    tls: bool
    ca_file: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)


def kept_password_file(known: MqttConfig, answers: BrokerAnswers) -> Path | None:
    """Return the file of a password that stays: the same user has given no new one."""
    return known.password_file if answers.password is None and answers.username == known.username else None


def text_of(document: Document) -> str:
    """Return the file of a document."""
    return HEAD + toml_text(document, TABLES)


def node_name(hostname: str) -> str:
    """Return the name of a node that is made of a host's name: My-Pi.local gives my_pi."""
    name = "_".join(re.findall(r"[a-z0-9]+", hostname.partition(".")[0].casefold()))
    return name[:MAX_SLUG_CHARACTERS] or "edge"


def with_node(document: Document, name: str) -> Document:
    """Name the node."""
    return _with_table(document, "node", {"name": name})


def microphone_number(document: Document) -> int | None:
    """Return the index of the first source that is a microphone; 0 without any source, None if none is a microphone."""
    kinds = [source.get("kind", "mic") for source in document.get("source", [])]
    return next((number for number, kind in enumerate(kinds) if kind in MICROPHONES), None if kinds else 0)


def with_device(document: Document, device: str | None) -> Document:
    """Select the microphone of the first source that is one; None is the default one."""
    changed = copy.deepcopy(document)
    sources = changed.setdefault("source", []) or [{"name": "mic"}]
    number = microphone_number(changed)
    if number is not None:
        sources[number] = _updated(sources[number], {"device": device})
    changed["source"] = sources
    return changed


def with_broker(document: Document, broker: BrokerAnswers, password_file: Path | None) -> Document:
    """Set the broker; `password_file` holds the password, or None if there is none."""
    changes: dict[str, object] = {
        "host": broker.host,
        "port": None if broker.port == (TLS_PORT if broker.tls else PLAIN_PORT) else broker.port,
        "tls": True if broker.tls else None,
        "ca_file": broker.ca_file if broker.tls else None,
        "username": broker.username,
        "password_file": None if broker.username is None or password_file is None else str(password_file),
    }
    if not broker.tls:
        # A client certificate is refused without TLS.
        changes |= {"cert_file": None, "key_file": None}
    return _with_table(document, "mqtt", changes)


def with_home_assistant(document: Document, *, enabled: bool) -> Document:
    """Publish discovery, which is the default, or not."""
    return _with_table(document, "home_assistant", {"enabled": None if enabled else False})


def with_page(document: Document, listen: str | None, password_file: Path | None) -> Document:
    """Serve the page at an address; None serves none, and then no other key may stay."""
    if listen is None:
        return _with_table(document, "web", dict.fromkeys(document.get("web", {})))
    file = None if password_file is None else str(password_file)
    return _with_table(document, "web", {"listen": listen, "password_file": file})


def with_clips(document: Document, *, enabled: bool) -> Document:
    """Store the sound of events, or not, which is the default."""
    return _with_table(document, "clips", {"enabled": True if enabled else None})


def with_bundle(document: Document, folder: Path | None) -> Document:
    """Select a bundle; None is the one that ships."""
    return _with_table(document, "bundle", {"path": None if folder is None else str(folder)})


def with_classes(document: Document, switched: Mapping[str, bool]) -> Document:
    """Switch classes on or off, by slug."""
    changed = copy.deepcopy(document)
    for slug, enabled in switched.items():
        changed.setdefault("class", {}).setdefault(slug, {})["enabled"] = enabled
    return changed


def _with_table(document: Document, name: str, changes: Mapping[str, object]) -> Document:
    """Change keys of a table, or remove those that are None; a table that becomes empty goes too."""
    changed = copy.deepcopy(document)
    changed[name] = _updated(changed.get(name, {}), changes)
    if not changed[name]:
        del changed[name]
    return changed


def _updated(table: Mapping[str, object], changes: Mapping[str, object]) -> Document:
    return {key: value for key, value in {**table, **changes}.items() if value is not None}
