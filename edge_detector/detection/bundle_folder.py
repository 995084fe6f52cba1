"""Writer of bundle folders: the manifest beside the files, the folder replaced as a whole, and loaded again."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from edge_detector.detection.bundle import MANIFEST, Manifest, load_bundle, parse_manifest, render_manifest, require_sizes
from edge_detector.errors import EdgeDetectorError, UsageError

EVALUATION = "EVALUATION.md"
"""Page of figures beside the card, for readers alone: the loader neither needs nor verifies it."""


def created() -> str:
    """Return the current time, or SOURCE_DATE_EPOCH for reproducible bundles."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime.now(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def write_folder(folder: Path, manifest: Manifest, contents: Mapping[str, bytes]) -> int:
    """Write a bundle of these files and its manifest, load it as the detector does, and return its size in bytes."""
    contents = {**contents, MANIFEST: render_manifest(manifest, contents)}
    require_bundle_place(folder)
    # Load before replacing the old bundle: an unreadable manifest would leave none.
    require_sizes(contents, str(folder))
    parse_manifest(contents[MANIFEST], str(folder / MANIFEST))
    _replace_folder(folder, contents)
    load_bundle(folder)
    return sum(map(len, contents.values()))


def require_bundle_place(folder: Path) -> None:
    """Raise UsageError for an existing path that is neither a bundle nor empty: a bundle replaces the whole folder."""
    taken = folder.exists() and not (folder / MANIFEST).is_file()
    if taken and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is no bundle, and a bundle would replace all of it; choose another name")


def _replace_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write a temporary folder beside the target, then swap both; after a failure the old folder is in place."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            fresh.chmod(0o755)
            for name, content in contents.items():
                (fresh / name).write_bytes(content)
            old = fresh.with_name(f"{fresh.name}.old")
            if folder.exists():
                folder.rename(old)
            try:
                fresh.rename(folder)
            except OSError:
                if old.exists():
                    old.rename(folder)
                raise
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        message = f"the bundle {folder} cannot be written: {error.strerror or error}"
        raise EdgeDetectorError(message) from error
