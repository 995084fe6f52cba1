"""Whether another process publishes as this node: a copied card, or two nodes of one name.

Each process marks the health of its sources with an instance of its own, and listens to what is published as health of the node.
"""

import json

from edge_detector.types import Message

REMEMBER_SECONDS = 600.0


def own_filters(base: str) -> tuple[str, ...]:
    """Retained topics that are a node's alone, and that matter where somebody else writes to them."""
    return (f"{base}/status", f"{base}/+/availability", f"{base}/+/class/+", f"{base}/+/health")


class NameConflict:
    """Watches the node's own health topics. `handle` belongs to one thread; `trouble` may be read by any.

    Args:
        base: the node's topic, edge_detector/<node>.
        instance: of this process.

    """

    def __init__(self, base: str, instance: str) -> None:
        self._base = base
        self.instance = instance
        self._ours: set[str] = set()
        self._heard_at_seconds: float | None = None

    def handle(self, message: Message, now_seconds: float) -> bool:
        """Take note of a message. Returns whether somebody else has published it as this node.

        What the broker had retained is an earlier process's, until our own has been there.
        """
        if not (message.topic.startswith(f"{self._base}/") and message.topic.endswith("/health")):
            return False
        instance = _instance(message.payload)
        if instance == self.instance:
            self._ours.add(message.topic)
        elif instance is not None and (not message.retained or message.topic in self._ours):
            self._heard_at_seconds = now_seconds
            return True
        return False

    def trouble(self, now_seconds: float) -> str | None:
        """What is wrong, in a sentence; None where nobody else has been heard for a while."""
        heard_at_seconds = self._heard_at_seconds
        if heard_at_seconds is None or now_seconds - heard_at_seconds > REMEMBER_SECONDS:
            return None
        return f"another client publishes as {self._base}, as a copied card does; give each node a name of its own ([node] name)"


def _instance(payload: bytes) -> str | None:
    try:
        read = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    instance = read.get("instance") if isinstance(read, dict) else None
    return instance if isinstance(instance, str) else None
