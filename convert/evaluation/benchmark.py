"""Detectors put to the same test: which clips give an event of their class, what is heard on soundscapes and where nothing is."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from convert.audio.clips import LoadedClip
from convert.audio.evaluation_soundscapes import SceneComposer, ScoredScene
from convert.evaluation.calibration import as_scores
from convert.evaluation.figures import added_events, alarms_json, events_json, found_json
from convert.metrics.events import SoundEvent, count_events, joined
from convert.progress import Progress
from edge_detector.detection.hysteresis import Decider, Rule
from edge_detector.params import FRONT_END
from edge_detector.types import EventEnd, EventStart, Float32

SNRS_DB = (0, 5, 10, 15, 20)
THRESHOLDS = (0.5, 0.2)


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody who turns sound into events: probabilities of windows, and a rule for each class.

    Attributes:
        title: for people.
        slugs: the classes.
        hear: float32 (n,) at 16 kHz to probabilities float32 (windows, classes).
        step_samples: from one window to the next.
        rules: of the classes, in their order.

    """

    title: str
    slugs: tuple[str, ...]
    hear: Callable[[Float32], Float32]
    step_samples: int
    rules: tuple[Rule, ...]

    def events(self, samples: Float32) -> list[SoundEvent]:
        """What it announces in a recording, by the detector's own decider, close ones of a class joined."""
        decider = Decider(self.rules)
        known: dict[tuple[int, int], int] = {}
        ended: list[EventEnd] = []
        for scores in as_scores(self.hear(samples), self.step_samples):
            for detection in decider.decide(scores):
                if isinstance(detection, EventStart):
                    known[detection.class_index, detection.first_sample] = scores.end_sample
                else:
                    ended.append(detection)
        ended += [detection for detection in decider.close("ended") if isinstance(detection, EventEnd)]
        return joined(
            SoundEvent(
                event.first_sample,
                event.end_sample,
                known[event.class_index, event.first_sample],
                self.slugs[event.class_index],
            )
            for event in ended
        )


def found_clips(contender: Contender, clips: Sequence[LoadedClip]) -> dict[str, Any]:
    """Which clips give an event of their class, each heard as a stream of its own."""
    counts: dict[str, list[int]] = {}
    progress = Progress(f"score: clip, {contender.title}", len(clips))
    for number, clip in enumerate(clips, 1):
        pair = counts.setdefault(clip.clip.label, [0, 0])
        pair[0] += any(event.label == clip.clip.label for event in contender.events(clip.samples))
        pair[1] += 1
        progress.update(number)
    progress.close()
    return found_json(counts)


def found_in_conditions(
    contender: Contender, clips: Sequence[LoadedClip], conditions: Mapping[str, Callable[[Float32], Float32]]
) -> dict[str, dict[str, Any]]:
    """The same of clips that were made quiet, noisy, reverberant and narrow, by condition."""
    return {
        name: found_clips(contender, [replace(clip, samples=made(clip.samples)) for clip in clips])
        for name, made in conditions.items()
    }


def found_at(probabilities: Sequence[Float32], clips: Sequence[LoadedClip]) -> dict[str, dict[str, Any]]:
    """Which clips have a window in which their own class is at or above a bare threshold, for some thresholds."""
    result = {}
    for threshold in THRESHOLDS:
        counts: dict[str, list[int]] = {}
        for clip, found in zip(clips, probabilities, strict=True):
            pair = counts.setdefault(clip.clip.label, [0, 0])
            pair[0] += bool(len(found) and found[:, clip.class_index].max() >= threshold)
            pair[1] += 1
        result[f"{threshold:g}"] = found_json(counts)
    return result


def on_scenes(contenders: Mapping[str, Contender], composer: SceneComposer) -> dict[str, dict[str, dict[str, Any]]]:
    """Events by contender and signal-to-noise ratio in dB, each scene composed once and heard by all; "all": every ratio."""
    parts: dict[str, dict[str, list[dict[str, Any]]]] = {key: {} for key in contenders}
    progress = Progress("score: soundscape", len(SNRS_DB) * len(composer))
    for turn, (snr_db, number) in enumerate([(snr, number) for snr in SNRS_DB for number in range(len(composer))], 1):
        scene = composer.compose(number, snr_db)
        for key, contender in contenders.items():
            parts[key].setdefault(str(snr_db), []).append(on_scene(contender, scene))
        progress.update(turn)
    progress.close()
    by_snr = {key: {snr: added_events(figures) for snr, figures in found.items()} for key, found in parts.items()}
    return {key: {**found, "all": added_events(list(found.values()))} for key, found in by_snr.items()}


def on_scene(contender: Contender, scene: ScoredScene) -> dict[str, Any]:
    """Events on one scene, of the classes it was composed of: whether somebody talks in a clip of a dog, nobody has noted."""
    heard = [event for event in contender.events(scene.samples) if event.label in scene.labels]
    hours = len(scene.samples) / FRONT_END.sample_rate_hz / 3_600.0
    return events_json(hours, count_events(scene.events, heard))


def alarms(
    contenders: Mapping[str, Contender], sounds: Mapping[str, Callable[[], Float32]], what: str
) -> dict[str, dict[str, dict[str, Any]]]:
    """Events by contender and name of a sound that holds no class, but the one it is named after; each is one stream."""
    found: dict[str, dict[str, dict[str, Any]]] = {key: {} for key in contenders}
    progress = Progress(f"score: {what}", len(sounds))
    for turn, (name, make) in enumerate(sounds.items(), 1):
        samples = make()
        for key, contender in contenders.items():
            counts = Counter(event.label for event in contender.events(samples) if event.label != name)
            found[key][name] = alarms_json(len(samples) / FRONT_END.sample_rate_hz / 3_600.0, counts)
        progress.update(turn, name)
    progress.close()
    return found
