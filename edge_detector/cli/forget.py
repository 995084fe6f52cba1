"""`forget`: empties the retained topics of a node, states and discovery."""

import logging
import queue
import sys
import threading
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from edge_detector.config import Config, load_config
from edge_detector.errors import BrokerError
from edge_detector.mqtt import messages
from edge_detector.mqtt.address import Broker
from edge_detector.mqtt.client import subscription
from edge_detector.mqtt.credentials import broker_of, temporary_client_id
from edge_detector.mqtt.home_assistant import removal
from edge_detector.mqtt.publisher import Publisher
from edge_detector.mqtt.tls import describe_connect_error
from edge_detector.types import Message

LOG = logging.getLogger(__name__)

LOGIN_SECONDS = 10.0
DELIVERY_SECONDS = 10.0
QUIET_SECONDS = 2.0
"""Time without a message that marks the end of the retained messages."""
MOST_TOPICS = 20_000


def run(config_path: Path) -> int:
    """Empty every retained topic of the node. Raises BrokerError if the broker cannot be reached or keeps any."""
    config = load_config(config_path)
    broker = broker_of(config.mqtt, temporary_client_id(f"edge_detector-{config.node}-forget"))
    base = f"{config.mqtt.base_topic}/{config.node}"
    found = _retained(broker, config, base)
    if found.get(f"{base}/status") == messages.ONLINE.encode():
        LOG.warning("the service of this node seems to run, and will publish again; stop it first: systemctl stop edge-detector")
    # Discovery first, since Home Assistant logs an error for the empty state of an existing entity.
    topics = sorted(found, key=lambda topic: (topic.startswith(f"{base}/"), topic))
    _empty(broker, base, topics)
    if left := _retained(broker, config, base):
        raise BrokerError(
            f"the broker {broker.address} still has {len(left)} retained topics, such as {min(left)}; check its access rules"
        )
    sys.stdout.write(f"the broker {broker.address} has deleted {len(topics)} retained topics of {config.node}\n")
    return 0


def _retained(broker: Broker, config: Config, base: str) -> dict[str, bytes]:
    """Return the retained payloads of the node, by topic."""
    prefix = config.home_assistant.prefix
    found: dict[str, bytes] = {}
    for topic_filter in (f"{base}/#", f"{prefix}/device/+/config", f"{prefix}/device/+/+/config"):
        for message in _listen(broker, topic_filter):
            if message.retained and message.payload and _is_ours(message, config, base):
                found[message.topic] = message.payload
    return found


def _listen(broker: Broker, topic_filter: str) -> Iterator[Message]:
    came: queue.Queue[Message] = queue.Queue(MOST_TOPICS)
    overflow = threading.Event()

    def receive(message: Message) -> None:
        try:
            came.put_nowait(message)
        except queue.Full:
            overflow.set()

    with subscription(broker, topic_filter, receive, describe_connect_error):
        while not overflow.is_set():
            try:
                yield came.get(timeout=QUIET_SECONDS)
            except queue.Empty:
                return
    raise BrokerError(f"the broker {broker.address} sends too many messages on {topic_filter}; empty the node's topics there")


def _is_ours(message: Message, config: Config, base: str) -> bool:
    """Return whether a message is the node's: below its topic, its discovery, or a discovery that names its topics."""
    sources = [source.name for source in config.sources]
    announced = {each.topic for each in removal(config.node, (None, *sources), prefix=config.home_assistant.prefix)}
    if message.topic.startswith(f"{base}/") or message.topic in announced:
        return True
    return any(f'"{base}{end}'.encode() in message.payload for end in ("/", '"'))


def _empty(broker: Broker, base: str, topics: Iterable[str]) -> None:
    # A temporary topic; the empty will leaves no message.
    farewell = messages.forgotten(f"{base}/forget-{uuid.uuid4().hex[:8]}")
    publisher = Publisher(broker, last_will=farewell, greeting=farewell, explain=describe_connect_error)
    for topic in topics:  # before the start, since the inbox is limited afterwards
        publisher.publish(messages.forgotten(topic))
    publisher.start()
    accepted = publisher.wait_connected(LOGIN_SECONDS)
    acknowledged = publisher.close(farewell, DELIVERY_SECONDS if accepted else 0.1)
    if not accepted:
        raise BrokerError(publisher.last_error or f"the broker {broker.address} does not answer in MQTT; is it an MQTT broker?")
    if not acknowledged:
        raise BrokerError(f"the broker {broker.address} did not acknowledge everything in {DELIVERY_SECONDS:g} s; try again")
