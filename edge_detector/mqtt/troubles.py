"""What is wrong with the node as a whole, whatever its sources hear, in sentences for people."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

TOO_LARGE = "packet too large"
"""What the reason begins with where a message is larger than the broker takes."""
HANGS_UP = "it hangs up at this message"
OVERLONG = "what it sends from there is too large to be read"
NAMED_TOPICS = 3
MOST_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Troubles:
    """What is wrong now. Each part belongs to the thread that finds it out, which only ever replaces it as a whole.

    Attributes:
        outbox: why events would not survive a restart; None while they would.
        damage: what became of a damaged or deleted outbox, since the start; None where there was none.
        settings: why what was set over MQTT does not hold, or would not survive a restart.
        refused_topics: what the broker would not take, or not send us, with its reasons.
        service: what is wrong with how it was started, or with the configuration that it was told to reread.
        broker: what is wrong between the broker and us.

    """

    outbox: str | None = None
    settings: tuple[str, ...] = ()
    refused_topics: Mapping[str, str] = field(default_factory=dict)
    service: tuple[str, ...] = ()
    damage: str | None = None
    broker: tuple[str, ...] = ()

    @property
    def sentences(self) -> tuple[str, ...]:
        """One line each, of at most 500 characters; none where all is well."""
        of_disk = filter(None, [self.outbox, self.damage])
        found = (*of_disk, *self.settings, *self.service, *self.broker, *_refusals(self.refused_topics))
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
    """What to do where the broker does not take a message for this reason."""
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
