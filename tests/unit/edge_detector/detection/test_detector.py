"""With networks of two lines: what counts here is which frames reach which state, not what a network makes of them."""

from dataclasses import replace

import numpy as np
import pytest

from edge_detector.detection.bundle import SequenceSpec, StateTensor
from edge_detector.detection.detector import Networks, StreamDetector
from edge_detector.detection.embedding import Pca
from edge_detector.detection.hysteresis import Decider, Rule
from edge_detector.errors import BundleError
from edge_detector.types import Block, Codes, Detection, EventEnd, EventStart, Float32, Scores

R = 4


class LoudnessEmbedder:
    """Embeds a patch as 0 or 1 in every component: whether there is any sound in it."""

    def embed(self, log_mel: Float32) -> Float32:
        return np.full(128, float(log_mel.max() > -4), np.float32)


class CountingStep:
    """Counts the frames each row has seen, and answers 1 if the newest had sound."""

    def step(self, codes: Codes, row: int, states: tuple[Float32, ...]) -> tuple[Float32, tuple[Float32, ...]]:
        seen = states[0] + 1
        self.seen = int(seen[row, 0])
        return np.array([float(codes[0] > 130)], np.float32), (seen,)


STEP = CountingStep()
MODEL = Networks(
    embedder=LoudnessEmbedder(),
    pca=Pca(np.eye(128, dtype=np.float32), np.zeros(128, np.float32)),
    sequence=STEP,
    spec=SequenceSpec("lstm", R, 1, (StateTensor("seen", (1,)),)),
)


def hear(detector: StreamDetector, samples: Float32, first_sample: int = 0, lost_samples: int = 0) -> list[Scores | Detection]:
    return list(detector.push(Block(samples, first_sample, lost_samples)))


def sound(seconds: float, level: float = 0.1) -> Float32:
    count = round(seconds * 16_000)
    return (level * np.random.default_rng(0).standard_normal(count)).astype(np.float32)


