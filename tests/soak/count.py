"""A subscriber in a process of its own that counts events until the service says goodbye, and prints what it counted."""

import json
import sys
import threading
from collections import Counter

from edge_detector.edges.mqtt import Broker, subscription
from edge_detector.types import Message


def main() -> None:
    host, port = sys.argv[1], int(sys.argv[2])
    counted: Counter[str] = Counter()
    open_events: set[str] = set()
    farewell = threading.Event()

    def receive(message: Message) -> None:
        if message.topic.endswith("/event"):
            payload = json.loads(message.payload)
            counted[payload["event_type"]] += 1
            (open_events.add if payload["event_type"] == "start" else open_events.discard)(payload["id"])
        elif message.topic.endswith("/status") and message.payload == b"offline" and counted:
            farewell.set()

    with subscription(Broker(host, port, "soak-counter"), "edge_detector/#", receive):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        farewell.wait()
    sys.stdout.write(json.dumps({"starts": counted["start"], "ends": counted["end"], "open": len(open_events)}) + "\n")


if __name__ == "__main__":
    main()
