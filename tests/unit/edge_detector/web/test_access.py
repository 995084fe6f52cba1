import base64
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.config import WebConfig
from edge_detector.web.access import (
    REMEMBERED_CLIENTS,
    SESSION_SECONDS,
    WRONG_TRIES,
    WRONG_TRIES_OF_ALL,
    ClientBuckets,
    HostRule,
    ListenAddress,
    LoginLimit,
    Sessions,
    client_key,
    cookie_values,
    is_meant,
    json_object,
    listen_address,
)

NOW = 1_800_000_000.0
RULE = HostRule("nursery-pi", "https://sounds.example.org/")


def sessions(password: str = "correct horse") -> Sessions:  # noqa: S107 - of tests alone
    return Sessions(password, iterations=10)


@pytest.mark.parametrize(
    ("text", "host", "port", "is_loopback"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        ("localhost:8080", "127.0.0.1", 8080, True),
        ("0.0.0.0:80", "0.0.0.0", 80, False),  # noqa: S104 - nothing is bound
        ("192.168.1.5:0", "192.168.1.5", 0, False),
        ("[::]:8080", "::", 8080, False),
        ("[::1]:65535", "::1", 65535, True),
        ("[0:0:0:0:0:0:0:1]:8080", "::1", 8080, True),
    ],
)
def test_a_listen_address_has_an_address_and_a_port(text: str, host: str, port: int, is_loopback: bool) -> None:  # noqa: FBT001 - a parameter of the test
    address = listen_address(WebConfig(text))
    assert address is not None
    assert (address.host, address.port, address.is_loopback) == (host, port, is_loopback)
    assert listen_address(WebConfig(str(address))) == address


def test_without_an_address_there_is_no_page() -> None:
    assert listen_address(WebConfig()) is None


@pytest.mark.parametrize(
    "host",
    [
        "192.168.1.5",
        "192.168.1.5:8080",
        "[::1]:8080",
        "[fe80::1]",
        "localhost",
        "LOCALHOST:1",
        "nursery-pi",
        "Nursery-Pi.local:80",
        "sounds.example.org",
        "sounds.example.org:443",
    ],
)
def test_addresses_and_own_names_are_served(host: str) -> None:
    assert RULE.serves(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "nursery-pi.evil.example",
        "localhost.evil.example",
        "192.168.1.5.evil.example",
        "127.1",
        "a@localhost",
        "localhost:99999",
        "localhost/api",
        "localhost?x",
        "[::1",
        "::1",
        "localhost,evil.example",
        "localhost evil",
        "example.org",
        "[localhost]",
        "localhost:",
        "127.0.0.1:80:80",
        "localhost\t",
        "locаlhost",
    ],
)
def test_other_names_are_not_served(host: str) -> None:
    assert not RULE.serves(host)


def test_a_machine_with_a_domain_is_served_by_its_whole_and_its_short_name() -> None:
    rule = HostRule("pi.home.arpa")
    assert [rule.serves(name) for name in ("pi.home.arpa", "pi", "pi.local", "home.arpa")] == [True, True, True, False]
    assert not HostRule("").serves("")


