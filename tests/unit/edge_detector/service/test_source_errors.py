"""What goes wrong with one source is its loss alone."""

from collections.abc import Iterator

import numpy as np
import pytest

from edge_detector.errors import SourceError
from edge_detector.mqtt import messages
from edge_detector.mqtt.reporter import Reporter
from edge_detector.service.source_worker import SourceWorker
from edge_detector.service.stream import StreamProcessor
from edge_detector.types import Block, Message, Scores
from tests.support.fake_source import StubSource, World


class Deaf:
    """A listener that fails at its first block, as `error` says."""

    def __init__(self, source: StubSource, error: Exception) -> None:
        self.source, self._error = source, error
        self.anchor, self.signal_quality, self.drift_ppm = None, "ok", 0.0
        self.heard_samples = self.lost_samples = 0
        self.detector = type("StreamDetector", (), {"skipped_phases": 0})

    def push(self, _block: Block) -> Iterator[Scores]:
        raise self._error

    def finish(self, _reason: str) -> Iterator[Scores]:
        return iter(())


@pytest.mark.parametrize(
    ("error", "what"),
    [(SourceError("sample 5 is nan"), "sample 5 is nan"), (ValueError("out of range"), "an error in this program")],
)
@pytest.mark.parametrize("live", [True, False])
def test_an_error_of_a_source_becomes_its_state_and_does_not_end_the_service(
    error: Exception,
    what: str,
    live: bool,  # noqa: FBT001 - parameters of the test
) -> None:
    world = World(live=live)
    published: list[Message] = []
    names = messages.Names("edge_detector/node", "node", "cot", "none")
    reporter = Reporter(names, (), (), "hop", lambda: 0.0)

    def listen(source: object, _rules: object) -> StreamProcessor:
        assert isinstance(source, StubSource)
        return Deaf(source, error)  # type: ignore[return-value]

    worker = SourceWorker(
        "cot",
        world.supervisor(reopens=live),
        listen,
        reporter,
        rules=(),
        publish=published.append,
        on_hop=lambda _scores, _anchor: None,
    )
    for _ in range(4):
        worker.step(0.0)
    world.sources[0].due.append(480)
    for _ in range(6):
        worker.step(0.0)
    assert worker.state.state == ("reconnecting" if live else "failed")
    assert what in (worker.state.reason or "")
    assert "\n" not in (worker.state.reason or "")
    assert world.sources[0].closed


@pytest.mark.parametrize("bad", [np.nan, 100.0])
def test_invalid_samples_of_a_live_source_are_refused(bad: float) -> None:
    source = StubSource(0)
    processor = StreamProcessor(source, None, None, utc_clock=lambda: 0.0, monotonic_clock=lambda: 0.0)  # type: ignore[arg-type]
    samples = np.zeros(480, np.float32)
    samples[7] = bad
    with pytest.raises(SourceError, match=r"sample 1007 of the source is .*, not a number between -1 and 1"):
        list(processor.push(Block(samples, 1_000)))
