"""File of the settings made over MQTT: JSON, replaced atomically, so a power cut leaves the old or the new one."""

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from edge_detector.errors import EdgeDetectorError
from edge_detector.executor import Pending, Run, at_once
from edge_detector.files import name_aside, not_a_file, sync_folder
from edge_detector.mqtt.runtime_settings import MAX_THRESHOLD, MIN_THRESHOLD, Settings
from edge_detector.schema import StrictTable

LOG = logging.getLogger(__name__)

_HANGS = "the disk does not answer"
FILE_VERSION = 1
MAX_FILE_BYTES = 16 << 20
SAVE_AGAIN_SECONDS = 10.0
SAVE_SECONDS = 0.2
"""Longest wait for a save, so that an answered command is usually on disk; a slower disk continues in the background."""
HANG_SECONDS = 7.0
LOAD_SECONDS = 10.0
CLOSE_SECONDS = 1.0


class SettingsFile:
    """Loads and saves settings. Disk errors never stop the service: they are logged once and listed in `troubles`.

    Args:
        path: the file, in the state directory.
        clock: seconds, monotonic.
        run: runs disk calls one after another, by default on the caller's thread.

    Attributes:
        trouble: why the file differs from the settings in force; None once it matches.
        damage: where an unreadable file went; its values are not in force. Stays for the life of this object.

    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic, run: Run = at_once) -> None:
        self.path = path
        self._run = run
        self._saving: Pending[str | None] | None = None
        self._saving_since_seconds = 0.0
        self._is_unread = False
        self.trouble: str | None = None
        self.damage: str | None = None
        self._clock = clock
        self._unsaved: Settings | None = None
        self._submitted = Settings()
        self._save_again_at_seconds = 0.0

    @property
    def troubles(self) -> tuple[str, ...]:
        """Everything wrong with the settings, one sentence each."""
        return tuple(filter(None, (self.damage, self.trouble)))

    def load(self) -> Settings:
        """Load the saved settings; empty if there is no file. A damaged file is renamed and logged, and the result is empty."""
        loading = self._run(self._load, _nothing)
        if _has_ended(loading, LOAD_SECONDS):
            return loading.result()
        # A file that cannot be read must not be overwritten.
        self._is_unread = True
        self.damage = (
            f"the settings {self.path} cannot be read ({_HANGS}); the configuration's values hold until the next restart"
        )
        LOG.warning("%s", self.damage)
        return Settings()

    def _load(self) -> Settings:
        try:
            return parse_settings(_read(self.path), str(self.path))
        except FileNotFoundError:
            return Settings()
        except OSError as error:
            problem = f"the settings {self.path} cannot be read ({error.strerror})"
        except EdgeDetectorError as error:
            problem = str(error)
        self.damage = f"{problem}; {self._put_aside()}the configuration's values hold until new ones are set over MQTT"
        LOG.warning("%s", self.damage)
        return Settings()

    def save(self, settings: Settings) -> bool:
        """Save the settings. True: they are on disk. False: not yet, and `trouble` gives or will give the reason."""
        if self._is_unread:
            return False
        self._unsaved = settings
        if self._saving is None:
            self._start_saving()
        self._collect(SAVE_SECONDS if self._clock() < self._saving_since_seconds + SAVE_SECONDS else 0.0)
        return self._unsaved is None

    def run_maintenance(self) -> None:
        """Collect the result of saving and retry a failed save; call every second."""
        self._collect(0.0)
        if self._saving is None and self._unsaved is not None and self._clock() >= self._save_again_at_seconds:
            self._start_saving()
            self._collect(0.0)

    def close(self) -> None:
        """Wait for a pending save, at most `CLOSE_SECONDS`."""
        hangs = self._clock() - self._saving_since_seconds >= HANG_SECONDS
        self._collect(0.0 if hangs else CLOSE_SECONDS)

    def _start_saving(self) -> None:
        settings = self._unsaved
        if settings is not None:
            self._unsaved, self._submitted = None, settings
            self._saving_since_seconds = self._clock()
            self._saving = self._run(lambda: self._write(settings), _nothing)

    def _collect(self, seconds: float) -> None:
        """Wait up to `seconds` for the disk; settings submitted meanwhile are saved next."""
        while (saving := self._saving) is not None:
            if not _has_ended(saving, seconds):
                self._unsaved = self._unsaved or self._submitted
                if self._clock() - self._saving_since_seconds >= HANG_SECONDS:
                    self._report_trouble(_HANGS)
                return
            self._saving = None
            problem = saving.result()
            if problem is not None:
                self._report_trouble(problem)
                self._unsaved = self._unsaved or self._submitted
                self._save_again_at_seconds = self._clock() + SAVE_AGAIN_SECONDS
            elif self._unsaved is not None and self._unsaved is not self._submitted:
                self._start_saving()
            else:
                self._unsaved = None
                self._clear_trouble()

    def _clear_trouble(self) -> None:
        if self.trouble is not None:
            LOG.info("the settings are saved again in %s", self.path)
        self.trouble = None

    def _write(self, settings: Settings) -> str | None:
        """Write the file, on the disk's thread. Returns why that failed, or None."""
        scratch = self.path.with_name(f"{self.path.name}.new")
        try:
            _write(scratch, render_settings(settings))
            scratch.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)
            return str(error.strerror)
        return None

    def _put_aside(self) -> str:
        aside = name_aside(self.path)
        try:
            self.path.replace(aside)
        except OSError:
            return ""
        return f"it is now {aside.name}, and "

    def _report_trouble(self, problem: str) -> None:
        trouble = f"the settings cannot be saved in {self.path} ({problem}); they hold until the next restart"
        if self.trouble != trouble:
            LOG.warning("%s", trouble)
        self.trouble = trouble


