"""A service without sound: decides an event many times a second, until SIGTERM, through the real outbox and publisher.

    python -m tests.system.chaos.daemon FOLDER PORT RUN

Each message id is written to FOLDER/ledger once it is committed; what is there must arrive. With RUN 0 it decides nothing,
delivers what is left and ends.
"""

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path

from edge_detector.mqtt.address import Broker
from edge_detector.mqtt.outbox import Outbox
from edge_detector.mqtt.publisher import Publisher
from edge_detector.mqtt.sqlite_store import SqliteStore
from edge_detector.types import Message
from tests.support.publisher import HELLO, WILL

DECIDE_EVERY_SECONDS = 0.01
MOST_WAITING = 500
"""It decides no more than a slow broker, which saves after every message, can take within DRAIN_SECONDS."""

DRAIN_SECONDS = 240.0


class LedgerOutbox(Outbox):
    """Writes down what it has committed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(lambda: SqliteStore(folder / "outbox.db"), time.monotonic, max_messages=100_000)
        self._ledger = os.open(folder / "ledger", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def commit(self, added: Sequence[Message], delivered: Collection[str] = (), refused: Mapping[str, str] | None = None) -> None:
        super().commit(added, delivered, refused)
        assert self.trouble is None, self.trouble
        os.write(self._ledger, "".join(f"{message.message_id}\n" for message in added).encode())


def event(identity: str, kind: str, reason: str | None = None) -> Message:
    key = f"{identity}/{kind}"
    payload = {"message_id": key, "id": identity, "event_type": kind, "end_reason": reason}
    return Message("node/cot/event", json.dumps(payload).encode(), 1, retained=False, message_id=key)


def state(*, on: bool) -> Message:
    return Message("node/cot/class/rain", b"ON" if on else b"OFF", 1, retained=True)


def main(folder: Path, port: int, run: int) -> int:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    broker = Broker("127.0.0.1", port, "chaos-daemon", keepalive_seconds=2)
    with closing(LedgerOutbox(folder)) as outbox:
        publisher = Publisher(broker, last_will=WILL, greeting=HELLO, outbox=outbox)
        publisher.publish(state(on=False))
        for start in outbox.open_events():
            publisher.publish(event((start.message_id or "").removesuffix("/start"), "end", "interrupted"))
        publisher.start()
        for number in count() if run else ():
            publisher.publish(event(f"node/cot/run{run}/{number}/rain", "start"))
            publisher.publish(state(on=True))
            stopped = stop.wait(DECIDE_EVERY_SECONDS)
            while not stopped and publisher.backlog > MOST_WAITING:
                stopped = stop.wait(DECIDE_EVERY_SECONDS)
            publisher.publish(event(f"node/cot/run{run}/{number}/rain", "end", "shutdown" if stopped else "ended"))
            publisher.publish(state(on=False))
            if stopped:
                break
        delivered = publisher.close(WILL, DRAIN_SECONDS)
    return 0 if delivered and not publisher.dropped_events else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
