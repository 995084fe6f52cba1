"""The file that keeps what was set and told over MQTT: JSON, replaced as a whole, so a power cut leaves the old or the new."""

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from edge_detector.core.commands import MAX_THRESHOLD, MIN_THRESHOLD
from edge_detector.core.controls import Settings
from edge_detector.core.strict import Table
from edge_detector.errors import EdgeDetectorError

LOG = logging.getLogger(__name__)

FILE_VERSION = 1
MAX_FILE_BYTES = 16 << 20
SAVE_AGAIN_SECONDS = 10.0


class SettingsFile:
    """Loads and saves settings. Trouble with the disk never stops the service: it is logged once, and `troubles` name it.

    Args:
        path: the file, in the state directory.
        clock: seconds, monotonic.

    Attributes:
        trouble: why what is on disk is not what is in force; None once it is.
        damage: what became of a file that could not be read, for as long as this object lives: its values are in force nowhere.

    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.trouble: str | None = None
        self.damage: str | None = None
        self._clock = clock
        self._unsaved: Settings | None = None
        self._save_again_at_seconds = 0.0

    @property
    def troubles(self) -> tuple[str, ...]:
        """All that is wrong with the settings, a sentence each."""
        return tuple(filter(None, (self.damage, self.trouble)))

    def load(self) -> Settings:
        """What was saved; nothing if there is no file yet, and nothing with a warning if it is damaged: then it is put aside."""
        try:
            with self.path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
            return parse_settings(content, str(self.path))
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
        """Put the settings on disk, safe from a power cut once this returns True."""
        scratch = self.path.with_name(f"{self.path.name}.new")
        try:
            _write(scratch, render_settings(settings))
            scratch.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                scratch.unlink(missing_ok=True)
            self._complain(f"the settings cannot be saved in {self.path} ({error.strerror}); they hold until the next restart")
            self._unsaved, self._save_again_at_seconds = settings, self._clock() + SAVE_AGAIN_SECONDS
            return False
        if self.trouble is not None:
            LOG.info("the settings are saved again in %s", self.path)
        self.trouble = self._unsaved = None
        return True

    def tend(self) -> None:
        """To be called every few seconds: saves again what could not be saved."""
        if self._unsaved is not None and self._clock() >= self._save_again_at_seconds:
            self.save(self._unsaved)

    def _put_aside(self) -> str:
        aside = self.path.with_name(f"{self.path.name}.damaged")
        try:
            self.path.replace(aside)
        except OSError:
            return ""
        return f"it is now {aside.name}, and "

    def _complain(self, trouble: str) -> None:
        if self.trouble != trouble:
            LOG.warning("%s", trouble)
        self.trouble = trouble


def render_settings(settings: Settings) -> bytes:
    """The file's content; `parse_settings` reads back the same."""
    return (json.dumps({"v": FILE_VERSION, **asdict(settings)}, allow_nan=False, indent=1) + "\n").encode()


def parse_settings(content: bytes, where: str) -> Settings:
    """Settings from a file's content, every name and value checked. Raises EdgeDetectorError."""
    if len(content) > MAX_FILE_BYTES:
        raise EdgeDetectorError(f"{where} is larger than {MAX_FILE_BYTES >> 20} MiB; these are no settings")
    try:
        data = json.loads(content.decode())
    except (ValueError, RecursionError) as error:
        raise EdgeDetectorError(f"{where} is not JSON: {error}") from error
    table = Table(data, where, EdgeDetectorError)
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
    )
    table.done()
    return settings


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a Path cannot open with a mode of its own
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
