"""Links from the broker to the page, as the service publishes them."""

import json
import threading
from pathlib import Path
from urllib.parse import unquote

import pytest

from edge_detector.config import parse_config
from edge_detector.mqtt.address import Broker as Address
from edge_detector.service.factory import load_networks
from edge_detector.service.service import Service
from edge_detector.service.state import State
from tests.support.broker import Broker
from tests.support.inbox import Inbox, subscriber
from tests.support.soundscape_file import write_soundscape


@pytest.mark.parametrize(("listen", "url"), [("192.0.2.7:8080", "http://192.0.2.7:8080"), ("127.0.0.1:8080", None)])
def test_events_and_the_device_link_to_a_page_that_other_machines_reach(
    tmp_path: Path, broker: Broker, listen: str, url: str | None
) -> None:
    tape = write_soundscape(tmp_path / "tape.wav")
    config = parse_config(
        {
            "node": {"name": "nursery"},
            "source": [{"name": "cot", "kind": "file", "device": str(tape)}],
            "mqtt": {"host": broker.host, "port": broker.port},
            "web": {"listen": listen, "password_file": "secret"},
        },
        "test",
    )
    address = Address(broker.host, broker.port, "test-service")
    with subscriber(broker.host, broker.port) as inbox:
        Service(config, load_networks(None), address, State(outbox=None, settings=None)).run(threading.Event(), lambda: None)
        inbox.wait_for_payload("edge_detector/nursery/status", b"offline")
    require_links(inbox, url)


def require_links(inbox: Inbox, url: str | None) -> None:
    """Require that every event and the device have a link, or none where there is no URL."""
    events = [json.loads(item.payload) for item in inbox.messages if item.topic == "edge_detector/nursery/cot/event"]
    assert {event["event_type"] for event in events} == {"start", "end"}
    for event in events:
        page, _, fragment = event.get("url", "").partition("/#event=")
        assert (page, unquote(fragment)) == ((url, event["id"]) if url is not None else ("", ""))
    (device,) = (json.loads(item.payload)["dev"] for item in inbox.messages if item.topic.startswith("homeassistant/"))
    assert device.get("cu") == url
