"""Uncertain classes of unlabelled recordings: YAMNet gives a label of the class, but does not separate it from other labels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_detector.errors import UsageError
from edge_detector.types import Float32

LIKELY = 0.1
"""Least probability of a label of an uncertain class ..."""

SHARE_OF_LIKELIEST = 0.6
"""... and its least ratio to the likeliest label of other sounds: a cough at 0.8 outweighs a sneeze at 0.3."""

RIVALS = 40
RIVAL_FROM = 0.02
"""Least probability of a class's labels in a recording without the class that is easily confused with it."""

GENERAL = frozenset(
    [
        "Animal",
        "Domestic animals, pets",
        "Livestock, farm animals, working animals",
        "Wild animals",
        "Fowl",
        "Chicken, rooster",
        "Dog",
        "Canidae, dogs, wolves",
        "Vehicle",
        "Aircraft",
        "Engine",
        "Light engine (high frequency)",
        "Tools",
        "Power tool",
        "Mechanisms",
        "Clock",
        "Water",
        "Liquid",
        "Ocean",
        "Thunderstorm",
        "Speech",
        "Music",
        "Crying, sobbing",
        "Silence",
        "Inside, small room",
        "Inside, large room or hall",
        "Outside, urban or manmade",
        "Outside, rural or natural",
        "Noise",
        "Environmental noise",
        "White noise",
        "Pink noise",
        "Static",
        "Sound effect",
    ]
)
"""General labels, which are no rivals of a class: YAMNet gives them together with more specific ones."""


@dataclass(frozen=True, slots=True)
class Doubts:
    """Columns of each class's AudioSet labels among all labels, and of the labels that count against it."""

    own: tuple[tuple[int, ...], ...]
    rivals: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, labels: Sequence[str], classes: Sequence[Sequence[str]]) -> "Doubts":
        """Build the columns of classes from the names of their labels; a class without labels is never uncertain.

        Raises UsageError for a name that is not in `labels`.
        """
        places = {name: index for index, name in enumerate(labels)}
        if unknown := [name for names in classes for name in names if name not in places]:
            raise UsageError(f"{unknown[0]!r}, which a class is made of, is no AudioSet label; see to its spelling")
        own = tuple(tuple(places[name] for name in names) for names in classes)
        special = [index for index, name in enumerate(labels) if name not in GENERAL]
        return cls(own, tuple(tuple(sorted(set(special) - set(columns))) for columns in own))

    def likeliest(self, probabilities: Float32) -> Float32:
        """Return the probability of each class's likeliest label, (n, classes), from those of all labels (n, labels)."""
        found = np.zeros((len(probabilities), len(self.own)), np.float32)
        for index, own in enumerate(self.own):
            if own:
                found[:, index] = probabilities[:, own].max(axis=1)
        return found

    def doubtful(self, probabilities: Float32) -> NDArray[np.bool_]:
        """Return whether each class may sound, (n, classes), from the probabilities of all labels (n, labels)."""
        likeliest = self.likeliest(probabilities)
        against = np.stack([probabilities[:, rivals].max(axis=1) for rivals in self.rivals], axis=1)
        return np.asarray((likeliest >= LIKELY) & (likeliest >= SHARE_OF_LIKELIEST * against))

    def unknown(
        self, probabilities: Float32, labels: Sequence[Sequence[int]], unlabelled: Sequence[bool]
    ) -> tuple[tuple[int, ...], ...]:
        """Return the classes that may sound in each frame besides those of its labels.

        Args:
            probabilities: of all labels (n, labels).
            labels: classes that each frame is labelled with.
            unlabelled: whether the frame has unlabelled sound; without it, no class is unknown.

        """
        return tuple(
            tuple(sorted(set(np.flatnonzero(row).tolist()) - set(known))) if unsure else ()
            for row, known, unsure in zip(self.doubtful(probabilities), labels, unlabelled, strict=True)
        )

    def rivals_of_classes(self, recordings: Sequence[Float32]) -> tuple[tuple[int, ...], ...]:
        """Return, for each class, the recordings without it that are most easily confused with it.

        A recording that may hold the class is not among them. Each is given by its probabilities of all labels (n, labels).
        """
        likeliest = np.zeros((len(recordings), len(self.own)), np.float32)
        for number, probabilities in enumerate(recordings):
            if len(probabilities):
                certain = ~self.doubtful(probabilities).any(axis=0)
                likeliest[number] = certain * self.likeliest(probabilities).max(axis=0)
        best = np.argsort(-likeliest, axis=0, kind="stable")[:RIVALS]
        return tuple(
            tuple(int(number) for number in best[:, index] if likeliest[number, index] >= RIVAL_FROM)
            for index in range(len(self.own))
        )
