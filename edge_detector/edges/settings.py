"""The file that keeps what was set over MQTT: JSON, replaced as a whole, so a power cut leaves the old one or the new."""

import contextlib
import json
import logging
import os
from dataclasses import asdict
from pathlib import Path

from edge_detector.core.commands import MAX_THRESHOLD, MIN_THRESHOLD
from edge_detector.core.controls import Settings
from edge_detector.core.strict import Table
from edge_detector.errors import EdgeDetectorError

LOG = logging.getLogger(__name__)

FILE_VERSION = 1
MAX_FILE_BYTES = 16 << 20


class SettingsFile:
    """Loads and saves settings. Trouble with the disk never stops the service: it is logged once, and `trouble` names it.

    Attributes:
        path: the file, in the state directory.
        trouble: why the settings on disk are not the ones in force, or None.

    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble: str | None = None

    def load(self) -> Settings:
        """What was saved; nothing if there is no file yet, and nothing with a warning if it is damaged."""
        try:
            with self.path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
            return parse_settings(content, str(self.path))
        except FileNotFoundError:
            return Settings()
        except OSError as error:
            LOG.warning("the settings %s cannot be read (%s); the configuration's values hold", self.path, error.strerror)
        except EdgeDetectorError as error:
            LOG.warning("%s; the configuration's values hold until new ones are set over MQTT", error)
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
            return False
        if self.trouble is not None:
            LOG.info("the settings are saved again in %s", self.path)
        self.trouble = None
        return True

    def _complain(self, trouble: str) -> None:
        if self.trouble != trouble:
            LOG.warning(trouble)
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
    muted, entities = table.table("muted"), table.table("entities")
    settings = Settings(
        thresholds=thresholds,
        muted={source: muted.flag(source) for source in muted.raw()},
        entities={key: entities.slug(key) for key in entities.raw()},
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
