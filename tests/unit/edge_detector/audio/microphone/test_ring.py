import threading

from hypothesis import given
from hypothesis import strategies as st

from edge_detector.audio.microphone.ring import CaptureRing, Chunk

MONO_16_BIT = 2


def frames(count: int, fill: int = 0) -> bytes:
    return bytes([fill, 0]) * count


def ring(capacity_samples: int, drop_samples: int = 1) -> CaptureRing:
    return CaptureRing(capacity_samples, drop_samples=drop_samples, frame_bytes=MONO_16_BIT)


def test_what_is_written_is_read_in_order_by_sample_index() -> None:
    held = ring(100)
    held.write(frames(3, 1))
    held.write(frames(4, 2))
    assert held.waiting_samples == 7
    assert held.read(0.0) == Chunk(frames(3, 1), first_sample=0, lost_samples=0)
    assert held.read(0.0) == Chunk(frames(4, 2), first_sample=3, lost_samples=0)
    assert held.read(0.0) is None
    assert held.waiting_samples == 0


def test_a_slow_reader_loses_the_oldest_chunks_whole_and_the_next_one_says_so() -> None:
    held = ring(5)
    held.write(frames(2, 1))
    held.write(frames(3, 2))
    held.write(frames(1, 3))
    assert held.dropped_samples == 2
    assert held.read(0.0) == Chunk(frames(3, 2), first_sample=2, lost_samples=2)
    assert held.read(0.0) == Chunk(frames(1, 3), first_sample=5, lost_samples=0)


def test_what_is_dropped_is_dropped_in_one_piece() -> None:
    held = ring(10, drop_samples=6)
    for number in range(6):
        held.write(frames(2, number))
    assert held.dropped_samples == 6
    assert held.read(0.0) == Chunk(frames(2, 3), first_sample=6, lost_samples=6)
    assert held.read(0.0) == Chunk(frames(2, 4), first_sample=8, lost_samples=0)


def test_a_reader_that_is_always_a_little_too_slow_still_hears_long_stretches_unbroken() -> None:
    block, hop = 3, 96
    held = ring(1_000, drop_samples=hop)
    stretches = [0]
    for _ in range(500):
        for _ in range(10):
            held.write(frames(block))
        for _ in range(9):
            chunk = held.read(0.0)
            assert chunk is not None
            if chunk.lost_samples:
                assert chunk.lost_samples % hop == 0
                stretches.append(0)
            stretches[-1] += block
    assert len(stretches) > 5
    assert set(stretches[1:-1]) == {9 * hop}, "of ten hops it hears nine, and those in one piece"


def test_samples_lost_before_the_ring_are_counted_in() -> None:
    held = ring(100)
    held.write(frames(2))
    held.write(frames(2), lost_samples=7)
    held.read(0.0)
    assert held.read(0.0) == Chunk(frames(2), first_sample=9, lost_samples=7)


def test_the_newest_chunk_is_kept_even_if_it_alone_is_too_large() -> None:
    held = ring(2)
    held.write(frames(1))
    held.write(frames(10))
    assert held.read(0.0) == Chunk(frames(10), first_sample=1, lost_samples=1)


def test_a_waiting_reader_wakes_when_something_is_written() -> None:
    held = ring(100)
    found: list[Chunk | None] = []
    reader = threading.Thread(target=lambda: found.append(held.read(30.0)))
    reader.start()
    held.write(frames(1))
    reader.join(30.0)
    assert found == [Chunk(frames(1), first_sample=0, lost_samples=0)]


def test_closing_wakes_the_reader_and_forgets_what_waits() -> None:
    held = ring(100)
    found: list[Chunk | None] = [Chunk(b"", 0, 0)]
    reader = threading.Thread(target=lambda: found.append(held.read(30.0)))
    reader.start()
    held.close()
    reader.join(30.0)
    held.write(frames(1))
    assert found[-1] is None
    assert held.read(0.0) is None


@given(
    capacity=st.integers(1, 40),
    drop=st.integers(1, 60),
    steps=st.lists(st.one_of(st.just(None), st.tuples(st.integers(0, 20), st.integers(0, 5))), max_size=60),
)
def test_the_index_is_time_and_nothing_is_lost_unsaid(capacity: int, drop: int, steps: list[tuple[int, int] | None]) -> None:
    held = ring(capacity, drop)
    lost_before = written = read_to = lost = 0

    def take() -> bool:
        nonlocal read_to, lost
        chunk = held.read(0.0)
        if chunk is not None:
            assert chunk.first_sample == read_to + chunk.lost_samples
            read_to = chunk.first_sample + len(chunk.data) // MONO_16_BIT
            lost += chunk.lost_samples
        return chunk is not None

    for step in steps:
        if step is None:
            take()
        else:
            count, lost_samples = step
            held.write(frames(count), lost_samples=lost_samples)
            written += count + lost_samples
            lost_before += lost_samples
    held.write(frames(1))
    while take():
        pass
    assert read_to == written + 1
    assert lost == lost_before + held.dropped_samples
