"""A bundle as a folder: its card and manifest written, the whole of it put in place at once, and loaded again."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from convert.bundling.model_card import model_card
from edge_detector.detection import bundle as format_
from edge_detector.errors import EdgeDetectorError, UsageError


def require_bundle_place(folder: Path) -> None:
    """Refuse a place where there is something that is no bundle: it would be replaced as a whole."""
    taken = folder.exists() and not (folder / format_.MANIFEST).is_file()
    if taken and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} is there and is no bundle; a bundle would replace all of it, so choose another name")


def created() -> str:
    """Now, or SOURCE_DATE_EPOCH, so that a bundle can be made again to the byte."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime.now(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def write_bundle(folder: Path, manifest: format_.Manifest, networks: Mapping[str, bytes]) -> int:
    """Write a bundle of these networks and their PCA, and load it again as the detector would; returns its bytes."""
    contents = dict(networks)
    contents[format_.MODEL_CARD] = model_card(manifest, {name: len(content) for name, content in networks.items()}).encode()
    contents[format_.MANIFEST] = format_.render_manifest(manifest, contents)
    require_bundle_place(folder)
    # Before the old one is gone: a manifest that cannot be read would leave neither.
    format_.require_sizes(contents, str(folder))
    format_.parse_manifest(contents[format_.MANIFEST], str(folder / format_.MANIFEST))
    _replace_folder(folder, contents)
    format_.load_bundle(folder)
    return sum(map(len, contents.values()))


def _replace_folder(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write a folder beside its place and exchange the two; what was there stays until the new one is whole."""
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
            fresh.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        message = f"the bundle {folder} cannot be written: {error.strerror or error}"
        raise EdgeDetectorError(message) from error
