"""A subscriber in a process of its own that takes down events until the service says goodbye, and prints their message ids."""

import json
import sys
import threading

from edge_detector.mqtt.address import Broker
from edge_detector.mqtt.client import subscription
from edge_detector.types import Message


def main() -> None:
    host, port = sys.argv[1], int(sys.argv[2])
    received: list[str] = []
    farewell = threading.Event()

    def receive(message: Message) -> None:
        if message.topic.endswith("/event"):
            received.append(json.loads(message.payload)["message_id"])
        elif message.topic.endswith("/status") and message.payload == b"offline" and received:
            farewell.set()

    with subscription(Broker(host, port, "soak-counter"), "edge_detector/#", receive):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        farewell.wait()
    sys.stdout.write(json.dumps(received) + "\n")


if __name__ == "__main__":
    main()
