"""The ring: what it holds is what was heard, and it holds no more than it must."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.clips.ring import Ring
from edge_detector.types import Block

BLOCKS = st.lists(st.tuples(st.integers(1, 50), st.sampled_from([0, 0, 0, 1, 70])), min_size=1, max_size=30)
"""Length of each block, and samples lost before it."""


@given(BLOCKS, st.integers(1, 200), st.data())
def test_it_holds_the_newest_samples_with_zeros_for_lost_ones(
    blocks: list[tuple[int, int]], capacity: int, data: st.DataObject
) -> None:
    ring, heard, lost = Ring(capacity), np.zeros(0, np.int16), np.zeros(0, bool)
    for count, lost_samples in blocks:
        samples = np.arange(1, count + 1, dtype=np.int16) + np.int16(len(heard))
        first = len(heard) + lost_samples
        ring.push(Block(samples.astype(np.float32) / np.float32(32_768), first, lost_samples))
        heard = np.concatenate([heard, np.zeros(lost_samples, np.int16), samples])
        lost = np.concatenate([lost, np.ones(lost_samples, bool), np.zeros(count, bool)])
        received = int((~lost).sum())
        assert min(received, capacity + count) <= ring.held_samples <= capacity + count + max(each for each, _ in blocks)
    assert ring.end_sample == len(heard)
    first = data.draw(st.integers(ring.first_sample, ring.end_sample))
    end = data.draw(st.integers(first, ring.end_sample))
    arrays, missing = ring.slices(first, end)
    assert np.array_equal(np.concatenate([np.zeros(0, np.int16), *arrays]), heard[first:end])
    assert missing == lost[first:end].sum()
    assert not any(array.flags.writeable for array in arrays)


def test_lost_samples_push_nothing_out_and_take_no_memory() -> None:
    ring = Ring(100)
    ring.push(Block(np.full(100, 0.5, np.float32), 0))
    ring.push(Block(np.full(10, 0.5, np.float32), 10**12, 10**12 - 100))
    assert (ring.first_sample, ring.held_samples, ring.next_gap(0)) == (0, 110, 100)
    (before, gap), missing = ring.slices(50, 150)
    assert (len(before), len(gap), missing) == (50, 50, 50)


def test_samples_of_a_microphone_are_kept_exactly_and_others_are_rounded_and_limited() -> None:
    every = np.arange(-32_768, 32_768, dtype=np.int16)
    ring = Ring(100_000)
    ring.push(Block(every.astype(np.float32) / np.float32(32_768), 0))
    ring.push(Block(np.array([0.6 / 32_768, 1.5, -1.5], np.float32), 65_536))
    (exact, rounded), _ = ring.slices(0, ring.end_sample)
    assert np.array_equal(exact, every)
    assert rounded.tolist() == [1, 32_767, -32_768]
