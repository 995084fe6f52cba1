"""MQTT: a publisher that never makes the sound wait, and a subscription for programs that only listen.

paho is met in one file, `client`; `publisher` decides what is sent and when.
"""

from edge_detector.edges.mqtt.address import Broker
from edge_detector.edges.mqtt.client import subscription
from edge_detector.edges.mqtt.publisher import PENDING_EVENTS, Publisher

__all__ = ["PENDING_EVENTS", "Broker", "Publisher", "subscription"]
