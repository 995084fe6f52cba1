"""A detector against labelled clips: which class is on top by mean probability, and which ones are mistaken for which."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.data.clips import LoadedClip
from convert.progress import Progress
from convert.serving import stream_probabilities
from edge_detector.pipeline.hearing import Model


@dataclass(frozen=True, slots=True)
class Confusion:
    """counts[i, j]: clips of class i whose top class was j; the last column counts clips too short to say anything of."""

    labels: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def right(self) -> int:
        """Clips whose own class was on top."""
        return int(np.trace(self.counts))

    @property
    def clips(self) -> int:
        """All of them."""
        return int(self.counts.sum())

    @property
    def recall(self) -> dict[str, float]:
        """Share of each class's clips that were right; a class without clips has none."""
        totals = self.counts.sum(axis=1)
        return {label: float(self.counts[i, i] / totals[i]) for i, label in enumerate(self.labels) if totals[i]}

    def as_json(self) -> dict[str, Any]:
        """Figures for a manifest or a machine."""
        return {
            "clips": self.clips,
            "right": self.right,
            "accuracy": self.right / max(self.clips, 1),
            "recall": self.recall,
            "labels": list(self.labels),
            "confusion": self.counts.tolist(),
        }


def score_clips(model: Model, clips: Sequence[LoadedClip], labels: Sequence[str], hops_per_patch: int = 1) -> Confusion:
    """Run every clip through the detector's own path, each as a stream of its own."""
    counts = np.zeros((len(labels), len(labels) + 1), np.int64)
    progress = Progress("score: clip", len(clips))
    for number, clip in enumerate(clips, 1):
        probabilities = stream_probabilities(model, clip.samples, hops_per_patch)
        top = int(probabilities.mean(axis=0).argmax()) if len(probabilities) else len(labels)
        counts[clip.class_index, top] += 1
        progress.update(number)
    progress.close()
    return Confusion(tuple(labels), counts)


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
