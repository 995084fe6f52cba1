from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest

from edge_detector.audio.sample_clock import Observation, SampleClock

RATE_HZ = 16_000
BLOCK_SECONDS = 0.1


@dataclass
class World:
    """A sound card whose crystal is `ppm` fast, and a machine whose UTC is off by `utc_error_seconds`."""

    ppm: float = 0.0
    utc_error_seconds: float = 0.0
    seconds: float = 0.0

    def block(self, late_seconds: float = 0.0) -> Observation:
        sample = round(self.seconds * RATE_HZ * (1 + self.ppm * 1e-6))
        arrived = self.seconds + late_seconds
        return Observation(sample, 1_000.0 + arrived, 1.7e9 + arrived + self.utc_error_seconds)

    def true_utc(self, sample: int) -> float:
        return 1.7e9 + sample / RATE_HZ / (1 + self.ppm * 1e-6)


def run(
    clock: SampleClock, world: World, minutes: float, *, open_events: Collection[str] = (), jitter: bool = True
) -> list[float]:
    """UTC of each new sample, in the order in which they are heard."""
    times = []
    for number in range(round(minutes * 60 / BLOCK_SECONDS)):
        world.seconds += BLOCK_SECONDS
        observation = world.block(0.05 * (number % 7 != 0) if jitter else 0.0)
        clock.observe(observation, open_events=open_events)
        times.append(clock.anchor.at(observation.sample))
    return times


@pytest.mark.parametrize("ppm", [-200, -50, 0, 50, 200])
def test_after_a_day_the_time_is_right_however_fast_the_crystal(ppm: float) -> None:
    world = World(ppm)
    clock = SampleClock(world.block())
    run(clock, world, 24 * 60)
    sample = world.block().sample
    assert clock.anchor.at(sample) == pytest.approx(world.true_utc(sample), abs=0.01)
    assert clock.drift_ppm == pytest.approx(ppm, abs=2)


def test_a_small_error_of_utc_is_slewed_at_most_1_ms_a_second() -> None:
    world = World()
    clock = SampleClock(world.block())
    world.utc_error_seconds = 0.5
    times = run(clock, world, 30)
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert max(steps) <= BLOCK_SECONDS * 1.0011
    assert min(steps) > 0
    assert times[-1] == pytest.approx(1.7e9 + world.seconds + 0.5, abs=0.02)
    assert clock.anchor.clock == "system"


@pytest.mark.parametrize("error_seconds", [-3_600.0, 3_600.0, 1e8])
def test_a_clock_that_was_wrong_at_boot_is_stepped_and_says_so(error_seconds: float) -> None:
    world = World(utc_error_seconds=-error_seconds)
    clock = SampleClock(world.block())
    world.utc_error_seconds = 0.0
    times = run(clock, world, 0.5)
    assert times[-1] == pytest.approx(1.7e9 + world.seconds, abs=0.06)
    words = [clock.anchor.clock]
    run(clock, world, 2)
    words.append(clock.anchor.clock)
    assert words == ["stepped", "system"]


@pytest.mark.parametrize("error_seconds", [-3_600.0, 3_600.0])
def test_a_clock_that_is_set_is_followed_at_once(error_seconds: float) -> None:
    world = World(utc_error_seconds=error_seconds)
    clock = SampleClock(world.block())
    run(clock, world, 1 / 3)
    world.utc_error_seconds = 0.0
    run(clock, world, BLOCK_SECONDS / 60)
    sample = world.block().sample
    assert clock.anchor.at(sample) == pytest.approx(world.true_utc(sample), abs=0.06)
    assert clock.anchor.clock == "stepped"


def test_time_never_steps_backwards_while_an_event_is_open() -> None:
    world = World(utc_error_seconds=10.0)
    clock = SampleClock(world.block())
    world.utc_error_seconds = 0.0
    times = run(clock, world, 5, open_events=["cry"])
    assert all(later > earlier for earlier, later in pairwise(times))
    after = run(clock, world, 1.05)
    assert after[-1] == pytest.approx(1.7e9 + world.seconds, abs=0.06), "it is stepped once the event has ended"


def test_late_blocks_do_not_move_the_time() -> None:
    world = World()
    clock = SampleClock(world.block())
    run(clock, world, 10, jitter=True)
    sample = world.block().sample
    assert clock.anchor.at(sample) == pytest.approx(world.true_utc(sample), abs=1e-3)


