"""Extend a bundle with new classes: thresholds, figures and manifest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from convert.audio.augment import gain_of_db
from convert.audio.clips import LoadedClip
from convert.bundling.embedder import BundledEmbedder
from convert.bundling.writer import created
from convert.embedder.runtime import detector_model
from convert.evaluation.calibration import Choice, Limits, Stream, at_hop, choice_as_json, choose, hours, starts_in
from convert.evaluation.score_streams import NOISE, Ear, ear_of, found_by_hop, hear, hear_noise
from convert.evaluation.scoring import accuracy
from convert.records.classes import ClassName
from convert.sequence.probe_codes import stream_codes
from convert.sequence.steps import Step
from edge_detector.detection import bundle as format_
from edge_detector.detection.hysteresis import Rule
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.types import Float32

NOISE_MINUTES = 10.0
GAINS_DB = (0.0, -15.0)
KEPT_RECALL = 0.9
"""Lowest share kept of the recordings that the lowest threshold finds."""

RECALL_ON = (
    "the recordings of the new sounds, each heard by a model that had not learnt from it; whatever the false alarms, a threshold "
    "costs no more than one in ten of those that the lowest one finds"
)
MOST_DOUBLINGS, ANY_NUMBER = 8, 1e9
FEW = 10
"""The card warns of classes with fewer recordings."""

KIND = "lstm"
JOINED_FRAMES = 60
UNTRIED = Rule(on=0.5, off=0.3)
PROTOCOL = (
    "Each recording of the new sounds was left out once, with all takes of its original, and heard by a model that had learnt "
    "from the others ({parts} models), through the detector's own streaming path, at the thresholds of this bundle. This bundle "
    "itself learnt from all of them."
)
RECORD_THE_ROOM = "Ten minutes of the room with nothing special in it, given as --background, keep false alarms down."

Rules: TypeAlias = Mapping[str, Mapping[int, Rule]]
"""Rules by class slug, for each hop."""


@dataclass(frozen=True, slots=True)
class ExtendedBundle:
    """Bundle's classes and the new ones.

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
        """Keep none of the bundle's classes, or all but the replaced ones, whose labels are inherited."""
        old = {sound.slug: sound for sound in base.manifest.classes}
        named = [ClassName(each.slug, old[each.slug].label, old[each.slug].mid) if each.slug in old else each for each in new]
        slugs = {each.slug for each in new}
        kept = () if only else tuple(index for index, slug in enumerate(old) if slug not in slugs)
        return cls(base, kept, tuple(named))

    @property
    def replaced(self) -> tuple[str, ...]:
        """Slugs of the bundle's classes that new ones replace."""
        return tuple(sorted({sound.slug for sound in self.base.manifest.classes} & {each.slug for each in self.new}))

    def classes(self, rules: Rules | None = None) -> tuple[format_.SoundClass, ...]:
        """Return the kept classes unchanged, then the new ones with these rules."""
        untried = dict.fromkeys(HOPS_PER_PATCH, UNTRIED)
        new = [
            format_.SoundClass(each.slug, each.label, each.mid, (rules or {}).get(each.slug, untried), output=each.slug)
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

    def joined(self, step: Step) -> Step:
        """Merge the new classes' sequence model with the bundle's, or return it alone if no output is kept."""
        if not self.kept:
            return step
        from convert.sequence.merge_tflite import joined  # noqa: PLC0415 - TensorFlow takes seconds to load

        codes = stream_codes(JOINED_FRAMES, 0)
        return joined(Step.of_bundle(self.base), step, self.kept_outputs, self.base.manifest.sequence.context_frames, codes)

    def ear(self, step: Step) -> Ear:
        """Return the `Ear` of the extended bundle."""
        classes = self.classes()
        return ear_of(detector_model(self.bundle(step, classes), classes))

    def bundle(self, step: Step, classes: Sequence[format_.SoundClass]) -> format_.Bundle:
        """Return the bundle with this sequence model."""
        states = tuple(format_.StateTensor(name, tuple(shape)) for name, shape in step.states.items())
        sequence = replace(self.base.manifest.sequence, kind=KIND, states=states)
        manifest = replace(self.base.manifest, sequence=sequence, classes=tuple(classes), outputs=self.outputs)
        return format_.Bundle(manifest, self.base.embedder, step.content, self.base.pca)


def background_streams(ear: Ear, background: Sequence[Float32], seed: int) -> dict[str, list[Stream]]:
    """Return streams without the new classes: synthetic noise, and the user's background at each level."""
    found = {NOISE: hear_noise(ear, NOISE_MINUTES, seed)}
    if background:
        levels = [(samples, gain_of_db(gain)) for samples in background for gain in GAINS_DB]
        found["own background"] = [hear(ear, samples * gain, frozenset()) for samples, gain in levels]
    return found


def calibrated(
    taught: ExtendedBundle, background: Mapping[str, Sequence[Stream]], held_out: Sequence[Stream], limits: Limits
) -> dict[str, Any]:
    """Choose thresholds of the new classes by slug and hop; also return the criteria.

    Chosen as calibrate does, unless that loses more recordings than KEPT_RECALL allows: a noise-like class would
    otherwise never be detected. Its resulting false alarms are among the figures.
    """
    streams = [stream for found in background.values() for stream in found]
    first = len(taught.kept)

    def chosen(index: int, hops: int) -> Choice:
        for allowed in (limits.per_hour, *((2**power + 0.5) / hours(streams) for power in range(MOST_DOUBLINGS)), ANY_NUMBER):
            choice = choose(streams, held_out, index, hops, replace(limits, per_hour=max(allowed, limits.per_hour)))
            lowest = choose(streams, held_out, index, hops, replace(limits, per_hour=ANY_NUMBER))
            if (choice.recall or 0.0) >= KEPT_RECALL * (lowest.recall or 0.0):
                break
        return choice

    return {
        "false_alarms_per_hour": limits.per_hour,
        "margin": limits.margin,
        "gains_db": list(GAINS_DB),
        "hours": {label: round(hours(found), 3) for label, found in background.items()},
        "clips": len(held_out),
        "recall_on": RECALL_ON,
        "classes": {
            each.slug: {format_.hop_key(hops): choice_as_json(chosen(first + number, hops)) for hops in HOPS_PER_PATCH}
            for number, each in enumerate(taught.new)
        },
    }


def rules_of(calibration: Mapping[str, Any]) -> Rules:
    """Return the rules in the result of `calibrated`."""
    return {
        slug: {hops: Rule(**chosen[format_.hop_key(hops)]["rule"]) for hops in HOPS_PER_PATCH}
        for slug, chosen in calibration["classes"].items()
    }


def measured(
    taught: ExtendedBundle, held_out: Sequence[Stream], clips: Sequence[LoadedClip], parts: int, rules: Rules
) -> dict[str, Any]:
    """Return cross-validated figures; `clips` in the order of the streams."""
    classes = taught.classes(rules)
    first = len(taught.kept)
    labels = [sound.slug for sound in classes]
    among = [index for index, sound in enumerate(classes) if sound.enabled]
    shifted = [replace(clip, class_index=first + clip.class_index) for clip in clips]
    also = {slug: found for slug in labels[first:] if (found := _also_heard(slug, held_out, classes[:first], labels))}
    return {
        "protocol": PROTOCOL.format(parts=parts),
        **accuracy([at_hop(stream.probabilities, 1) for stream in held_out], shifted, labels, among),
        "events": found_by_hop(held_out, classes),
        **({"also_heard": also} if also else {}),
    }


def _also_heard(
    slug: str, held_out: Sequence[Stream], kept: Sequence[format_.SoundClass], labels: Sequence[str]
) -> dict[str, int]:
    """Count recordings of a new class that also give an event of a kept class."""
    own = [stream for stream in held_out if labels.index(slug) in stream.true]
    found = {
        sound.slug: sum(starts_in(stream, index, sound.rules[1], 1) > 0 for stream in own) for index, sound in enumerate(kept)
    }
    return {other: count for other, count in found.items() if count}


def manifest_of(
    taught: ExtendedBundle,
    bundle: format_.Bundle,
    embedder: BundledEmbedder,
    *,
    name: str,
    release: str,
    facts: Mapping[str, Any],
    calibration: Mapping[str, Any],
    evaluation: Mapping[str, Any],
    errors: Mapping[str, Any],
) -> format_.Manifest:
    """Return the new bundle's description."""
    base = taught.base.manifest
    whose = f"{base.name} {base.version}"
    recordings = ", ".join(f"{slug} {count}" for slug, count in facts["recordings"].items())
    parity: dict[str, object] = {"embedder": embedder.parity, "sequence": errors}
    if taught.kept:
        same = {"classes_of": whose, "probabilities": "equal to its own, bit for bit"}
        parity = {**base.parity, "taught": errors, "kept": same}
    return replace(
        bundle.manifest,
        name=name,
        version=release,
        created=created(),
        training={
            "credits": [*embedder.credits, f"Recordings of the taught sounds, by whoever taught them: {recordings}."],
            "limits": [*_limits(facts, evaluation), *_listed(base.training.get("limits"))],
            "embedder": embedder.facts,
            "taught": {**facts, "recordings": recordings},
            "calibration": dict(calibration),
        },
        evaluation={**evaluation, **({"kept": {"of": whose, **base.evaluation}} if taught.kept else {})},
        parity=parity,
    )


def _limits(facts: Mapping[str, Any], evaluation: Mapping[str, Any]) -> list[str]:
    few = [f"{slug} ({count})" for slug, count in facts["recordings"].items() if count < FEW]
    found = [f"Learnt from few recordings: {', '.join(few)}; the figures on them say little."] if few else []
    for slug, others in evaluation.get("also_heard", {}).items():
        heard = ", ".join(f"{other} {count}" for other, count in others.items())
        found.append(f"Recordings of {slug} give events of kept classes as well: {heard} of {facts['recordings'][slug]}.")
    told_from = ["made noises", "sounds by formula"]
    if facts["negative_sequences"]:
        told_from.append("what the embedder had learnt from, speech and music in it")
    if own := facts["background_minutes"]:
        told_from.append(f"{own:.0f} minutes of the user's own background")
    advice = "" if own else f" {RECORD_THE_ROOM}"
    found.append(f"The taught classes were told from {', '.join(told_from)}. Other sounds may be taken for them.{advice}")
    return found


def _listed(items: object) -> list[str]:
    return [str(item) for item in items] if isinstance(items, (list, tuple)) else []
