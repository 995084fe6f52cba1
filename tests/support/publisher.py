"""A publisher as the service has it, and messages for it."""

import time
from pathlib import Path

from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.outbox import Outbox
from edge_detector.mqtt.publisher import Publisher
from edge_detector.mqtt.sqlite_store import open_outbox
from edge_detector.types import Message
from tests.support.broker import Broker

WILL = Message("node/status", b"offline", 1, retained=True)
HELLO = Message("node/status", b"online", 1, retained=True)


def event(number: int) -> Message:
    return Message("node/event", f"{number}".encode(), 1, retained=False)


def publisher_to(broker: Broker, protocol: str = "5", username: str | None = None, password: str | None = None) -> Publisher:
    address = Address(broker.host, broker.port, "test-publisher", protocol, username, password)
    publisher = Publisher(address, last_will=WILL, greeting=HELLO)
    publisher.start()
    return publisher


def numbered(number: int) -> Message:
    return Message("node/event", f"{number}".encode(), 1, retained=False, message_id=f"{number}/end")


def address_of(broker: Broker) -> Address:
    return Address(broker.host, broker.port, "test-publisher", keepalive_seconds=2)


def outbox_in(folder: Path) -> Outbox:
    return open_outbox(folder / "outbox.db", time.monotonic, max_messages=10_000, max_age_seconds=1e6)
