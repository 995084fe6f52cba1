"""Blocks hold what the detector found, to a byte each, and whatever lies on the disk is read without an error."""

import itertools
import struct
import zlib
from collections.abc import Sequence

import numpy as np
import pytest

from edge_detector.history.probabilities import (
    BLOCK_BYTES,
    BLOCK_SECONDS,
    PROBABILITIES,
    Block,
    BlockCollector,
    StoredBlock,
    decode,
    encode,
)
from edge_detector.params import FRONT_END
from edge_detector.types import Float32, Scores
from tests.support.history import NOON_MS
from tests.support.probabilities import blocks_of, scores_of, stored

SLUGS = ("rain", "siren", "dog_bark")
STEP = FRONT_END.patch_step_samples


def random(windows: int, classes: int = len(SLUGS), seed: int = 0) -> Float32:
    return np.random.default_rng(seed).random((windows, classes), np.float32)


def collected(collector: BlockCollector, scores: Sequence[Scores]) -> list[Block]:
    return [block for each in scores for block in collector.add(each, NOON_MS / 1e3 + each.first_sample / 16_000)]


def collector_of(slugs: Sequence[str] = SLUGS, hops_per_patch: int = 1, minimum_age_frames: int = 1) -> BlockCollector:
    collector = BlockCollector("cot", hops_per_patch, minimum_age_frames)
    assert list(collector.use_classes(range(len(slugs)), slugs)) == []
    return collector


def column(block: StoredBlock, slug: str) -> Float32:
    found = block.column(slug)
    assert found is not None
    read = found.read()
    assert read is not None
    assert float(PROBABILITIES[read[1]].max()) == found.peak
    return PROBABILITIES[read[1]]


@pytest.mark.parametrize("hops_per_patch", [1, 2, 4])
def test_every_probability_comes_back_within_half_a_byte(hops_per_patch: int) -> None:
    probabilities = random(3_000)
    blocks = stored(list(blocks_of(probabilities, SLUGS, NOON_MS, hops_per_patch)))
    for index, slug in enumerate(SLUGS):
        read = np.concatenate([column(block, slug) for block in blocks])
        assert np.abs(read - probabilities[:, index]).max() <= 1 / 510 + 1e-6
    assert all(block.column("thunder") is None for block in blocks)
    assert max(block.span_samples for block in blocks) <= BLOCK_SECONDS * 16_000
    for block in blocks:
        assert block.place.start_ms - NOON_MS == round(block.place.first_sample / 16)
        assert block.place.stream_ms == NOON_MS
    assert [block.place.number for block in blocks] == [0, *itertools.accumulate(block.windows for block in blocks[:-1])]


def test_the_bytes_of_0_and_1_are_exact() -> None:
    (block,) = stored(list(blocks_of(np.array([[0.0], [1.0]], np.float32), ["rain"], NOON_MS)))
    assert column(block, "rain").tolist() == [0.0, 1.0]


def test_a_block_of_very_many_classes_is_small_all_the_same() -> None:
    slugs = [f"class_{number}" for number in range(2_000)]
    blocks = list(blocks_of(random(200, 2_000), slugs, NOON_MS))
    assert all(block.values.nbytes <= BLOCK_BYTES for block in blocks)
    assert sum(len(block.steps) for block in blocks) == 200
    assert len(column(stored(blocks)[0], "class_1999")) == len(blocks[0].steps)


def test_a_gap_begins_a_block_which_says_so_and_the_block_after_it_does_not() -> None:
    collector = collector_of()
    first = list(scores_of(random(10)))
    after = list(scores_of(random(400), first_sample=20 * STEP, number=10, lost_samples=10 * STEP))
    blocks = [*collected(collector, [*first, *after]), *collector.flush()]
    assert [(block.place.after_gap, block.place.number) for block in blocks] == [(False, 0), (True, 10), (False, 322)]


def test_a_gap_while_states_are_too_young_is_said_by_the_next_window() -> None:
    collector = collector_of(minimum_age_frames=10)
    young = [Scores(values, 3, 10, 20 * STEP, 20 * STEP + 15_600, STEP, -50.0) for values in random(1)]
    later = list(scores_of(random(5), first_sample=21 * STEP, number=11))
    assert [len(block.steps) for block in collected(collector, [*scores_of(random(10)), *young, *later])] == [10]
    (block,) = collector.flush()
    assert (block.place.after_gap, block.place.number, len(block.steps)) == (True, 10, 5)


def test_hops_that_were_skipped_stay_in_the_block() -> None:
    scores = list(scores_of(random(40), hops_per_patch=4))
    kept = [each for number, each in enumerate(scores) if number % 4 in (0, 2)]
    collector = collector_of(hops_per_patch=4)
    assert collected(collector, kept) == []
    (block,) = collector.flush()
    assert block.steps.tolist() == [0, *[2] * 19]


