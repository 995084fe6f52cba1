"""The cutter: each clip is the stream's sound from before its event to after it, however late the event is announced."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_detector.clips.cutter import MOST_DELAY_SECONDS, PIECE_SECONDS, SLACK_SECONDS, ClipPiece, ClipTimes, Cutter, Delays
from edge_detector.types import Block, Int16

BLOCK_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Happening:
    """An event at 16 kHz samples, and the source's sample after which its start and its end are announced.

    Attributes:
        blocks_late: the resampler gives nothing for so many blocks after the gap that ends the event.

    """

    name: str
    first_sample: int
    end_sample: int
    start_told: int
    end_told: int
    blocks_late: int


@dataclass(frozen=True, slots=True)
class Case:
    rate_hz: int
    times: ClipTimes
    delays: Delays
    blocks: tuple[Block, ...]
    happenings: tuple[Happening, ...]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    rate_hz = draw(st.sampled_from([8_000, 16_000, 44_100]))
    seconds = st.floats(0.0, 4.0)
    times = ClipTimes(draw(seconds), draw(seconds), draw(st.floats(1.0, 12.0)))
    delays = Delays(draw(seconds), draw(seconds))
    size = round(BLOCK_SECONDS * rate_hz)
    random = np.random.default_rng(draw(st.integers(0, 9)))
    blocks, happenings, at = [], list[Happening](), 0
    for segment in range(draw(st.integers(1, 3))):
        lost = draw(st.sampled_from([1, rate_hz, 100 * rate_hz])) if segment else 0
        at += lost
        first, count = at, draw(st.integers(8, 60))
        for index in range(count):
            samples = random.integers(-32_768, 32_768, size, np.int16)
            blocks.append(Block(samples.astype(np.float32) / np.float32(32_768), at, lost if not index else 0))
            at += size
        for number in range(draw(st.integers(0, 4))):
            start = draw(st.integers(first, at - 1)) * 16_000 // rate_hz + 1
            end = start + draw(st.integers(1, 16_000 * 10))
            start_told = max(1, start * rate_hz // 16_000 + round(draw(st.floats(0.0, 1.0)) * delays.start_seconds * rate_hz))
            end_told = end * rate_hz // 16_000 + round(draw(st.floats(0.0, 1.0)) * delays.end_seconds * rate_hz)
            if start_told > at:
                continue  # a gap discards it
            if end * rate_hz // 16_000 > at:
                end = at * 16_000 // rate_hz
            # A gap, or the end of the stream, ends it with the next block.
            end_told = min(max(end_told, start_told), at + 1)
            late = draw(st.integers(0, 1)) if end_told > at else 0
            happenings.append(Happening(f"{segment}.{number}", start, end, start_told, end_told, late))
    return Case(rate_hz, times, delays, tuple(blocks), tuple(happenings))


def clips_of(case: Case) -> tuple[dict[str, list[ClipPiece]], int]:
    """The pieces of each clip, and the most samples that were held."""
    cutter = Cutter(case.rate_hz, case.times, case.delays)
    pieces: dict[str, list[ClipPiece]] = defaultdict(list)
    ends: dict[str, int] = {}
    heard = held = 0
    for index, block in enumerate(case.blocks):
        before, heard = heard, block.first_sample + len(block.samples)
        cutter.push(block)
        for each in case.happenings:
            if before < each.start_told <= heard:
                cutter.start(each.name, each.first_sample)
            if before < each.end_told <= heard:
                ends[each.name] = index + each.blocks_late
            if ends.get(each.name) == index:
                cutter.end(each.name, each.end_sample)
        for piece in cutter.cut():
            pieces[piece.event_id].append(piece)
        held = max(held, cutter.held_samples)
    for each in case.happenings:
        if ends.get(each.name, len(case.blocks)) >= len(case.blocks):
            cutter.end(each.name, each.end_sample)
    for piece in cutter.finish():
        pieces[piece.event_id].append(piece)
    return pieces, held


def joined(pieces: list[ClipPiece]) -> Int16:
    return np.concatenate([np.zeros(0, np.int16), *(array for piece in pieces for array in piece.samples)])


@settings(max_examples=300)
@given(cases())
def test_a_clip_is_the_sound_from_before_its_event_to_after_it_with_silence_for_lost_samples(case: Case) -> None:
    pieces, held = clips_of(case)
    end = case.blocks[-1].first_sample + len(case.blocks[-1].samples)
    sound, is_lost = np.zeros(end, np.int16), np.ones(end, bool)
    for block in case.blocks:
        part = slice(block.first_sample, block.first_sample + len(block.samples))
        sound[part], is_lost[part] = np.rint(block.samples * 32_768), False
    assert set(pieces) == {each.name for each in case.happenings}
    for each in case.happenings:
        of_event = pieces[each.name]
        start, stop = (sample * case.rate_hz // 16_000 for sample in (each.first_sample, each.end_sample))
        first = max(0, start - round(case.times.before_seconds * case.rate_hz))
        wanted = stop + round(case.times.after_seconds * case.rate_hz)
        limit = first + round(case.times.longest_seconds * case.rate_hz)
        last = min(wanted, limit, end)
        assert np.array_equal(joined(of_event), sound[first:last])
        assert sum(piece.lost_samples for piece in of_event) == is_lost[first:last].sum()
        assert [piece.is_last for piece in of_event] == [False] * (len(of_event) - 1) + [True]
        assert of_event[-1].is_early == (limit < wanted and limit <= end)
        after_seconds = max(0, last - stop) / case.rate_hz
        # A clip of the longest length may be complete before its event's end is announced.
        assert of_event[-1].after_seconds in ({0.0, after_seconds} if of_event[-1].is_early else {after_seconds})
        assert {piece.after_seconds for piece in of_event[:-1]} <= {0.0}
    late_seconds = max(
        case.times.before_seconds + case.delays.start_seconds, case.delays.end_seconds + PIECE_SECONDS + SLACK_SECONDS
    )
    kept_seconds = late_seconds + SLACK_SECONDS
    assert held <= round((kept_seconds + 2 * BLOCK_SECONDS) * case.rate_hz) + 1


def test_clips_of_one_moment_share_only_what_nobody_can_change() -> None:
    cutter = Cutter(16_000, ClipTimes(1.0, 1.0, 60.0), Delays(1.0, 1.0))
    cutter.push(Block(np.full(32_000, 0.5, np.float32), 0))
    for name in ("one", "two"):
        cutter.start(name, 16_000)
        cutter.end(name, 24_000)
    one, two = cutter.finish()
    assert np.array_equal(joined([one]), joined([two]))
    with pytest.raises(ValueError, match="read-only"):
        one.samples[0][0] = 0


def test_rules_that_announce_very_late_take_no_more_memory_than_the_longest_delay() -> None:
    cutter = Cutter(16_000, ClipTimes(5.0, 5.0, 60.0), Delays(3_600.0, 3_600.0))
    for number in range(200):
        cutter.push(Block(np.zeros(16_000, np.float32), 16_000 * number))
    assert cutter.held_samples <= 16_000 * (5 + MOST_DELAY_SECONDS + SLACK_SECONDS + 2)
    lead_seconds = cutter.start("late", 16_000)
    assert -200.0 < lead_seconds < -150.0, "the clip begins with what is left"
    (piece,) = cutter.finish()
    assert (piece.is_last, piece.lost_samples) == (True, 0)


def test_rules_that_announce_earlier_from_now_on_cost_an_open_clip_nothing() -> None:
    cutter = Cutter(16_000, ClipTimes(1.0, 0.0, 60.0), Delays(1.0, 20.0))
    sound = np.random.default_rng(0).integers(-32_768, 32_768, 40 * 16_000, np.int16)
    pieces: list[ClipPiece] = []
    for number in range(40):
        block = sound[number * 16_000 : (number + 1) * 16_000]
        cutter.push(Block(block.astype(np.float32) / np.float32(32_768), number * 16_000))
        if number == 2:
            cutter.start("event", 32_000)
        pieces += cutter.cut()
        if number == 20:
            cutter.use_delays(Delays(1.0, 1.0))
    cutter.end("event", 39 * 16_000)
    pieces += cutter.cut()
    assert np.array_equal(joined(pieces), sound[16_000 : 39 * 16_000])
    assert sum(piece.lost_samples for piece in pieces) == 0


def test_an_end_without_a_clip_is_ignored() -> None:
    cutter = Cutter(16_000, ClipTimes(5.0, 5.0, 60.0), Delays(1.0, 1.0))
    cutter.end("unknown", 5)
    assert list(cutter.finish()) == []
