"""Accuracy of a detector on labelled clips: the class of the highest mean probability, and the confusion of classes."""

from collections.abc import Callable, Collection, Sequence

import numpy as np

from convert.evaluation.figures import Accuracy
from convert.progress import Progress
from edge_detector.audio.clips import LoadedClip
from edge_detector.types import Float32


def clip_probabilities(probabilities: Callable[[Float32], Float32], clips: Sequence[LoadedClip], title: str) -> list[Float32]:
    """Return the probabilities float32 (windows, classes) of each clip, run as a stream of its own.

    Args:
        probabilities: from samples float32 (n,) at 16 kHz.
        clips: the clips.
        title: for the progress line.

    """
    progress = Progress(f"score: clip, {title}", len(clips))
    found = []
    for number, clip in enumerate(clips, 1):
        found.append(probabilities(clip.samples))
        progress.update(number)
    progress.close()
    return found


def accuracy(
    probabilities: Sequence[Float32], clips: Sequence[LoadedClip], labels: Sequence[str], among: Collection[int] | None = None
) -> Accuracy:
    """Return the accuracy by the highest mean probability of each clip, among some classes or all."""
    confusion = np.zeros((len(labels), len(labels) + 1), np.int64)
    candidates = sorted(range(len(labels)) if among is None else among)
    for clip, found in zip(clips, probabilities, strict=True):
        top = candidates[int(found[:, candidates].mean(axis=0).argmax())] if len(found) else len(labels)
        confusion[clip.class_index, top] += 1
    return Accuracy(labels=tuple(labels), confusion=tuple(tuple(row) for row in confusion.tolist()))


def confusion_table(figures: Accuracy) -> str:
    """Format the confusion as text: a row for each true class with clips, a column for each class on top."""
    width = max(map(len, figures.labels))
    lines = [" " * width + "".join(f"{label[:4]:>6}" for label in [*figures.labels, "none"]) + "  recall"]
    for label, row in zip(figures.labels, figures.confusion, strict=True):
        if label not in figures.recall:
            continue
        cells = "".join(f"{count or '.':>6}" for count in row)
        lines.append(f"{label:<{width}}{cells}  {100 * figures.recall[label]:5.1f} %")
    return "\n".join(lines)
