"""A subscriber in a process of its own that takes down events until the service says goodbye, and prints their message ids.

A line on standard input says that the service has ended: before that an "offline" is the broker's last will for a connection that
was lost.
"""

import json
import sys
import threading

from edge_detector.mqtt.address import Broker
from edge_detector.mqtt.client import subscription
from edge_detector.types import Message

FAREWELL_SECONDS = 60.0


def main() -> None:
    host, port = sys.argv[1], int(sys.argv[2])
    received: list[str] = []
    farewell = threading.Event()

    def receive(message: Message) -> None:
        if message.topic.endswith("/event"):
            received.append(json.loads(message.payload)["message_id"])
        elif message.topic.endswith("/status"):
            (farewell.set if message.payload == b"offline" else farewell.clear)()

    with subscription(Broker(host, port, "soak-counter"), "edge_detector/#", receive):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        if not farewell.wait(FAREWELL_SECONDS):
            sys.stderr.write("the service never said goodbye\n")
    sys.stdout.write(json.dumps(received) + "\n")


if __name__ == "__main__":
    main()
