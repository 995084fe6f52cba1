"""A detector against labelled clips: which class is on top by mean probability, and which ones are mistaken for which."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from convert.audio.clips import LoadedClip
from convert.evaluation.figures import accuracy_json
from convert.progress import Progress
from edge_detector.types import Float32


def clip_probabilities(hear: Callable[[Float32], Float32], clips: Sequence[LoadedClip], what: str) -> list[Float32]:
    """Probabilities float32 (windows, classes) of every clip, each heard as a stream of its own."""
    progress = Progress(f"score: clip, {what}", len(clips))
    found = []
    for number, clip in enumerate(clips, 1):
        found.append(hear(clip.samples))
        progress.update(number)
    progress.close()
    return found


def accuracy(
    probabilities: Sequence[Float32], clips: Sequence[LoadedClip], labels: Sequence[str], among: Collection[int] | None = None
) -> dict[str, Any]:
    """Figures by the top class of each clip's mean probability, of some classes or all; a clip without a window has none."""
    confusion = np.zeros((len(labels), len(labels) + 1), np.int64)
    asked = sorted(range(len(labels)) if among is None else among)
    for clip, found in zip(clips, probabilities, strict=True):
        top = asked[int(found[:, asked].mean(axis=0).argmax())] if len(found) else len(labels)
        confusion[clip.class_index, top] += 1
    return accuracy_json(labels, confusion.tolist())


def score_clips(hear: Callable[[Float32], Float32], clips: Sequence[LoadedClip], labels: Sequence[str]) -> dict[str, Any]:
    """Both at once."""
    return accuracy(clip_probabilities(hear, clips, "accuracy"), clips, labels)


def confusion_table(result: dict[str, Any]) -> str:
    """The confusion as text: rows are what it was, columns what was heard."""
    labels = result["labels"]
    width = max(len(label) for label in labels)
    lines = [" " * width + "".join(f"{label[:4]:>6}" for label in [*labels, "none"]) + "  recall"]
    for label, row in zip(labels, result["confusion"], strict=True):
        if label not in result["recall"]:
            continue
        cells = "".join(f"{count or '.':>6}" for count in row)
        lines.append(f"{label:<{width}}{cells}  {100 * result['recall'][label]:5.1f} %")
    return "\n".join(lines)
