"""The publisher's outbox on a card that keeps whoever writes to it waiting."""

import time
from contextlib import closing
from pathlib import Path

from edge_detector.mqtt.publisher import Publisher
from edge_detector.mqtt.sqlite_store import SqliteStore, open_outbox
from edge_detector.threads import Worker
from edge_detector.types import Message
from tests.support.broker import Broker
from tests.support.disks import card
from tests.support.inbox import subscriber
from tests.support.publisher import HELLO, WILL, address_of, numbered
from tests.support.waiting import wait_until

LEVEL = Message("node/level", b"-40", 0, retained=False)


def test_a_disk_that_hangs_delays_no_state_is_said_and_costs_no_event(tmp_path: Path, broker: Broker) -> None:
    path = tmp_path / "state" / "outbox.db"
    with card(tmp_path / "state") as disk, subscriber(broker.host, broker.port) as inbox:
        outbox = open_outbox(path, time.monotonic, max_messages=100, max_age_seconds=1e6, run=Worker("outbox"))
        publisher = Publisher(address_of(broker), last_will=WILL, greeting=HELLO, outbox=outbox)
        publisher.start()
        publisher.publish(numbered(0))
        inbox.wait_for_payload("node/event", b"0")
        disk.freeze()
        try:
            publisher.publish(numbered(1))
            publisher.publish(LEVEL)
            inbox.wait_for_payload(LEVEL.topic, LEVEL.payload)
            assert outbox.trouble is None, "the state did not wait until the disk was given up"
            wait_until(lambda: outbox.trouble is not None, "the disk to be said to hang", deadline_seconds=20.0)
            assert "does not answer" in str(outbox.trouble)
            inbox.wait_for_payload("node/event", b"1")
            publisher.publish(numbered(2))
            inbox.wait_for_payload("node/event", b"2")
        finally:
            disk.thaw()
        wait_until(lambda: outbox.trouble is None, "the disk to be in use again", deadline_seconds=20.0)
        assert publisher.close(WILL, 5.0)
        outbox.close()
        assert publisher.dropped_events == 0
        with closing(SqliteStore(path)) as store:
            assert store.count() == 0, "what was delivered meanwhile is not sent again"
