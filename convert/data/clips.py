"""Labelled clips on disk: FOLDER/LABEL/FOLD-SOURCE-TAKE.ogg."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from convert.data.audio import read_16khz
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.types import Float32

NO_CLASS = -1
BACKGROUND_CLASSES = ("music", "speech")
"""Labels of background that are classes too; every other label of it is none."""

AUDIO_SUFFIXES = frozenset({".ogg", ".wav", ".flac", ".mp3"})


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled recording.

    Attributes:
        path: the file.
        label: name of its folder.
        fold: leading number of the file's name; clips are split by fold, never one by one.
        source: fold and original recording; takes of one original share it.

    """

    path: Path
    label: str
    fold: int
    source: str


@dataclass(frozen=True, slots=True)
class LoadedClip:
    """A clip's samples, 16 kHz mono float32, with its class as an index, or NO_CLASS for what must stay quiet."""

    clip: Clip
    class_index: int
    samples: Float32


def find_clips(root: Path, folds: Collection[int] | None = None) -> list[Clip]:
    """All clips under `root` in a fixed order, or those of some folds."""
    if not root.is_dir():
        message = f"{root} is not a folder; give one that holds a folder of clips for each label"
        raise UsageError(message)
    clips = [
        _clip(path)
        for folder in sorted(root.iterdir())
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in AUDIO_SUFFIXES
    ]
    if folds is not None:
        missing = sorted(set(folds) - {clip.fold for clip in clips})
        if missing and clips:
            message = f"{root} has no clip of fold {missing[0]}; it has {sorted({clip.fold for clip in clips})}"
            raise UsageError(message)
        clips = [clip for clip in clips if clip.fold in folds]
    if not clips:
        message = f"{root} holds no clips; they are expected as LABEL/FOLD-SOURCE-TAKE.ogg (or wav, flac, mp3)"
        raise UsageError(message)
    return clips


def _clip(path: Path) -> Clip:
    fold, _, rest = path.stem.partition("-")
    if not fold.isdigit():
        message = f"{path} has no fold: its name must start with a number and a dash, such as 1-dog.ogg"
        raise UsageError(message)
    source = f"{fold}-{rest.split('-')[0]}"
    return Clip(path, path.parent.name, int(fold), source)


def labels_of(clips: Sequence[Clip]) -> tuple[str, ...]:
    """The labels, sorted: their order is the order of classes everywhere after."""
    return tuple(sorted({clip.label for clip in clips}))


def load_clips(clips: Sequence[Clip], labels: Sequence[str]) -> list[LoadedClip]:
    """Read every clip. An all-silent one is an error: nothing could be learnt from it."""
    loaded = []
    for clip in clips:
        if clip.label not in labels:
            message = f"{clip.path} has the label {clip.label}, which is not among {', '.join(labels)}"
            raise EdgeDetectorError(message)
        samples = read_16khz(clip.path)
        if not np.any(samples):
            message = f"{clip.path} is silent from end to end; remove it"
            raise EdgeDetectorError(message)
        loaded.append(LoadedClip(clip, labels.index(clip.label), samples))
    return loaded


def with_background(clips: Sequence[LoadedClip], labels: Sequence[str], root: Path) -> tuple[list[LoadedClip], tuple[str, ...]]:
    """Clips and background together, and their labels: speech and music become classes, the rest of it is of none."""
    found = find_clips(root)
    classes = {clip.label for clip in found if clip.label in BACKGROUND_CLASSES}
    together = tuple(sorted({*labels, *classes}))
    renumbered = [replace(clip, class_index=together.index(clip.clip.label)) for clip in clips]
    known = load_clips([clip for clip in found if clip.label in together], together)
    return [*renumbered, *known, *load_unlabelled([clip for clip in found if clip.label not in together])], together


def load_unlabelled(clips: Sequence[Clip]) -> list[LoadedClip]:
    """Read clips that are of no class."""
    return [LoadedClip(clip, NO_CLASS, read_16khz(clip.path)) for clip in clips]


def is_background(clip: LoadedClip) -> bool:
    """Whether a clip is speech, music or of no class."""
    return clip.class_index == NO_CLASS or clip.clip.label in BACKGROUND_CLASSES