def render_settings(settings: Settings) -> bytes:
    """Return the file's content, the inverse of `parse_settings`."""
    content = {name: value for name, value in asdict(settings).items() if value is not None}
    return (json.dumps({"v": FILE_VERSION, **content}, allow_nan=False, indent=1) + "\n").encode()


def parse_settings(content: bytes, where: str) -> Settings:
    """Parse a file's content and check every name and value. Raises EdgeDetectorError."""
    if len(content) > MAX_FILE_BYTES:
        raise EdgeDetectorError(f"{where} is larger than {MAX_FILE_BYTES >> 20} MiB; this is not a settings file")
    try:
        data = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise EdgeDetectorError(f"{where} is not JSON: {error}") from error
    table = StrictTable(data, where, EdgeDetectorError)
    table.integer("v", low=FILE_VERSION, high=FILE_VERSION)
    thresholds = {
        source: {slug: values.number(slug, low=MIN_THRESHOLD, high=MAX_THRESHOLD) for slug in values.raw()}
        for source, values in table.named_tables("thresholds").items()
    }
    muted, entities, announced = (table.table(key) for key in ("muted", "entities", "announced"))
    settings = Settings(
        thresholds=thresholds,
        muted={source: muted.flag(source) for source in muted.raw()},
        entities={key: entities.slug(key) for key in entities.raw()},
        announced={name: announced.slugs(name) for name in announced.raw()},
        discovered=table.slugs("discovered") if table.has("discovered") else None,
    )
    table.reject_unknown()
    return settings


def _nothing() -> None:
    """Do nothing when the disk call ends."""


def _has_ended(pending: Pending[object], seconds: float) -> bool:
    if seconds and not pending.done():
        with contextlib.suppress(TimeoutError):
            pending.result(seconds)
    return pending.done()


def _read(path: Path) -> bytes:
    if kind := not_a_file(path):  # opening a FIFO would block
        raise EdgeDetectorError(f"the settings {path} are {kind}, not a file")
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)  # left by a crash; or a FIFO, which would block
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a Path cannot open with a mode of its own
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
