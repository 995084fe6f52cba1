"""What a detector says of folders of sound, at its finest hop: of background as one long stream, of labelled clips one by one."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from convert.audio.augment import gain_of_db
from convert.audio.clips import BACKGROUND_CLASSES, LoadedClip, find_clips, load_unlabelled
from convert.audio.kinds import kind_of
from convert.audio.noise import Backgrounds, room_tones
from convert.embedder.pseudo_labels import Doubts
from convert.embedder.runtime import detector_model, stream_probabilities
from convert.evaluation.calibration import FINEST, Stream, false_alarms, hours, pieces_of, poisson_upper, starts_in
from convert.evaluation.thresholds import CalibrationSet
from convert.progress import Progress
from edge_detector.detection.bundle import Bundle, SoundClass, hop_key
from edge_detector.detection.classes import ClassMap
from edge_detector.detection.detector import Networks
from edge_detector.params import FRONT_END, HOPS_PER_PATCH
from edge_detector.types import Float32

NOISE = "synthetic noise"
NOISE_DBFS = (-80.0, -35.0)
"""Of rooms. Louder noise may be rain, a helicopter or the sea."""


@dataclass(frozen=True, slots=True)
class Levels:
    """How background is given to a detector.

    Attributes:
        most_hours: of each label at most, in pieces from all of it; None for all.
        gains_db: levels that its pieces are given in turn.
        noise_minutes: of made noise beside it.
        seed: of that noise.

    """

    most_hours: float | None = None
    gains_db: tuple[float, ...] = (0.0,)
    noise_minutes: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Labelled:
    """A detector's probabilities in some sound, and those of AudioSet's labels beside them.

    Attributes:
        classes: float32 (hops, classes).
        labels: float32 (hops, labels), in AudioSet's order; None where it gives none.

    """

    classes: Float32
    labels: Float32 | None


def labelled_by(bundle: Bundle, classes: Sequence[SoundClass]) -> Callable[[Float32], Labelled]:
    """A bundle's probabilities of these classes and of AudioSet's labels, at the finest hop."""
    model, outputs = detector_model(bundle), bundle.manifest.named_outputs
    of_classes = ClassMap.of(classes, outputs)

    def give(samples: Float32) -> Labelled:
        found = stream_probabilities(model, samples, FINEST)
        labels = len(outputs.audioset)
        return Labelled(of_classes.probabilities(found), found[:, :labels] if labels else None)

    return give


def doubts_of(bundle: Bundle, classes: Sequence[SoundClass]) -> Doubts | None:
    """By its AudioSet labels, where it computes them."""
    labels = [label.name for label in bundle.manifest.named_outputs.audioset]
    return Doubts.of(labels, [sound.audioset for sound in classes]) if labels else None


Ear: TypeAlias = Callable[[Float32], Float32]
"""Sound float32 (n,) at 16 kHz to probabilities float32 (hops, classes) at the finest hop."""


def ear_of(model: Networks) -> Ear:
    """A bundle's."""
    return lambda samples: stream_probabilities(model, samples, FINEST)


def hear(ear: Ear, samples: Float32, true: frozenset[int]) -> Stream:
    """One stretch of sound as a stream of its own."""
    return Stream(ear(samples), true, len(samples) / FRONT_END.sample_rate_hz)


def sounds_by_label(folder: Path) -> dict[str, list[Float32]]:
    """The recordings of a folder, LABEL/1-ORIGIN.wav: float32 (n,) at 16 kHz, by label."""
    found: dict[str, list[Float32]] = {}
    for clip in load_unlabelled(find_clips(folder)):
        found.setdefault(clip.clip.label, []).append(clip.samples)
    return found


def calibration_set(
    give: Callable[[Float32], Labelled], doubts: Doubts | None, folder: Path, slugs: Sequence[str], levels: Levels
) -> CalibrationSet:
    """What a detector gives for a folder of background and for made noise; its clips are the pieces of speech and music."""
    sounds = sounds_by_label(folder)

    def ear(samples: Float32) -> Float32:
        return give(samples).classes

    continuous = continuous_streams(ear, sounds, slugs, levels)
    recordings = recording_streams(give, doubts, sounds, levels)
    # One kind of sound among the others: loud noise and buzzing hum are rarer than hours of talk.
    tones = room_tones(itertools.chain.from_iterable(sounds.values()))
    recordings[NOISE] = pieces_of(hear_noise(ear, levels.noise_minutes, levels.seed, tones))
    # Speech and music are classes too; of these the background's own is what is to be found.
    known = [stream for streams in continuous.values() for stream in streams if stream.true]
    return CalibrationSet(recordings, continuous, pieces_of(known))


def continuous_streams(
    ear: Ear, sounds: Mapping[str, Sequence[Float32]], slugs: Sequence[str], levels: Levels
) -> dict[str, list[Stream]]:
    """Speech and music of sounds by label, as long streams by name, one at each level."""
    found: dict[str, list[Stream]] = {}
    for label, every in sounds.items():
        if label not in BACKGROUND_CLASSES:
            continue
        pieces = _thinned(every, levels.most_hours)
        true = frozenset({slugs.index(label)} if label in slugs else ())
        parts = [(pieces[turn :: len(levels.gains_db)], gain) for turn, gain in enumerate(levels.gains_db)]
        progress = Progress(f"listen: {label}", len(parts))
        for number, (part, gain) in enumerate(parts, 1):
            if part:
                found.setdefault(label, []).append(hear(ear, _at_level(np.concatenate(part), gain), true))
            progress.update(number)
        progress.close()
    return found


