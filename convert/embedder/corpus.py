"""Recordings that are embedded whole, one in memory at a time: labelled by their folders, or unlabelled."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from convert.embedder.runtime import CodeEmbedder
from convert.records.damage import Damage, DamagedRecordError
from convert.records.files import Record
from edge_detector.audio.clips import (
    AUDIO_SUFFIXES,
    NO_CLASS,
    NO_FOLD,
    Clip,
    LoadedClip,
    background_labels,
    class_of,
    classes_of,
    find_clips,
    labels_of,
)
from edge_detector.audio.samples import blocks_16khz, read_16khz
from edge_detector.class_names import ClassName
from edge_detector.errors import EdgeDetectorError, SourceError, UsageError
from edge_detector.params import FRONT_END
from edge_detector.types import Block, Float32

FRAME_SECONDS = FRONT_END.patch_step_samples / FRONT_END.sample_rate_hz
WINDOW_SECONDS = FRONT_END.patch_samples / FRONT_END.sample_rate_hz


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording.

    Attributes:
        path: the file.
        name: id of its record.
        labels: class indices; None if unlabelled.
        folds: its fold; empty if unknown.

    """

    path: Path
    name: str
    labels: tuple[int, ...] | None
    folds: tuple[int, ...] = ()


def labelled(
    root: Path, folds: Collection[int] | None, backgrounds: Sequence[Path] = ()
) -> tuple[list[tuple[Clip, int]], tuple[ClassName, ...]]:
    """Return clips with their class indices, and the classes; NO_CLASS for background of other labels.

    Background labelled as a class belongs to that class, like the clips. It has no folds.
    """
    clips = find_clips(root, folds)
    labels = labels_of(clips)
    for background in backgrounds:
        more = [replace(clip, fold=NO_FOLD) for clip in find_clips(background)]
        labels = background_labels(more, labels)
        clips += more
    return [(clip, class_of(clip, labels)) for clip in clips], classes_of(clips, labels)


def recordings_of(clips: Iterable[tuple[Clip, int]]) -> list[Recording]:
    """Convert clips to recordings; the id is FOLD-SOURCE-TAKE for a file of such a name, LABEL/NAME otherwise."""
    return [
        Recording(
            clip.path,
            f"{clip.label}/{clip.path.stem}" if clip.fold == NO_FOLD else clip.path.stem,
            () if index == NO_CLASS else (index,),
            () if clip.fold == NO_FOLD else (clip.fold,),
        )
        for clip, index in clips
    ]


def unlabelled(inputs: Sequence[Path]) -> list[Recording]:
    """Return recordings by name, and all recordings below folders, whose id is their path in the folder."""
    found = []
    for given in inputs:
        if not given.is_dir():
            found.append(Recording(given, given.stem, None))
            continue
        found += [Recording(path, str(path.relative_to(given).with_suffix("")), None) for path in recordings_in(given)]
    return found


def recordings_in(folder: Path) -> list[Path]:
    """Return all recordings below a folder, in a fixed order. Raises UsageError if there are no recordings."""
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in AUDIO_SUFFIXES and path.name[0] != "."]
    if not found:
        raise UsageError(f"{folder} holds no recordings ({', '.join(sorted(AUDIO_SUFFIXES))}); name another folder")
    return found


def embedded(recording: Recording, embedder: CodeEmbedder) -> Record:
    """Embed a recording. Raises DamagedRecordError if it is unreadable, too short, or silent although it is labelled."""
    silent = True

    def noting_silence(blocks: Iterator[Block]) -> Iterator[Block]:
        nonlocal silent
        for block in blocks:
            silent = silent and not block.samples.any()
            yield block

    try:
        codes = embedder.codes_of_stream(noting_silence(blocks_16khz(recording.path)))
    except SourceError as error:
        raise DamagedRecordError("unreadable recording", str(error)) from error
    if not len(codes):
        message = f"{recording.path} is shorter than one window of {WINDOW_SECONDS} s; remove it, or record more of the sound"
        raise DamagedRecordError("too short", message)
    if silent and recording.labels:
        raise _silent(recording.path)
    end_seconds = len(codes) * FRAME_SECONDS
    return Record(recording.name, 0.0, end_seconds, recording.labels or (), codes, folds=recording.folds)


def loaded(clips: Iterable[tuple[Clip, int]], damage: Damage) -> list[LoadedClip]:
    """Load clips to compose from. `damage` decides about one that is unreadable, or silent although it has a class."""
    found = []
    for clip, index in clips:
        try:
            found.append(LoadedClip(clip, index, _samples(clip.path, quiet=index == NO_CLASS)))
        except DamagedRecordError as error:
            damage.handle(error)
    if not found:
        raise EdgeDetectorError("no usable recording is left; see the reasons for those skipped")
    return found


def _samples(path: Path, *, quiet: bool) -> Float32:
    try:
        samples = read_16khz(path)
    except SourceError as error:
        raise DamagedRecordError("unreadable recording", str(error)) from error
    if not quiet and not samples.any():
        raise _silent(path)
    return samples


def _silent(path: Path) -> DamagedRecordError:
    return DamagedRecordError("silent", f"{path} is silent from end to end; remove it")
