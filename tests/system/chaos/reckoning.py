"""Compares what was decided with what arrived."""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from edge_detector.types import Message


@dataclass(frozen=True, slots=True)
class Deliveries:
    """Events, by their message ids; `interrupted` are ends that the run after a crash had to supply."""

    decided: int
    received: int
    duplicates: int
    interrupted: int


def reckon(decided: Collection[str], messages: Sequence[Message]) -> Deliveries:
    """Assert that all that was decided is among the messages, the same each time it came, and that each start has its end."""
    payloads: dict[str, bytes] = {}
    counts: Counter[str] = Counter()
    for message in messages:
        payload = json.loads(message.payload)
        key = payload["message_id"]
        assert key == f"{payload['id']}/{payload['event_type']}", f"a name of its own: {key}"
        assert payloads.setdefault(key, message.payload) == message.payload, f"two messages are called {key}"
        counts[key] += 1
    missing = set(decided) - set(counts)
    assert not missing, f"{len(missing)} of {len(decided)} decided events did not arrive: {sorted(missing)[:10]}"
    ids = {kind: {key.removesuffix(kind) for key in counts if key.endswith(kind)} for kind in ("/start", "/end")}
    assert ids["/start"] == ids["/end"], f"without their other half: {sorted(ids['/start'] ^ ids['/end'])}"
    return Deliveries(
        decided=len(set(decided)),
        received=len(counts),
        duplicates=counts.total() - len(counts),
        interrupted=sum(b'"interrupted"' in payload for payload in payloads.values()),
    )
