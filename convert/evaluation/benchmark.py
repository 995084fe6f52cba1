"""Detectors on the same clips, soundscapes and background, and the events that each gives."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

from convert.audio.evaluation_soundscapes import SceneComposer, ScoredScene
from convert.evaluation.figures import AlarmFigures, FoundClips, SoundscapeFigures
from convert.evaluation.score import ALL
from convert.metrics.events import SoundEvent, count_events, merge_close
from convert.progress import Progress
from edge_detector.audio.clips import LoadedClip
from edge_detector.detection.hysteresis import Decider, Rule
from edge_detector.params import FRONT_END
from edge_detector.teaching.calibration import as_scores
from edge_detector.types import EventEnd, EventStart, Float32

SNRS_DB = (0, 5, 10, 15, 20)
THRESHOLDS = (0.5, 0.2)


@dataclass(frozen=True, slots=True)
class BenchmarkDetector:
    """Detector under test: probabilities of windows, and a rule for each class.

    Attributes:
        title: for tables.
        slugs: of the classes.
        probabilities: from samples float32 (n,) at 16 kHz to float32 (windows, classes).
        step_samples: samples between two windows.
        rules: of the classes, in their order.

    """

    title: str
    slugs: tuple[str, ...]
    probabilities: Callable[[Float32], Float32]
    step_samples: int
    rules: tuple[Rule, ...]

    def events(self, samples: Float32) -> list[SoundEvent]:
        """Return the events of a recording by the detector's own decider, with short gaps merged."""
        decider = Decider(self.rules)
        known: dict[tuple[int, int], int] = {}
        ended: list[EventEnd] = []
        for scores in as_scores(self.probabilities(samples), self.step_samples):
            for detection in decider.decide(scores):
                if isinstance(detection, EventStart):
                    known[detection.class_index, detection.first_sample] = scores.end_sample
                else:
                    ended.append(detection)
        ended += [detection for detection in decider.close("ended") if isinstance(detection, EventEnd)]
        return merge_close(
            SoundEvent(
                event.first_sample,
                event.end_sample,
                known[event.class_index, event.first_sample],
                self.slugs[event.class_index],
            )
            for event in ended
        )


def found_clips(detector: BenchmarkDetector, clips: Sequence[LoadedClip]) -> FoundClips:
    """Count the clips that give an event of their class, each run as a stream of its own."""
    counts: dict[str, tuple[int, int]] = {}
    progress = Progress(f"score: clip, {detector.title}", len(clips))
    for number, clip in enumerate(clips, 1):
        is_found = any(event.label == clip.clip.label for event in detector.events(clip.samples))
        _count(counts, clip.clip.label, is_found=is_found)
        progress.update(number)
    progress.close()
    return FoundClips(counts)


def found_in_conditions(
    detector: BenchmarkDetector, clips: Sequence[LoadedClip], conditions: Mapping[str, Callable[[Float32], Float32]]
) -> dict[str, FoundClips]:
    """Count the clips found in each condition."""
    return {
        name: found_clips(detector, [replace(clip, samples=change(clip.samples)) for clip in clips])
        for name, change in conditions.items()
    }


def found_at(probabilities: Sequence[Float32], clips: Sequence[LoadedClip]) -> dict[str, FoundClips]:
    """Count the clips with a window of their class at or above each of THRESHOLDS, without a decider."""
    result = {}
    for threshold in THRESHOLDS:
        counts: dict[str, tuple[int, int]] = {}
        for clip, found in zip(clips, probabilities, strict=True):
            is_found = bool(len(found) and found[:, clip.class_index].max() >= threshold)
            _count(counts, clip.clip.label, is_found=is_found)
        result[f"{threshold:g}"] = FoundClips(counts)
    return result


def on_scenes(detectors: Mapping[str, BenchmarkDetector], composer: SceneComposer) -> dict[str, dict[str, SoundscapeFigures]]:
    """Return figures by detector and signal-to-noise ratio in dB, and over all ratios; each scene is composed once."""
    parts: dict[str, dict[str, list[SoundscapeFigures]]] = {key: {} for key in detectors}
    progress = Progress("score: soundscape", len(SNRS_DB) * len(composer))
    for turn, (snr_db, number) in enumerate([(snr, number) for snr in SNRS_DB for number in range(len(composer))], 1):
        scene = composer.compose(number, snr_db)
        for key, detector in detectors.items():
            parts[key].setdefault(str(snr_db), []).append(on_scene(detector, scene))
        progress.update(turn)
    progress.close()
    by_snr = {key: {snr: reduce(add, figures) for snr, figures in found.items()} for key, found in parts.items()}
    return {key: {**found, ALL: reduce(add, found.values())} for key, found in by_snr.items()}


def on_scene(detector: BenchmarkDetector, scene: ScoredScene) -> SoundscapeFigures:
    """Return the figures of one scene, for the classes of its clips: sounds of other classes in a clip are not labelled."""
    detected = [event for event in detector.events(scene.samples) if event.label in scene.labels]
    hours = len(scene.samples) / FRONT_END.sample_rate_hz / 3_600.0
    return SoundscapeFigures.of_classes(hours, count_events(scene.events, detected))


def alarms(
    detectors: Mapping[str, BenchmarkDetector], sounds: Mapping[str, Callable[[], Float32]], title: str
) -> dict[str, dict[str, AlarmFigures]]:
    """Return false alarms by detector and sound; a sound holds no class but that of its own name.

    Args:
        detectors: by name.
        sounds: functions that return samples, by name; each is one stream.
        title: for the progress line.

    """
    found: dict[str, dict[str, AlarmFigures]] = {key: {} for key in detectors}
    progress = Progress(f"score: {title}", len(sounds))
    for turn, (name, make) in enumerate(sounds.items(), 1):
        samples = make()
        for key, detector in detectors.items():
            counts = Counter(event.label for event in detector.events(samples) if event.label != name)
            found[key][name] = AlarmFigures(len(samples) / FRONT_END.sample_rate_hz / 3_600.0, counts)
        progress.update(turn, name)
    progress.close()
    return found


def _count(counts: dict[str, tuple[int, int]], label: str, *, is_found: bool) -> None:
    found, clips = counts.get(label, (0, 0))
    counts[label] = (found + is_found, clips + 1)
