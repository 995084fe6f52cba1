"""Reviewed clips in a state directory, of real recordings: as the service cuts them, and a person sorts them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from edge_detector.clips.clip_file import ClipFile
from edge_detector.clips.cutter import ClipHead, ClipPiece
from edge_detector.clips.names import clip_name
from edge_detector.clips.store import ClipStore
from tests.support.clips import DAYS, MOST_BYTES, NOON_SECONDS

LEAD_SECONDS = AFTER_SECONDS = 1.0
HOUR_SECONDS = 3_600.0


def review(folder: Path, recordings: Sequence[Path], slug: str) -> None:
    """Store recordings as clips of one occasion each, with quiet around the event."""
    for number, recording in enumerate(recordings):
        samples, rate_hz = soundfile.read(recording, dtype="int16")
        quiet = np.random.default_rng(number).integers(-8, 9, round(LEAD_SECONDS * rate_hz)).astype(np.int16)
        event_id = f"nursery/cot/0123456789ab/{number}/{slug}"
        name = clip_name(event_id, NOON_SECONDS + number * HOUR_SECONDS, "cot", slug)
        file = ClipFile(ClipStore(folder), ClipHead(event_id, name, slug, rate_hz, LEAD_SECONDS))
        whole = np.concatenate([quiet, samples, quiet])
        file.write(ClipPiece(event_id, (whole,), 0, is_last=True, is_early=False, after_seconds=AFTER_SECONDS))
        assert file.finish(name.start_ms, days=DAYS, most_bytes=MOST_BYTES)
