"""What outlives the process: the outbox and the settings, in the state directory."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_detector.core.config import OutboxConfig
from edge_detector.core.outgoing import Outbox
from edge_detector.edges.outbox import open_outbox
from edge_detector.edges.settings import SettingsFile


@dataclass(frozen=True, slots=True)
class State:
    """What outlives the process, in the state directory; both in memory only where there is none."""

    outbox: Outbox | None
    settings: SettingsFile | None


def open_state(folder: Path | None, limits: OutboxConfig) -> State:
    """The outbox and the settings in `folder`."""
    path = limits.path or (folder / "outbox.sqlite" if folder is not None else None)
    outbox = None
    if path is not None:
        outbox = open_outbox(path, time.monotonic, max_messages=limits.max_messages, max_age_seconds=limits.max_age_seconds)
    return State(outbox, SettingsFile(folder / "settings.json") if folder is not None else None)


def state_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where systemd says that state belongs; without systemd nothing outlives the process."""
    folder = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(folder) if folder else None
