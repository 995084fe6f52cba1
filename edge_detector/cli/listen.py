"""`listen`: detects on one source without a broker; prints a table or JSON lines."""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from edge_detector.audio.dump import Dump
from edge_detector.cli.listen_page import BASE, ListenPage
from edge_detector.cli.live_panel import ClassRow, Panel, class_lines, level_line
from edge_detector.config import default_config, load_config
from edge_detector.detection.bundle import hop_key
from edge_detector.detection.classes import enabled_indices
from edge_detector.detection.hysteresis import Rule
from edge_detector.errors import BundleError, SourceError, UsageError
from edge_detector.mqtt import messages
from edge_detector.mqtt.reporter import Reporter
from edge_detector.params import FRONT_END, HOPS_PER_PATCH
from edge_detector.service.factory import LoadedBundle, build_processor, load_networks, open_argument, parse_source, warn
from edge_detector.service.stream import StreamProcessor
from edge_detector.types import Detection, EventEnd, Message, Scores, SignalQuality
from edge_detector.web.page import local_page

POLL_SECONDS = 0.5
WEB_PORT = 8080
PAGE_TURN_SECONDS = 0.1
JSON_TYPES = ("probabilities", "event", "health")
PANEL_CLASSES = 5
PANEL_FLOOR = 0.05
"""Least probability of a class in the panel."""
SIGNAL_WORDS: Mapping[SignalQuality, str] = {
    "silent": "no sound, digital silence: the microphone or recording is muted, switched off or empty; check it",
    "flat": "no sound, a constant value: the microphone or its converter is broken; try another",
    "clipped": "the sound is clipped; turn it down",
}


def run(options: argparse.Namespace) -> int:
    """Detect until the source ends, `--seconds` are processed, or Ctrl-C."""
    if options.block_samples is not None and options.block_samples < 1:
        raise UsageError(f"--block-samples must be at least 1, not {options.block_samples}")
    config = load_config(options.config) if options.config is not None else default_config()
    hops_per_patch = next(hops for hops in HOPS_PER_PATCH if hop_key(hops) == options.hop)
    # Faster than real time nobody sees anything on a page.
    real_time = options.real_time or options.web
    source_config = parse_source(options.source, hops_per_patch=hops_per_patch, real_time=real_time)
    networks = load_networks(options.bundle or config.bundle, replace(config, sources=(source_config,)))
    rules_now = networks.rules[hops_per_patch]
    source = open_argument(
        options.source, hops_per_patch=hops_per_patch, real_time=real_time, block_samples=options.block_samples
    )
    printed = tuple(getattr(source, "warnings", ()))
    name = "mic" if source.live else "file"
    with closing(source), _page(options, networks, rules_now, name) as page:
        dump = Dump(options.dump, source.rate_hz) if options.dump else None
        on_frames = page.on_frames if page is not None else None
        processor = build_processor(
            source, networks, hops_per_patch=hops_per_patch, rules=rules_now, sink=dump, on_frames=on_frames
        )
        view = JsonLines(processor, networks, rules_now, name) if options.json else Table(processor, networks, rules_now)
        try:
            signal: SignalQuality = "ok"
            for item in _items(processor, options.seconds, page):
                view.show(item)
                if page is not None:
                    page.show(item, processor)
                if processor.signal_quality not in (signal, "ok"):
                    view.clear()
                    sys.stderr.write(f"edge-detector: warning: {SIGNAL_WORDS[processor.signal_quality]}\n")
                signal = processor.signal_quality
        finally:
            view.clear()
            if dump is not None:
                dump.close()
        view.finish()
        warn(source, printed)
        if not view.windows and not source.live and options.seconds is None:
            raise SourceError(f"{options.source} is too short to hold any sound at 16 kHz; give a longer recording")
    return 0


@contextmanager
def _page(options: argparse.Namespace, networks: LoadedBundle, rules: Sequence[Rule], name: str) -> Iterator[ListenPage | None]:
    """Serve the page on the loopback interface meanwhile, and print its address; None without --web."""
    if not options.web:
        yield None
        return
    page = local_page(options.web_port, BASE)
    page.server.bind()
    page.server.start()
    try:
        yield ListenPage(page, networks, rules, name)
    finally:
        page.server.close()


def _items(processor: StreamProcessor, seconds: float | None, page: ListenPage | None) -> Iterator[Scores | Detection]:
    limit = None if seconds is None else round(seconds * processor.source.rate_hz)
    try:
        if page is not None:
            page.begin(processor)
        while not processor.ended and (limit is None or processor.heard_samples < limit):
            yield from processor.step(POLL_SECONDS)
            if page is not None:
                yield from page.poll(processor)
        while page is not None and limit is None:  # a recording has ended, and its page can still be read
            time.sleep(PAGE_TURN_SECONDS)
            yield from page.poll(processor)
    except KeyboardInterrupt:
        pass
    except (BundleError, SourceError):
        yield from processor.close("source_lost")
        raise
    yield from processor.close("shutdown")