@pytest.mark.parametrize("late_seconds", [0.02, 0.3])
def test_first_blocks_that_came_late_make_neither_the_time_nor_the_rate_wrong(late_seconds: float) -> None:
    world = World(ppm=20)
    clock = SampleClock(world.block(late_seconds))
    run(clock, world, 2 / 60)
    sample = world.block().sample
    assert clock.anchor.at(sample) == pytest.approx(world.true_utc(sample), abs=1e-3)
    run(clock, world, 1.05)
    assert clock.drift_ppm == pytest.approx(20, abs=2)


@pytest.mark.parametrize("open_events", [(), ["cry"]])
@pytest.mark.parametrize("burst_seconds", [1.9, 4.0, 25.0])
def test_no_sample_of_a_burst_is_dated_later_than_it_arrived(open_events: Collection[str], burst_seconds: float) -> None:
    clock = SampleClock(Observation(1_600, 1_000.0, 1.7e9))
    heard = list(with_a_burst(burst_seconds, 75.0))
    dated_early = []
    for observation in heard:
        clock.observe(observation, open_events=open_events)
        dated_early.append(clock.anchor.at(observation.sample) - observation.utc_seconds)
    assert max(dated_early) < 1e-6
    assert clock.anchor.at(heard[-1].sample) == pytest.approx(heard[-1].utc_seconds, abs=0.01), "and not earlier than need be"
    assert abs(clock.drift_ppm) < 50, "a burst is no crystal"


def with_a_burst(burst_seconds: float, seconds: float) -> Iterator[Observation]:
    """Blocks of 0.1 s: at first so many seconds of sound within half a second, then as fast as it is made."""
    for number in range(2, round((burst_seconds + seconds) / BLOCK_SECONDS)):
        sound_seconds = number * BLOCK_SECONDS
        arrived = max(0.5 * min(1.0, sound_seconds / burst_seconds), 0.5 + sound_seconds - burst_seconds)
        yield Observation(round(sound_seconds * RATE_HZ), 1_000.0 + arrived, 1.7e9 + arrived)


@pytest.mark.parametrize("pace", [1.001, 1.004])
def test_a_stream_that_is_a_little_faster_than_the_clock_is_never_ahead_of_it(pace: float) -> None:
    clock = SampleClock(Observation(0, 1_000.0, 1.7e9))
    for number in range(1, 6_000):
        seconds = number * BLOCK_SECONDS / pace
        observation = Observation(round(number * BLOCK_SECONDS * RATE_HZ), 1_000.0 + seconds, 1.7e9 + seconds)
        clock.observe(observation)
        assert -0.05 < clock.anchor.at(observation.sample) - observation.utc_seconds < 1e-6


@pytest.mark.parametrize("back_seconds", [3_600.0, 1.6e9])
def test_a_clock_set_back_during_an_event_applies_when_that_event_closes_though_others_are_open(back_seconds: float) -> None:
    world = World(utc_error_seconds=back_seconds)
    clock = SampleClock(world.block())
    run(clock, world, 0.5)
    world.utc_error_seconds = 0.0
    with_first = run(clock, world, 2 / 60, open_events=["cry"])
    with_first += run(clock, world, 2, open_events=["cry", "rain"])
    assert all(later > earlier for earlier, later in pairwise(with_first)), "the open event is dated by the clock it began with"
    run(clock, world, BLOCK_SECONDS / 60, open_events=["rain"])
    sample = world.block().sample
    assert clock.anchor.at(sample) == pytest.approx(world.true_utc(sample), abs=0.06)
    assert clock.anchor.clock == "stepped"


def test_a_clock_that_is_set_back_and_forth_during_an_event_was_never_set() -> None:
    world = World()
    clock = SampleClock(world.block())
    times = []
    for world.utc_error_seconds in (0.0, -3_600.0, -7_200.0, 0.0):
        times += run(clock, world, 0.1, open_events=["cry"])
    times += run(clock, world, 1.05)
    assert times[-1] == pytest.approx(1.7e9 + world.seconds, abs=0.06)
    assert all(0.0 < later - earlier < 2 * BLOCK_SECONDS for earlier, later in pairwise(times))


def test_a_clock_set_back_by_less_than_a_second_lets_time_stand_still_while_an_event_is_open() -> None:
    world = World()
    clock = SampleClock(world.block())
    run(clock, world, 0.5)
    world.utc_error_seconds = -0.8
    times = run(clock, world, 2, open_events=["cry"], jitter=False)
    assert all(later >= earlier for earlier, later in pairwise(times))
    assert times[-1] == pytest.approx(1.7e9 + world.seconds - 0.8, abs=0.01)
