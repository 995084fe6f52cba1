"""Evaluation soundscapes: every clip once a round, equal at every ratio, with their audible events as ground truth."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from convert.audio.evaluation_soundscapes import CLIPS_PER_SCENE, FRAME_SAMPLES, SceneComposer, ScoredScene
from convert.evaluation.benchmark import BenchmarkDetector, found_at, on_scene
from convert.metrics.events import SoundEvent
from edge_detector.audio.clips import Clip, LoadedClip
from edge_detector.detection.hysteresis import Rule
from edge_detector.params import FRONT_END
from edge_detector.teaching.augment import gain_of_db, rms
from edge_detector.types import Float32
from tests.support.synthetic import LABELS, RATE_HZ, loaded

CLIPS = [loaded(label, seed) for label in LABELS for seed in range(7)]


def composer(clips: Sequence[LoadedClip] = CLIPS, rounds: int = 1, seed: int = 1, **backgrounds: Float32) -> SceneComposer:
    return SceneComposer(clips, backgrounds, rounds, seed)


@cache
def scene(number: int, snr_db: float) -> ScoredScene:
    """A soundscape of all clips, cached because one takes seconds to compose."""
    return composer().compose(number, snr_db)


def beep_clip(*spans: tuple[float, float, float]) -> LoadedClip:
    """A clip of the class beep with a tone in each span (start and end in seconds, level in dB)."""
    samples = np.zeros(5 * RATE_HZ, np.float32)
    for first, end, level_db in spans:
        span = slice(round(first * RATE_HZ), round(end * RATE_HZ))
        samples[span] = np.sin(np.arange(span.stop - span.start) * 0.4) * gain_of_db(level_db)
    return LoadedClip(Clip(Path("beep/1-1.wav"), "beep", 1, "1-1"), 0, samples)


def test_every_clip_is_placed_once_a_round() -> None:
    scenes = composer(rounds=2)
    assert len(scenes) == -(-2 * len(CLIPS) // CLIPS_PER_SCENE)
    labels = Counter(event.label for number in range(len(scenes)) for event in scenes.compose(number, 20.0).events)
    # Two clips of a class with a short gap are one event.
    assert all(7 <= labels[label] <= 14 for label in LABELS)


def test_equal_seeds_give_equal_soundscapes_and_others_differ() -> None:
    one, again, other = (scene(0, 10.0), composer().compose(0, 10.0), composer(seed=2).compose(0, 10.0))
    assert np.array_equal(one.samples, again.samples)
    assert one.events == again.events
    assert not np.array_equal(one.samples[: len(other.samples)], other.samples[: len(one.samples)])


def test_only_the_level_of_the_background_changes_with_the_ratio() -> None:
    quiet, loud, louder = (scene(0, snr_db).samples for snr_db in (60.0, 10.0, 0.0))
    background, more = loud - quiet, louder - quiet
    assert rms(more) / rms(background) == pytest.approx(10.0**0.5, rel=0.05)


def test_background_with_a_label_of_the_clips_is_left_out() -> None:
    noise = np.ones(RATE_HZ, np.float32)
    assert np.array_equal(composer(hiss=noise).compose(0, 0.0).samples, scene(0, 0.0).samples)
    assert not np.array_equal(composer(street=noise).compose(0, 0.0).samples, scene(0, 0.0).samples)


def test_a_pause_of_two_seconds_separates_events_and_silence_is_outside_of_them() -> None:
    clip = beep_clip((0.5, 1.0, 0.0), (1.5, 2.0, 0.0), (4.2, 4.6, 0.0))
    events = composer([clip]).compose(0, 40.0).events
    assert [round((event.offset_sample - event.onset_sample) / RATE_HZ, 1) for event in events] == [1.5, 0.4]
    assert events[1].onset_sample - events[0].onset_sample == pytest.approx(3.7 * RATE_HZ, abs=FRAME_SAMPLES)


def test_sound_far_below_its_clip_or_the_background_is_no_event() -> None:
    faint = beep_clip((0.5, 1.0, 0.0), (3.5, 4.5, -30.0))
    assert len(composer([faint]).compose(0, 60.0).events) == 1
    soft = beep_clip((0.5, 1.0, 0.0), (3.5, 4.5, -18.0))
    found = {snr: [len(composer([soft], seed=seed).compose(0, snr).events) for seed in range(12)] for snr in (0.0, 60.0)}
    assert set(found[60.0]) == {2}
    assert 1 in found[0.0], "a background as loud as the clip masks its soft end"
    assert 2 in found[0.0], "silence does not mask it"


def oracle(events: Sequence[SoundEvent], rule: Rule) -> BenchmarkDetector:
    """A detector that returns 1 for the events in each window and 0 for the rest."""
    step = FRONT_END.patch_step_samples

    def probabilities(samples: Float32) -> Float32:
        found = np.zeros(((len(samples) - FRONT_END.patch_samples) // step + 1, len(LABELS)), np.float32)
        for number, row in enumerate(found):
            for event in events:
                if event.onset_sample < number * step + FRONT_END.patch_samples and number * step < event.offset_sample:
                    row[LABELS.index(event.label)] = 1.0
        return found

    return BenchmarkDetector("oracle", LABELS, probabilities, step, (rule,) * len(LABELS))


def test_an_oracle_has_an_f1_of_1_and_a_detector_without_events_of_0() -> None:
    rule = Rule(on=0.5, off=0.5, hold_seconds=0.0)
    for number in range(2):
        composed = scene(number, 10.0)
        figures = on_scene(oracle(composed.events, rule), composed)
        assert figures.f1 == 1.0
        assert figures.false_alarms == 0
        assert figures.latency_median_seconds is not None
        assert 0.0 < figures.latency_median_seconds <= 0.975
        assert on_scene(oracle((), rule), composed).f1 == 0.0


def test_a_minimum_duration_increases_the_latency() -> None:
    composed = scene(0, 10.0)
    late = on_scene(oracle(composed.events, Rule(on=0.5, off=0.5, hold_seconds=0.0, min_seconds=0.9)), composed)
    prompt = on_scene(oracle(composed.events, Rule(on=0.5, off=0.5, hold_seconds=0.0)), composed)
    assert prompt.latency_median_seconds is not None
    assert late.latency_median_seconds == pytest.approx(prompt.latency_median_seconds + 0.96, abs=0.1)


def test_a_plain_threshold_needs_one_window_of_the_clip_s_class() -> None:
    clips = [loaded("beep", 0), loaded("hiss", 0), loaded("hiss", 1)]
    scores = [np.array(rows, np.float32) for rows in ([[0.1, 0.9, 0.0], [0.5, 0.0, 0.0]], [[0.9, 0.3, 0.0]], np.zeros((0, 3)))]
    found = found_at(scores, clips)
    assert found["0.5"].counts == {"beep": (1, 1), "hiss": (0, 2)}
    assert found["0.2"].counts == {"beep": (1, 1), "hiss": (1, 2)}
    assert found["0.2"].share == pytest.approx(2 / 3)
