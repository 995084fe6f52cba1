from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.audio.room_pieces import RoomPieces, problem_of
from edge_detector.audio.segmenter import Recording
from edge_detector.types import Block, Float32, SignalQuality

RATE_HZ = 16_000


def noise(seconds: float, amplitude: float = 0.01) -> Float32:
    return np.random.default_rng(1).uniform(-amplitude, amplitude, round(seconds * RATE_HZ)).astype(np.float32)


def cut(pieces: RoomPieces, samples: Float32, sizes: Sequence[int]) -> list[Recording]:
    found, first = [], 0
    for end in np.cumsum([*sizes, len(samples)]):
        found += list(pieces.push(Block(samples[first : int(end)], first)))
        first = min(int(end), len(samples))
    return [*found, *pieces.finish()]


@given(st.lists(st.integers(0, 40_000), max_size=12))
def test_the_pieces_are_the_sound_itself_however_it_arrives(sizes: list[int]) -> None:
    samples = noise(11.0)
    found = cut(RoomPieces(9.5, piece_seconds=3.0), samples, sizes)
    assert [piece.seconds for piece in found] == [3.0, 3.0, 3.0]
    assert np.array_equal(np.concatenate([piece.samples for piece in found]), samples[: 9 * RATE_HZ])


def test_the_last_piece_is_kept_if_it_is_a_second_long() -> None:
    pieces = RoomPieces(7.0, piece_seconds=3.0)
    assert [piece.seconds for piece in cut(pieces, noise(20.0), [])] == [3.0, 3.0, 1.0]
    assert pieces.complete
    assert pieces.passed_seconds == 7.0


def test_a_gap_ends_a_piece_so_that_none_has_a_jump_in_it() -> None:
    pieces = RoomPieces(60.0, piece_seconds=10.0)
    before, after = noise(4.0), noise(3.0)
    found = list(pieces.push(Block(before, 0)))
    found += pieces.push(Block(after, len(before) + 99, lost_samples=99))
    found += pieces.finish()
    assert [piece.seconds for piece in found] == [4.0, 3.0]
    assert all(piece.problem is None for piece in found)


@pytest.mark.parametrize(
    ("samples", "problem"),
    [
        (noise(30.0), None),
        (np.zeros(30 * RATE_HZ, np.float32), "silent"),
        (np.full(30 * RATE_HZ, 0.1, np.float32), "flat"),
        (np.concatenate([noise(27.0), np.clip(noise(3.0, 4.0), -1.0, 1.0)]), "clipped"),
        (np.concatenate([noise(29.0), np.clip(noise(1.0, 4.0), -1.0, 1.0)]), None),
        (np.zeros(2 * RATE_HZ, np.float32), "silent"),
    ],
    ids=["a room", "digital silence", "a constant", "clipped for long", "a slammed door", "a short silence alone"],
)
def test_what_is_no_sound_of_a_room_is_named(samples: Float32, problem: str | None) -> None:
    (piece,) = cut(RoomPieces(60.0), samples, [])
    assert piece.problem == problem


def test_a_noise_gate_that_opens_at_times_is_a_room() -> None:
    closed: list[SignalQuality] = ["silent"]
    opened: list[SignalQuality] = ["ok"]
    seconds = [*closed * 9, *opened * 51]
    assert problem_of(seconds) is None
    assert problem_of([*seconds, "silent"]) == "silent"
