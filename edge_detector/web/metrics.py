"""Metrics of the node in Prometheus' text format. The only file that imports prometheus_client."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import get_args

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from edge_detector.types import SignalQuality, SourceState
from edge_detector.web.views import NodeFigures, NodeView, PageFigures

Family = CounterMetricFamily | GaugeMetricFamily
Samples = Iterable[tuple[tuple[str, ...], float]]
"""Values of the labels, and the value."""

_SOURCE_COUNTERS = {
    "heard_samples": ("source_heard_samples", "Samples processed, at the source's rate."),
    "lost_samples": ("source_lost_samples", "Samples lost, at the source's rate."),
    "skipped_phases": ("source_skipped_hops", "Hops skipped since the machine was too slow."),
    "overflows": ("source_overflows", "Losses reported by the sound system."),
}
_NODE_COUNTERS = {
    "dropped_messages": ("dropped_messages", "MQTT messages that went stale while the broker was away, and dropped events."),
    "dropped_events": ("dropped_events", "Events dropped since the outbox was full or they were too old."),
    "refused_messages": ("refused_messages", "MQTT messages that the broker refused."),
    "refused_commands": ("refused_commands", "MQTT commands that the node refused."),
    "reconnects": ("reconnects", "Connections to the broker after the first one."),
    "history_lost": ("history_lost_events", "Events missing from the history, which could not take them."),
    "lost_blocks": ("history_lost_blocks", "Blocks of five minutes of probabilities missing from the history."),
    "clips_lost": ("clips_lost", "Clips of sound that were not stored."),
}


def exposition(
    view: NodeView,
    figures: NodeFigures,
    events: Mapping[tuple[str, str], int],
    levels: Mapping[str, float],
    page: PageFigures,
) -> bytes:
    """Return the text of all metrics, format 0.0.4. Counters begin at the start of the process.

    Args:
        view: identity, states and thresholds.
        figures: counters, and figures of the last minute.
        events: published events so far by source and class.
        levels: newest level of each source in dBFS.
        page: figures of the page.

    """
    return generate_latest(_NodeCollector(view, figures, events, levels, page))


@dataclass(frozen=True, slots=True)
class _NodeCollector(Collector):
    view: NodeView
    figures: NodeFigures
    events: Mapping[tuple[str, str], int]
    levels: Mapping[str, float]
    page: PageFigures

    def collect(self) -> Iterator[Family]:
        yield from self._of_the_node()
        yield from self._of_sources()
        yield from self._of_classes()
        yield from self._of_the_page()

    def _of_the_node(self) -> Iterator[Family]:
        view, figures = self.view, self.figures
        identity = {"node": view.node, "version": view.version, "bundle": view.bundle}
        yield _gauge("build_info", "Names of node, program and bundle.", {tuple(identity.values()): 1}.items(), *identity)
        yield _gauge("troubles", "Sentences about what is wrong; 0 while everything works.", _one(len(view.sentences)))
        connected = () if view.broker is None else _one(view.broker_error is None)
        yield _gauge("broker_connected", "Whether the broker is connected; absent without a broker.", connected)
        yield _gauge("outbox_depth", "Events that wait for the broker.", _one(figures.outbox_depth))
        yield _gauge("resident_memory_bytes", "Memory of the process.", _one(figures.rss_bytes))
        yield _counter("cpu_seconds", "CPU time of the process.", _one(time.process_time()))
        for field, (name, documentation) in _NODE_COUNTERS.items():
            yield _counter(name, documentation, _one(getattr(figures, field)))
        period = figures.period
        p50_ms, p99_ms = (None, None) if period is None else (period.latency_ms_p50, period.latency_ms_p99)
        of = "of the last minute, from the end of a window to its publication; absent for recordings."
        yield _gauge("latency_p50_seconds", f"Median latency {of}", _known(p50_ms, 1e-3))
        yield _gauge("latency_p99_seconds", f"99th percentile of the latency {of}", _known(p99_ms, 1e-3))
        factor = None if period is None else period.real_time_factor
        yield _gauge("real_time_factor", "CPU seconds for each second of sound, of the last minute.", _known(factor))

    def _of_sources(self) -> Iterator[Family]:
        sources, telemetry = self.view.sources, self.figures.sources
        up = [((source.name,), source.state == "healthy") for source in sources]
        yield _gauge("source_up", "Whether the source delivers sound.", up, "source")
        states = [((source.name, state), source.state == state) for source in sources for state in get_args(SourceState)]
        yield _gauge("source_state", "1 for the state of the source, 0 for the others.", states, "source", "state")
        signals = [((source.name, signal), source.signal == signal) for source in sources for signal in get_args(SignalQuality)]
        yield _gauge("source_signal", "1 for the quality of the signal, 0 for the others.", signals, "source", "signal")
        muted = [((source.name,), source.muted) for source in sources]
        yield _gauge("source_muted", "Whether events of the source are not published.", muted, "source")
        levels = [((name,), level) for name, level in self.levels.items()]
        yield _gauge("source_level_dbfs", "Level of the newest window in dB of full scale.", levels, "source")
        drift = [((name,), 1e-6 * each.drift_ppm) for name, each in telemetry.items()]
        yield _gauge("source_drift_ratio", "Deviation of the sample rate as a share of it, positive if fast.", drift, "source")
        for field, (name, documentation) in _SOURCE_COUNTERS.items():
            yield _counter(name, documentation, [((key,), getattr(each, field)) for key, each in telemetry.items()], "source")

    def _of_classes(self) -> Iterator[Family]:
        labels = "source", "class"
        each = [((source.name, of.slug), of) for source in self.view.sources for of in source.classes]
        # Prometheus sees the first event only if there was a 0 before it.
        events = {**{values: 0 for values, _ in each}, **self.events}
        yield _counter("events", "Published events.", events.items(), *labels)
        on = [(values, of.on) for values, of in each]
        yield _gauge("threshold_on_ratio", "Probability at which an event starts.", on, *labels)
        off = [(values, of.off) for values, of in each]
        yield _gauge("threshold_off_ratio", "Probability below which an event ends.", off, *labels)

    def _of_the_page(self) -> Iterator[Family]:
        page = self.page
        yield _gauge("page_browsers", "Browsers that show the page live.", _one(page.browsers))
        yield _counter(
            "page_lost_frames",
            "Messages of the live stream that slow browsers or a hanging page lost.",
            _one(page.lost_frames),
        )
        refused = _one(page.refused_connections)
        yield _counter("page_refused_connections", "Connections closed since there were too many.", refused)


def _one(value: float) -> Samples:
    return [((), value)]


def _known(value: float | None, factor: float = 1.0) -> Samples:
    return () if value is None else _one(factor * value)


def _gauge(name: str, documentation: str, samples: Samples, *labels: str) -> Family:
    return _with(GaugeMetricFamily(f"edge_detector_{name}", documentation, labels=labels), samples)


def _counter(name: str, documentation: str, samples: Samples, *labels: str) -> Family:
    """Return a counter; the library appends `_total` to its name."""
    return _with(CounterMetricFamily(f"edge_detector_{name}", documentation, labels=labels), samples)


def _with(family: Family, samples: Samples) -> Family:
    for labels, value in samples:
        family.add_metric(labels, value)
    return family
