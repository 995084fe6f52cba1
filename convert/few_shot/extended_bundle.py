"""Classes and outputs of a bundle that is extended by new classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from convert.embedder.runtime import detector_model
from convert.records.classes import ClassName
from convert.sequence.probe_codes import stream_codes
from convert.sequence.steps import Step
from edge_detector.detection import bundle as format_
from edge_detector.detection.detector import Networks
from edge_detector.detection.hysteresis import Rule
from edge_detector.params import HOPS_PER_PATCH

COMPARED_FRAMES = 60
UNCALIBRATED = Rule(on=0.5, off=0.3)

Rules: TypeAlias = Mapping[str, Mapping[int, Rule]]
"""Rules by class slug, for each number of hops per patch."""


@dataclass(frozen=True, slots=True)
class ExtendedBundle:
    """Classes of a bundle and new classes.

    Attributes:
        base: the extended bundle.
        kept: indices of its remaining classes.
        new: the new classes.

    """

    base: format_.Bundle
    kept: tuple[int, ...]
    new: tuple[ClassName, ...]

    @classmethod
    def beside(cls, base: format_.Bundle, new: Sequence[ClassName], *, only: bool) -> "ExtendedBundle":
        """Keep none of the bundle's classes, or all but those of a new slug, whose label and identifier are inherited."""
        old = {sound.slug: sound for sound in base.manifest.classes}
        named = [ClassName(each.slug, old[each.slug].label, old[each.slug].mid) if each.slug in old else each for each in new]
        slugs = {each.slug for each in new}
        kept = () if only else tuple(index for index, slug in enumerate(old) if slug not in slugs)
        return cls(base, kept, tuple(named))

    @property
    def base_name(self) -> str:
        """Name and version of the extended bundle."""
        return f"{self.base.manifest.name} {self.base.manifest.version}"

    @property
    def kept_slugs(self) -> tuple[str, ...]:
        """Slugs of the bundle's remaining classes."""
        return tuple(self.base.manifest.classes[index].slug for index in self.kept)

    @property
    def replaced(self) -> tuple[str, ...]:
        """Slugs of the bundle's classes that new ones replace."""
        return tuple(sorted({sound.slug for sound in self.base.manifest.classes} & {each.slug for each in self.new}))

    def classes(self, rules: Rules | None = None) -> tuple[format_.SoundClass, ...]:
        """Return the kept classes unchanged, then the new ones with these rules."""
        default = dict.fromkeys(HOPS_PER_PATCH, UNCALIBRATED)
        new = [
            format_.SoundClass(each.slug, each.label, each.mid, (rules or {}).get(each.slug, default), output=each.slug)
            for each in self.new
        ]
        return (*(self.base.manifest.classes[index] for index in self.kept), *new)

    @property
    def kept_outputs(self) -> tuple[int, ...]:
        """Indices of the kept outputs: all but those of replaced classes."""
        if not self.kept:
            return ()
        outputs, slugs = self.base.manifest.named_outputs, {each.slug for each in self.new}
        labels = len(outputs.audioset)
        return (*range(labels), *(labels + place for place, name in enumerate(outputs.sequence) if name not in slugs))

    @property
    def outputs(self) -> format_.Outputs:
        """Names of the kept outputs, then of the new classes."""
        new = tuple(each.slug for each in self.new)
        if not self.kept:
            return format_.Outputs(sequence=new)
        outputs = self.base.manifest.named_outputs
        return format_.Outputs(outputs.audioset, (*(name for name in outputs.sequence if name not in new), *new))

    def merge(self, step: Step) -> Step:
        """Merge the new classes' step with the bundle's, or return it alone if no output is kept.

        Raises EdgeDetectorError unless the merged step gives the same probabilities as both steps, to the bit.
        """
        if not self.kept:
            return step
        from convert.sequence.merge_tflite import joined  # noqa: PLC0415 - TensorFlow takes seconds to load

        codes = stream_codes(COMPARED_FRAMES, 0)
        return joined(Step.of_bundle(self.base), step, self.kept_outputs, self.base.manifest.sequence.context_frames, codes)

    def networks(self, merged: Step, kind: str) -> Networks:
        """Return the networks that output the probabilities of all classes."""
        classes = self.classes()
        return detector_model(self.bundle(merged, kind, classes), classes)

    def bundle(self, merged: Step, kind: str, classes: Sequence[format_.SoundClass]) -> format_.Bundle:
        """Return the bundle with a merged step of this kind and these classes."""
        states = tuple(format_.StateTensor(name, tuple(shape)) for name, shape in merged.states.items())
        sequence = replace(self.base.manifest.sequence, kind=kind, states=states)
        manifest = replace(self.base.manifest, sequence=sequence, classes=tuple(classes), outputs=self.outputs)
        return format_.Bundle(manifest, self.base.embedder, merged.content, self.base.pca)
