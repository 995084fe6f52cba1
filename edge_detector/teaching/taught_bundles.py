"""The bundles that the page has taught, and which bundle is in use. Other processes may look at them meanwhile."""

import json
import os
import re
import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge_detector.bounded_files import parse_json, read_regular
from edge_detector.detection.bundle import MANIFEST
from edge_detector.errors import EdgeDetectorError
from edge_detector.files import sync_folder

FOLDER_NAME = "bundles"
CHOICE = "choice.json"
REPORT = "report.json"
"""What teaching has found out, in a taught bundle."""
_NAME = re.compile(r"taught-\d{8}T\d{6}Z", re.ASCII)
_NAME_OF_TIME = "taught-%Y%m%dT%H%M%SZ"
_PART = re.compile(r"\.(taught-|choice).*", re.ASCII)
"""What a write that was interrupted has left."""
_MAX_CHOICE_BYTES, _MAX_REPORT_BYTES = 10_000, 1_000_000


class TaughtBundles:
    """The taught bundles in `folder`, which may be missing. Every method may raise OSError, and waits for the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def new_path(self, now_utc_seconds: float) -> Path:
        """Return the folder of a bundle that is taught at this Unix time, or a second after the newest one if that is later.

        The clock may have been set back, and the newest bundle is the one with the latest name.
        """
        now, newest = datetime.fromtimestamp(now_utc_seconds, UTC), self.newest()
        with suppress(ValueError, OverflowError):  # a name that a person has given, of no time that there is
            if newest is not None:
                now = max(now, datetime.strptime(newest, _NAME_OF_TIME).replace(tzinfo=UTC) + timedelta(seconds=1))
        return self.folder / now.strftime(_NAME_OF_TIME)

    def newest(self) -> str | None:
        """Return the name of the newest bundle; None if there is none."""
        return max(self._names(), default=None)

    def report(self, name: str) -> dict[str, object] | None:
        """Return the report of a bundle; None where it has none that can be read, since nothing verifies it."""
        try:
            report = parse_json(read_regular(self.folder / name / REPORT, _MAX_REPORT_BYTES, follow_links=False))
        except (OSError, ValueError):
            return None
        return report if isinstance(report, dict) else None

    def chosen(self) -> str | None:
        """Return the name of the taught bundle in use; None: the configured one. Raises EdgeDetectorError for a damaged file."""
        path = self.folder / CHOICE
        try:
            choice = parse_json(read_regular(path, _MAX_CHOICE_BYTES, follow_links=False))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise EdgeDetectorError(f"{path} is damaged; {_REMEDY}") from error
        match choice:
            case {"bundle": str(name)} if _NAME.fullmatch(name):
                return name
        raise EdgeDetectorError(f"{path} names no taught bundle; {_REMEDY}")

    def choose(self, name: str | None) -> None:
        """Use a taught bundle, or the configured one for None, from the next start on. It is on disk once this returns."""
        path = self.folder / CHOICE
        if name is None:
            with suppress(FileNotFoundError):
                path.unlink()
                sync_folder(self.folder)
            return
        # The bundle first: a choice of one that a power cut takes away would be none.
        for file in (self.folder / name).iterdir():
            _sync(file)
        sync_folder(self.folder / name)
        part = path.with_name(f".{CHOICE}")
        part.write_text(json.dumps({"bundle": name}) + "\n", encoding="ascii")
        _sync(part)
        part.rename(path)
        sync_folder(self.folder)

    def sweep(self, in_use: str | None) -> None:
        """Remove bundles that are neither in use nor the newest, and what an interrupted write has left."""
        kept = {in_use, self.newest()}
        for path in self._entries():
            if _PART.fullmatch(path.name) or (_NAME.fullmatch(path.name) and path.name not in kept):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    def _names(self) -> list[str]:
        return [path.name for path in self._entries() if _NAME.fullmatch(path.name) and (path / MANIFEST).is_file()]

    def _entries(self) -> list[Path]:
        try:
            return list(self.folder.iterdir())
        except FileNotFoundError:
            return []


_REMEDY = "switch to a bundle on the page again"


def _sync(path: Path) -> None:
    # Without O_NONBLOCK, opening a pipe without a writer never returns.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
