"""Detected classes, of the bundle and of the configuration, and the outputs that each combines."""

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
"""List 1 has the twelve classes of the first bundles, list 2 all classes that the bundle enables."""

UNTESTED_RULE = Rule(on=0.3, off=0.18)
"""Rule of a class defined in the configuration. YAMNet's scores of most detected sounds are 0.2 to 0.5."""


@dataclass(frozen=True, slots=True)
class ClassDefinition:
    """A class that the configuration defines: names or identifiers of AudioSet labels, and its display name or None."""

    audioset: tuple[str, ...]
    label: str | None = None


class ClassMap:
    """Maps the outputs of a bundle to class probabilities: the maximum over the outputs of each class.

    Args:
        columns: indices of each class's outputs, at least one each.

    """

    def __init__(self, columns: Sequence[Sequence[int]]) -> None:
        self._indices = np.array([index for of_class in columns for index in of_class], np.intp)
        self._starts = np.cumsum([0, *(len(of_class) for of_class in columns)])[:-1].astype(np.intp)

    @classmethod
    def of(cls, classes: Sequence[SoundClass], outputs: Outputs) -> "ClassMap":
        """Return the map of these classes."""
        return cls([columns_of(sound, outputs) for sound in classes])

    def probabilities(self, outputs: Float32) -> Float32:
        """Return the probabilities float32 (…, classes) of outputs float32 (…, V)."""
        highest: Float32 = np.maximum.reduceat(outputs[..., self._indices], self._starts, axis=-1)
        return highest


def enabled_indices(rules: Sequence[Rule]) -> tuple[int, ...]:
    """Return the indices of the enabled classes."""
    return tuple(index for index, rule in enumerate(rules) if rule.enabled)


def enabled_classes(classes: Sequence[SoundClass], rules: Sequence[Rule]) -> tuple[SoundClass, ...]:
    """Return the classes whose rules are enabled; both are in the same order."""
    return tuple(sound for sound, rule in zip(classes, rules, strict=True) if rule.enabled)


def columns_of(sound: SoundClass, outputs: Outputs) -> tuple[int, ...]:
    """Return the indices of the outputs that a class combines."""
    if sound.taught is not None:
        return (outputs.of_step + outputs.taught.index(sound.taught),)
    if sound.sequence_output is not None:
        return (len(outputs.audioset) + outputs.sequence.index(sound.sequence_output),)
    indices = {label.name: index for index, label in enumerate(outputs.audioset)}
    return tuple(indices[label] for label in sound.audioset)


def resolve_classes(
    manifest: Manifest,
    definitions: Mapping[str, ClassDefinition],
    class_list: int = NEWEST_CLASS_LIST,
    origin: str = "configuration",
) -> tuple[SoundClass, ...]:
    """Return the bundle's classes, then the configuration's. Raises UsageError for a label that the bundle does not compute.

    Args:
        manifest: the bundle's manifest.
        definitions: classes of the configuration by slug; a class of the bundle with the same slug is replaced.
        class_list: classes of later lists are disabled.
        origin: file of the definitions, for errors.

    """
    defined = {
        slug: _class_of(slug, definition, manifest, f"{origin} [class.{slug}] audioset")
        for slug, definition in definitions.items()
    }
    known = [
        defined.get(sound.slug) or (sound if sound.class_list <= class_list else _disabled(sound)) for sound in manifest.classes
    ]
    slugs = {sound.slug for sound in known}
    return (*known, *(sound for slug, sound in defined.items() if slug not in slugs))


def _disabled(sound: SoundClass) -> SoundClass:
    return replace(sound, rules={hops: replace(rule, enabled=False) for hops, rule in sound.rules.items()})


def _class_of(slug: str, definition: ClassDefinition, manifest: Manifest, where: str) -> SoundClass:
    labels = tuple(_label(where, name, manifest) for name in definition.audioset)
    return SoundClass(
        slug=slug,
        label=definition.label or slug.replace("_", " ").strip().capitalize() or slug,
        mid=labels[0].mid,
        rules=dict.fromkeys(HOPS_PER_PATCH, UNTESTED_RULE),
        audioset=tuple(dict.fromkeys(label.name for label in labels)),
    )


def _label(where: str, name: str, manifest: Manifest) -> AudioSetLabel:
    labels = manifest.named_outputs.audioset
    if not labels:
        raise UsageError(
            f"{where}: the bundle {manifest.name} {manifest.version} does not compute AudioSet's labels; "
            "use the bundle that ships with edge-detector, or remove the class"
        )
    for label in labels:
        if name.casefold() in (label.name.casefold(), label.mid):
            return label
    near = difflib.get_close_matches(name.casefold(), [label.name.casefold() for label in labels], 1)
    hint = next((f"did you mean {label.name!r}? " for label in labels if [label.name.casefold()] == near), "")
    raise UsageError(
        f"{where}: {name!r} is no AudioSet label of the bundle; {hint}edge-detector classes --search WORD lists them"
    )
