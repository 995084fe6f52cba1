"""Real sound that is none of the classes, or speech and music: cut from unpacked packages, split by origin, never by piece."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

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
    """One origin of sound: all of a folder, or the files of it that match.

    Attributes:
        split: what it is for: train, calibrate or test.
        label: speech, music, by_kind, or a name that is no class.
        of: folder below the root of what was unpacked.
        files: patterns of file names.
        but: patterns of paths that are left out.
        licence: its licence.
        credit: who made it.

    """

    split: str
    label: str
    of: str
    files: tuple[str, ...]
    but: tuple[str, ...]
    licence: str
    credit: str


def read_parts(content: dict[str, object]) -> tuple[Part, ...]:
    """The parts a plan names. Raises UsageError for one that shares material between splits or lacks a key."""
    listed = content.get("parts")
    try:
        parts = tuple(_part(item) for item in listed) if isinstance(listed, list) else ()
    except (KeyError, TypeError, AttributeError) as error:
        message = f"a part of the plan is not complete ({error}); it needs split, label, of, licence and credit"
        raise UsageError(message) from error
    if not parts:
        raise UsageError('the plan names no material; it is {"parts": [{"split": …, "label": …, "of": …}, …]}')
    wrong = [part.split for part in parts if part.split not in SPLITS]
    if wrong:
        message = f"the plan has the split {wrong[0]}; the splits are {', '.join(SPLITS)}"
        raise UsageError(message)
    return parts


def _part(item: dict[str, str]) -> Part:
    files, but = (tuple(item.get(key, default).split(",")) for key, default in (("files", "*"), ("but", "")))
    return Part(item["split"], item["label"], item["of"], files, but, item["licence"], item["credit"])


def files_of(part: Part, root: Path) -> list[Path]:
    """The audio files of a part, in a fixed order."""
    folder = root / part.of
    matching = (path for pattern in part.files for path in folder.rglob(pattern))
    found = {path for path in matching if _holds_sound(path) and not any(fnmatch(str(path), but) for but in part.but)}
    if not found:
        message = f"{folder} holds no audio file that matches {', '.join(part.files)}; unpack its package there"
        raise UsageError(message)
    # By the hashes of their names, so that a piece mixes prompts of all kinds and not those of one alphabet's letter.
    return sorted(found, key=lambda path: hashlib.sha256(str(path.relative_to(root)).encode()).digest())


def _holds_sound(path: Path) -> bool:
    # Some of Asterisk's prompts are words that a language does not have: files of a header and nothing else.
    return path.suffix in AUDIO_SUFFIXES and not path.is_symlink() and path.stat().st_size > SMALLEST_BYTES


def require_disjoint(parts: Sequence[Part], root: Path) -> None:
    """Raise if a file would be in two splits."""
    seen: dict[Path, str] = {}
    for part in parts:
        for path in files_of(part, root):
            if seen.setdefault(path, part.split) != part.split:
                message = f"{path} is in the splits {seen[path]} and {part.split}; a file belongs to one"
                raise UsageError(message)


def pieces(recordings: Iterable[Float32]) -> Iterator[Float32]:
    """Recordings after one another, with a short pause, in pieces of ten seconds; silent ones are left out."""
    size = round(PIECE_SECONDS * FRONT_END.sample_rate_hz)
    pause = np.zeros(round(PAUSE_SECONDS * FRONT_END.sample_rate_hz), np.float32)
    waiting = np.zeros(0, np.float32)
    for samples in recordings:
        if not sounds(samples):
            continue
        waiting = np.concatenate([waiting, samples, pause])
        while len(waiting) >= size:
            # A track of one instrument is silent while the others play.
            if sounds(waiting[:size]):
                yield waiting[:size]
            waiting = waiting[size:]
    if len(waiting) > len(pause) and sounds(waiting):
        yield waiting


def sounds(samples: Float32) -> bool:
    """Whether anything does."""
    return bool(len(samples)) and float(np.abs(samples).max()) >= SILENT_PEAK
