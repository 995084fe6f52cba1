"""A bundle and YAMNet on clips and on recordings of other sounds: clips found and false events at every strictness.

**Found** is the share of clips that give an event of their class. **False of the ten** is the share of other recordings that give
an event of one of ESC-10's ten classes that cannot be in them, **false of all enabled** the same for every enabled class.

Each recording is run through each network once. Its probabilities are kept, and the detector's own decider is run on them with
the rules of every strictness.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from convert.embedder.runtime import enabled_classes, stream_probabilities
from convert.embedder.yamnet import EXAMPLE_STEP_SAMPLES, YamnetBaseline, by_identifier, names_of
from convert.evaluation.may_hold import MayHold
from convert.evaluation.other_figures import Curve, Mark, Material, OtherLabel, OtherSounds, Point
from convert.evaluation.scoring import clip_probabilities
from convert.progress import Progress
from edge_detector.audio.clips import Clip, LoadedClip
from edge_detector.audio.samples import read_16khz
from edge_detector.detection.bundle import Bundle, SoundClass, hop_key
from edge_detector.detection.detector import Networks
from edge_detector.detection.hysteresis import STRICTNESS_LOG_ODDS, Decider, Rule, shifted
from edge_detector.detection.networks_of_bundle import networks_of
from edge_detector.errors import UsageError
from edge_detector.params import FRONT_END
from edge_detector.teaching.calibration import OFF_SHARE, as_scores
from edge_detector.types import EventStart, Float32

TEN = (
    *("baby_cry", "chainsaw", "clock_tick", "dog_bark", "fire_crackling"),
    *("helicopter", "person_sneeze", "rain", "rooster", "sea_waves"),
)
"""ESC-10's classes."""

SHIFTS = tuple(sorted({*(step / 4.0 for step in range(-12, 13)), *STRICTNESS_LOG_ODDS.values()}))
"""Shifts of all thresholds of a bundle, in log-odds."""

THRESHOLDS = tuple(step / 20.0 for step in range(1, 19))
MARKED_THRESHOLDS = (0.5, 0.2)
"""Thresholds of YAMNet, one for all classes."""

BUNDLE, PEER_LABELS, PEER_IDENTIFIERS = "bundle", "yamnet_labels", "yamnet_identifiers"

Rules = tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Detector:
    """Rules on some columns of a network's probabilities.

    Attributes:
        title: for tables.
        first_column: first of the adjacent columns of its classes.
        rules: of its classes, by strictness, from sensitive to strict.
        marks: strictnesses with a name, by name.

    """

    title: str
    first_column: int
    rules: Mapping[str, Rules]
    marks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Network:
    """Network that is run once on each recording.

    Attributes:
        probabilities: from samples float32 (n,) at 16 kHz, and samples between two windows, to float32 (windows, columns).
        detectors: by key of the result; all have the same classes.

    """

    probabilities: Callable[[Float32, int], Float32]
    detectors: Mapping[str, Detector]

    def every(self, step_samples: int) -> Callable[[Float32], Float32]:
        """Return the function from samples to probabilities at this step."""
        return lambda samples: self.probabilities(samples, step_samples)


@dataclass(frozen=True, slots=True)
class Kept:
    """Probabilities of one recording: float32 (windows, columns)."""

    label: str
    probabilities: Float32


@dataclass(frozen=True, slots=True)
class Detected:
    """Classes with an event in one recording."""

    label: str
    classes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts at one strictness.

    Attributes:
        found: clips with an event of their class, by class.
        of_ten: recordings of other sounds with a false event of ESC-10's ten classes, by label.
        of_enabled: the same for the enabled classes.
        of_class: the same for each class, by class, without recordings that may hold any sound.

    """

    found: Counter[str]
    of_ten: Counter[str]
    of_enabled: Counter[str]
    of_class: Counter[str]


def measured_classes(bundle: Bundle) -> tuple[SoundClass, ...]:
    """Return the enabled classes, then the disabled ones of ESC-10's ten."""
    enabled = enabled_classes(bundle)
    return (*enabled, *(sound for sound in bundle.manifest.classes if sound.slug in TEN and sound not in enabled))