def recording_streams(
    give: Callable[[Float32], Labelled], doubts: Doubts | None, sounds: Mapping[str, Sequence[Float32]], levels: Levels
) -> dict[str, list[Stream]]:
    """Recordings of other sound, labelled KIND_LABEL, by kind, each a stream of its own.

    By the doubts, a class may sound in a recording, and then nothing is asked of it there.
    """
    others = {label: every for label, every in sounds.items() if label not in BACKGROUND_CLASSES}
    progress = Progress("listen: other sound", sum(map(len, others.values())))
    found: dict[str, list[Stream]] = {}
    for label, every in others.items():
        streams = found.setdefault(kind_of(label), [])
        for piece, gain in zip(_thinned(every, levels.most_hours), itertools.cycle(levels.gains_db), strict=False):
            streams.append(_recording(give, doubts, _at_level(piece, gain)))
            progress.update(sum(map(len, found.values())))
    progress.close()
    return found


def _recording(give: Callable[[Float32], Labelled], doubts: Doubts | None, samples: Float32) -> Stream:
    found = give(samples)
    seconds = len(samples) / FRONT_END.sample_rate_hz
    if doubts is None or found.labels is None:
        return Stream(found.classes, frozenset(), seconds)
    doubtful = doubts.doubtful(found.labels).any(axis=0)
    return Stream(found.classes, frozenset(np.flatnonzero(doubtful).tolist()), seconds)


def _at_level(samples: Float32, gain_db: float) -> Float32:
    return np.asarray(np.clip(samples * gain_of_db(gain_db), -1.0, 1.0), np.float32)


def _thinned(pieces: Sequence[Float32], most_hours: float | None) -> Sequence[Float32]:
    """Pieces evenly spaced in the list, so many that they last no longer than allowed; one at least."""
    length_hours = sum(map(len, pieces)) / FRONT_END.sample_rate_hz / 3_600.0
    if most_hours is None or length_hours <= most_hours:
        return pieces
    count = max(int(len(pieces) * most_hours / length_hours), 1)
    return [pieces[index] for index in np.linspace(0, len(pieces) - 1, count).astype(int)]


def hear_noise(ear: Ear, minutes: float, seed: int, tones: Sequence[Float32] = ()) -> list[Stream]:
    """Coloured noise, the tones of rooms and hum at the levels of rooms, new every ten seconds."""
    rng = np.random.default_rng([seed, 1 << 30])
    backgrounds = Backgrounds(seed, tones)
    size = 10 * FRONT_END.sample_rate_hz
    parts = [backgrounds.draw(rng, size) * gain_of_db(float(rng.uniform(*NOISE_DBFS))) for _ in range(round(minutes * 6.0))]
    return [hear(ear, np.clip(np.concatenate(parts), -1.0, 1.0).astype(np.float32), frozenset())] if parts else []


def hear_clips(ear: Ear, clips: Sequence[LoadedClip]) -> list[Stream]:
    """Each clip on its own."""
    progress = Progress("listen: clip", len(clips))
    found = []
    for number, clip in enumerate(clips, 1):
        found.append(hear(ear, clip.samples, frozenset({clip.class_index})))
        progress.update(number)
    progress.close()
    return found


def found_by_hop(clips: Sequence[Stream], classes: Sequence[SoundClass]) -> dict[str, dict[str, object]]:
    """For each hop, the share of clips that give an event of their class at the classes' own thresholds."""
    result: dict[str, dict[str, object]] = {}
    for hops in HOPS_PER_PATCH:
        heard: dict[str, list[bool]] = {}
        for clip in clips:
            for index in clip.true:
                starts = starts_in(clip, index, classes[index].rules[hops], hops)
                heard.setdefault(classes[index].slug, []).append(starts > 0)
        every = [one for ones in heard.values() for one in ones]
        result[hop_key(hops)] = {
            "clips": len(every),
            "found": sum(every),
            "share": sum(every) / max(len(every), 1),
            "recall": {slug: sum(ones) / len(ones) for slug, ones in heard.items()},
        }
    return result


def alarms_by_hop(background: dict[str, list[Stream]], classes: Sequence[SoundClass]) -> dict[str, dict[str, object]]:
    """For each kind of background, its hours, and at each hop the false alarms in it, in all and by class."""
    result: dict[str, dict[str, object]] = {}
    for label, streams in background.items():
        length = hours(streams)
        kind: dict[str, object] = {"hours": round(length, 3)}
        for hops in HOPS_PER_PATCH:
            counts = false_alarms(streams, {index: sound.rules[hops] for index, sound in enumerate(classes)}, hops)
            total = sum(counts.values())
            kind[hop_key(hops)] = {
                "events": total,
                "per_hour": total / length,
                "at_most_per_hour": poisson_upper(total) / length,
                "classes": {classes[index].slug: count for index, count in counts.items() if count},
            }
        result[label] = kind
    return result
