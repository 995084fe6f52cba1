"""How the service itself is doing: figures collected over a minute."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edge_detector.mqtt.troubles import Troubles

PERIOD_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class SourceTelemetry:
    """One source, since the service started.

    Attributes:
        state: as in its health.
        clock: "system", "stepped" or "file"; drift_ppm how fast its crystal is.
        heard_samples, lost_samples: at the source's rate; together they are all there were.
        skipped_phases: hops that were left out because the machine was too slow.
        overflows: how often the sound system lost sound before this program had it; how much, it does not always say.

    """

    state: str
    clock: str
    drift_ppm: float
    heard_samples: int
    lost_samples: int
    skipped_phases: int
    overflows: int


@dataclass(frozen=True, slots=True)
class Period:
    """The last minute.

    Attributes:
        uptime_seconds: since the service started.
        real_time_factor: CPU seconds per second of sound; None if there was no sound.
        cpu_percent: of one core.
        latency_ms_p50, latency_ms_p99: from a window's last sample to its publication; None for recordings.

    """

    uptime_seconds: float
    real_time_factor: float | None
    cpu_percent: float
    latency_ms_p50: float | None
    latency_ms_p99: float | None


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The service over the last minute; counters since it started.

    Attributes:
        dropped_messages: those that were stale while the broker was away, and the dropped events.
        dropped_events: those that should have arrived, and found no room or became too old.
        refused_messages, refused_commands: what the broker would not take from us, and we not from others.
        troubles: what is wrong now.

    """

    period: Period
    rss_bytes: int
    outbox_depth: int
    dropped_messages: int
    dropped_events: int
    refused_messages: int
    refused_commands: int
    reconnects: int
    bundle: str
    sources: Mapping[str, SourceTelemetry]
    troubles: Troubles


class TelemetryWindow:
    """Collects latencies, sound and CPU time until the period is over. All times are handed in."""

    def __init__(self, monotonic_seconds: float, cpu_seconds: float) -> None:
        self._started_at = monotonic_seconds
        self._begin(monotonic_seconds, cpu_seconds)

    def _begin(self, monotonic_seconds: float, cpu_seconds: float) -> None:
        self._since = monotonic_seconds
        self._cpu_since = cpu_seconds
        self._sound_seconds = 0.0
        self._latencies_ms: list[float] = []

    def record_hop(self, sound_seconds: float, latency_ms: float | None) -> None:
        """Take note of one hop."""
        self._sound_seconds += sound_seconds
        if latency_ms is not None:
            self._latencies_ms.append(latency_ms)

    def due(self, monotonic_seconds: float) -> bool:
        """Whether the period is over."""
        return monotonic_seconds - self._since >= PERIOD_SECONDS

    def close(self, monotonic_seconds: float, cpu_seconds: float) -> Period:
        """The figures of the period; the next one begins."""
        cpu = cpu_seconds - self._cpu_since
        p50, p99 = (
            (round(float(ms), 1) for ms in np.percentile(self._latencies_ms, (50, 99))) if self._latencies_ms else (None, None)
        )
        period = Period(
            uptime_seconds=round(monotonic_seconds - self._started_at, 3),
            real_time_factor=round(cpu / self._sound_seconds, 6) if self._sound_seconds else None,
            cpu_percent=round(100.0 * cpu / max(monotonic_seconds - self._since, 1e-9), 3),
            latency_ms_p50=p50,
            latency_ms_p99=p99,
        )
        self._begin(monotonic_seconds, cpu_seconds)
        return period