@pytest.mark.parametrize(
    ("origin", "host", "own"),
    [
        ("http://192.168.1.5:8080", "192.168.1.5:8080", True),
        ("http://nursery-pi.local", "nursery-pi.local", True),
        ("https://sounds.example.org", "127.0.0.1:8080", True),
        ("https://sounds.example.org:443", "127.0.0.1:8080", True),
        ("http://sounds.example.org", "127.0.0.1:8080", False),
        ("http://192.168.1.5:8081", "192.168.1.5:8080", False),
        ("http://192.168.1.5", "192.168.1.5:8080", False),
        ("http://evil.example", "192.168.1.5:8080", False),
        ("null", "192.168.1.5:8080", False),
        ("", "192.168.1.5:8080", False),
        ("file://192.168.1.5:8080", "192.168.1.5:8080", False),
        ("http://192.168.1.5:8080, http://evil.example", "192.168.1.5:8080", False),
    ],
)
def test_an_origin_is_that_of_the_page_as_it_was_reached_or_of_the_configured_url(origin: str, host: str, own: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert RULE.is_own_origin(origin, host) == own


def test_a_request_through_the_configured_https_url_is_recognised() -> None:
    assert RULE.is_public_https("https://sounds.example.org", "127.0.0.1:8080")
    assert RULE.is_public_https(None, "sounds.example.org")
    assert not RULE.is_public_https("http://192.168.1.5:8080", "192.168.1.5:8080")
    assert not HostRule("pi", "http://pi.local:8080").is_public_https("http://pi.local:8080", "pi.local:8080")
    assert not HostRule("pi").is_public_https(None, "pi")


@pytest.mark.parametrize(
    ("method", "path", "fetch", "meant"),
    [
        ("GET", "/api/live", {}, True),
        ("GET", "/api/live", {"site": "same-origin", "mode": "cors", "dest": "empty"}, True),
        ("GET", "/metrics", {"site": "none", "mode": "navigate", "dest": "document"}, True),
        ("GET", "/", {"site": "cross-site", "mode": "navigate", "dest": "document"}, True),
        ("GET", "/", {"site": "cross-site", "mode": "navigate", "dest": "iframe"}, False),
        ("GET", "/", {"site": "cross-site", "mode": "no-cors", "dest": "script"}, False),
        ("POST", "/", {"site": "cross-site", "mode": "navigate", "dest": "document"}, False),
        ("GET", "/api/events", {"site": "cross-site", "mode": "navigate", "dest": "document"}, False),
        ("GET", "/api/live", {"site": "same-site", "mode": "cors", "dest": "empty"}, False),
    ],
)
def test_other_sites_may_link_to_the_page_and_nothing_else(method: str, path: str, fetch: Mapping[str, str], meant: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert is_meant(method, path, fetch) == meant


def test_a_session_survives_a_restart_and_expires_after_30_days() -> None:
    token = sessions().issue(NOW)
    assert sessions().is_valid(token, NOW)
    assert sessions().is_valid(token, NOW + SESSION_SECONDS - 1)
    assert not sessions().is_valid(token, NOW + SESSION_SECONDS)


def test_a_session_ends_when_the_password_changes() -> None:
    assert not sessions("another horse").is_valid(sessions().issue(NOW), NOW)


def test_a_session_is_valid_on_a_machine_that_starts_with_a_clock_of_the_past() -> None:
    assert sessions().is_valid(sessions().issue(NOW), 0.0)


@given(st.data())
def test_no_changed_token_is_valid(data: st.DataObject) -> None:
    token = sessions().issue(NOW)
    place = data.draw(st.integers(0, len(token) - 1))
    character = data.draw(st.characters().filter(lambda each: each != token[place]))
    changed = token[:place] + character + token[place + 1 :]
    # Base64's last character has bits that say nothing, but the text is compared, not the bytes.
    assert not sessions().is_valid(changed, NOW)


@given(st.text(max_size=100))
def test_no_text_is_a_valid_token(text: str) -> None:
    assert not sessions().is_valid(text, NOW)


def test_a_later_expiry_needs_a_signature_of_its_own() -> None:
    expires, _, signature = sessions().issue(NOW).partition(".")
    assert not sessions().is_valid(f"{int(expires) + 1}.{signature}", NOW)


@given(st.text())
def test_only_the_password_is_the_password(text: str) -> None:
    assert sessions().is_password(text) == (text == "correct horse")


def test_without_a_password_everybody_is_let_in() -> None:
    free = Sessions(None)
    assert not free.password_needed
    assert free.is_password("anything")


def basic(text: bytes) -> str:
    return f"Basic {base64.b64encode(text).decode()}"


@pytest.mark.parametrize(
    ("authorization", "right"),
    [
        (basic(b"anybody:correct horse"), True),
        (basic(b":correct horse"), True),
        (basic(b"a:correct horse").replace("Basic", "basic"), True),
        (basic(b"a:correct horse:"), False),
        (basic(b"correct horse"), False),
        (basic(b"a:\xff"), False),
        (basic(b""), False),
        ("Basic", False),
        ("Basic ???", False),
        ("Basic é", False),
        ("Bearer correct horse", False),
    ],
)
def test_basic_authentication_takes_any_user_name(authorization: str, right: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert sessions().is_basic(authorization) == right


def test_an_address_has_five_wrong_tries_then_one_each_30_seconds() -> None:
    limit = LoginLimit()
    for _ in range(WRONG_TRIES):
        assert limit.wait_seconds("192.168.1.9", 0.0) == 0.0
        limit.count_wrong("192.168.1.9", 0.0)
    assert limit.wait_seconds("192.168.1.9", 0.0) == pytest.approx(30.0)
    assert limit.wait_seconds("192.168.1.8", 0.0) == 0.0
    assert limit.wait_seconds("192.168.1.9", 30.1) == 0.0


def test_many_addresses_together_have_few_wrong_tries_too() -> None:
    limit = LoginLimit()
    tries = 0
    for number in range(10_000):
        if limit.wait_seconds(f"10.0.{number // 250}.{number % 250}", 0.0) == 0.0:
            limit.count_wrong(f"10.0.{number // 250}.{number % 250}", 0.0)
            tries += 1
    assert tries == WRONG_TRIES_OF_ALL


def test_a_right_password_costs_no_try() -> None:
    limit = LoginLimit()
    assert {limit.wait_seconds("192.168.1.9", 0.0) for _ in range(1_000)} == {0.0}


def test_the_number_of_remembered_clients_is_limited() -> None:
    buckets = ClientBuckets(1, 1.0)
    assert buckets.of("first").try_acquire(0.0)
    assert not buckets.of("first").try_acquire(0.0)
    for number in range(3 * REMEMBERED_CLIENTS):
        buckets.of(str(number))
    assert len(buckets) == REMEMBERED_CLIENTS


def test_one_client_has_one_key_by_ipv4_and_by_ipv4_in_ipv6() -> None:
    assert client_key("::ffff:192.168.1.9") == client_key("192.168.1.9")
    assert client_key("fe80::1%eth0") == "fe80::1"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"password": "x"}', {"password": "x"}),
        (b"{}", {}),
        (b"[]", None),
        (b"", None),
        (b"\xff", None),
        (b'{"on": NaN}', None),
        (b'{"on": -Infinity}', None),
        (b'{"on":' * 600, None),
        (b"[" * 4_000, None),
        (b'{"on": ' + b"9" * 4_000 + b"}", {"on": int("9" * 4_000)}),
    ],
)
def test_a_body_is_one_json_object_or_nothing(body: bytes, value: object) -> None:
    assert json_object(body) == value


def test_cookies_of_other_names_are_not_looked_at() -> None:
    headers = ["a=1; edge_detector=x; edge_detector2=y", "edge_detector=z", "edge_detector"]
    assert list(cookie_values(headers, "edge_detector")) == ["x", "z", ""]


def test_an_address_is_written_as_in_a_url() -> None:
    assert [str(ListenAddress("::1", 80)), str(ListenAddress("0.0.0.0", 80))] == ["[::1]:80", "0.0.0.0:80"]  # noqa: S104 - nothing is bound
