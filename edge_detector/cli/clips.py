"""`clips`: lists the stored clips of sound, and deletes them."""

import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from edge_detector.cli.argument_types import count
from edge_detector.cli.live_panel import Panel
from edge_detector.clips.flac_header import FlacHead
from edge_detector.clips.store import FOLDER_NAME, Clip, ClipStore
from edge_detector.errors import EdgeDetectorError
from edge_detector.mqtt.messages import rfc3339
from edge_detector.schema import shown
from edge_detector.service.state import SYSTEM_FOLDER, state_folder

LIMIT = 50


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "--folder", type=Path, metavar="DIR",
        help=f"folder of the clips (default: {FOLDER_NAME} in STATE_DIRECTORY, or else in {SYSTEM_FOLDER})",
    )  # fmt: skip
    parser.add_argument("--limit", type=count, default=LIMIT, metavar="N", help=f"newest clips to list (default {LIMIT})")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--json", action="store_true", help="JSON lines; times in UTC, as in the MQTT messages")
    what.add_argument("--delete", metavar="ID", help="delete the clip of this id")
    what.add_argument("--delete-all", action="store_true", help="delete every clip, and those that are being recorded")


def run(options: argparse.Namespace) -> int:
    """List the clips, or delete them. Raises EdgeDetectorError where that is not possible."""
    store = ClipStore(options.folder or (state_folder() or SYSTEM_FOLDER) / FOLDER_NAME)
    try:
        if options.delete_all:
            sys.stdout.write(f"{store.delete_all()} clips deleted\n")
        elif options.delete is not None:
            if not store.delete(options.delete):
                raise EdgeDetectorError(f"there is no clip {shown(options.delete)} in {store.folder}; list them without --delete")
            sys.stdout.write("1 clip deleted\n")
        else:
            _list(store, options)
    except PermissionError as error:
        raise EdgeDetectorError(f"the clips in {store.folder} may not be read by you; use sudo") from error
    except OSError as error:
        reason = error.strerror or error
        raise EdgeDetectorError(f"the clips in {store.folder} cannot be used ({reason}); look after the disk") from error
    return 0


def _list(store: ClipStore, options: argparse.Namespace) -> None:
    clips = store.newest(options.limit)
    if not clips:
        raise EdgeDetectorError(f"there are no clips in {store.folder}; switch them on with enabled = true in the table [clips]")
    panel = Panel.on(sys.stdout)
    for clip in reversed(clips):
        head = _head(store, clip)
        if options.json:
            sys.stdout.write(json.dumps(_record(clip, head), ensure_ascii=False) + "\n")
        else:
            panel.print(_line(clip, head))


def _head(store: ClipStore, clip: Clip) -> FlacHead:
    try:
        return store.head(clip)
    except (ValueError, FileNotFoundError):  # damaged, or deleted meanwhile
        return FlacHead(0.0)


def _label(clip: Clip, head: FlacHead) -> str:
    return head.comments.get("TITLE", clip.name.slug)


def _record(clip: Clip, head: FlacHead) -> dict[str, object]:
    return {
        "id": clip.name.id,
        "start": rfc3339(clip.name.start_ms / 1e3),
        "source": clip.name.source,
        "slug": clip.name.slug,
        "label": _label(clip, head),
        "seconds": round(head.seconds, 3),
        "bytes": clip.size_bytes,
        "path": str(clip.path),
    }


def _line(clip: Clip, head: FlacHead) -> str:
    start = datetime.fromtimestamp(clip.name.start_ms / 1e3, UTC).astimezone()
    size = f"{clip.size_bytes / 1e3:.0f} kB"
    return (
        f"{start:%Y-%m-%d %H:%M:%S}  {head.seconds:5.1f} s  {size:>8}  {clip.name.source}  {shown(_label(clip, head))}  "
        f"{clip.name.id}  {clip.path}"
    )
