import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.detection.hysteresis import Rule
from edge_detector.mqtt.runtime_settings import (
    MAX_PAYLOAD_BYTES,
    Command,
    MuteCommand,
    Refusal,
    SourceDefaults,
    ThresholdCommand,
    command_filters,
    parse_command,
)
from edge_detector.types import Message

BASE = "edge_detector/nursery"
SOURCES = {
    "cot": SourceDefaults({"rain": Rule(0.5, 0.3), "dog_bark": Rule(0.6, 0.4), "owl": Rule(0.5, 0.3, enabled=False)}),
    "door": SourceDefaults({"rain": Rule(0.5, 0.3), "dog_bark": Rule(0.6, 0.4)}, muted=True),
}
THRESHOLD, MUTE = f"{BASE}/cot/threshold/rain/set", f"{BASE}/cot/mute/set"


def parse(topic: str, payload: bytes, *, retained: bool = False) -> Command | Refusal | None:
    return parse_command(Message(topic, payload, 1, retained), BASE, SOURCES)


@pytest.mark.parametrize(
    ("payload", "on"),
    [(b"0.7", 0.7), (b"1", 1.0), (b"1.0", 1.0), (b".25", 0.25), (b" 0.5\n", 0.5), (b"0.01", 0.01), (b"0.123456789", 0.123457)],
)
def test_a_number_in_range_is_a_threshold(payload: bytes, on: float) -> None:
    assert parse(THRESHOLD, payload) == ThresholdCommand("cot", "rain", on)


@pytest.mark.parametrize(
    ("payload", "muted"), [(b"ON", True), (b"OFF", False), (b"on", True), (b"Off\n", False), (b"", None), (b" ", None)]
)
def test_a_source_is_muted_by_on_and_off(payload: bytes, muted: bool | None) -> None:  # noqa: FBT001 - a parameter of the test
    assert parse(MUTE, payload) == MuteCommand("cot", muted)


def test_an_empty_threshold_restores_the_configured_one() -> None:
    assert parse(THRESHOLD, b"") == ThresholdCommand("cot", "rain", None)


@pytest.mark.parametrize(
    "payload",
    [
        b"0", b"0.0", b"1.01", b"-0.5", b"+0.5", b"nan", b"inf", b"1e-1", b"0x1", b"0_5", b"0,5", b"50%", b"half", b"{}", b"\xff",
        b"\0", "٠.٥".encode(), b"0.5\x000.6", b"0." + b"1" * 20,
    ],
)  # fmt: skip
def test_an_invalid_threshold_is_refused_with_the_allowed_range(payload: bytes) -> None:
    refusal = parse(THRESHOLD, payload)
    assert isinstance(refusal, Refusal)
    assert "is not a number from 0.01 to 1" in refusal.sentence


@pytest.mark.parametrize(
    ("topic", "payload", "sentence"),
    [
        (MUTE, b"yes", "'yes' is neither ON nor OFF"),
        (f"{BASE}/attic/mute/set", b"ON", "there is no source of that name; there are cot, door"),
        (f"{BASE}/cot/threshold/cat/set", b"0.5", "there is no class of that name; edge-detector classes lists them"),
        (
            f"{BASE}/cot/threshold/owl/set",
            b"0.5",
            "the class is off; the configuration switches it on: [class.owl] enabled = true",
        ),
        (f"{BASE}//threshold/rain/set", b"0.5", "there is no source of that name"),
        (THRESHOLD, b"0" * (MAX_PAYLOAD_BYTES + 1), "it has 33 bytes, at most 32 are allowed"),
    ],
)
def test_a_refusal_names_the_problem(topic: str, payload: bytes, sentence: str) -> None:
    refusal = parse(topic, payload)
    assert isinstance(refusal, Refusal)
    assert refusal.sentence.startswith(f"the command on {topic[:40]}")
    assert sentence in refusal.sentence


def test_a_retained_command_is_refused() -> None:
    refusal = parse(THRESHOLD, b"0.5", retained=True)
    assert isinstance(refusal, Refusal)
    assert "retain" in refusal.sentence


@pytest.mark.parametrize(
    "topic",
    ["", BASE, f"{BASE}/status", f"{BASE}/cot/mute", f"{BASE}/cot/threshold/rain", f"{BASE}/set", f"{BASE}/cot/level/set",
     f"{BASE}x/cot/mute/set", f"{BASE}/cot/threshold/rain/set/set", "homeassistant/status"],
)  # fmt: skip
def test_other_topics_are_not_commands(topic: str) -> None:
    assert parse(topic, b"0.5") is None


def test_the_filters_cover_every_command_topic() -> None:
    assert command_filters(BASE) == (f"{BASE}/+/threshold/+/set", f"{BASE}/+/mute/set")


@given(st.sampled_from([f"{BASE}/{{}}/mute/set", f"{BASE}/{{}}/threshold/rain/set", f"{BASE}/cot/threshold/{{}}/set"]), st.text())
def test_an_untrusted_topic_is_logged_escaped_and_shortened(topic: str, name: str) -> None:
    answer = parse(topic.format(name), name.encode(errors="replace"))
    if isinstance(answer, Refusal):
        assert answer.sentence.isascii()
        assert answer.sentence.isprintable()
        assert len(answer.sentence) < 800
