"""JSON of the node's health and of its classes for the HTTP interface."""

from dataclasses import asdict

from edge_detector.mqtt.telemetry import SourceTelemetry
from edge_detector.web.views import NodeFigures, NodeView, PageFigures, SourceView

_PERIOD = ("uptime_seconds", "cpu_percent", "latency_ms_p50", "latency_ms_p99", "real_time_factor")
_SOURCE = ("heard_samples", "lost_samples", "skipped_phases", "overflows", "clock", "drift_ppm")


def health(view: NodeView, figures: NodeFigures, page: PageFigures) -> dict[str, object]:
    """Return what is wrong, and all figures. Those of the last minute are null in the first one."""
    of_period = dict.fromkeys(_PERIOD) if figures.period is None else asdict(figures.period)
    counters = {name: value for name, value in asdict(figures).items() if name not in ("period", "sources")}
    return {
        "ok": not view.sentences,
        "sentences": view.sentences,
        "node": view.node,
        "version": view.version,
        "bundle": view.bundle,
        "broker": view.broker,
        "broker_error": view.broker_error,
        "sources": [_source(source, figures.sources.get(source.name)) for source in view.sources],
        "figures": {**counters, **of_period},
        "page": asdict(page),
    }


def classes(view: NodeView) -> dict[str, object]:
    """Return the enabled classes of each source with their thresholds."""
    return {"sources": [{"name": source.name, "classes": [asdict(each) for each in source.classes]} for source in view.sources]}


def _source(view: SourceView, figures: SourceTelemetry | None) -> dict[str, object]:
    """Return a source; its figures are null until there are some."""
    return {
        "name": view.name,
        "state": view.state,
        "reason": view.reason,
        "signal": view.signal,
        "muted": view.muted,
        **{name: getattr(figures, name, None) for name in _SOURCE},
    }
