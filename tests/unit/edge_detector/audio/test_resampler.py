from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_detector.audio.resampler import StreamResampler
from edge_detector.types import Block, Float32

RATES_HZ = (8_000, 44_100, 48_000)
OUT_HZ = 16_000


def noise(samples: int) -> Float32:
    return np.random.default_rng(7).uniform(-0.5, 0.5, samples).astype(np.float32)


def cut(samples: Float32, cuts: list[int], gap_at: int | None = None, lost: int = 0) -> list[Block]:
    """Blocks between the cuts; `lost` samples are missing before the sample `gap_at`."""
    borders = sorted({0, len(samples), *cuts, *([] if gap_at is None else [gap_at])})
    return [
        Block(
            samples[start:end],
            first_sample=start + (lost if gap_at is not None and start >= gap_at else 0),
            lost_samples=lost if start == gap_at else 0,
        )
        for start, end in pairwise(borders)
    ]


def resampled(rate_hz: int, blocks: list[Block]) -> list[Block]:
    """All output; checks on the way that the index is time."""
    resampler = StreamResampler(rate_hz)
    out = [given_out for block in blocks if (given_out := resampler.push(block)) is not None]
    if (last := resampler.finish()) is not None:
        out.append(last)
    position = 0
    for block in out:
        assert block.first_sample == position + block.lost_samples
        position = block.first_sample + len(block.samples)
    return out


def joined(blocks: list[Block]) -> Float32:
    return np.concatenate([block.samples for block in blocks])


def gaps(blocks: list[Block]) -> list[tuple[int, int]]:
    return [(block.first_sample, block.lost_samples) for block in blocks if block.lost_samples]


def test_at_16_khz_blocks_pass_unchanged() -> None:
    resampler = StreamResampler(OUT_HZ)
    block = Block(noise(10), first_sample=30, lost_samples=20)
    assert resampler.push(block) is block
    assert resampler.finish() is None


@pytest.mark.parametrize("rate_hz", [4_000, 8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000])
def test_a_tone_keeps_its_pitch_its_level_and_its_place_in_time(rate_hz: int) -> None:
    source = np.sin(2 * np.pi * 500.0 * np.arange(rate_hz) / rate_hz).astype(np.float32)
    out = joined(resampled(rate_hz, [Block(source, 0)]))
    assert len(out) == OUT_HZ
    expected = np.sin(2 * np.pi * 500.0 * np.arange(OUT_HZ) / OUT_HZ)
    middle = slice(OUT_HZ // 8, -OUT_HZ // 8)
    assert np.abs(out - expected)[middle].max() < 1e-5


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_the_output_is_bitwise_the_same_for_every_chunking(rate_hz: int, data: st.DataObject) -> None:
    samples = noise(rate_hz // 2)
    cuts = data.draw(st.lists(st.integers(0, len(samples)), max_size=60))
    whole, pieces = resampled(rate_hz, cut(samples, [])), resampled(rate_hz, cut(samples, cuts))
    assert joined(pieces).tobytes() == joined(whole).tobytes()


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_a_gap_is_bitwise_the_same_for_every_chunking(rate_hz: int, data: st.DataObject) -> None:
    samples = noise(rate_hz // 2)
    cuts = data.draw(st.lists(st.integers(0, len(samples)), max_size=40))
    gap_at = data.draw(st.integers(1, len(samples) - 1))
    lost = data.draw(st.integers(1, rate_hz))
    whole = resampled(rate_hz, cut(samples, [], gap_at, lost))
    pieces = resampled(rate_hz, cut(samples, cuts, gap_at, lost))
    assert gaps(pieces) == gaps(whole)
    assert joined(pieces).tobytes() == joined(whole).tobytes()


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_a_gap_restarts_the_stream_at_the_converted_index(rate_hz: int) -> None:
    samples = noise(rate_hz * 2)
    gap_at, lost = rate_hz, rate_hz // 2
    out = resampled(rate_hz, cut(samples, [], gap_at, lost))
    (first_sample, out_lost) = gaps(out)[0]
    assert first_sample == 24_000
    assert out_lost >= 8_000, "what was held back at the gap is lost with it"
    after = joined([block for block in out if block.first_sample >= first_sample])
    assert after.tobytes() == joined(resampled(rate_hz, [Block(samples[gap_at:], 0)])).tobytes()


def test_two_gaps_with_nothing_given_out_between_become_one() -> None:
    blocks = [Block(noise(4_410), 0), Block(noise(1), 4_510, 100), Block(noise(44_100), 8_820, 4_309)]
    out = resampled(44_100, blocks)
    assert [first for first, _ in gaps(out)] == [3_200]


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_a_gap_shorter_than_one_output_sample_is_still_a_gap(lost: int) -> None:
    out = resampled(48_000, [Block(noise(48_000), first_sample=lost, lost_samples=lost)])
    assert gaps(out) == [(1, 1)]


def test_the_index_is_exact_after_a_year() -> None:
    resampler = StreamResampler(44_100)
    year_samples = 365 * 86_400 * 44_100
    out = resampler.push(Block(noise(44_100), year_samples, year_samples))
    assert out is not None
    assert out.first_sample == 365 * 86_400 * OUT_HZ
