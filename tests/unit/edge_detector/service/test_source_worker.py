"""A source in the service: what a network that fails on some sound ends, and what the log says of a source that breaks."""

import json
import logging
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from edge_detector.audio.resampler import StreamResampler
from edge_detector.audio.source import Source
from edge_detector.detection.bundle import SequenceSpec, SoundClass, StateTensor
from edge_detector.detection.detector import Networks, StreamDetector
from edge_detector.detection.embedding import Pca
from edge_detector.detection.hysteresis import Decider, Rule
from edge_detector.errors import SourceError
from edge_detector.mqtt.messages import Names
from edge_detector.mqtt.reporter import Reporter
from edge_detector.service.source_worker import SourceWorker
from edge_detector.service.stream import StreamProcessor
from edge_detector.types import Codes, Float32, Message
from tests.support.fake_source import RATE_HZ, World

RULES = (Rule(0.5, 0.5),)


class SilentEmbedder:
    def embed(self, log_mel: Float32) -> Float32:
        return np.zeros(log_mel.size // 48, np.float32)


class NanInTheFourthFrame:
    def step(self, codes: Codes, row: int, states: tuple[Float32, ...]) -> tuple[Float32, tuple[Float32, ...]]:
        seen = states[0] + 1
        assert len(codes) == len(seen[row]) * 128
        return np.array([np.nan if seen.max() == 4 else 0.9], np.float32), (seen,)


MODEL = Networks(
    embedder=SilentEmbedder(),
    pca=Pca(np.eye(128, dtype=np.float32), np.zeros(128, np.float32)),
    sequence=NanInTheFourthFrame(),
    spec=SequenceSpec("lstm", 10, 1, (StateTensor("seen", (1,)),)),
)


def worker_of(
    world: World, listen: Callable[[Source, Sequence[Rule]], StreamProcessor], sent: list[Message], *, reopens: bool = True
) -> SourceWorker:
    return SourceWorker(
        "cot",
        world.supervisor(reopens=reopens),
        listen,
        Reporter(Names("base", "node", "cot", "none"), (SoundClass("rain", "Rain", None, {}),), RULES, "hop", lambda: world.now),
        rules=RULES,
        publish=sent.append,
        on_hop=lambda _scores, _anchor: None,
    )


@pytest.mark.parametrize("live", [True, False])
def test_a_nan_probability_ends_the_stream_with_a_reason_and_not_the_service(
    live: bool,  # noqa: FBT001 - a parameter
    caplog: pytest.LogCaptureFixture,
) -> None:
    world, sent = World(live=live), list[Message]()

    def listen(source: Source, rules: Sequence[Rule]) -> StreamProcessor:
        detector, resampler = StreamDetector(MODEL, Decider(rules)), StreamResampler(RATE_HZ)
        clock = lambda: world.now  # noqa: E731 - for both
        return StreamProcessor(source, resampler, detector, utc_clock=clock, monotonic_clock=clock)

    worker = worker_of(world, listen, sent, reopens=live)

    def turn(times: int = 8) -> None:
        for _ in range(times):
            worker.step(0.0)

    def events() -> list[str]:
        return [json.loads(message.payload)["event_type"] for message in sent if message.topic == "base/cot/event"]

    turn()
    for _ in range(5):
        world.sources[0].due.append(RATE_HZ)
        world.now += 1.0
        worker.step(0.0)
    turn()
    assert events() == ["start", "end"]
    assert b"nan" not in b"".join(message.payload for message in sent).lower()
    assert "which is not a probability" in caplog.text
    state = worker.state
    assert (state.state, world.sources[0].closed) == ("reconnecting" if live else "failed", True)
    world.now += 1.0
    turn()
    assert len(world.sources) == (2 if live else 1)
    if live:
        world.sources[1].due += [RATE_HZ, RATE_HZ]
        turn()
        assert worker.state.state == "healthy"
        assert events() == ["start", "end", "start"]


def test_a_break_and_its_recovery_are_logged_once_and_another_reason_only_if_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    caplog.set_level(logging.INFO)

    def listen(source: Source, rules: Sequence[Rule]) -> StreamProcessor:
        detector, resampler = StreamDetector(MODEL, Decider(rules)), StreamResampler(RATE_HZ)
        clock = lambda: world.now  # noqa: E731 - for both
        return StreamProcessor(source, resampler, detector, utc_clock=clock, monotonic_clock=clock)

    worker = worker_of(world, listen, [])

    def turn(times: int = 8) -> None:
        for _ in range(times):
            worker.step(0.0)

    def hear() -> None:
        world.now += 11.0
        turn()
        world.sources[-1].due.append(480)
        turn()

    hear()
    world.fault = SourceError("it is in use")
    world.sources[-1].due.append(SourceError("it was unplugged"))
    for _ in range(40):
        turn()
        world.now += 1.0
    world.fault = None
    hear()
    world.sources[-1].due.append(SourceError("it was unplugged"))
    turn()
    hear()
    assert caplog.messages == [
        "cot: listening at 16000 Hz",
        "cot: reconnecting: it was unplugged",
        "cot: still reconnecting: it is in use",
        "cot: listening again at 16000 Hz, after 51.0 s",
        "cot: reconnecting: it was unplugged",
        "cot: listening again at 16000 Hz, after 11.0 s",
    ]
