"""The file that keeps what was set and told over MQTT: JSON, replaced as a whole, so a power cut leaves the old or the new."""

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from edge_detector.errors import EdgeDetectorError
from edge_detector.files import name_aside, not_a_file, sync_folder
from edge_detector.mqtt.commands import MAX_THRESHOLD, MIN_THRESHOLD
from edge_detector.mqtt.runtime_settings import Settings
from edge_detector.mqtt.store_thread import Pending, Run, at_once
from edge_detector.schema import StrictTable

LOG = logging.getLogger(__name__)

_HANGS = "the disk does not answer"
FILE_VERSION = 1
MAX_FILE_BYTES = 16 << 20
SAVE_AGAIN_SECONDS = 10.0
SAVE_SECONDS = 0.2
"""A saving is waited for so long, so that what is answered is as a rule saved; a disk that takes longer is not waited for."""
HANG_SECONDS = 7.0
LOAD_SECONDS = 10.0
CLOSE_SECONDS = 1.0


class SettingsFile:
    """Loads and saves settings. Trouble with the disk never stops the service: it is logged once, and `troubles` name it.

    Args:
        path: the file, in the state directory.
        clock: seconds, monotonic.
        run: makes calls for the disk one after another, by default on the caller's thread.

    Attributes:
        trouble: why what is on disk is not what is in force; None once it is.
        damage: what became of a file that could not be read, for as long as this object lives: its values are in force nowhere.

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
        self._given = Settings()
        self._save_again_at_seconds = 0.0

    @property
    def troubles(self) -> tuple[str, ...]:
        """All that is wrong with the settings, a sentence each."""
        return tuple(filter(None, (self.damage, self.trouble)))

    def load(self) -> Settings:
        """What was saved; nothing if there is no file yet, and nothing with a warning if it is damaged: then it is put aside."""
        loading = self._run(self._load, _nothing)
        if _has_ended(loading, LOAD_SECONDS):
            return loading.result()
        # What cannot be read must not be overwritten either.
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
        """Put the settings on disk. True: they are safe from a power cut. False: `trouble` says why not, or will soon."""
        if self._is_unread:
            return False
        self._unsaved = settings
        if self._saving is None:
            self._begin_to_save()
        self._hear(SAVE_SECONDS if self._clock() < self._saving_since_seconds + SAVE_SECONDS else 0.0)
        return self._unsaved is None

    def run_maintenance(self) -> None:
        """To be called every second: hears what came of saving, and saves again what could not be saved."""
        self._hear(0.0)
        if self._saving is None and self._unsaved is not None and self._clock() >= self._save_again_at_seconds:
            self._begin_to_save()
            self._hear(0.0)

    def close(self) -> None:
        """Wait, not for long, until what was given is saved."""
        hangs = self._clock() - self._saving_since_seconds >= HANG_SECONDS
        self._hear(0.0 if hangs else CLOSE_SECONDS)

    def _begin_to_save(self) -> None:
        settings = self._unsaved
        if settings is not None:
            self._unsaved, self._given = None, settings
            self._saving_since_seconds = self._clock()
            self._saving = self._run(lambda: self._write(settings), _nothing)

    def _hear(self, seconds: float) -> None:
        """Wait so long for the disk; what was given meanwhile is then its next task."""
        while (saving := self._saving) is not None:
            if not _has_ended(saving, seconds):
                self._unsaved = self._unsaved or self._given
                if self._clock() - self._saving_since_seconds >= HANG_SECONDS:
                    self._complain(_HANGS)
                return
            self._saving = None
            problem = saving.result()
            if problem is not None:
                self._complain(problem)
                self._unsaved = self._unsaved or self._given
                self._save_again_at_seconds = self._clock() + SAVE_AGAIN_SECONDS
            elif self._unsaved is not None and self._unsaved is not self._given:
                self._begin_to_save()
            else:
                self._unsaved = None
                self._be_glad()

    def _be_glad(self) -> None:
        if self.trouble is not None:
            LOG.info("the settings are saved again in %s", self.path)
        self.trouble = None

    def _write(self, settings: Settings) -> str | None:
        """On the disk's thread: why they could not be saved."""
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

    def _complain(self, problem: str) -> None:
        trouble = f"the settings cannot be saved in {self.path} ({problem}); they hold until the next restart"
        if self.trouble != trouble:
            LOG.warning("%s", trouble)
        self.trouble = trouble


def render_settings(settings: Settings) -> bytes:
    """The file's content; `parse_settings` reads back the same."""
    content = {name: value for name, value in asdict(settings).items() if value is not None}
    return (json.dumps({"v": FILE_VERSION, **content}, allow_nan=False, indent=1) + "\n").encode()


def parse_settings(content: bytes, where: str) -> Settings:
    """Settings from a file's content, every name and value checked. Raises EdgeDetectorError."""
    if len(content) > MAX_FILE_BYTES:
        raise EdgeDetectorError(f"{where} is larger than {MAX_FILE_BYTES >> 20} MiB; these are no settings")
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
    table.done()
    return settings


def _nothing() -> None:
    """Nobody waits for it."""


def _has_ended(pending: Pending[object], seconds: float) -> bool:
    if seconds and not pending.done():
        with contextlib.suppress(TimeoutError):
            pending.result(seconds)
    return pending.done()


def _read(path: Path) -> bytes:
    if kind := not_a_file(path):  # a FIFO would be waited for
        raise EdgeDetectorError(f"the settings {path} are {kind}, not a file")
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)


def _write(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)  # left by a crash; or no file at all, and a FIFO would be waited for
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a Path cannot open with a mode of its own
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