def require_ten(bundle: Bundle, folder: Path) -> None:
    """Raise UsageError for a bundle without one of ESC-10's ten classes, whose share of false recordings is not comparable."""
    if missing := sorted(set(TEN) - {sound.slug for sound in bundle.manifest.classes}):
        raise UsageError(f"{folder} has no class {', '.join(missing)}; --others is for bundles with ESC-10's ten classes")


def of_bundle(bundle: Bundle, hops_per_patch: int) -> Network:
    """Build a bundle's network as the detector runs it, with its thresholds and all of them shifted."""
    classes = measured_classes(bundle)
    shipped = [sound.rules[hops_per_patch] for sound in classes]
    detector = Detector(
        title=f"this bundle, hop {hop_key(hops_per_patch)} s",
        first_column=0,
        rules={f"{shift:g}": tuple(replace(shifted(rule, shift), enabled=True) for rule in shipped) for shift in SHIFTS},
        marks={name: f"{shift:g}" for name, shift in STRICTNESS_LOG_ODDS.items()},
    )
    return Network(partial(_streamed, networks_of(bundle, classes)), {BUNDLE: detector})


def of_peer(path: Path, bundle: Bundle) -> Network:
    """Build YAMNet with the same classes, made of the labels that the bundle names, and of those by identifier."""
    classes = measured_classes(bundle)
    variants = {PEER_LABELS: ("YAMNet, the bundle's labels", classes)}
    by_table = tuple(map(by_identifier, classes))
    if any(set(names_of(one)) != set(names_of(other)) for one, other in zip(classes, by_table, strict=True)):
        variants[PEER_IDENTIFIERS] = ("YAMNet, labels by identifier", by_table)
    rules = {f"{on:g}": (Rule(on, OFF_SHARE * on),) * len(classes) for on in THRESHOLDS}
    marks = {f"{on:g}": f"{on:g}" for on in MARKED_THRESHOLDS}
    detectors = {
        key: Detector(title, number * len(classes), rules, marks) for number, (key, (title, _)) in enumerate(variants.items())
    }
    peer = YamnetBaseline(path, [sound for _, variant in variants.values() for sound in variant])
    return Network(peer.probabilities, detectors)


def kept_clips(clips: Sequence[LoadedClip], probabilities: Sequence[Float32]) -> list[Kept]:
    """Return the probabilities of clips with their labels."""
    return [Kept(clip.clip.label, each) for clip, each in zip(clips, probabilities, strict=True)]


