"""Plan of background recordings: real sound of no class, speech and music, split by origin, never by piece."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

import numpy as np

from convert.files import read_json
from convert.plain_data import from_plain
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END
from edge_detector.types import Float32

SPLITS = ("train", "calibrate", "test")
BY_KIND = "by_kind"
"""Label of a part whose recordings YAMNet sorts into folders by kind and label."""

PIECE_SECONDS = 10.0
PAUSE_SECONDS = 0.3
SILENT_PEAK = 1e-3
SMALLEST_BYTES = 500
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3"})


@dataclass(frozen=True, slots=True)
class Part:
    """Recordings of one origin: all files of a folder, or those that match.

    Attributes:
        split: train, calibrate or test.
        label: speech, music, by_kind, or a name other than that of a class.
        of: folder below the root of the unpacked packages.
        licence: licence of the recordings.
        credit: author of the recordings.
        files: patterns of file names, separated by commas.
        but: patterns of paths that are left out, separated by commas.

    """

    split: Literal["train", "calibrate", "test"]
    label: str
    of: str
    licence: str
    credit: str
    files: str = "*"
    but: str = ""


@dataclass(frozen=True, slots=True)
class _Plan:
    parts: tuple[Part, ...] = ()


def read_parts(path: Path) -> tuple[Part, ...]:
    """Read the parts of a plan. Raises UsageError for an empty plan, a missing key or an unknown split."""
    parts = from_plain(_Plan, read_json(path), str(path), ignore_unknown=True).parts
    if not parts:
        raise UsageError(f'{path} names no recordings; write {{"parts": [{{"split": …, "label": …, "of": …}}, …]}}')
    return parts


def audio_files(part: Part, root: Path) -> list[Path]:
    """Return the audio files of a part, in a fixed order. Raises UsageError if there are none."""
    folder = root / part.of
    matching = (path for pattern in part.files.split(",") for path in folder.rglob(pattern))
    found = {
        path for path in matching if _is_audio_file(path) and not any(fnmatch(str(path), but) for but in part.but.split(","))
    }
    if not found:
        message = f"{folder} holds no audio file that matches {part.files}; unpack its package there"
        raise UsageError(message)
    # Order by the hashes of the names, so that a piece mixes prompts of all kinds, not those that begin with one letter.
    return sorted(found, key=lambda path: hashlib.sha256(str(path.relative_to(root)).encode()).digest())


def _is_audio_file(path: Path) -> bool:
    # Some of Asterisk's prompts are words that a language lacks: their files have only a header.
    return path.suffix in AUDIO_SUFFIXES and not path.is_symlink() and path.stat().st_size > SMALLEST_BYTES


def require_disjoint(parts: Sequence[Part], root: Path) -> None:
    """Raise UsageError for a file in two splits."""
    seen: dict[Path, str] = {}
    for part in parts:
        for path in audio_files(part, root):
            if seen.setdefault(path, part.split) != part.split:
                message = f"{path} is in the splits {seen[path]} and {part.split}; a file belongs to one"
                raise UsageError(message)


def cut_pieces(recordings: Iterable[Float32]) -> Iterator[Float32]:
    """Join recordings with short pauses and yield pieces of ten seconds; silent recordings and pieces are left out."""
    size = round(PIECE_SECONDS * FRONT_END.sample_rate_hz)
    pause = np.zeros(round(PAUSE_SECONDS * FRONT_END.sample_rate_hz), np.float32)
    joined = np.zeros(0, np.float32)
    for samples in recordings:
        if not is_audible(samples):
            continue
        joined = np.concatenate([joined, samples, pause])
        while len(joined) >= size:
            # A track of one instrument is silent while the others play.
            if is_audible(joined[:size]):
                yield joined[:size]
            joined = joined[size:]
    if len(joined) > len(pause) and is_audible(joined):
        yield joined


def is_audible(samples: Float32) -> bool:
    """Return whether a recording is not silent."""
    return bool(len(samples)) and float(np.abs(samples).max()) >= SILENT_PEAK
