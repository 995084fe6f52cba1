"""Detection of another process that publishes as this node: a copied card, or two nodes with one name.

Each process adds a random instance identifier to the health of its sources, and subscribes to the health topics of the node.
"""

import json

from edge_detector.types import Message

REMEMBER_SECONDS = 600.0


def own_filters(base: str) -> tuple[str, ...]:
    """Return filters of the retained topics that only this node may write."""
    return (f"{base}/status", f"{base}/+/availability", f"{base}/+/class/+", f"{base}/+/health")


class NameConflict:
    """Detector of foreign messages on the node's health topics. One thread calls `handle`, any thread `trouble`.

    Args:
        base: the node's topic, edge_detector/<node>.
        instance: identifier of this process.

    """

    def __init__(self, base: str, instance: str) -> None:
        self._base = base
        self.instance = instance
        self._ours: set[str] = set()
        self._foreign_at_seconds: float | None = None

    def handle(self, message: Message, now_seconds: float) -> bool:
        """Process a message. Returns whether another process has published it as this node.

        A retained message is that of an earlier process until one of this process was received.
        """
        if not (message.topic.startswith(f"{self._base}/") and message.topic.endswith("/health")):
            return False
        instance = _instance(message.payload)
        if instance == self.instance:
            self._ours.add(message.topic)
        elif instance is not None and (not message.retained or message.topic in self._ours):
            self._foreign_at_seconds = now_seconds
            return True
        return False

    def trouble(self, now_seconds: float) -> str | None:
        """Return the conflict as a sentence; None if the last foreign message is more than ten minutes old."""
        foreign_at_seconds = self._foreign_at_seconds
        if foreign_at_seconds is None or now_seconds - foreign_at_seconds > REMEMBER_SECONDS:
            return None
        return f"another client publishes as {self._base}, as a copied card does; give each node a name of its own ([node] name)"


def _instance(payload: bytes) -> str | None:
    try:
        read = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    instance = read.get("instance") if isinstance(read, dict) else None
    return instance if isinstance(instance, str) else None
