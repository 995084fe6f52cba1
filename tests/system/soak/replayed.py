"""Sound through the service as fast as it goes. Memory, open files and threads are read at the end of each hour of sound."""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

from edge_detector.clips.store import FOLDER_NAME, ClipStore
from edge_detector.config import ClipsConfig, Config, MqttConfig, SourceConfig, WebConfig
from edge_detector.demo.soundscape import make_soundscape
from edge_detector.history.queries import HistoryReader, Selection
from edge_detector.history.recorder import Recorder
from edge_detector.history.store import FILE_NAME, HistoryStore
from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.outbox import Outbox
from edge_detector.mqtt.sqlite_store import SqliteStore
from edge_detector.params import FRONT_END
from edge_detector.service.factory import load_networks
from edge_detector.service.service import Service
from edge_detector.service.settings_file import SettingsFile
from edge_detector.service.state import State
from edge_detector.types import Block, Float32, Message
from edge_detector.web.page import Page, configured_page
from tests.support.broker import Broker
from tests.support.history import fill
from tests.system.soak.clips import ClipKeeper, ClipLimits, one_event_a_minute
from tests.system.soak.report import Reading, disagreement, growth

BLOCK_SAMPLES = 16_000
HOUR_SAMPLES = 3_600 * FRONT_END.sample_rate_hz
LEDGER = "ledger"
BROWSERS = 3
PASSING_FILES = 4
PAGE_MEMORY_GROWTH = 0.03
"""A heap of 100 MB grows in steps of 2 MB; in 62 hours it stayed the same from the 39th on."""
CLIPS_MEMORY_GROWTH = 0.05
"""The clips' thread, and those that serve them, have heaps too: two steps from hour 24 to 54, then none to 72."""
EVENTS_PER_MEGABYTE = 5_000
"""A little more than fit."""


