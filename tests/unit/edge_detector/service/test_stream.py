import numpy as np
import pytest

from edge_detector.audio.resampler import StreamResampler
from edge_detector.service.stream import StreamProcessor
from edge_detector.types import Block, EndReason


class LoudSource:
    live = True
    rate_hz = 16_000
    waiting_seconds = 0.0
    overflows = 0


class IdleDetector:
    open_events = ()

    def __init__(self) -> None:
        self.calls: list[str] = []

    def push(self, block: Block) -> tuple[()]:
        assert np.abs(block.samples).max() <= 1.0
        return ()

    def finish(self) -> tuple[()]:
        self.calls.append("finish")
        return ()

    def close(self, end_reason: EndReason) -> tuple[()]:
        self.calls.append(end_reason)
        return ()

    def shed_load(self, waiting_seconds: float, sample: int) -> None: ...


class Blocks(list[Block]):
    write = list[Block].append


def processor_of(detector: IdleDetector, dump: Blocks | None = None) -> StreamProcessor:
    clock = lambda: 0.0  # noqa: E731 - for both
    resampler = StreamResampler(LoudSource.rate_hz)
    return StreamProcessor(LoudSource(), resampler, detector, utc_clock=clock, monotonic_clock=clock, sink=dump)  # type: ignore[arg-type]


def test_a_live_block_is_dumped_as_delivered_and_limited_only_for_detection() -> None:
    samples = np.linspace(-1.5, 1.5, 4_800, dtype=np.float32)
    dump = Blocks()
    list(processor_of(IdleDetector(), dump).push(Block(samples, first_sample=0)))
    assert np.array_equal(dump[0].samples, samples)


@pytest.mark.parametrize(
    ("end_reason", "calls"),
    [("ended", ["finish", "ended"]), ("shutdown", ["finish", "shutdown"]), ("source_lost", ["source_lost"])],
)
def test_what_was_heard_last_is_processed_before_events_end_unless_the_source_was_lost(
    end_reason: EndReason, calls: list[str]
) -> None:
    detector = IdleDetector()
    processor = processor_of(detector)
    for _ in range(2):
        assert not list(processor.finish(end_reason))
    assert detector.calls == calls, "once"
