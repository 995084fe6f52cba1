"""A node as the page sees it: one source that works, one that is lost, and figures of both."""

from edge_detector.mqtt.telemetry import Period, SourceTelemetry
from edge_detector.web.views import ClassView, NodeFigures, NodeView, PageFigures, SourceView

RAIN = ClassView("rain", "Rain", on=0.6, off=0.3, default_on=0.5)
SIREN = ClassView("siren", "Siren", on=0.25, off=0.125, default_on=0.25)
COT = SourceView("cot", "healthy", None, "ok", muted=False, classes=(RAIN, SIREN))
YARD = SourceView("yard", "reconnecting", "the microphone is not there; plug it in", "ok", muted=True, classes=(RAIN,))
VIEW = NodeView(
    node="nursery",
    version="0.1.0",
    bundle="default 2",
    broker="broker.local:1883",
    broker_error="broker.local:1883 cannot be reached; start it",
    history=True,
    sources=(COT, YARD),
    troubles=("the disk is full; make room",),
)
FIGURES = NodeFigures(
    rss_bytes=150_000_000,
    outbox_depth=1,
    dropped_messages=2,
    dropped_events=3,
    refused_messages=4,
    refused_commands=5,
    reconnects=6,
    history_lost=7,
    lost_blocks=13,
    clips_lost=8,
    period=Period(uptime_seconds=120.5, real_time_factor=0.0625, cpu_percent=6.25, latency_ms_p50=12.5, latency_ms_p99=250.0),
    sources={
        "cot": SourceTelemetry("healthy", "system", 12.5, 16_000, 160, 8, 9),
        "yard": SourceTelemetry("reconnecting", "stepped", -4.0, 48_000, 0, 0, 0),
    },
)
PAGE = PageFigures(browsers=2, lost_frames=11, refused_connections=12)
