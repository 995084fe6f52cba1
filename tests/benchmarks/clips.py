"""What clips cost: CPU, memory and latency of MQTT, encoding of one clip, and the sound that is kept in memory.

Run `python -m tests.benchmarks.clips`. Two services run side by side on the fake microphone, one of them with clips, so that a
machine that slows down slows both; sounds are played in some rounds and not in others.
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections import defaultdict
from pathlib import Path

import numpy as np
import soxr

from edge_detector.clips.cutter import ClipTimes
from edge_detector.clips.store import ClipStore
from edge_detector.demo.soundscape import make_soundscape
from edge_detector.detection.hysteresis import Rule
from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.client import subscription
from edge_detector.service.source_clips import SourceClips
from edge_detector.types import Block, Int16
from tests.benchmarks.page import Latencies, Phase, measured, service
from tests.support.broker import Broker
from tests.support.clips import noise, write
from tests.support.fake_microphone import FakeMicrophone

QUIET, EVENTS = "quiet", "events"
WITHOUT, WITH = "without", "with"
TABLE = "[clips]\nenabled = true\n"
MICROPHONE_SECONDS = 0.03
"""Length of a block of a microphone."""


def kept_kilobytes(sources: int, rate_hz: int) -> float:
    """Memory of the sound kept for clips to come, in kB, after a minute."""
    size = round(MICROPHONE_SECONDS * rate_hz)
    tracemalloc.start()
    kept = []
    for _ in range(sources):
        clips = SourceClips("mic", (), ClipTimes(5.0, 5.0, 60.0), lambda _part: None)
        clips.start_stream(rate_hz, (Rule(0.5, 0.25),))
        kept.append(clips)
        for number in range(round(60.0 / MICROPHONE_SECONDS)):
            clips.write(Block(np.zeros(size, np.float32), number * size))
            clips.cut()
    found, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return found / 1e3


def tap_percent(rate_hz: int) -> float:
    """CPU of the detecting thread without any event, in percent of a core."""
    size = round(MICROPHONE_SECONDS * rate_hz)
    clips = SourceClips("mic", (), ClipTimes(5.0, 5.0, 60.0), lambda _part: None)
    clips.start_stream(rate_hz, (Rule(0.5, 0.25),))
    blocks = [Block(np.full(size, 0.25, np.float32), number * size) for number in range(10_000)]
    before = time.thread_time()
    for block in blocks:
        clips.write(block)
        clips.cut()
    return 100.0 * (time.thread_time() - before) / (len(blocks) * MICROPHONE_SECONDS)


def soundscape(rate_hz: int) -> Int16:
    """15 s of the demo's sound."""
    samples = make_soundscape().samples[: 15 * 16_000]
    resampled: Int16 = soxr.resample(samples, 16_000, rate_hz)
    return samples if rate_hz == 16_000 else resampled


def encoding(samples: Int16) -> tuple[float, float]:
    """CPU in ms and size in kB of a stored clip."""
    with tempfile.TemporaryDirectory() as folder:
        store = ClipStore(Path(folder) / "clips")
        write(store, 0, noise(0.1))  # libsndfile is loaded
        costs = []
        for number in range(1, 6):
            before = time.process_time()
            write(store, number, samples)
            costs.append(1e3 * (time.process_time() - before))
        return statistics.median(costs), store.newest(1)[0].size_bytes / 1e3


def measure(seconds: float, rounds: int, sources: int) -> None:
    found: dict[tuple[str, str], list[Phase]] = defaultdict(list)
    latencies = Latencies()
    pcm = make_soundscape().samples.astype("<i2").tobytes()
    with contextlib.ExitStack() as stack:
        microphone, broker = stack.enter_context(FakeMicrophone()), stack.enter_context(Broker())
        stack.enter_context(subscription(Address(broker.host, broker.port, "bench"), "#", latencies.receive))
        processes = {
            WITHOUT: stack.enter_context(service(WITHOUT, sources, broker, microphone, "")),
            WITH: stack.enter_context(service(WITH, sources, broker, microphone, TABLE)),
        }
        time.sleep(15.0)  # both have started, and the first windows are past
        for _ in range(rounds):
            for kind in (QUIET, EVENTS):
                player = microphone.play(pcm, latency_milliseconds=500) if kind == EVENTS else None
                time.sleep(2.0)
                for name, phase in measured(processes, latencies, seconds).items():
                    found[name, kind].append(phase)
                if player is not None:
                    player.kill()
                    player.wait()
                    time.sleep(10.0)  # the last clips are complete
    for kind in (QUIET, EVENTS):
        without, with_clips = found[WITHOUT, kind], found[WITH, kind]
        added = [clips.cpu_percent - bare.cpu_percent for clips, bare in zip(with_clips, without, strict=True)]
        memory = [clips.rss_mb - bare.rss_mb for clips, bare in zip(with_clips, without, strict=True)]
        bare_ms, clips_ms = (_latency(phases) for phases in (without, with_clips))
        sys.stdout.write(
            f"  {kind}: CPU +{statistics.median(added):.2f} ({min(added):.2f} to {max(added):.2f}) % of a core, "
            f"memory +{statistics.median(memory):.1f} MB, latency {clips_ms}, without clips {bare_ms}\n"
        )


def _latency(phases: list[Phase]) -> str:
    p50, p99 = np.percentile([ms for phase in phases for ms in phase.latencies_ms], (50, 99))
    return f"p50 {p50:.1f} p99 {p99:.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sources", type=int, default=1)
    options = parser.parse_args()
    for rate_hz in (16_000, 48_000):
        each = ", ".join(f"{sources}: {kept_kilobytes(sources, rate_hz):,.0f} kB" for sources in (1, 4, 16))
        ms, size = encoding(soundscape(rate_hz))
        sys.stdout.write(
            f"{rate_hz} Hz: kept in memory, by sources: {each}; tap {tap_percent(rate_hz):.3f} % of a core; "
            f"a clip of 15 s of the soundscape takes {ms:.1f} ms of CPU, {size:.0f} kB\n"
        )
    sys.stdout.write(f"{options.sources} source(s), {options.rounds} rounds of {options.seconds:.0f} s each:\n")
    measure(options.seconds, options.rounds, options.sources)


if __name__ == "__main__":
    main()
