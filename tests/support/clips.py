"""Clips without a service: their parts, and what a stored one holds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from edge_detector.clips.clip_file import ClipFile
from edge_detector.clips.cutter import ClipHead, ClipPiece
from edge_detector.clips.names import clip_name
from edge_detector.clips.store import MOST_IDS, ClipStore
from edge_detector.types import Int16

RATE_HZ = 16_000
NOON_SECONDS = 1_764_417_600.0
"""2025-11-29T12:00:00Z."""
DAYS, MOST_BYTES = 30, 1 << 30


def event_id(number: int) -> str:
    return f"nursery/cot/0123456789ab/{number}/rain"


def noise(seconds: float, seed: int = 0, rate_hz: int = RATE_HZ) -> Int16:
    """Sound that FLAC cannot make smaller than 16 bits a sample."""
    samples = np.random.default_rng(seed).integers(-32_768, 32_768, round(seconds * rate_hz), np.int16)
    samples.flags.writeable = False
    return samples


def head(number: int = 1, *, start_seconds: float | None = None, rate_hz: int = RATE_HZ) -> ClipHead:
    start = NOON_SECONDS + number if start_seconds is None else start_seconds
    return ClipHead(event_id(number), clip_name(event_id(number), start, "cot", "rain"), "Rain", rate_hz, lead_seconds=5.0)


def pieces(number: int, samples: Int16, count: int = 4) -> Iterator[ClipPiece]:
    parts = np.array_split(samples, count)
    for index, part in enumerate(parts):
        yield ClipPiece(event_id(number), (part,), 0, is_last=index == count - 1, is_early=False)


def write(store: ClipStore, number: int, samples: Int16, *, start_seconds: float | None = None) -> None:
    """Store a clip, as the writer does."""
    store.prepare()
    of_clip = head(number, start_seconds=start_seconds)
    file = ClipFile(store, of_clip)
    for piece in pieces(number, samples):
        file.write(piece)
    assert file.finish(of_clip.name.start_ms, days=DAYS, most_bytes=MOST_BYTES)


def stored(path: Path) -> tuple[Int16, int]:
    """Samples and rate of a clip."""
    samples, rate_hz = soundfile.read(path, dtype="int16")
    return samples, rate_hz


def clip_bytes(store: ClipStore) -> int:
    """Return the size of all clips."""
    return sum(clip.size_bytes for clip in store.newest(MOST_IDS))


def clips_of_two_nodes(folder: Path, samples: Int16) -> ClipStore:
    """Clips of events 1 and 2, and another node's folder beside it."""
    store = ClipStore(folder / "state" / "clips")
    for number in (1, 2):
        write(store, number, samples)
    write(ClipStore(folder / "other" / "clips"), 3, samples)
    return store
