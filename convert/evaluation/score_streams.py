"""Probabilities of folders of sound at the finest hop: background as long streams, labelled clips one by one."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from convert.audio.kinds import kind_of
from convert.embedder.pseudo_labels import Doubts
from convert.embedder.runtime import stream_probabilities
from convert.evaluation.figures import AlarmFigures
from convert.evaluation.thresholds import CalibrationSet
from convert.progress import Progress
from edge_detector.audio.clips import BACKGROUND_CLASSES, LoadedClip, find_clips, load_unlabelled
from edge_detector.detection.bundle import Bundle, SoundClass, hop_key
from edge_detector.detection.classes import ClassMap
from edge_detector.detection.detector import Networks
from edge_detector.detection.networks_of_bundle import networks_of
from edge_detector.params import FRONT_END, HOPS_PER_PATCH
from edge_detector.teaching.augment import gain_of_db
from edge_detector.teaching.calibration import FINEST, Stream, false_alarms, hours, pieces_of
from edge_detector.teaching.noise import Backgrounds, room_noise, room_tones
from edge_detector.types import Float32

NOISE = "synthetic noise"


@dataclass(frozen=True, slots=True)
class Levels:
    """Length and levels of background.

    Attributes:
        most_hours: maximum for each label, in pieces from all of it; None for all.
        gains_db: levels of its pieces in turn.
        noise_minutes: length of synthetic noise beside it.
        seed: of that noise.

    """

    most_hours: float | None = None
    gains_db: tuple[float, ...] = (0.0,)
    noise_minutes: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Labelled:
    """Probabilities of classes and of AudioSet's labels.

    Attributes:
        classes: float32 (hops, classes).
        labels: float32 (hops, labels), in AudioSet's order; None if the detector computes none.

    """

    classes: Float32
    labels: Float32 | None


def labelled_by(bundle: Bundle, classes: Sequence[SoundClass]) -> Callable[[Float32], Labelled]:
    """Return the function from samples to a bundle's probabilities of these classes and of AudioSet's labels."""
    model, outputs = networks_of(bundle), bundle.manifest.named_outputs
    of_classes = ClassMap.of(classes, outputs)

    def label(samples: Float32) -> Labelled:
        found = stream_probabilities(model, samples, FINEST)
        labels = len(outputs.audioset)
        return Labelled(of_classes.probabilities(found), found[:, :labels] if labels else None)

    return label


def doubts_of(bundle: Bundle, classes: Sequence[SoundClass]) -> Doubts | None:
    """Return the uncertainty of the classes by the bundle's AudioSet labels; None if it computes none."""
    labels = [label.name for label in bundle.manifest.named_outputs.audioset]
    return Doubts.of(labels, [sound.audioset for sound in classes]) if labels else None


Probabilities: TypeAlias = Callable[[Float32], Float32]
"""Function from samples float32 (n,) at 16 kHz to probabilities float32 (hops, classes) at the finest hop."""


def finest_probabilities(model: Networks) -> Probabilities:
    """Return the function of a bundle's networks."""
    return lambda samples: stream_probabilities(model, samples, FINEST)


def stream_of(probabilities: Probabilities, samples: Float32, true: frozenset[int]) -> Stream:
    """Run samples as a stream of their own."""
    return Stream(probabilities(samples), true, len(samples) / FRONT_END.sample_rate_hz)


def sounds_by_label(folder: Path) -> dict[str, list[Float32]]:
    """Load the recordings of a folder, LABEL/1-ORIGIN.wav: float32 (n,) at 16 kHz, by label."""
    found: dict[str, list[Float32]] = {}
    for clip in load_unlabelled(find_clips(folder)):
        found.setdefault(clip.clip.label, []).append(clip.samples)
    return found


def calibration_set(
    label: Callable[[Float32], Labelled], doubts: Doubts | None, folder: Path, slugs: Sequence[str], levels: Levels
) -> CalibrationSet:
    """Run a folder of background and synthetic noise; the clips are the pieces of speech and music."""
    sounds = sounds_by_label(folder)

    def probabilities(samples: Float32) -> Float32:
        return label(samples).classes

    continuous = continuous_streams(probabilities, sounds, slugs, levels)
    recordings = recording_streams(label, doubts, sounds, levels)
    # Noise is one kind of recording among others, because loud noise and hum are rarer than hours of speech.
    tones = room_tones(itertools.chain.from_iterable(sounds.values()))
    recordings[NOISE] = pieces_of(noise_streams(probabilities, levels.noise_minutes, levels.seed, tones))
    # Speech and music are classes too, and their background holds the clips of these classes.
    known = [stream for streams in continuous.values() for stream in streams if stream.true]
    return CalibrationSet(recordings, continuous, pieces_of(known))


