"""What a detector says of folders of sound, at its finest hop: of background as one long stream, of labelled clips one by one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from convert.data.augment import gain_of_db
from convert.data.background import Backgrounds
from convert.data.calibration import FINEST, Stream, false_alarms, hours, poisson_upper, starts_in
from convert.data.clips import LoadedClip, find_clips, load_unlabelled
from convert.progress import Progress
from convert.serving import stream_probabilities
from edge_detector.core.bundle import SoundClass, hop_key
from edge_detector.params import FRONT_END, HOPS_PER_PATCH
from edge_detector.pipeline.hearing import Model
from edge_detector.types import Float32

NOISE = "synthetic noise"

Ear: TypeAlias = Callable[[Float32], Float32]
"""Sound float32 (n,) at 16 kHz to probabilities float32 (hops, classes) at the finest hop."""


def ear_of(model: Model) -> Ear:
    """A bundle's."""
    return lambda samples: stream_probabilities(model, samples, FINEST)


def hear(ear: Ear, samples: Float32, true: frozenset[int]) -> Stream:
    """One stretch of sound as a stream of its own."""
    return Stream(ear(samples), true, len(samples) / FRONT_END.sample_rate_hz)


def hear_background(
    ear: Ear, folders: Sequence[Path], slugs: Sequence[str], gains_db: Sequence[float], most_hours: float | None = None
) -> dict[str, list[Stream]]:
    """Streams by label: each folder's sound at each level. A label that is a class may be heard in its own sound.

    Of each label at most `most_hours` are taken, in pieces from all of it.
    """
    found: dict[str, list[Stream]] = {}
    for folder in folders:
        clips = load_unlabelled(find_clips(folder))
        labels = sorted({clip.clip.label for clip in clips})
        progress = Progress(f"listen: {folder.name}", len(labels) * len(gains_db))
        for label in labels:
            samples = np.concatenate(_thinned([clip.samples for clip in clips if clip.clip.label == label], most_hours))
            true = frozenset({slugs.index(label)} if label in slugs else ())
            for gain in gains_db:
                found.setdefault(label, []).append(hear(ear, np.clip(samples * gain_of_db(gain), -1.0, 1.0), true))
                progress.update(sum(map(len, found.values())))
        progress.close()
    return found


def _thinned(pieces: Sequence[Float32], most_hours: float | None) -> Sequence[Float32]:
    """Pieces evenly spaced in the list, so many that they last no longer than allowed; one at least."""
    length_hours = sum(map(len, pieces)) / FRONT_END.sample_rate_hz / 3_600.0
    if most_hours is None or length_hours <= most_hours:
        return pieces
    count = max(int(len(pieces) * most_hours / length_hours), 1)
    return [pieces[index] for index in np.linspace(0, len(pieces) - 1, count).astype(int)]


def hear_noise(ear: Ear, minutes: float, seed: int) -> list[Stream]:
    """Coloured noise and hum at levels from a quiet room to a loud one, new every ten seconds."""
    rng = np.random.default_rng([seed, 1 << 30])
    backgrounds = Backgrounds(seed)
    size = 10 * FRONT_END.sample_rate_hz
    parts = [backgrounds.draw(rng, size) * gain_of_db(float(rng.uniform(-80.0, -20.0))) for _ in range(round(minutes * 6.0))]
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