class EndlessSoundscape:
    """A source that plays its sound over and over, and reads the process's vitals after each hour of it.

    Attributes:
        block_seconds: how long the detecting thread took for each block, a second of sound.

    """

    live = False
    rate_hz = FRONT_END.sample_rate_hz
    stream_id = "soak"
    waiting_seconds = 0.0
    overflows = 0

    def __init__(self, hours: float, reading_hours: float, samples: Float32) -> None:
        self._reading_samples = round(reading_hours * HOUR_SAMPLES)
        self._samples = samples
        self._process = psutil.Process()
        self._end_sample = round(hours * HOUR_SAMPLES)
        self.given_samples = 0
        self.ended = False
        self.readings: list[Reading] = []
        # Taken as a whole now, so that it does not grow.
        self.block_seconds = np.full(self._end_sample // BLOCK_SAMPLES + self._end_sample // len(samples) + 2, -1.0)
        self._blocks = 0
        self._given_at: float | None = None

    def read(self, timeout_seconds: float) -> Block | None:  # noqa: ARG002 - it never has to wait
        if self._given_at is not None:
            self.block_seconds[self._blocks] = time.perf_counter() - self._given_at
            self._blocks += 1
        if self.given_samples >= self._end_sample:
            self.ended = True
            return None
        at = self.given_samples % len(self._samples)
        samples = self._samples[at : at + min(BLOCK_SAMPLES, self._end_sample - self.given_samples)]
        block = Block(samples, self.given_samples)
        self.given_samples += len(samples)
        if self.given_samples // self._reading_samples > block.first_sample // self._reading_samples:
            self.readings.append(Reading.of(self._process, f"reading {len(self.readings) + 1}"))
        self._given_at = time.perf_counter()
        return block

    def close(self) -> None:
        self.ended = True


class LedgerOutbox(Outbox):
    """Writes down what it has committed, in a file of its own: in the database it would make that, and its cache, grow."""

    def __init__(self, folder: Path) -> None:
        super().__init__(lambda: SqliteStore(folder / "outbox.sqlite"), time.monotonic)
        self._ledger = (folder / LEDGER).open("w")

    def commit(self, added: Sequence[Message], delivered: Collection[str] = (), refused: Mapping[str, str] | None = None) -> None:
        super().commit(added, delivered, refused)
        self._ledger.writelines(f"{message.message_id}\n" for message in added)

    def close(self) -> None:
        super().close()
        self._ledger.close()


@dataclass(frozen=True, slots=True)
class HistoryLimits:
    """Limits of the history, as in [history]."""

    days: int
    megabytes: int


@contextmanager
def browsers(page: Page | None) -> Iterator[None]:
    """Read the page's live stream and its other addresses meanwhile, in a process of its own."""
    if page is None:
        yield
        return
    page.server.bind()
    page.server.start()
    command = [sys.executable, "-m", "tests.system.soak.browse", str(page.server.address.port), str(BROWSERS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()  # they are connected
        try:
            yield
        finally:
            output, _ = process.communicate("\n")
            sys.stderr.write(f"browsers: {output}")


def soak(
    hours: float,
    reading_hours: float = 1.0,
    history: HistoryLimits | None = None,
    clips: ClipLimits | None = None,
    *,
    where: Path | None = None,
) -> tuple[dict[str, object], list[str]]:
    """Run the service for so many hours of sound; return figures and problems. Growth is counted from the first reading.

    With `history`, events are kept in a history, and the page is open in several browsers. With `clips` there is an event a
    minute, and its sound is stored. With either the first third is for warming up.
    """
    samples = make_soundscape().block.samples if clips is None else one_event_a_minute()
    source = EndlessSoundscape(hours, reading_hours, samples)
    with Broker("max_queued_messages 0") as broker, tempfile.TemporaryDirectory(dir=where) as folder:
        outbox = LedgerOutbox(Path(folder))
        command = [sys.executable, "-m", "tests.system.soak.count", broker.host, str(broker.port)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as counter:
            assert counter.stdout is not None
            counter.stdout.readline()
            config = Config(
                node="soak",
                bundle=None,
                sources=(SourceConfig("day", "file", "a soundscape"),),
                mqtt=MqttConfig(host=broker.host, port=broker.port, probabilities="off"),
                overrides={},
                clips=clips.as_config() if clips is not None else ClipsConfig(),
            )
            file = Path(folder) / FILE_NAME
            if history is not None:
                fill_to_limit(file, history)
            recorder = Recorder(lambda: HistoryStore(file, **asdict(history))) if history is not None else None
            keeper = ClipKeeper(Path(folder) / FOLDER_NAME, clips, source) if clips is not None else None
            store = keeper.store if keeper is not None else None
            page = page_of(file, store) if history is not None else None
            writer = keeper.writer if keeper is not None else None
            state = State(outbox, SettingsFile(Path(folder) / "settings.json"), recorder, clips=writer)
            address = Address(broker.host, broker.port, "soak")
            service = Service(config, load_networks(None), address, state, page=page, open_source=lambda _config: source)
            written_bytes = psutil.Process().io_counters().write_bytes
            began = time.monotonic()
            with browsers(page):
                service.run(threading.Event(), lambda: None)
            seconds = time.monotonic() - began
            written_bytes = psutil.Process().io_counters().write_bytes - written_bytes
            received = json.loads(counter.communicate("\n")[0])
        events = (Path(folder) / LEDGER).read_text().splitlines()
        problems = history_problems(file, events, history) if history is not None else []
        clip_figures: dict[str, object] = {}
        if keeper is not None:
            clip_figures, clip_problems = keeper.account({key.removesuffix("/start") for key in events if key.endswith("/start")})
            problems += clip_problems
        history_bytes = file.stat().st_size if history is not None else 0
    telemetry = service.telemetry_of("day")
    # The threads of page and clips fill heaps and caches of their own first; then a request, the history that it reads, and a
    # clip are open files.
    if history is None and clips is None:
        problems += growth(source.readings)
    else:
        warm = source.readings[len(source.readings) // 3 :]
        memory = PAGE_MEMORY_GROWTH if clips is None else CLIPS_MEMORY_GROWTH
        problems += growth(warm, memory=memory, passing_files=PASSING_FILES)
    problems += disagreement(events, received)
    if source.given_samples != round(hours * HOUR_SAMPLES):
        problems.append(f"the service ended after {source.given_samples} samples")
    if source.given_samples != telemetry.heard_samples + telemetry.lost_samples:
        problems.append("samples in are not samples heard plus samples lost")
    figures = {
        "hours": hours,
        "seconds": round(seconds, 1),
        "samples_in": source.given_samples,
        "samples_heard": telemetry.heard_samples,
        "samples_lost": telemetry.lost_samples,
        "events_decided": len(events),
        "events_received": len(received),
        "dropped_messages": service.dropped_messages,
        "written_bytes": written_bytes,
        "history_bytes": history_bytes,
        "rss_bytes": [reading.rss_bytes for reading in source.readings],
        "block_ms": spread(1e3 * source.block_seconds[source.block_seconds >= 0.0]),
        **clip_figures,
    }
    return figures, problems


def page_of(history: Path, clips: ClipStore | None) -> Page:
    """The page, on a port of its own."""
    configured = configured_page(WebConfig("127.0.0.1:0"), "edge_detector/soak", history, {}, clips=clips)
    assert configured is not None
    return configured[0]


def spread(times: NDArray[np.float64]) -> dict[str, float]:
    """Median, 99th percentile and longest time."""
    p50, p99, longest = np.percentile(times, (50, 99, 100))
    return {"p50": round(p50, 1), "p99": round(p99, 1), "longest": round(longest, 1)}


def fill_to_limit(file: Path, limits: HistoryLimits) -> None:
    """Fill the history with earlier events, so that neither it nor its caches grow any more."""
    with closing(HistoryStore(file, **asdict(limits))) as store:
        fill(store, limits.megabytes * EVENTS_PER_MEGABYTE, round(1e3 * time.time()))


def history_problems(file: Path, events: Sequence[str], limits: HistoryLimits) -> list[str]:
    """Where the history is not what was decided, or larger than it may be, one sentence each."""
    found = []
    decided = {key.removesuffix("/start") for key in events if key.endswith("/start")}
    with HistoryReader(file) as reader:
        kept = {event.id for event in reader.events(reader.newest(Selection(sources=["day"]), len(events)))}
    if file.stat().st_size > limits.megabytes << 20:
        found.append(f"the history has {file.stat().st_size} bytes")
    if kept != decided and file.stat().st_size < (limits.megabytes - 1) << 20:
        found.append(f"the history has {len(kept)} of {len(decided)} events, and room for more")
    if not kept <= decided:
        found.append("the history has events that were not decided")
    return found