def test_the_shorter_windows_at_a_recordings_end_are_kept_too() -> None:
    *scores, last = scores_of(random(5))
    short = Scores(last.probabilities, 10, 4, last.first_sample, last.end_sample - 1_000, 0, -50.0)
    collector = collector_of()
    (first,) = collected(collector, [*scores, short])
    (second,) = collector.flush()
    assert (len(first.steps), second.place.window_samples, second.place.after_gap) == (4, 14_600, False)
    assert second.place.number == 4


def test_another_stream_begins_a_block_even_at_the_same_sample() -> None:
    collector = collector_of()
    one = collected(collector, list(scores_of(random(10))))
    (block,) = [*one, *collector.add(next(scores_of(random(1))), NOON_MS / 1e3 + 60.0)]
    (other,) = collector.flush()
    assert (block.place.stream_ms, other.place.stream_ms) == (NOON_MS, NOON_MS + 60_000)
    assert other.place.number == 0


def test_other_classes_begin_a_block_and_the_same_ones_do_not() -> None:
    collector = collector_of()
    collected(collector, list(scores_of(random(10))))
    assert list(collector.use_classes([0, 1, 2], SLUGS)) == []
    (before,) = collector.use_classes([2], ["dog_bark"])
    assert before.slugs == SLUGS
    collected(collector, list(scores_of(random(10), first_sample=10 * STEP, number=10)))
    (block,) = collector.flush()
    assert (block.slugs, block.place.number, block.values.shape) == (("dog_bark",), 10, (10, 1))


def test_without_an_enabled_class_nothing_is_collected() -> None:
    collector = collector_of(())
    assert collected(collector, list(scores_of(random(400)))) == []
    assert list(collector.flush()) == []


@pytest.mark.parametrize("utc_seconds", [-1e12, 1e15])
def test_a_clock_that_is_far_off_is_a_time_all_the_same(utc_seconds: float) -> None:
    collector = collector_of()
    list(collector.add(next(scores_of(random(1))), utc_seconds))
    (block,) = stored(list(collector.flush()))
    assert 0 <= block.place.start_ms < 253_402_300_800_000


def test_only_the_blocks_of_the_source_are_read() -> None:
    content = b"".join(
        encode(block) for source in ("cot", "c", "cots", "küche") for block in blocks_of(random(5), SLUGS, NOON_MS, source=source)
    )
    for source in ("cot", "küche"):
        (block,) = decode(content, source)
        assert block.place.source == source
    assert list(decode(content, "")) == []


def whole(content: bytes) -> list[tuple[int, list[float]]]:
    return [(block.place.number, column(block, "siren").tolist()) for block in decode(content, "cot")]


def test_a_file_cut_anywhere_gives_its_whole_blocks() -> None:
    encoded = [encode(block) for block in blocks_of(random(700), SLUGS, NOON_MS)]
    content, ends = b"".join(encoded), list(itertools.accumulate(map(len, encoded)))
    expected = whole(content)
    assert len(expected) == len(encoded) == 3
    for cut in range(0, len(content), 1 if len(content) < 5_000 else 7):
        assert whole(content[:cut]) == expected[: sum(end <= cut for end in ends)]


def test_a_file_with_any_byte_changed_gives_its_other_blocks() -> None:
    encoded = [encode(block) for block in blocks_of(random(36), SLUGS, NOON_MS) for _ in range(3)]
    content, expected = b"".join(encoded), whole(b"".join(encoded))
    length = len(encoded[0])
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        assert whole(bytes(damaged)) == [each for number, each in enumerate(expected) if number != place // length]


def test_a_torn_block_hides_no_later_one() -> None:
    encoded = [encode(block) for block in blocks_of(random(900), SLUGS, NOON_MS)]
    expected = whole(b"".join(encoded))
    for torn in (b"EDP1", encoded[0][:11], encoded[0][:-1], b"EDP1" + struct.pack("<II", 2**32 - 1, 0), bytes(1_000)):
        assert whole(encoded[0] + torn + encoded[1] + torn + encoded[2]) == expected[:3]


def test_a_block_that_is_valid_and_of_another_program_has_no_columns() -> None:
    (block,) = blocks_of(random(5), SLUGS, NOON_MS)
    whole_block = encode(block)
    for packed in (b"", b"none", zlib.compress(b""), zlib.compress(b"\xff" * 30), zlib.compress(bytes(3) + b"rain")):
        rest = whole_block[12 : 12 + struct.calcsize("<HHHI?7q")] + b"cot" + packed
        other = whole_block[:4] + struct.pack("<II", len(rest), zlib.crc32(rest)) + rest
        for found in decode(other + whole_block, "cot"):
            read = found.column("rain")
            assert read is None or read.read() is None or found.place.first_sample == 0
        assert len(list(decode(other + whole_block, "cot"))) == 2
