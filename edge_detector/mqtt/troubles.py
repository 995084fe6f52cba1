"""Troubles of the node, as sentences for people."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

TOO_LARGE = "packet too large"
"""Start of the reason for a message that is larger than the broker accepts."""
HANGS_UP = "it hangs up at this message"
OVERLONG = "what it sends from there is too large to be read"
NAMED_TOPICS = 3
MOST_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Troubles:
    """Current troubles. Each attribute belongs to the thread that detects it, which replaces it as a whole.

    Attributes:
        outbox: reason why events would not survive a restart, or None.
        damage: report on a damaged or deleted outbox since the start, or None.
        settings: reasons why values set over MQTT are not in force or would not survive a restart.
        refused_topics: topics that the broker refuses to accept or to send, with its reasons.
        service: problems of the start, or of the configuration at a reload.
        broker: problems of the connection to the broker.
        history: reasons why events are missing from the history.
        clips: reasons why clips of sound are not stored.

    """

    outbox: str | None = None
    settings: tuple[str, ...] = ()
    refused_topics: Mapping[str, str] = field(default_factory=dict)
    service: tuple[str, ...] = ()
    damage: str | None = None
    broker: tuple[str, ...] = ()
    history: tuple[str, ...] = ()
    clips: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """All troubles, one line of at most 500 characters each; empty if there are none."""
        of_disk = filter(None, [self.outbox, self.damage])
        of_state = (*of_disk, *self.settings, *self.history, *self.clips)
        found = (*of_state, *self.service, *self.broker, *_refusals(self.refused_topics))
        return tuple(_line(sentence) for sentence in found)


NO_TROUBLES = Troubles()


def _refusals(topics: Mapping[str, str]) -> Iterator[str]:
    by_reason = defaultdict(list)
    for topic, reason in sorted(topics.items()):
        by_reason[reason].append(topic)
    for reason, refused in by_reason.items():
        rest = len(refused) - NAMED_TOPICS
        names = ", ".join(refused[:NAMED_TOPICS]) + (f" and {rest} more" if rest > 0 else "")
        yield f"the broker refuses {names} ({reason}); {cure(reason)}"


def cure(reason: str) -> str:
    """Return the remedy for this reason of a refused message."""
    if reason.casefold().startswith(TOO_LARGE):
        return "raise its limit (mosquitto: max_packet_size, message_size_limit), or enable fewer classes"
    cures = {
        HANGS_UP: "see its log and its access rules",
        OVERLONG: "empty what is retained there",
        "Quota exceeded": "raise its quota",
        "Unspecified error": "see its log",
        "Implementation specific error": "see its log",
    }
    return cures.get(reason, "check its access rules")


def _line(sentence: str) -> str:
    line = " ".join(sentence.split())
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…"
