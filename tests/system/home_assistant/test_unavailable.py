"""How soon Home Assistant shows that nobody listens, and that somebody does again; pytest -s prints the figures."""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from edge_detector.demo.soundscape import make_soundscape
from tests.support.broker import Broker
from tests.support.fake_microphone import FakeMicrophone
from tests.support.service import Service
from tests.system.home_assistant.box import HomeAssistant

ROUNDS = 5
LONGEST_SECONDS = 5.0
KEEPALIVE_SECONDS = 3
BROKER_LOOKS_EVERY_SECONDS = 6.0
"""How often mosquitto asks itself who has been silent for longer than his keepalive and a half."""


@dataclass(frozen=True, slots=True)
class House:
    microphone: FakeMicrophone
    service: Service


@pytest.fixture
def house(broker: Broker, microphone: FakeMicrophone, request: pytest.FixtureRequest) -> Iterator[House]:
    with Service(broker, microphone.environment, mqtt=f"keepalive_seconds = {KEEPALIVE_SECONDS}") as service:
        yield House(microphone, service)
        request.node.add_report_section("call", "service", service.log)


Act = Callable[[House], None]


def seconds_to_notice(home: HomeAssistant, house: House, end: Act, mend: Act) -> list[float]:
    """How long each time until nobody listens any more; prints it, and how long until somebody does again.

    Round follows round, so the service grows patient with what comes and goes: only the first return is that of a rare outage.
    """
    gone: list[float] = []
    back: list[float] = []
    home.wait_for(binary_sensor__nursery_cot_rain="off")
    for _ in range(ROUNDS):
        for act, state, seconds in ((end, "unavailable", gone), (mend, "off", back)):
            began = time.monotonic()
            act(house)
            home.wait_for(binary_sensor__nursery_cot_rain=state)
            seconds.append(time.monotonic() - began)
    for what, seconds in (("unavailable", gone), ("back", back)):
        first, median = seconds[0], statistics.median(seconds)
        sys.stdout.write(f"\n[figure] {what} after {first:.2f} s at first, {median:.2f} s median, {max(seconds):.2f} s at most\n")
    return gone


@pytest.mark.parametrize(
    ("end", "mend"),
    [
        pytest.param(lambda house: house.microphone.unplug(), lambda house: house.microphone.plug(), id="microphone unplugged"),
        pytest.param(lambda house: house.microphone.crash(), lambda house: house.microphone.start(), id="sound system crashed"),
        pytest.param(lambda house: house.microphone.freeze(), lambda house: house.microphone.thaw(), id="sound system frozen"),
        pytest.param(lambda house: house.service.kill(), lambda house: house.service.start(), id="service killed"),
        pytest.param(lambda house: house.service.stop(), lambda house: house.service.start(), id="service stopped"),
    ],
)
def test_who_does_not_hear_is_soon_unavailable_and_then_back(home: HomeAssistant, house: House, end: Act, mend: Act) -> None:
    assert max(seconds_to_notice(home, house, end, mend)) < LONGEST_SECONDS


def test_a_frozen_service_is_unavailable_once_the_broker_misses_it(home: HomeAssistant, house: House) -> None:
    gone = seconds_to_notice(home, house, lambda house: house.service.freeze(), lambda house: house.service.thaw())
    assert max(gone) < 1.5 * KEEPALIVE_SECONDS + BROKER_LOOKS_EVERY_SECONDS


def test_what_a_killed_service_had_heard_is_not_shown_again_when_the_next_one_starts(home: HomeAssistant, house: House) -> None:
    rain = make_soundscape(programme=(("rain", 20.0),)).samples.astype("<i2").tobytes()
    home.wait_for(binary_sensor__nursery_cot_rain="off")
    player = house.microphone.play(rain, latency_milliseconds=200)
    home.wait_for(binary_sensor__nursery_cot_rain="on", sensor__nursery_cot_top_class="rain")
    house.service.kill()
    home.wait_for(binary_sensor__nursery_cot_rain="unavailable", sensor__nursery_cot_top_class="unavailable")
    player.kill()
    seen = len(home.history)
    house.service.start()
    home.wait_for(binary_sensor__nursery_cot_rain="off", sensor__nursery_cot_top_class="none")
    after = home.history[seen:]
    assert [state for entity, state in after if entity == "binary_sensor.nursery_cot_rain"] == ["off"]
    assert [state for entity, state in after if entity == "sensor.nursery_cot_top_class"] == ["none"]
