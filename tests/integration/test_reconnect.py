"""When the broker is tried again, and what it refuses, against a real mosquitto."""

import json
from pathlib import Path

import pytest

from edge_detector.mqtt.address import Broker as Address
from edge_detector.mqtt.client import Connection
from edge_detector.mqtt.inbox import Acknowledged, Notice
from edge_detector.mqtt.publisher import Publisher
from edge_detector.types import Message
from tests.support.broker import Broker
from tests.support.publisher import HELLO, WILL
from tests.support.waiting import wait_until


def test_each_attempt_is_put_off_by_a_random_share_of_a_growing_delay_until_something_is_acknowledged() -> None:
    dice = iter([0.0, 0.6, 0.0, 1.0])
    notices: list[Notice] = []
    delays = [0.0]

    def delay_is_news(connection: Connection) -> bool:
        if connection.retry_seconds != delays[-1]:
            delays.append(connection.retry_seconds)
            return True
        return False

    with Broker() as broker:
        broker.stop()
        address = Address(broker.host, broker.port, "test")
        connection = Connection(address, WILL, notices.append, lambda _message: None, dice=lambda: next(dice, 0.0))
        connection.start()
        for number in range(2):
            wait_until(lambda: delay_is_news(connection), f"failure {number}")
        assert delays == [0.0, 0.5, 1.6]
        broker.start()
        wait_until(lambda: bool(notices), "a connection")
        connection.publish(HELLO)
        wait_until(lambda: any(isinstance(notice, Acknowledged) for notice in notices), "the acknowledgement")
        broker.kill()
        wait_until(lambda: delay_is_news(connection), "the loss to be noticed")
        assert delays[-1] == 0.5, "it begins anew"
        connection.stop(5.0)


def publisher_to(broker: Broker, *subscriptions: str) -> Publisher:
    address = Address(broker.host, broker.port, "test-publisher", keepalive_seconds=2)
    publisher = Publisher(address, last_will=WILL, greeting=HELLO, subscriptions=subscriptions)
    publisher.start()
    return publisher


def test_a_refusal_is_over_once_the_broker_takes_the_topic_again(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite node/status\n")
    state = Message("node/cot/class/rain", b"OFF", 1, retained=True)
    event = Message("node/cot/event", b"{}", 1, retained=False)
    with Broker(f"acl_file {rules}") as broker:
        publisher = publisher_to(broker)
        publisher.publish(state)
        publisher.publish(event)
        wait_until(lambda: set(publisher.refused_topics) == {state.topic, event.topic}, "the refusals")
        broker.stop()
        wait_until(lambda: not publisher.wait_connected(0), "the publisher to notice")
        assert state.topic in publisher.refused_topics, "nothing has changed for the better"
        rules.write_text("topic readwrite node/#\n")
        broker.start()
        wait_until(lambda: not publisher.refused_topics, "the refusals to be over")
        assert publisher.close(WILL, timeout_seconds=20)


@pytest.fixture
def deaf_broker(tmp_path: Path) -> Broker:
    """Takes everything, and sends nothing under node/#."""
    plugins = sorted(Path("/usr/lib").glob("*/mosquitto_dynamic_security.so"))
    if not plugins:
        pytest.skip("mosquitto has come without its plugin for access rules")
    rules = {
        "defaultACLAccess": {"publishClientSend": True, "publishClientReceive": True, "subscribe": True, "unsubscribe": True},
        "clients": [],
        "groups": [{"groupname": "anonymous", "roles": [{"rolename": "deaf"}]}],
        "roles": [{"rolename": "deaf", "acls": [{"acltype": "subscribePattern", "topic": "node/#", "allow": False}]}],
        "anonymousGroup": "anonymous",
    }
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(rules))
    return Broker(f"plugin {plugins[0]}", f"plugin_opt_config_file {file}")


def test_commands_that_the_broker_will_not_send_us_are_known(deaf_broker: Broker, caplog: pytest.LogCaptureFixture) -> None:
    with deaf_broker as broker:
        publisher = publisher_to(broker, "node/+/mute/set", "home/status")
        wait_until(lambda: bool(publisher.refused_topics), "the refusal")
        assert publisher.refused_topics == {"node/+/mute/set": "Not authorized"}
        assert "does not deliver node/+/mute/set (Not authorized)" in caplog.text
        assert publisher.close(WILL, timeout_seconds=20)
