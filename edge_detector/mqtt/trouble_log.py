"""Log of losses and refusals that reports changes only."""

import logging
from collections.abc import Container

from edge_detector.mqtt.troubles import cure

LOG = logging.getLogger(__name__)


class TroubleLog:
    """Logs troubles of the outbox, losses and refusals when they change.

    Attributes:
        refused_topics: topics that the broker refused at the last attempt, with its reasons. Replaced as a whole.

    """

    def __init__(self) -> None:
        self._trouble: str | None = None
        self._dropped = 0
        self.refused_topics: dict[str, str] = {}

    def log_changes(self, trouble: str | None, dropped_messages: int, dropped_events: int) -> None:
        """Log the outbox's trouble when it begins, changes or ends, and losses each time they have doubled."""
        if trouble != self._trouble:
            self._trouble = trouble
            if trouble is None:
                LOG.info("the outbox is on disk again")
            else:
                LOG.error("%s", trouble)
        if dropped_messages.bit_length() > self._dropped.bit_length():
            self._dropped = dropped_messages
            LOG.warning(
                "the broker is away or slow: %d messages dropped so far, %d of them events", dropped_messages, dropped_events
            )

    def refuse(self, topic: str, reason: str, what: str = "the broker refused a message on") -> None:
        """Record a refusal, and log it if the topic was not refused before."""
        if topic not in self.refused_topics:
            LOG.error("%s %s (%s); %s", what, topic, reason, cure(reason))
        self.refused_topics = {**self.refused_topics, topic: reason}

    def accept(self, topic: str) -> None:
        """Record that the broker has accepted a message on this topic."""
        if topic in self.refused_topics:
            self.refused_topics = {refused: reason for refused, reason in self.refused_topics.items() if refused != topic}

    def reset(self, tried_again: Container[str]) -> None:
        """Forget the refusals after a connect, except of the topics that are tried again at once."""
        self.refused_topics = {topic: reason for topic, reason in self.refused_topics.items() if topic in tried_again}
