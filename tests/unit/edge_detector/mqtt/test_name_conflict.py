"""Another process that publishes as this node."""

import json

from edge_detector.mqtt.name_conflict import REMEMBER_SECONDS, NameConflict
from edge_detector.types import Message

BASE = "edge_detector/nursery"


def health(instance: str, *, retained: bool = False) -> Message:
    return Message(f"{BASE}/cot/health", json.dumps({"instance": instance}).encode(), 1, retained)


def test_another_instance_is_a_trouble_for_a_while() -> None:
    conflict = NameConflict(BASE, "ours")
    assert not conflict.handle(health("ours"), 0.0)
    assert conflict.trouble(0.0) is None
    assert conflict.handle(health("theirs"), 10.0)
    assert "give each node a name of its own" in str(conflict.trouble(20.0))
    assert conflict.trouble(10.0 + REMEMBER_SECONDS + 1.0) is None


def test_a_retained_message_of_an_earlier_run_is_not_a_conflict() -> None:
    conflict = NameConflict(BASE, "ours")
    assert not conflict.handle(health("earlier", retained=True), 0.0)
    conflict.handle(health("ours"), 1.0)
    assert conflict.handle(health("theirs", retained=True), 2.0), "it was overwritten while we were away"


def test_other_messages_are_ignored() -> None:
    conflict = NameConflict(BASE, "ours")
    for topic, payload in ((f"{BASE}/status", b"offline"), ("other/cot/health", b'{"instance":"x"}')):
        assert not conflict.handle(Message(topic, payload, 1, retained=False), 0.0)
    for payload in (b"", b"[]", b"null", b"\xff", b'{"instance":7}', b"[" * 100_000):
        assert not conflict.handle(Message(f"{BASE}/cot/health", payload, 1, retained=False), 0.0)
