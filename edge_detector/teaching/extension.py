"""A bundle extended by taught classes: the kept classes, whose networks stay as they are, then the new ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_detector.class_names import ClassName
from edge_detector.detection.bundle import Bundle, Manifest, Outputs, SoundClass
from edge_detector.detection.hysteresis import Rule
from edge_detector.detection.linear_classifier import LinearClassifier


@dataclass(frozen=True, slots=True)
class Extension:
    """Classes of a bundle and new classes.

    Attributes:
        base: the extended bundle.
        kept: its remaining classes, unchanged.
        new: the new classes.

    """

    base: Bundle
    kept: tuple[SoundClass, ...]
    new: tuple[ClassName, ...]

    @classmethod
    def of(cls, base: Bundle, new: Sequence[ClassName], *, only: bool) -> "Extension":
        """Keep none of the bundle's classes, or all but those of a new slug, whose label and identifier are inherited."""
        old = {sound.slug: sound for sound in base.manifest.classes}
        named = [ClassName(each.slug, old[each.slug].label, old[each.slug].mid) if each.slug in old else each for each in new]
        slugs = {each.slug for each in new}
        return cls(base, () if only else tuple(sound for sound in old.values() if sound.slug not in slugs), tuple(named))

    @property
    def base_name(self) -> str:
        """Name and version of the extended bundle."""
        return f"{self.base.manifest.name} {self.base.manifest.version}"

    @property
    def replaced(self) -> tuple[str, ...]:
        """Slugs of the bundle's classes that new ones replace."""
        return tuple(sorted({sound.slug for sound in self.base.manifest.classes} & {each.slug for each in self.new}))

    def manifest(self, rules: Mapping[str, Mapping[int, Rule]]) -> Manifest:
        """Return the bundle's manifest with the kept classes, then the new ones with these rules by slug."""
        taught = [SoundClass(each.slug, each.label, each.mid, rules[each.slug], taught=each.slug) for each in self.new]
        outputs = self.base.manifest.named_outputs
        return replace(
            self.base.manifest,
            classes=(*self.kept, *taught),
            outputs=Outputs(outputs.audioset, outputs.sequence, (*self._kept_taught, *(each.slug for each in self.new))),
        )

    def classifier(self, new: LinearClassifier) -> LinearClassifier:
        """Return the classifier of the kept taught classes, then of the new ones."""
        old = self.base.taught
        if old is None or not self._kept_taught:
            return new
        rows = [self.base.manifest.named_outputs.taught.index(name) for name in self._kept_taught]
        return LinearClassifier(np.concatenate([old.weights[rows], new.weights]), np.concatenate([old.biases[rows], new.biases]))

    @property
    def _kept_taught(self) -> tuple[str, ...]:
        """Outputs of the kept classes that were taught before."""
        return tuple(sound.taught for sound in self.kept if sound.taught is not None)