class JsonLines:
    """Each probabilities, event and health message as a line: its type, its topic, then its payload."""

    def __init__(self, processor: StreamProcessor, networks: LoadedBundle, rules: Sequence[Rule], name: str) -> None:
        self.windows = 0
        self._processor = processor
        names = messages.Names("edge_detector/listen", "listen", name, processor.source.stream_id)
        self._reporter = Reporter(names, networks.classes, rules, "hop", time.time)

    def show(self, item: Scores | Detection) -> None:
        """Print the messages for `item`."""
        self.windows += isinstance(item, Scores)
        if self._processor.anchor is not None:
            healthy = self._reporter.set_health("healthy", self._processor.signal_quality)
            for message in (*healthy, *self._reporter.report(item, self._processor.anchor)):
                _print_json(message)

    def clear(self) -> None:
        """Do nothing: JSON lines stay."""

    def finish(self) -> None:
        """Do nothing: JSON lines have no summary."""


def _print_json(message: Message) -> None:
    kind = message.topic.rpartition("/")[2]
    if kind in JSON_TYPES:
        # The payload is a JSON object already; parsing and formatting it again would cost as much as a sequence step.
        head = json.dumps({"type": kind, "topic": message.topic}, ensure_ascii=False)
        sys.stdout.write(f"{head[:-1]}, {message.payload[1:].decode()}\n")
        sys.stdout.flush()


class Table:
    """Text output: events, a summary, and on a terminal a panel of the level and the most probable classes."""

    def __init__(self, processor: StreamProcessor, networks: LoadedBundle, rules: Sequence[Rule]) -> None:
        self.windows = 0
        self._processor = processor
        self._classes = networks.classes
        self._enabled = enabled_indices(rules)
        self._rules = rules
        self._sum = np.zeros(len(self._classes))
        self._events = 0
        self._panel = Panel.on(sys.stdout)

    def show(self, item: Scores | Detection) -> None:
        """Print an event, or refresh the panel."""
        if isinstance(item, Scores):
            self.windows += 1
            self._sum += item.probabilities
            if self._panel.live:
                self._panel.draw(self._panel_lines(item))
            return
        label = self._classes[item.class_index].label
        if isinstance(item, EventEnd):
            time_text = self._time(item.end_sample)
            seconds = (item.end_sample - item.first_sample) / FRONT_END.sample_rate_hz
            why = "" if item.end_reason == "ended" else f" ({item.end_reason})"
            self._panel.print(f"{time_text}  end    {label}, {seconds:.2f} s, peak {item.peak_probability:.2f}{why}")
        else:
            self._events += 1
            time_text = self._time(item.first_sample)
            self._panel.print(f"{time_text}  start  {label}, {item.peak_probability:.2f}")

    def clear(self) -> None:
        """Erase the panel, so that other output has a line of its own."""
        self._panel.clear()

    def finish(self) -> None:
        """Print the summary: seconds, windows, events, mean probabilities."""
        if not self.windows:
            return
        seconds = self._processor.heard_samples / self._processor.source.rate_hz
        order = sorted(self._enabled, key=lambda index: -self._sum[index])[:3]
        means = ", ".join(f"{self._classes[index].label} {self._sum[index] / self.windows:.2f}" for index in order)
        on_average = f"on average: {means}" if means else "every class is off"
        lost = f", {self._processor.lost_samples} samples lost" if self._processor.lost_samples else ""
        self._panel.print(f"processed {seconds:.1f} s in {self.windows} windows{lost}; {self._events} events; {on_average}")

    def _panel_lines(self, scores: Scores) -> list[str]:
        style = self._panel.style
        order = sorted(self._enabled, key=lambda index: -float(scores.probabilities[index]))[:PANEL_CLASSES]
        rows = [
            ClassRow(self._classes[index].label, float(scores.probabilities[index]), self._rules[index].on)
            for index in order
            if scores.probabilities[index] >= PANEL_FLOOR
        ]
        return [level_line(self._time(scores.end_sample), scores.level_dbfs, style), *class_lines(rows, style)]

    def _time(self, sample: int) -> str:
        """Return the local time of a sample, or the seconds in a recording."""
        anchor = self._processor.anchor
        if anchor is None or anchor.clock == "file" or not self._processor.source.live:
            return f"{sample / FRONT_END.sample_rate_hz:9.2f} s"
        return datetime.fromtimestamp(anchor.at(sample), UTC).astimezone().strftime("%H:%M:%S")
