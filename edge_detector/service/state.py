"""Persistent state: the outbox, the settings, the history and the clips, in the state directory."""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge_detector.clips.store import FOLDER_NAME as CLIPS_FOLDER
from edge_detector.clips.store import ClipStore
from edge_detector.clips.writer import ClipWriter
from edge_detector.config import ClipsConfig, HistoryConfig, OutboxConfig
from edge_detector.errors import EdgeDetectorError
from edge_detector.files import SOUNDS_FOLDER
from edge_detector.history.probability_files import FOLDER_NAME as PROBABILITIES_FOLDER
from edge_detector.history.probability_files import ProbabilityFolder
from edge_detector.history.probability_writer import ProbabilityWriter
from edge_detector.history.recorder import Recorder
from edge_detector.history.store import FILE_NAME, HistoryStore
from edge_detector.mqtt.messages import interrupted
from edge_detector.mqtt.outbox import Outbox
from edge_detector.mqtt.sqlite_store import open_outbox
from edge_detector.review.sounds import SoundsFolder
from edge_detector.service.settings_file import SettingsFile
from edge_detector.threads import Worker
from edge_detector.types import Message

LOG = logging.getLogger(__name__)

SYSTEM_FOLDER = Path("/var/lib/edge-detector")
"""State directory of the service under systemd."""


@dataclass(frozen=True, slots=True)
class State:
    """Persistent outbox, settings, history and clips; None where there is no state directory.

    Attributes:
        outbox, settings: None where the data stays in memory.
        history: None where no history is kept.
        lacks_history: the configuration wants a history, and there is no state directory for it.
        clips: None where no clips of sound are stored.
        lacks_clips: the configuration wants clips, and there is no state directory for them.

    """

    outbox: Outbox | None
    settings: SettingsFile | None
    history: Recorder | None = None
    lacks_history: bool = False
    clips: ClipWriter | None = None
    lacks_clips: bool = False

    @property
    def persistence_trouble(self) -> str | None:
        """One sentence on the data that a restart loses for lack of a state directory; None if nothing is lost."""
        lost = [
            *(["events that wait for the broker"] if self.outbox is None else []),
            *(["thresholds and mutes set over MQTT"] if self.settings is None else []),
        ]
        if not lost:
            return None
        remedy = "run the service under systemd, or name a folder in STATE_DIRECTORY"
        history = ", and no history of events is kept" if self.lacks_history else ""
        clips = ", and no clips are stored" if self.lacks_clips else ""
        return f"there is no state directory, so {' and '.join(lost)} do not survive a restart{history}{clips}; {remedy}"

    def close_records(self) -> None:
        """Write what waits for the history and the clips, then end them; returns at once."""
        for record in (self.history, self.clips):
            if record is not None:
                record.close()

    def wait_for_records(self, timeout_seconds: float) -> None:
        """Wait for the end of the history and of the clips, after `close_records`; one that takes longer is logged."""
        if self.history is not None and not self.history.wait_closed(timeout_seconds):
            LOG.warning("stopped before the history was written; the newest events may be missing from it")
        if self.clips is not None and not self.clips.wait_closed(timeout_seconds):
            LOG.warning("stopped before the clips were stored; the newest are missing")

    def interrupted(self, now_utc_seconds: float) -> Iterator[Message]:
        """Yield end messages of events that a crash left open. An unreadable start is logged and deleted."""
        for started in self.outbox.open_events() if self.outbox is not None else ():
            try:
                yield interrupted(started, now_utc_seconds)
            except EdgeDetectorError as error:
                LOG.error("%s", error)  # noqa: TRY400 - the sentence is for people
                if self.outbox is not None:
                    self.outbox.forget(started)


def open_state(
    folder: Path | None, limits: OutboxConfig, history: HistoryConfig | None = None, clips: ClipsConfig | None = None
) -> State:
    """Open the outbox, the settings, the history and the clips (None: keep none) in `folder`.

    Each has a thread of its own, since a disk may hang.
    """
    path = limits.path or (folder / "outbox.sqlite" if folder is not None else None)
    outbox = None
    if path is not None:
        outbox = open_outbox(
            path,
            time.monotonic,
            max_messages=limits.max_messages,
            max_age_seconds=limits.max_age_seconds,
            run=Worker("outbox"),
        )
    wanted = history if history is not None and history.enabled else None
    wanted_clips = clips if clips is not None and clips.enabled else None
    if folder is None:
        return State(outbox, settings=None, lacks_history=wanted is not None, lacks_clips=wanted_clips is not None)
    settings = SettingsFile(folder / "settings.json", run=Worker("settings"))
    return State(outbox, settings, _recorder(folder, wanted), clips=_writer(folder, wanted_clips))


def _writer(folder: Path, limits: ClipsConfig | None) -> ClipWriter | None:
    if limits is None:
        return None
    return ClipWriter(ClipStore(folder / CLIPS_FOLDER), days=limits.days, megabytes=limits.megabytes)


def _recorder(folder: Path, limits: HistoryConfig | None) -> Recorder | None:
    if limits is None:
        return None
    probabilities = ProbabilityFolder(folder / PROBABILITIES_FOLDER, days=limits.days, megabytes=limits.megabytes)
    return Recorder(
        lambda: HistoryStore(folder / FILE_NAME, days=limits.days, megabytes=limits.megabytes), ProbabilityWriter(probabilities)
    )


def reviewable(folder: Path | None, clips: ClipWriter | None) -> tuple[ClipStore, SoundsFolder] | None:
    """Return the clips in a state directory and the reviewed ones; None where there are none, and none are stored."""
    if folder is None or (clips is None and not (folder / SOUNDS_FOLDER).is_dir()):
        return None
    return ClipStore(folder / CLIPS_FOLDER), SoundsFolder(folder / SOUNDS_FOLDER)


def state_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the state directory from systemd; None without systemd."""
    folder = environment.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(folder) if folder else None