@pytest.mark.parametrize("hops_per_patch", [1, 2, 4])
def test_the_state_has_seen_the_last_r_frames_at_steps_of_096_seconds(hops_per_patch: int) -> None:
    detector = StreamDetector(MODEL, Decider([Rule(2, 2)]), hops_per_patch=hops_per_patch)
    ages = [item.state_age_frames for item in hear(detector, sound(10)) if isinstance(item, Scores)]
    expected = [min(hop // hops_per_patch + 1, R) for hop in range(len(ages))]
    assert ages == expected
    assert STEP.seen == R


def test_hops_are_numbered_without_holes_and_cover_the_samples_in_order() -> None:
    found = [
        item
        for item in hear(StreamDetector(MODEL, Decider([Rule(2, 2)]), hops_per_patch=4), sound(3))
        if isinstance(item, Scores)
    ]
    assert [item.sequence_number for item in found] == list(range(len(found)))
    assert [item.first_sample for item in found] == [3_840 * hop for hop in range(len(found))]


def test_a_gap_ends_events_resets_every_state_and_stands_in_the_next_scores() -> None:
    detector = StreamDetector(MODEL, Decider([Rule(0.5, 0.5)]))
    before = hear(detector, sound(4))
    assert isinstance(before[1], EventStart)
    assert before[-1].state_age_frames == 4 if isinstance(before[-1], Scores) else False
    end, scores, start = hear(detector, sound(1), first_sample=100_000, lost_samples=36_000)
    assert isinstance(end, EventEnd)
    assert (end.end_reason, end.lost_samples) == ("gap", 36_000)
    assert isinstance(scores, Scores)
    assert (scores.state_age_frames, scores.lost_samples, scores.first_sample) == (1, 36_000, 100_000)
    assert isinstance(start, EventStart)
    assert start.first_sample == 100_000


def test_closing_ends_an_open_event_at_the_last_sound() -> None:
    detector = StreamDetector(MODEL, Decider([Rule(0.5, 0.5, hold_seconds=5)]))
    hear(detector, np.concatenate([sound(2), np.zeros(32_000, np.float32)]))
    (end,) = detector.close("shutdown")
    assert isinstance(end, EventEnd)
    assert (end.end_sample, end.end_reason) == (2 * 15_360 + 15_600, "shutdown")


@pytest.mark.parametrize("hops_per_patch", [1, 2, 4])
@pytest.mark.parametrize("seconds", [0.3, 2.0])
def test_a_sound_in_the_last_moment_of_a_recording_is_an_event_within_it(seconds: float, hops_per_patch: int) -> None:
    detector = StreamDetector(MODEL, Decider([Rule(0.5, 0.5)]), hops_per_patch=hops_per_patch)
    recording = np.concatenate([np.zeros(round(16_000 * seconds) - 800, np.float32), sound(0.05)])
    assert not [item for item in hear(detector, recording) if isinstance(item, EventStart)]
    assert any(isinstance(item, EventStart) for item in detector.finish())
    (end,) = detector.close("ended")
    assert isinstance(end, EventEnd)
    assert 0 <= end.first_sample < end.end_sample == len(recording)


class BreakingStep(CountingStep):
    """Returns a number that is not a probability from the third frame on."""

    def __init__(self, value: float) -> None:
        self._value = value

    def step(self, codes: Codes, row: int, states: tuple[Float32, ...]) -> tuple[Float32, tuple[Float32, ...]]:
        outputs, states = super().step(codes, row, states)
        return (np.full_like(outputs, self._value) if self.seen > 2 else outputs), states


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1.5, -0.1])
def test_an_output_that_is_no_probability_is_raised_once_and_the_event_has_its_end(value: float) -> None:
    detector = StreamDetector(replace(MODEL, sequence=BreakingStep(value)), Decider([Rule(0.5, 0.5)]))
    found: list[Scores | Detection] = []
    with pytest.raises(BundleError, match="which is not a probability"):
        found.extend(detector.push(Block(sound(5), 0)))
    assert hear(detector, sound(5), 80_000) == [], "nothing more is heard"
    (end,) = detector.close("source_lost")
    assert isinstance(end, EventEnd)
    assert (end.end_sample, end.end_reason) == (15_360 + 15_600, "source_lost")


def test_an_embedding_that_is_not_finite_is_refused() -> None:
    class Overflowing:
        def embed(self, log_mel: Float32) -> Float32:
            return np.full(log_mel.size // 48, np.inf, np.float32)

    detector = StreamDetector(replace(MODEL, embedder=Overflowing()), Decider([Rule(0.5, 0.5)]))
    with pytest.raises(BundleError, match="the embedder gives numbers that are not finite"):
        hear(detector, sound(1))


def test_rounding_beyond_0_and_1_is_taken_for_0_and_1() -> None:
    detector = StreamDetector(replace(MODEL, sequence=BreakingStep(1.0 + 1e-6)), Decider([Rule(2, 2)]))
    assert [float(item.probabilities[0]) for item in hear(detector, sound(5)) if isinstance(item, Scores)] == 5 * [1.0]


def test_under_load_phases_are_left_out_and_start_anew_when_they_come_back() -> None:
    detector = StreamDetector(MODEL, Decider([Rule(2, 2)]), hops_per_patch=4)
    assert len(hear(detector, sound(10))) == 38
    detector.shed_load(5.0, 160_000)
    less = [item for item in hear(detector, sound(10), 160_000) if isinstance(item, Scores)]
    assert len(less) in (20, 21), "every other hop"
    assert detector.skipped_phases in (20, 21)
    assert all(item.state_age_frames == R for item in less), "what still runs keeps its state"
    for second in range(20, 60):
        detector.shed_load(0.0, second * 16_000)
    ages = [item.state_age_frames for item in hear(detector, sound(2), 320_000) if isinstance(item, Scores)]
    assert sorted(set(ages)) == [1, 2, R], "and what comes back starts anew"
