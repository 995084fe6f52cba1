"""Telemetry of the service: figures collected over a minute."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edge_detector.mqtt.troubles import Troubles

PERIOD_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class SourceTelemetry:
    """Figures of one source since the service started.

    Attributes:
        state: as in its health.
        clock: "system", "stepped" or "file".
        drift_ppm: deviation of its sample rate, positive if fast.
        heard_samples, lost_samples: processed and lost samples at the source's rate; their sum is all samples.
        skipped_phases: hops skipped because the machine was too slow.
        overflows: losses reported by the sound system; it does not always report their length.

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
    """Figures of the last minute.

    Attributes:
        uptime_seconds: time since the service started.
        real_time_factor: CPU seconds per second of sound; None if there was no sound.
        cpu_percent: CPU time in percent of one core.
        latency_ms_p50, latency_ms_p99: from the last sample of a window to its publication; None for recordings.

    """

    uptime_seconds: float
    real_time_factor: float | None
    cpu_percent: float
    latency_ms_p50: float | None
    latency_ms_p99: float | None


@dataclass(frozen=True, slots=True)
class Inventory:
    """What runs on the node.

    Attributes:
        version: of this program.
        bundle: name and version of the bundle.
        bundle_sha256: of the manifest.json that was loaded, in hexadecimal; it holds the checksums of the bundle's other files.
        configuration_sha256: of the configuration file's bytes that were read last and accepted; None without a file.
        restart_needed: whether a part of that file takes effect at the next restart only.

    """

    version: str
    bundle: str
    bundle_sha256: str
    configuration_sha256: str | None
    restart_needed: bool


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Figures of the service over the last minute, and counters since it started.

    Attributes:
        dropped_messages: messages that went stale while the broker was away, plus the dropped events.
        dropped_events: events dropped because the outbox was full or they were too old.
        refused_messages: messages that the broker refused.
        refused_commands: commands that this service refused.
        troubles: current troubles.

    """

    period: Period
    inventory: Inventory
    rss_bytes: int
    outbox_depth: int
    dropped_messages: int
    dropped_events: int
    refused_messages: int
    refused_commands: int
    reconnects: int
    sources: Mapping[str, SourceTelemetry]
    troubles: Troubles


class TelemetryWindow:
    """Collects latencies, sound and CPU time of a period. All times are arguments."""

    def __init__(self, monotonic_seconds: float, cpu_seconds: float) -> None:
        self._started_at = monotonic_seconds
        self._begin(monotonic_seconds, cpu_seconds)

    def _begin(self, monotonic_seconds: float, cpu_seconds: float) -> None:
        self._since = monotonic_seconds
        self._cpu_since = cpu_seconds
        self._sound_seconds = 0.0
        self._latencies_ms: list[float] = []

    def record_hop(self, sound_seconds: float, latency_ms: float | None) -> None:
        """Count one hop: its length in seconds and its latency in ms, None for a recording."""
        self._sound_seconds += sound_seconds
        if latency_ms is not None:
            self._latencies_ms.append(latency_ms)

    def due(self, monotonic_seconds: float) -> bool:
        """Return whether the period is over."""
        return monotonic_seconds - self._since >= PERIOD_SECONDS

    def close(self, monotonic_seconds: float, cpu_seconds: float) -> Period:
        """Return the figures of the period and start the next one."""
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
