import numpy as np

from edge_detector.audio.resampler import StreamResampler
from edge_detector.service.stream import StreamProcessor
from edge_detector.types import Block


class LoudSource:
    live = True
    rate_hz = 16_000
    waiting_seconds = 0.0
    overflows = 0


class IdleDetector:
    open_events = ()

    def push(self, block: Block) -> tuple[()]:
        assert np.abs(block.samples).max() <= 1.0
        return ()

    def shed_load(self, waiting_seconds: float, sample: int) -> None: ...


class Blocks(list[Block]):
    write = list[Block].append


def processor_into(dump: Blocks) -> StreamProcessor:
    clock = lambda: 0.0  # noqa: E731 - for both
    resampler = StreamResampler(LoudSource.rate_hz)
    return StreamProcessor(LoudSource(), resampler, IdleDetector(), utc_clock=clock, monotonic_clock=clock, dump=dump)  # type: ignore[arg-type]


def test_a_live_block_is_dumped_as_delivered_and_limited_only_for_detection() -> None:
    samples = np.linspace(-1.5, 1.5, 4_800, dtype=np.float32)
    dump = Blocks()
    list(processor_into(dump).push(Block(samples, first_sample=0)))
    assert np.array_equal(dump[0].samples, samples)
