import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.cli.setup.document import (
    NEW,
    BrokerAnswers,
    Document,
    kept_password_file,
    microphone_number,
    node_name,
    text_of,
    with_broker,
    with_bundle,
    with_classes,
    with_clips,
    with_device,
    with_home_assistant,
    with_node,
    with_page,
)
from edge_detector.config import MqttConfig, SourceConfig, parse_config
from edge_detector.detection.classes import NEWEST_CLASS_LIST
from edge_detector.schema import SLUG

LINES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)
FULL = tomllib.loads(
    """
    [node]
    name = "old"
    [[source]]
    name = "garden"
    kind = "url"
    device = "rtsp://camera.local/stream"
    [[source]]
    name = "cot"
    device = "USB"
    hop = 0.24
    [mqtt]
    host = "old.local"
    base_topic = "ears"
    tls = true
    port = 8884
    ca_file = "/etc/ca.crt"
    cert_file = "/etc/client.crt"
    username = "ear"
    password_file = "/etc/secret"
    [outbox]
    max_messages = 7
    [class.rain]
    on = 0.8
    [class.kettle]
    audioset = ["Whistle", "Steam"]
    """
)
BROKER = BrokerAnswers("new.local", 1_883, tls=False)


def read(document: Document) -> Document:
    """The document as its file has it."""
    written = tomllib.loads(text_of(document))
    assert written == document
    return written


@given(LINES, LINES, LINES, st.integers(1, 65_535), st.booleans())
def test_answers_come_out_of_the_file_as_they_were_given(device: str, user: str, path: str, port: int, tls: bool) -> None:  # noqa: FBT001
    document = with_device(with_node(NEW, "nursery"), device)
    document = with_bundle(document, Path("/") / path.replace("\0", ""))
    document = with_broker(document, BrokerAnswers("a.local", port, tls, None, user), Path("/secret") / path)
    config = parse_config(read(with_classes(document, {"cat": True, "rain": False})), "test")
    assert config.node == "nursery"
    assert config.sources == (SourceConfig("mic", device=device),)
    assert (config.mqtt.host, config.mqtt.port, config.mqtt.tls, config.mqtt.username) == ("a.local", port, tls, user)
    assert (config.mqtt.password_file, config.bundle) == (Path("/secret") / path, Path("/") / path)
    assert {slug: rule.enabled for slug, rule in config.overrides.items()} == {"cat": True, "rain": False}
    assert config.class_list == NEWEST_CLASS_LIST, "a new file has the newest classes"


def test_what_is_not_asked_about_stays_as_it_is() -> None:
    document = with_device(with_node(FULL, "nursery"), "Other")
    document = with_broker(
        document, BrokerAnswers("new.local", 8_883, tls=True, ca_file="/ca", username="ear"), Path("/etc/secret")
    )
    document = with_classes(with_home_assistant(document, enabled=False), {"rain": False})
    assert read(document) == {
        "node": {"name": "nursery"},
        "source": [FULL["source"][0], {"name": "cot", "device": "Other", "hop": 0.24}],
        "mqtt": {
            "host": "new.local",
            "base_topic": "ears",
            "tls": True,
            "ca_file": "/ca",
            "cert_file": "/etc/client.crt",
            "username": "ear",
            "password_file": "/etc/secret",
        },
        "outbox": {"max_messages": 7},
        "class": {"rain": {"on": 0.8, "enabled": False}, "kettle": {"audioset": ["Whistle", "Steam"]}},
        "home_assistant": {"enabled": False},
    }


def test_a_document_is_never_changed_in_place() -> None:
    before = text_of(FULL)
    for changed in (
        with_node(FULL, "a"),
        with_device(FULL, "b"),
        with_broker(FULL, BROKER, None),
        with_bundle(FULL, Path("c")),
        with_classes(FULL, {"rain": False}),
    ):
        assert changed != FULL
    assert text_of(FULL) == before
    assert with_device({}, "USB") == {"source": [{"name": "mic", "device": "USB"}]}


def test_without_tls_and_login_their_files_go_too_since_they_would_be_refused() -> None:
    assert read(with_broker(FULL, BROKER, None))["mqtt"] == {"host": "new.local", "base_topic": "ears"}
    parse_config(with_broker(FULL, BROKER, None), "test")


def test_a_page_keeps_its_url_and_none_leaves_no_key_that_would_be_refused() -> None:
    old: Document = {"web": {"listen": "127.0.0.1:8080", "url": "https://sounds.example.org"}}
    public = with_page(old, "0.0.0.0:8081", Path("/secrets/web-password"))
    web = parse_config(public, "test").web
    assert (web.listen, web.password_file, web.url) == (
        "0.0.0.0:8081",
        Path("/secrets/web-password"),
        "https://sounds.example.org",
    )
    assert tomllib.loads(text_of(public))["web"] == public["web"]
    assert with_page(public, None, Path("/secrets/web-password")) == {}
    assert "url" in old["web"], "a copy is changed"


def test_defaults_leave_no_key_behind() -> None:
    assert "home_assistant" not in with_home_assistant(with_home_assistant(NEW, enabled=False), enabled=True)
    assert "clips" not in with_clips(with_clips(NEW, enabled=True), enabled=False)
    assert "bundle" not in with_bundle(with_bundle(NEW, Path("/b")), None)
    assert "device" not in with_device(FULL, None)["source"][1]


@pytest.mark.parametrize(
    ("sources", "number"),
    [([], 0), ([{"name": "a"}], 0), ([{"kind": "url"}, {"kind": "arecord"}], 1), ([{"kind": "url"}, {"kind": "file"}], None)],
)
def test_the_first_microphone_among_the_sources_is_the_one_asked_about(sources: list[Document], number: int | None) -> None:
    assert microphone_number({"source": sources}) == number


@pytest.mark.parametrize(
    ("hostname", "name"), [("My-Pi.local", "my_pi"), ("raspberrypi", "raspberrypi"), ("---", "edge"), ("", "edge"), ("ü", "edge")]
)
def test_a_node_is_named_after_its_host(hostname: str, name: str) -> None:
    assert node_name(hostname) == name
    assert SLUG.fullmatch(name)


@given(st.text())
def test_any_hostname_gives_a_name_that_is_accepted(hostname: str) -> None:
    assert parse_config(with_node(NEW, node_name(hostname)), "test").node == node_name(hostname)


def test_an_old_password_is_kept_for_its_user_alone() -> None:
    known = MqttConfig(username="ear", password_file=Path("/secret"))
    assert kept_password_file(known, BrokerAnswers("a", 1, tls=False, username="ear")) == Path("/secret")
    assert kept_password_file(known, BrokerAnswers("a", 1, tls=False, username="eye")) is None
    assert kept_password_file(known, BrokerAnswers("a", 1, tls=False, username="ear", password="new")) is None  # noqa: S106


def test_a_password_is_not_shown_with_its_answers() -> None:
    assert "hunter2" not in repr(BrokerAnswers("a", 1, tls=False, username="ear", password="hunter2"))  # noqa: S106