def continuous_streams(
    probabilities: Probabilities, sounds: Mapping[str, Sequence[Float32]], slugs: Sequence[str], levels: Levels
) -> dict[str, list[Stream]]:
    """Run speech and music as long streams by label, one for each level."""
    found: dict[str, list[Stream]] = {}
    for label, every in sounds.items():
        if label not in BACKGROUND_CLASSES:
            continue
        pieces = _thinned(every, levels.most_hours)
        true = frozenset({slugs.index(label)} if label in slugs else ())
        parts = [(pieces[turn :: len(levels.gains_db)], gain) for turn, gain in enumerate(levels.gains_db)]
        progress = Progress(f"stream: {label}", len(parts))
        for number, (part, gain) in enumerate(parts, 1):
            if part:
                found.setdefault(label, []).append(stream_of(probabilities, _at_level(np.concatenate(part), gain), true))
            progress.update(number)
        progress.close()
    return found


def recording_streams(
    label: Callable[[Float32], Labelled], doubts: Doubts | None, sounds: Mapping[str, Sequence[Float32]], levels: Levels
) -> dict[str, list[Stream]]:
    """Run recordings of other sound, labelled KIND_LABEL, each as a stream of its own, by kind.

    A class that may be in a recording by its labels is not counted there.
    """
    others = {name: every for name, every in sounds.items() if name not in BACKGROUND_CLASSES}
    progress = Progress("stream: other sound", sum(map(len, others.values())))
    found: dict[str, list[Stream]] = {}
    for name, every in others.items():
        streams = found.setdefault(kind_of(name), [])
        for piece, gain in zip(_thinned(every, levels.most_hours), itertools.cycle(levels.gains_db), strict=False):
            streams.append(_recording(label, doubts, _at_level(piece, gain)))
            progress.update(sum(map(len, found.values())))
    progress.close()
    return found


def _recording(label: Callable[[Float32], Labelled], doubts: Doubts | None, samples: Float32) -> Stream:
    found = label(samples)
    seconds = len(samples) / FRONT_END.sample_rate_hz
    if doubts is None or found.labels is None:
        return Stream(found.classes, frozenset(), seconds)
    doubtful = doubts.doubtful(found.labels).any(axis=0)
    return Stream(found.classes, frozenset(np.flatnonzero(doubtful).tolist()), seconds)


def _at_level(samples: Float32, gain_db: float) -> Float32:
    return np.asarray(np.clip(samples * gain_of_db(gain_db), -1.0, 1.0), np.float32)


def _thinned(pieces: Sequence[Float32], most_hours: float | None) -> Sequence[Float32]:
    """Return pieces evenly spaced in the list, within the maximum length; one at least."""
    length_hours = sum(map(len, pieces)) / FRONT_END.sample_rate_hz / 3_600.0
    if most_hours is None or length_hours <= most_hours:
        return pieces
    count = max(int(len(pieces) * most_hours / length_hours), 1)
    return [pieces[index] for index in np.linspace(0, len(pieces) - 1, count).astype(int)]


def noise_streams(probabilities: Probabilities, minutes: float, seed: int, tones: Sequence[Float32] = ()) -> list[Stream]:
    """Run coloured noise, room tones and hum at the levels of rooms, drawn again every ten seconds."""
    noise = room_noise(np.random.default_rng([seed, 1 << 30]), Backgrounds(seed, tones), minutes)
    return [stream_of(probabilities, noise, frozenset())] if len(noise) else []


def clip_streams(probabilities: Probabilities, clips: Sequence[LoadedClip]) -> list[Stream]:
    """Run each clip as a stream of its own."""
    progress = Progress("stream: clip", len(clips))
    found = []
    for number, clip in enumerate(clips, 1):
        found.append(stream_of(probabilities, clip.samples, frozenset({clip.class_index})))
        progress.update(number)
    progress.close()
    return found


def alarms_by_hop(
    background: Mapping[str, Sequence[Stream]], classes: Sequence[SoundClass]
) -> dict[str, dict[str, AlarmFigures]]:
    """Count the false alarms in background by label, then by hop."""
    rules = {hops: {index: sound.rules[hops] for index, sound in enumerate(classes)} for hops in HOPS_PER_PATCH}
    return {
        label: {
            hop_key(hops): AlarmFigures(
                hours(streams),
                {classes[index].slug: count for index, count in false_alarms(streams, rules[hops], hops).items()},
            )
            for hops in HOPS_PER_PATCH
        }
        for label, streams in background.items()
    }
