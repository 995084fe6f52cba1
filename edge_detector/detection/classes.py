"""Which classes are detected: those of the bundle and those of the configuration, and which outputs each is made of."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge_detector.detection.bundle import AudioSetLabel, Manifest, Outputs, SoundClass
from edge_detector.detection.hysteresis import Rule
from edge_detector.errors import UsageError
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.types import Float32

NEWEST_CLASS_LIST = 2
"""List 1 has the twelve classes of the first bundles, list 2 every class that the bundle enables."""

UNTESTED_RULE = Rule(on=0.3, off=0.18)
"""For a class of AudioSet labels without thresholds of its own. YAMNet gives most sounds that it detects 0.2 to 0.5."""


@dataclass(frozen=True, slots=True)
class ClassDefinition:
    """A class that the configuration makes of AudioSet labels: their names or identifiers, and its name for people, or None."""

    audioset: tuple[str, ...]
    label: str | None = None


class ClassMap:
    """From the outputs of a sequence step to the probabilities of classes: of each class, the highest of its outputs.

    Args:
        columns: the indices of each class's outputs, at least one of each.

    """

    def __init__(self, columns: Sequence[Sequence[int]]) -> None:
        self._indices = np.array([index for of_class in columns for index in of_class], np.intp)
        self._starts = np.cumsum([0, *(len(of_class) for of_class in columns)])[:-1].astype(np.intp)

    @classmethod
    def of(cls, classes: Sequence[SoundClass], outputs: Outputs) -> "ClassMap":
        """The map of these classes."""
        return cls([columns_of(sound, outputs) for sound in classes])

    def probabilities(self, outputs: Float32) -> Float32:
        """Probabilities float32 (…, classes) of outputs float32 (…, V)."""
        found: Float32 = np.maximum.reduceat(outputs[..., self._indices], self._starts, axis=-1)
        return found


def enabled_indices(rules: Sequence[Rule]) -> tuple[int, ...]:
    """Where in these rules, and so among the classes, the classes are that are decided."""
    return tuple(index for index, rule in enumerate(rules) if rule.enabled)


def enabled_classes(classes: Sequence[SoundClass], rules: Sequence[Rule]) -> tuple[SoundClass, ...]:
    """The classes that are decided by these rules, which are in the order of the classes."""
    return tuple(sound for sound, rule in zip(classes, rules, strict=True) if rule.enabled)


def columns_of(sound: SoundClass, outputs: Outputs) -> tuple[int, ...]:
    """Indices of the outputs that a class is made of."""
    if sound.sequence_output is not None:
        return (len(outputs.audioset) + outputs.sequence.index(sound.sequence_output),)
    places = {label.name: index for index, label in enumerate(outputs.audioset)}
    return tuple(places[label] for label in sound.audioset)


def resolve_classes(
    manifest: Manifest, definitions: Mapping[str, ClassDefinition], class_list: int = NEWEST_CLASS_LIST
) -> tuple[SoundClass, ...]:
    """The bundle's classes, then the configuration's own. Raises UsageError for a label that the bundle does not compute.

    Args:
        manifest: of the bundle.
        definitions: classes of the configuration by slug; one with the name of a bundle's class takes its place.
        class_list: classes of later lists are off unless they are switched on.

    """
    defined = {slug: _defined(slug, definition, manifest) for slug, definition in definitions.items()}
    known = [
        defined.get(sound.slug) or (sound if sound.class_list <= class_list else _switched_off(sound))
        for sound in manifest.classes
    ]
    slugs = {sound.slug for sound in known}
    return (*known, *(sound for slug, sound in defined.items() if slug not in slugs))


def _switched_off(sound: SoundClass) -> SoundClass:
    return replace(sound, rules={hops: replace(rule, enabled=False) for hops, rule in sound.rules.items()})


def _defined(slug: str, definition: ClassDefinition, manifest: Manifest) -> SoundClass:
    labels = tuple(_label(slug, name, manifest) for name in definition.audioset)
    return SoundClass(
        slug=slug,
        label=definition.label or slug.replace("_", " ").strip().capitalize() or slug,
        mid=labels[0].mid,
        rules=dict.fromkeys(HOPS_PER_PATCH, UNTESTED_RULE),
        audioset=tuple(dict.fromkeys(label.name for label in labels)),
    )


def _label(slug: str, name: str, manifest: Manifest) -> AudioSetLabel:
    labels = manifest.named_outputs.audioset
    if not labels:
        raise UsageError(
            f"[class.{slug}] audioset: the bundle {manifest.name} {manifest.version} does not compute AudioSet's labels; "
            "take the one that ships, or leave the class out"
        )
    for label in labels:
        if name.casefold() in (label.name.casefold(), label.mid):
            return label
    near = difflib.get_close_matches(name.casefold(), [label.name.casefold() for label in labels], 1)
    meant = next((f"did you mean {label.name!r}? " for label in labels if [label.name.casefold()] == near), "")
    raise UsageError(
        f"[class.{slug}] audioset: {name!r} is no AudioSet label of the bundle; "
        f"{meant}edge-detector classes --search WORD lists them"
    )
