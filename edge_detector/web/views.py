"""What the page shows of the node, as frozen values that the detecting thread hands over."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from edge_detector.mqtt.telemetry import Period, SourceTelemetry
from edge_detector.types import SignalQuality, SourceState


@dataclass(frozen=True, slots=True)
class ClassView:
    """An enabled class of one source.

    Attributes:
        on, off: thresholds in force.
        default_on: threshold `on` of bundle and configuration, in force unless another one is set.

    """

    slug: str
    label: str
    on: float
    off: float
    default_on: float


@dataclass(frozen=True, slots=True)
class SourceView:
    """A source with its enabled classes.

    Attributes:
        reason: why it is not healthy, as a sentence, or None.
        muted: its events are not published.

    """

    name: str
    state: SourceState
    reason: str | None
    signal: SignalQuality
    muted: bool
    classes: tuple[ClassView, ...]


@dataclass(frozen=True, slots=True)
class NodeView:
    """The node: identity, sources, and whatever is wrong.

    Attributes:
        version: of this program.
        bundle: name and version of the bundle.
        broker: where it publishes, as host:port; None where it does not publish over MQTT.
        broker_error: why the broker is not connected, as a sentence; None while it is, or without a broker.
        history: whether a history of events is kept.
        troubles: one sentence each; empty if there are none.
        clips: where the sound of events is stored, and for how long, as a sentence; None where none is stored.

    """

    node: str
    version: str
    bundle: str
    broker: str | None
    broker_error: str | None
    history: bool
    sources: tuple[SourceView, ...]
    troubles: tuple[str, ...]
    clips: str | None = None

    @property
    def sentences(self) -> tuple[str, ...]:
        """Everything that is wrong, one sentence each; empty for a node that works."""
        return tuple(self._sentences())

    def _sentences(self) -> Iterator[str]:
        for source in self.sources:
            if source.state not in ("healthy", "starting"):
                yield f"{source.name} is {source.state}: {source.reason or 'no reason is known'}"
            elif source.signal != "ok":
                yield f"{source.name} delivers a signal that is {source.signal}; check the microphone"
        if self.broker_error is not None:
            yield self.broker_error
        yield from self.troubles

    def as_json(self) -> dict[str, object]:
        """Return the values for JSON, with the sentences."""
        return {**asdict(self), "sentences": self.sentences}


@dataclass(frozen=True, slots=True)
class NodeFigures:
    """Counters since the start, which change all the time, and the figures of the last minute.

    Attributes:
        period: None in the first minute.
        outbox_depth: events that wait for the broker.
        history_lost: events that are missing from the history.
        lost_blocks: blocks of probabilities, of five minutes, that are missing from it.
        clips_lost: clips of sound that were not stored.
        sources: by name.

    """

    rss_bytes: int
    outbox_depth: int
    dropped_messages: int
    dropped_events: int
    refused_messages: int
    refused_commands: int
    reconnects: int
    history_lost: int
    lost_blocks: int
    clips_lost: int
    period: Period | None
    sources: dict[str, SourceTelemetry]


@dataclass(frozen=True, slots=True)
class PageFigures:
    """Figures of the page itself.

    Attributes:
        browsers: open live streams.
        lost_frames: messages of the live stream that slow browsers, or a page that hangs, have lost.
        refused_connections: closed since there were too many.

    """

    browsers: int
    lost_frames: int
    refused_connections: int
