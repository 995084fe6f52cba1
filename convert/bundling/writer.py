"""Bundle writer: write card and manifest, replace the folder as a whole, and load it again."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from convert.bundling.evaluation_page import evaluation_page
from convert.bundling.model_card import model_card
from edge_detector.detection import bundle as format_
from edge_detector.errors import EdgeDetectorError, UsageError

EVALUATION = "EVALUATION.md"


def require_bundle_place(folder: Path) -> None:
    """Raise UsageError for an existing path that is neither a bundle nor empty: a bundle replaces the whole folder."""
    taken = folder.exists() and not (folder / format_.MANIFEST).is_file()
    if taken and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is no bundle, and a bundle would replace all of it; choose another name")


def created() -> str:
    """Return the current time, or SOURCE_DATE_EPOCH for reproducible bundles."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime.now(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def write_bundle(folder: Path, manifest: format_.Manifest, networks: Mapping[str, bytes]) -> int:
    """Write a bundle of these networks and their PCA, load it as the detector does, and return its size in bytes."""
    contents = dict(networks)
    contents[format_.MODEL_CARD] = model_card(manifest).encode()
    contents[format_.MANIFEST] = format_.render_manifest(manifest, contents)
    # For readers alone: the loader neither needs nor verifies it.
    contents[EVALUATION] = evaluation_page(manifest, {name: len(content) for name, content in networks.items()}).encode()
    require_bundle_place(folder)
    # Load before replacing the old bundle: an unreadable manifest would leave none.
    format_.require_sizes(contents, str(folder))
    format_.parse_manifest(contents[format_.MANIFEST], str(folder / format_.MANIFEST))
    _replace_folder(folder, contents)
    format_.load_bundle(folder)
    return sum(map(len, contents.values()))


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
