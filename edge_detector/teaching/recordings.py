"""Recordings of a folder for teaching: those of the classes, of other sounds, and of what is not a class; clips among them."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from heapq import nlargest
from pathlib import Path

import numpy as np

from edge_detector.audio.clips import AUDIO_SUFFIXES, NO_FOLD, Clip, LoadedClip, find_clips, labels_of, load_clips
from edge_detector.audio.samples import blocks_16khz, read_16khz
from edge_detector.class_names import slug_of
from edge_detector.clips.description import EventPart, parse_comment
from edge_detector.clips.flac_header import HEAD_BYTES, read_head
from edge_detector.clips.names import ClipName, parse_clip_name
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.files import BACKGROUND_FOLDER, NEGATIVES_FOLDER
from edge_detector.params import FRONT_END
from edge_detector.types import Float32

FEWEST = 3
"""Least number of recordings of a class, and of its originals."""

OCCASION_MS = 60_000
"""Clips of one source that begin within this time of the one before are of one occasion."""

MARGIN_SECONDS = 0.5
"""Sound before and after the event of a clip that is used with it."""

MOST_SECONDS = 600.0
"""Of a recording within limits, as long as the longest clip, whose event is placed by its end too."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits that keep memory small; the newest recordings are used.

    Attributes:
        recordings: of the taught classes in all, shared evenly; as many are of what is not them.
        of_label: most of one label.
        others: of other sounds in all.
        rooms: of the room.
        seconds, room_seconds: of one recording; the rest of a longer one is not used.
        file_bytes: size of one file.

    """

    recordings: int
    of_label: int
    others: int
    rooms: int
    seconds: float
    room_seconds: float
    file_bytes: int


@dataclass(frozen=True, slots=True)
class Recordings:
    """Recordings of a folder; takes of one occasion have the same source.

    Attributes:
        clips: of the taught classes.
        others: of other sounds.
        wrong: recordings that are not a taught class, which is their label.

    """

    clips: tuple[Clip, ...]
    others: tuple[Clip, ...]
    wrong: tuple[Clip, ...]

    def bounded(self, bounds: Bounds) -> "Recordings":
        """Return the newest of them, within the limits."""
        share = min(bounds.of_label, bounds.recordings // len(labels_of(self.clips)))
        return Recordings(
            _newest_of_each(self.clips, share), _newest(self.others, bounds.others), _newest_of_each(self.wrong, share)
        )


def find_recordings(folder: Path, classes: Sequence[str] | None = None) -> Recordings:
    """Return the recordings in a folder.

    Raises UsageError for a folder without any, and for a class that has no folder.

    Args:
        folder: has a folder for each sound, NEGATIVES_FOLDER/SLUG, and the room, which is left out.
        classes: names of the sounds to teach; None for all.

    """
    found = _in_occasions(clip for clip in find_clips(folder) if clip.label not in (BACKGROUND_FOLDER, NEGATIVES_FOLDER))
    if not found:
        raise UsageError(f"{folder} has recordings of the room only; record a sound too: edge-detector record NAME -o {folder}")
    there = labels_of(found)
    taught = there if classes is None else tuple(sorted(set(map(slug_of, classes))))
    if missing := [label for label in taught if label not in there]:
        raise UsageError(f"{folder} has no recordings of {missing[0] or 'a name without letters'}; it has {', '.join(there)}")
    clips, wrong = (tuple(clip for clip in some if clip.label in taught) for some in (found, find_wrong(folder)))
    others = (clip for clip in found if clip.label not in taught)
    return Recordings(clips, _apart(others, (*clips, *wrong)), wrong)


def find_wrong(folder: Path) -> tuple[Clip, ...]:
    """Return the recordings that are not a class, which is their label."""
    place = folder / NEGATIVES_FOLDER
    has_any = place.is_dir() and any(path.suffix.lower() in AUDIO_SUFFIXES for path in place.glob("*/[!.]*"))
    return _in_occasions(find_clips(place)) if has_any else ()


def load_recordings(clips: Sequence[Clip], labels: Sequence[str], bounds: Bounds | None = None) -> list[LoadedClip]:
    """Read recordings, of a clip its event alone. Raises EdgeDetectorError for a silent one, and for one beyond the limits."""
    return load_clips(clips, labels, partial(read_sound, bounds=bounds))


def read_sound(path: Path, bounds: Bounds | None = None) -> Float32:
    """Return the samples of a recording, float32 (n,) at 16 kHz, of a clip those of its event. Raises EdgeDetectorError."""
    samples = _read(path, bounds)
    event = _event_part(path)
    if event is not None:
        samples = _within(samples, event)
    return samples if bounds is None else _first(samples, bounds.seconds)


def read_rooms(paths: Sequence[Path], bounds: Bounds | None = None) -> list[Float32]:
    """Return the samples of recordings of the room, in this order, or of the newest of them. Raises EdgeDetectorError."""
    if bounds is None:
        return [read_16khz(path) for path in paths]
    newest = set(newest_files(paths, bounds.rooms))
    return [_first(_read(path, bounds), bounds.room_seconds) for path in paths if path in newest]


def _read(path: Path, bounds: Bounds | None) -> Float32:
    if bounds is not None and path.stat().st_size > bounds.file_bytes:
        limit = f"{bounds.file_bytes // 1_000_000} MB, the limit here"
        raise EdgeDetectorError(f"{path} is larger than {limit}; cut it, or use edge-detector teach on a larger machine")
    return read_16khz(path) if bounds is None else _beginning(path)


def _beginning(path: Path) -> Float32:
    """Return a recording up to MOST_SECONDS, block by block: hours of sound can be few bytes."""
    blocks, count = list[Float32](), 0
    with closing(blocks_16khz(path)) as reader:
        for block in reader:
            blocks.append(block.samples)
            count += len(block.samples)
            if count >= MOST_SECONDS * FRONT_END.sample_rate_hz:
                break
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _first(samples: Float32, seconds: float) -> Float32:
    # A copy: a view would keep all of it in memory.
    return samples[: round(seconds * FRONT_END.sample_rate_hz)].copy()


def _event_part(path: Path) -> EventPart | None:
    """Return where the event is in a clip; None for another recording, and for a clip without it."""
    if parse_clip_name(path.name) is None:
        return None
    try:
        with path.open("rb") as file:
            comment = read_head(file.read(HEAD_BYTES)).comments.get("COMMENT", "")
    except (OSError, ValueError):  # damaged, which reading its samples has found before
        return None
    return parse_comment(comment)


def _within(samples: Float32, event: EventPart) -> Float32:
    """Return the event with its margin; the pre-roll may hold any sound."""
    margin, rate = MARGIN_SECONDS, FRONT_END.sample_rate_hz
    first = max(0, round((event.start_seconds - margin) * rate))
    end = min(len(samples), len(samples) - round((event.after_seconds - margin) * rate))
    return samples[first:end] if end > first else samples


def _in_occasions(clips: Iterable[Clip]) -> tuple[Clip, ...]:
    """Return the recordings; clips of one occasion get one source, so that they are takes of one original."""
    found, newest = list[Clip](), dict[tuple[str, str], tuple[int, str]]()
    # By time, which their names begin with; other recordings stay where they are among them.
    for clip in clips:
        name = parse_clip_name(clip.path.name)
        if name is None:
            found.append(clip)
            continue
        before_ms, occasion = newest.get((clip.label, name.source), (-OCCASION_MS, ""))
        if name.start_ms - before_ms >= OCCASION_MS:
            occasion = name.id
        newest[clip.label, name.source] = (name.start_ms, occasion)
        found.append(replace(clip, fold=NO_FOLD, source=occasion))
    return tuple(found)


def _apart(others: Iterable[Clip], clips: Sequence[Clip]) -> tuple[Clip, ...]:
    """Return the other recordings, without those of a moment of the clips.

    They may hold a taught sound; and all models train on them, also the one that leaves the clip of that moment out.
    """
    moments: Mapping[str, list[int]] = defaultdict(list)
    for clip in clips:
        if (taken := parse_clip_name(clip.path.name)) is not None:
            moments[taken.source].append(taken.start_ms)
    for times in moments.values():
        times.sort()
    return tuple(
        clip for clip in others if not ((name := parse_clip_name(clip.path.name)) and _is_near(name, moments[name.source]))
    )


def _is_near(name: ClipName, times_ms: Sequence[int]) -> bool:
    place = bisect_left(times_ms, name.start_ms - OCCASION_MS)
    return place < len(times_ms) and times_ms[place] <= name.start_ms + OCCASION_MS


def _newest_of_each(clips: Sequence[Clip], most: int) -> tuple[Clip, ...]:
    return tuple(clip for label in labels_of(clips) for clip in _newest([each for each in clips if each.label == label], most))


def _newest(clips: Sequence[Clip], most: int) -> tuple[Clip, ...]:
    """Return the newest, in their order."""
    paths = set(newest_files([clip.path for clip in clips], most))
    return tuple(clip for clip in clips if clip.path in paths)


def newest_files(paths: Sequence[Path], most: int) -> list[Path]:
    """Return the files that were written last, the newest first. Raises OSError."""
    return nlargest(most, paths, key=lambda path: (path.stat().st_mtime_ns, path.name))
