"""Says in the log what is being lost, without flooding it."""

import logging

LOG = logging.getLogger(__name__)


class TroubleLog:
    """Remembers what has been said, so that only news is."""

    def __init__(self) -> None:
        self._trouble: str | None = None
        self._dropped = 0

    def say(self, trouble: str | None, dropped_messages: int, dropped_events: int) -> None:
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
