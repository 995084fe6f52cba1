"""What is counted on stored probabilities is what the detector announced, to the event."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from edge_detector.detection.bundle import SequenceSpec, StateTensor
from edge_detector.detection.detector import Networks, StreamDetector
from edge_detector.detection.embedding import Pca
from edge_detector.detection.hysteresis import Decider, Rule
from edge_detector.history.probabilities import Block, BlockCollector
from edge_detector.history.would_have import count
from edge_detector.types import Block as Sound
from edge_detector.types import Codes, Detection, EventStart, Float32, Scores
from tests.support.history import NOON_MS
from tests.support.probabilities import blocks_of, stored, with_events

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
SLUGS = ("rain", "siren", "dog_bark")
RULES = (
    Rule(on=0.6, off=0.35, hold_seconds=1.0),
    Rule(on=0.75, off=0.2, min_seconds=0.9, hold_seconds=4.0, max_seconds=20.0),
    Rule(on=0.5, off=0.5, hold_seconds=0.0, refractory_seconds=6.0),
)
HALF_A_BYTE = 1 / 510 + 1e-5


class Deaf:
    """An embedder that hears nothing."""

    def embed(self, log_mel: Float32) -> Float32:
        return np.zeros(128, log_mel.dtype)


class Wandering:
    """Probabilities that wander at random, and keep half a byte from every threshold."""

    def __init__(self, seed: int, rules: Sequence[Rule]) -> None:
        self._generator = np.random.default_rng(seed)
        self._rules = rules
        self._values = np.full(len(rules), 0.3)

    def step(self, codes: Codes, row: int, states: tuple[Float32, ...]) -> tuple[Float32, tuple[Float32, ...]]:
        del codes, row
        jumps = self._generator.random(len(self._rules)) < 0.1
        self._values += self._generator.normal(0.0, 0.12, len(self._rules)) - 0.05 * (self._values - 0.35)
        self._values[jumps] = self._generator.random(int(jumps.sum()))
        self._values = self._values.clip(0.0, 1.0)
        for index, rule in enumerate(self._rules):
            for threshold in (rule.on, rule.off):
                if abs(self._values[index] - threshold) <= HALF_A_BYTE:
                    self._values[index] = threshold + HALF_A_BYTE
        return self._values.astype(np.float32), tuple(state + 1 for state in states)


@dataclass(slots=True)
class Heard:
    """What a detector announced, and what was stored meanwhile."""

    blocks: list[Block]
    started: list[int]

    def take(self, items: Sequence[Scores | Detection], collector: BlockCollector, begun_ms: int) -> None:
        for item in items:
            if isinstance(item, Scores):
                self.blocks += collector.add(item, begun_ms / 1e3 + item.first_sample / 16_000)
            elif isinstance(item, EventStart):
                self.started[item.class_index] += 1


def hear(seed: int, hops_per_patch: int, minimum_age_frames: int) -> Heard:
    """Three streams of random lengths, each with gaps, and at a short hop with times at which phases are skipped."""
    generator = np.random.default_rng(seed + 1_000)
    heard = Heard([], [0] * len(RULES))
    collector = BlockCollector("cot", hops_per_patch, minimum_age_frames)
    list(collector.use_classes(range(len(SLUGS)), SLUGS))
    spec = SequenceSpec("lstm", 10, 1, (StateTensor("seen", (1,)),))
    pca = Pca(np.eye(128, dtype=np.float32), np.zeros(128, np.float32))
    networks = Networks(Deaf(), pca, Wandering(seed, RULES), spec)
    for stream in range(3):
        begun_ms, sample = NOON_MS + stream * HOUR_MS, 0
        decider = Decider(RULES, minimum_age_frames=minimum_age_frames)
        detector = StreamDetector(networks, decider, hops_per_patch=hops_per_patch)
        for _ in range(int(generator.integers(20, 60))):
            lost = int(generator.integers(1, 100_000)) if sample and generator.random() < 0.1 else 0
            length = int(generator.integers(1_000, 200_000))
            sample += lost
            detector.shed_load(float(generator.choice([0.0, 5.0], p=[0.8, 0.2])), sample)
            heard.take(list(detector.push(Sound(np.zeros(length, np.float32), sample, lost))), collector, begun_ms)
            sample += length
        heard.take([*detector.finish(), *detector.close("ended")], collector, begun_ms)
    heard.blocks += collector.flush()
    return heard


@pytest.mark.parametrize("minimum_age_frames", [1, 4])
@pytest.mark.parametrize("hops_per_patch", [1, 2, 4])
@pytest.mark.parametrize("seed", range(4))
def test_the_events_are_those_that_the_detector_announced(seed: int, hops_per_patch: int, minimum_age_frames: int) -> None:
    heard = hear(seed, hops_per_patch, minimum_age_frames)
    blocks = stored(heard.blocks)
    assert len(blocks) == len(heard.blocks)
    assert sum(heard.started) > 20
    for slug, rule, announced in zip(SLUGS, RULES, heard.started, strict=True):
        assert count(blocks, slug, [rule], NOON_MS - DAY_MS, NOON_MS + DAY_MS).events == (announced,)


def test_several_rules_are_counted_together_as_each_alone() -> None:
    blocks = stored(hear(7, 2, 1).blocks)
    since, until = NOON_MS - DAY_MS, NOON_MS + DAY_MS
    rules = [replace(RULES[0], on=on, off=min(0.35, on)) for on in (0.1, 0.3, 0.5, 0.7, 0.9)]
    together = count(blocks, "rain", rules, since, until).events
    assert together == tuple(count(blocks, "rain", [rule], since, until).events[0] for rule in rules)
    assert len(set(together)) > 3


def counts(blocks: Sequence[Block], since_ms: int = NOON_MS, until_ms: int = NOON_MS + DAY_MS) -> tuple[int, float]:
    found = count(stored(blocks), "rain", [RULES[0]], since_ms, until_ms)
    return found.events[0], round(found.hours, 2)


def test_an_event_over_the_border_of_two_blocks_is_one() -> None:
    loud = np.full((2_000, 1), 0.9, np.float32)
    blocks = list(blocks_of(loud, ["rain"], NOON_MS))
    assert len(blocks) == 7
    # Of 1920 s of one sound there are four events, since none is longer than 600 s.
    assert counts(blocks)[0] == 4


def test_a_block_that_is_missing_is_a_gap() -> None:
    loud = np.full((600, 1), 0.9, np.float32)
    first, second = blocks_of(loud, ["rain"], NOON_MS)
    assert counts([first, second])[0] == 1
    longer = list(blocks_of(np.full((930, 1), 0.9, np.float32), ["rain"], NOON_MS))
    assert counts([longer[0], longer[2]])[0] == 2


def test_an_event_counts_where_it_starts() -> None:
    blocks = list(blocks_of(with_events(["rain"], 7_200.0, 600.0, [0.9]), ["rain"], NOON_MS))
    assert counts(blocks) == (12, 2.0)
    assert counts(blocks, NOON_MS + HOUR_MS) == (6, 1.0)
    assert counts(blocks, NOON_MS + 299_000)[0] == 12
    assert counts(blocks, NOON_MS + 302_000)[0] == 11
    assert counts(blocks, NOON_MS + 2 * HOUR_MS) == (0, 0.0)


def test_blocks_of_a_clock_that_was_far_ahead_do_not_count() -> None:
    blocks = list(blocks_of(with_events(["rain"], 7_200.0, 600.0, [0.9]), ["rain"], NOON_MS))
    assert counts(blocks, NOON_MS - DAY_MS, NOON_MS - 1) == (0, 0.0)


def test_sound_that_was_heard_twice_at_the_same_time_of_day_counts_twice() -> None:
    # The clock was set back by an hour: both hours were heard.
    blocks = [*blocks_of(with_events(["rain"], 3_600.0, 600.0, [0.9]), ["rain"], NOON_MS)]
    again = [*blocks_of(with_events(["rain"], 3_600.0, 600.0, [0.9]), ["rain"], NOON_MS + 500)]
    assert counts([*blocks, *again], NOON_MS - 1) == (12, 2.0)


def test_a_class_covers_the_sound_in_which_it_was_enabled() -> None:
    with_it = list(blocks_of(with_events(["rain"], 3_600.0, 600.0, [0.9]), ["rain"], NOON_MS))
    without = list(blocks_of(with_events(["siren"], 3_600.0, 600.0, [0.9]), ["siren"], NOON_MS + HOUR_MS))
    assert counts([*with_it, *without]) == (6, 1.0)