def peer_clips(
    network: Network, clips: Sequence[LoadedClip], enabled: int, step_samples: int
) -> tuple[list[Float32], list[Kept]]:
    """Run YAMNet once on each clip.

    Args:
        network: YAMNet.
        clips: the clips.
        enabled: number of enabled classes, whose columns come first.
        step_samples: samples between two windows for other sounds.

    Returns:
        Probabilities of the enabled classes at the windows of Google's example code, and those of all columns at `step_samples`.

    """
    finest = min(step_samples, EXAMPLE_STEP_SAMPLES)
    measured = clip_probabilities(network.every(finest), clips, "YAMNet")
    in_example = [each[:: EXAMPLE_STEP_SAMPLES // finest, :enabled] for each in measured]
    return in_example, kept_clips(clips, [each[:: step_samples // finest] for each in measured])


def detected(probabilities: Float32, rules: Rules, step_samples: int) -> frozenset[int]:
    """Return the indices of the classes that give an event in a recording, by the detector's own decider.

    Args:
        probabilities: (windows, classes).
        rules: of the classes.
        step_samples: samples between two windows.

    """
    on = np.array([rule.on for rule in rules])
    # A class that never reaches `on` gives no event; leaving these out saves most of the decider's time.
    columns = np.flatnonzero(probabilities.max(axis=0).astype(np.float64) >= on)
    decider = Decider([rules[column] for column in columns])
    return frozenset(
        int(columns[found.class_index])
        for scores in as_scores(probabilities[:, columns], step_samples)
        for found in decider.decide(scores)
        if isinstance(found, EventStart)
    )


def counted(clips: Sequence[Detected], others: Sequence[Detected], may_hold: MayHold, enabled: Collection[str]) -> Counts:
    """Count the clips found, and the false events in recordings of other sounds."""
    counts = Counts(Counter(), Counter(), Counter(), Counter())
    for each in clips:
        counts.found[each.label] += each.label in each.classes
    for each in others:
        wrong = each.classes - may_hold.classes(each.label)
        counts.of_ten[each.label] += not wrong.isdisjoint(TEN)
        counts.of_enabled[each.label] += not wrong.isdisjoint(enabled)
        if each.label not in may_hold.anything:
            counts.of_class.update(wrong)
    return counts


def measure(
    bundle: Bundle,
    hops_per_patch: int,
    runs: Sequence[tuple[Network, Sequence[Kept]]],
    others: Sequence[Clip],
    may_hold: MayHold,
) -> OtherSounds:
    """Return the figures of every detector at every strictness.

    Args:
        bundle: of the classes.
        hops_per_patch: the hop.
        runs: networks, each with its probabilities of the clips at every hop.
        others: recordings of other sounds.
        may_hold: classes that may be in them.

    """
    slugs = tuple(sound.slug for sound in measured_classes(bundle))
    enabled = tuple(sound.slug for sound in enabled_classes(bundle))
    step_samples = FRONT_END.patch_step_samples // hops_per_patch
    labels = Counter(each.label for each in others)
    material = Material(
        clips=Counter(each.label for each in runs[0][1]),
        others={
            label: OtherLabel(count, tuple(slug for slug in slugs if slug in may_hold.classes(label)))
            for label, count in labels.items()
        },
        anything=tuple(sorted(may_hold.anything & set(labels))),
    )
    kept_others = keep([network for network, _ in runs], others, step_samples)
    curves = {}
    for (network, kept_clips), own_others in zip(runs, kept_others, strict=True):
        for key, detector in network.detectors.items():
            by_strictness = {
                strictness: counted(
                    _detected(kept_clips, detector, rules, slugs, step_samples),
                    _detected(own_others, detector, rules, slugs, step_samples),
                    may_hold,
                    enabled,
                )
                for strictness, rules in detector.rules.items()
            }
            curves[key] = _curve(detector, by_strictness, material)
    return OtherSounds(
        clips=material.clips,
        others=material.others,
        anything=material.anything,
        hop_seconds=float(hop_key(hops_per_patch)),
        enabled=enabled,
        curves=curves,
    )


def keep(networks: Sequence[Network], recordings: Sequence[Clip], step_samples: int) -> list[list[Kept]]:
    """Return the probabilities of recordings by network; each recording is read once."""
    kept: list[list[Kept]] = [[] for _ in networks]
    progress = Progress("score: other sound", len(recordings))
    for number, recording in enumerate(recordings, 1):
        samples = read_16khz(recording.path)
        for own, network in zip(kept, networks, strict=True):
            own.append(Kept(recording.label, network.probabilities(samples, step_samples)))
        progress.update(number)
    progress.close()
    return kept


def _detected(kept: Sequence[Kept], detector: Detector, rules: Rules, slugs: Sequence[str], step_samples: int) -> list[Detected]:
    columns = slice(detector.first_column, detector.first_column + len(slugs))
    return [
        Detected(each.label, frozenset(slugs[index] for index in detected(each.probabilities[:, columns], rules, step_samples)))
        for each in kept
    ]


def _curve(detector: Detector, by_strictness: Mapping[str, Counts], material: Material) -> Curve:
    points = {
        strictness: Point(
            material.found(counts.found.total()), material.false_share(counts.of_ten), material.false_share(counts.of_enabled)
        )
        for strictness, counts in by_strictness.items()
    }
    marks = {
        name: Mark(strictness, counts.found, counts.of_ten, counts.of_enabled, counts.of_class)
        for name, strictness in detector.marks.items()
        for counts in [by_strictness[strictness]]
    }
    return Curve(detector.title, points, marks)


def _streamed(model: Networks, samples: Float32, step_samples: int) -> Float32:
    return stream_probabilities(model, samples, FRONT_END.patch_step_samples // step_samples)
