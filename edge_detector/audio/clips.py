"""Labelled clips on disk: FOLDER/LABEL/anything.wav, or FOLDER/LABEL/FOLD-SOURCE-TAKE.ogg with folds."""

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_detector.audio.file import FOREIGN_SUFFIXES
from edge_detector.audio.samples import read_16khz
from edge_detector.class_names import ClassName, named, slug_of
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.types import Float32

NO_CLASS = -1
NO_FOLD = 0
BACKGROUND_CLASSES = ("music", "speech")
"""Labels of background that are classes; its other labels are not."""

AUDIO_SUFFIXES = frozenset({".ogg", ".oga", ".opus", ".wav", ".flac", ".mp3", ".aiff", ".aif"}) | FOREIGN_SUFFIXES

# 2026-11-23.wav and 23-11-2026.wav are dates, not folds 2026 and 23.
_IN_FOLD = re.compile(r"(?!\d{1,2}-\d{1,2}-20\d\d)(?P<fold>\d{1,2})-(?P<source>[^-]+)")


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled recording.

    Attributes:
        path: the file.
        label: name of its folder as a slug: lower-case letters, digits and underscores.
        fold: leading number of the file's name; clips are split by fold, never one by one. NO_FOLD without one.
        source: fold and original recording, equal for takes of one original. A clip without a fold is its own source.

    """

    path: Path
    label: str
    fold: int
    source: str


@dataclass(frozen=True, slots=True)
class LoadedClip:
    """A clip's samples, 16 kHz mono float32, and its class index; NO_CLASS is sound of no class."""

    clip: Clip
    class_index: int
    samples: Float32


def find_clips(root: Path, folds: Collection[int] | None = None) -> list[Clip]:
    """Return all clips under `root` in a fixed order, or those of some folds.

    Raises UsageError for a folder whose name has no slug or that of another folder, for no clips, and for missing folds.
    """
    if not root.is_dir():
        message = f"{root} is not a folder; give one that holds a folder of clips for each label"
        raise UsageError(message)
    folders: dict[str, Path] = {}
    clips: list[Clip] = []
    for folder in sorted(root.iterdir()):
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        if paths := _audio_files(folder):
            label = slug_of(folder.name)
            if not label:
                raise UsageError(f"{folder} cannot name a class: its name has no letter a to z and no digit; rename it")
            if label in folders:
                raise UsageError(f"{folders[label]} and {folder} are both the class {label}; rename one or merge them")
            folders[label] = folder
            clips += [Clip(path, label, *fold_and_source(path.stem)) for path in paths]
    if folds is not None and clips:
        _require_folds(root, folds, {clip.fold for clip in clips})
        clips = [clip for clip in clips if clip.fold in folds]
    if not clips:
        message = f"{root} holds no clips; they are expected as LABEL/anything.wav (or ogg, opus, flac, mp3, aiff)"
        raise UsageError(message)
    return clips


def fold_and_source(name: str) -> tuple[int, str]:
    """Return fold and source of a file name FOLD-SOURCE-TAKE; any other name is its own source, without a fold."""
    found = _IN_FOLD.match(name)
    return (int(found["fold"]), found[0]) if found else (NO_FOLD, name)


def _audio_files(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return [path for path in files if path.suffix.lower() in AUDIO_SUFFIXES]


def _require_folds(root: Path, wanted: Collection[int], there: Collection[int]) -> None:
    numbered = sorted(set(there) - {NO_FOLD})
    if not numbered:
        raise UsageError(f"{root} has no folds: its clips are not named FOLD-SOURCE-TAKE; leave the folds out")
    if missing := sorted(set(wanted) - set(numbered)):
        raise UsageError(f"{root} has no clip of fold {missing[0]}; it has {numbered}")


def labels_of(clips: Sequence[Clip]) -> tuple[str, ...]:
    """Return the labels, sorted; this is the order of the classes in records and models."""
    return tuple(sorted({clip.label for clip in clips}))


def classes_of(clips: Sequence[Clip], labels: Sequence[str]) -> tuple[ClassName, ...]:
    """Return the labels as classes; a class has the name of its folder."""
    folders = {clip.label: clip.path.parent.name for clip in clips}
    return tuple(named(folders.get(label, label)) for label in labels)


def load_clips(clips: Sequence[Clip], labels: Sequence[str], read: Callable[[Path], Float32] = read_16khz) -> list[LoadedClip]:
    """Read every clip. Raises EdgeDetectorError for a silent clip, which cannot be trained on, and for an unknown label."""
    loaded = []
    for clip in clips:
        if clip.label not in labels:
            message = f"{clip.path} has the unknown label {clip.label}; the labels are {', '.join(labels)}"
            raise EdgeDetectorError(message)
        samples = read(clip.path)
        if not np.any(samples):
            message = f"{clip.path} is silent from end to end; remove it"
            raise EdgeDetectorError(message)
        loaded.append(LoadedClip(clip, labels.index(clip.label), samples))
    return loaded


def background_labels(clips: Sequence[Clip], labels: Sequence[str]) -> tuple[str, ...]:
    """Return the labels of clips with those of background that are classes: speech and music."""
    return tuple(sorted({*labels, *({clip.label for clip in clips} & set(BACKGROUND_CLASSES))}))


def load_unlabelled(clips: Sequence[Clip]) -> list[LoadedClip]:
    """Read clips of no class."""
    return [LoadedClip(clip, class_of(clip, ()), read_16khz(clip.path)) for clip in clips]


def class_of(clip: Clip, labels: Sequence[str]) -> int:
    """Return the index of a clip's label; NO_CLASS for a label that is not listed."""
    return labels.index(clip.label) if clip.label in labels else NO_CLASS
