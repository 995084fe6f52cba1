"""`clips`: lists the stored clips of sound, reviewed or not, reviews them, and deletes them."""

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from edge_detector.cli.argument_types import count
from edge_detector.cli.live_panel import Panel
from edge_detector.clips.flac_header import FlacHead
from edge_detector.clips.store import FOLDER_NAME, MOST_IDS, Clip, ClipStore
from edge_detector.errors import EdgeDetectorError
from edge_detector.files import SOUNDS_FOLDER
from edge_detector.mqtt.messages import rfc3339
from edge_detector.review.sounds import NOT_REVIEWED, Review, ReviewedClip, SoundsFolder, Verdict
from edge_detector.schema import shown
from edge_detector.service.state import SYSTEM_FOLDER, state_folder

LIMIT = 50
_VERDICTS: Mapping[str, Verdict] = {"right": "right", "wrong": "wrong", "none": "none"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "--folder", type=Path, metavar="DIR",
        help=f"folder of the clips (default: {FOLDER_NAME} in STATE_DIRECTORY, or else in {SYSTEM_FOLDER}); reviewed ones are in "
        f"{SOUNDS_FOLDER} beside it",
    )  # fmt: skip
    parser.add_argument("--limit", type=count, default=LIMIT, metavar="N", help=f"newest clips to list (default {LIMIT})")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--json", action="store_true", help="JSON lines; times in UTC, as in the MQTT messages")
    what.add_argument(
        "--review", nargs=2, metavar=("ID", "VERDICT"),
        help=f"keep a clip in {SOUNDS_FOLDER}: right, wrong, or the label of what it was; none takes that back",
    )  # fmt: skip
    what.add_argument("--delete", metavar="ID", help="delete the clip of this id, reviewed or not")
    what.add_argument(
        "--delete-all", action="store_true",
        help="delete every clip that is not reviewed, and those that are being recorded",
    )  # fmt: skip


def run(options: argparse.Namespace) -> int:
    """List the clips, review one, or delete them. Raises EdgeDetectorError where that is not possible."""
    store = ClipStore(options.folder or (state_folder() or SYSTEM_FOLDER) / FOLDER_NAME)
    sounds = SoundsFolder(store.folder.parent / SOUNDS_FOLDER)
    try:
        if options.delete_all:
            deleted, kept = store.delete_all(), len(sounds.ids())
            stay = f"; {kept} that are reviewed stay in {sounds.folder}" if kept else ""
            sys.stdout.write(f"{deleted} clips deleted{stay}\n")
        elif options.delete is not None:
            if not sounds.delete(store, options.delete):
                raise _unknown(store, options.delete)
            sys.stdout.write("1 clip deleted\n")
        elif options.review is not None:
            sys.stdout.write(_reviewed(store, sounds, *options.review) + "\n")
        else:
            _list(store, sounds, options)
    except PermissionError as error:
        raise EdgeDetectorError(f"the clips in {store.folder} may not be read by you; use sudo") from error
    except OSError as error:
        if options.review is not None or options.delete is not None:
            raise EdgeDetectorError(sounds.trouble(store, error)) from error
        reason = error.strerror or error
        raise EdgeDetectorError(f"the clips in {store.folder} cannot be used ({reason}); look after the disk") from error
    return 0


def _unknown(store: ClipStore, clip_id: str) -> EdgeDetectorError:
    return EdgeDetectorError(f"there is no clip {shown(clip_id)} in {store.folder}; list them with edge-detector clips")


def _reviewed(store: ClipStore, sounds: SoundsFolder, clip_id: str, verdict: str) -> str:
    """Review a clip; returns where it is now, as a sentence."""
    known = _VERDICTS.get(verdict)
    done = sounds.review(store, clip_id, known or "other", None if known else verdict)
    found = sounds.find(clip_id) if done is not None and done.verdict != "none" else None
    if done is None:
        if store.is_being_written(clip_id):
            raise EdgeDetectorError(f"the clip {clip_id} is still being recorded; try again some seconds after its event's end")
        raise _unknown(store, clip_id)
    return "not reviewed" if found is None else f"{_said(done)}: {found.clip.path}"


def _list(store: ClipStore, sounds: SoundsFolder, options: argparse.Namespace) -> None:
    reviewed = sounds.clips()
    reviews = {each.clip.name.id: each.review for each in reviewed}
    waiting = [clip for clip in store.newest(MOST_IDS) if clip.name.id not in reviews]
    clips = [*(ReviewedClip(clip, NOT_REVIEWED) for clip in waiting), *reviewed]
    if not clips:
        raise EdgeDetectorError(f"there are no clips in {store.folder}; switch them on with enabled = true in the table [clips]")
    panel = Panel.on(sys.stdout)
    for each in sorted(clips, key=lambda each: (each.clip.name.start_ms, each.clip.name.id))[-options.limit :]:
        head = _head(store, each.clip)
        if options.json:
            sys.stdout.write(json.dumps(_record(each, head), ensure_ascii=False) + "\n")
        else:
            panel.print(_line(each, head))


def _said(review: Review) -> str:
    return f"it was {shown(review.label)}" if review.verdict == "other" else review.verdict


def _head(store: ClipStore, clip: Clip) -> FlacHead:
    try:
        return store.head(clip)
    except (ValueError, FileNotFoundError):  # damaged, or deleted meanwhile
        return FlacHead(0.0)


def _label(clip: Clip, head: FlacHead) -> str:
    return head.comments.get("TITLE", clip.name.slug)


def _record(reviewed: ReviewedClip, head: FlacHead) -> dict[str, object]:
    clip, review = reviewed.clip, reviewed.review
    return {
        "id": clip.name.id,
        "start": rfc3339(clip.name.start_ms / 1e3),
        "source": clip.name.source,
        "slug": clip.name.slug,
        "label": _label(clip, head),
        "seconds": round(head.seconds, 3),
        "bytes": clip.size_bytes,
        "path": str(clip.path),
        "review": None if review == NOT_REVIEWED else asdict(review),
    }


def _line(reviewed: ReviewedClip, head: FlacHead) -> str:
    clip, review = reviewed.clip, reviewed.review
    start = datetime.fromtimestamp(clip.name.start_ms / 1e3, UTC).astimezone()
    size = f"{clip.size_bytes / 1e3:.0f} kB"
    said = "" if review == NOT_REVIEWED else f", {_said(review)}"
    return (
        f"{start:%Y-%m-%d %H:%M:%S}  {head.seconds:5.1f} s  {size:>8}  {clip.name.source}  {shown(_label(clip, head))}{said}  "
        f"{clip.name.id}  {clip.path}"
    )
