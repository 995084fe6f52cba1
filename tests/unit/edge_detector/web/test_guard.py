import asyncio
import base64
import hashlib
import json
import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edge_detector.web.access import REQUESTS_AT_ONCE, SESSION_SECONDS, WRONG_TRIES, HostRule, Sessions, cookie_name
from edge_detector.web.asgi import App, AsgiMessage, Receive, Scope, Send
from edge_detector.web.guard import Guard
from edge_detector.web.request import RequestLimits
from tests.support.page_server import DEADLINE_SECONDS, SmallApp, post, serving
from tests.support.page_server import ask as http_ask

HOST = "192.168.1.5:8080"
COOKIE = cookie_name(HOST)
PASSWORD = "correct horse"  # noqa: S105 - of tests alone
JSON = {"content-type": "application/json"}
REPORT = "an error in this program, please report it"
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


@dataclass
class Echo:
    """Answers with the body, and remembers the requests that reached it."""

    scopes: list[Scope] = field(default_factory=list)
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    error: Exception | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if self.error is not None:
            raise self.error
        body = (await receive()).get("body", b"") if scope["method"] == "POST" else b"page"
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": body})


@dataclass
class Node:
    """A guard with its clocks, and the messages of one request after another."""

    app: App = field(default_factory=Echo)
    password: str | None = None
    limits: RequestLimits = field(default_factory=RequestLimits)
    url: str | None = None
    seconds: float = 1_000_000.0

    def __post_init__(self) -> None:
        self.guard = Guard(
            self.app,
            HostRule("nursery-pi", self.url),
            Sessions(self.password, iterations=10),
            limits=self.limits,
            monotonic_seconds=lambda: self.seconds,
            utc_seconds=lambda: self.seconds,
        )


@pytest.fixture
def app(tmp_path: Path) -> SmallApp:
    return SmallApp(tmp_path)


async def nothing_comes() -> AsgiMessage:
    await asyncio.Event().wait()
    raise AssertionError


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def error(self) -> str:
        return str(json.loads(self.body)["error"])


def serve(guard: Guard, scope: Scope, receive: Receive) -> list[AsgiMessage]:
    sent: list[AsgiMessage] = []

    async def send(message: AsgiMessage) -> None:
        sent.append(message)

    asyncio.run(guard(scope, receive, send))
    return sent


def ask(
    node: Node,
    method: str = "GET",
    path: str = "/api/node",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    client: str = "192.168.1.9",
    host: str = HOST,
    version: str = "1.1",
    parts: int = 1,
) -> Answer:
    own = {"host": host, **(headers or {})}
    if method == "POST" and "transfer-encoding" not in own:
        own.setdefault("content-length", str(len(body)))
    size = -(-len(body) // parts) or 1
    pieces = [body[start : start + size] for start in range(0, len(body), size)] or [b""]

    async def receive() -> AsgiMessage:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    line, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": line,
        "raw_path": line.encode(),
        "query_string": query.encode(),
        "http_version": version,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in own.items()],
        "client": (client, 1234),
    }
    sent = serve(node.guard, scope, receive)
    received = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    assert len(received) == len(sent[0]["headers"]), "no header twice"
    return Answer(sent[0]["status"], received, b"".join(message["body"] for message in sent[1:]))


def login(
    node: Node, password: str = PASSWORD, *, client: str = "192.168.1.9", headers: Mapping[str, str] | None = None
) -> Answer:
    return ask(
        node, "POST", "/api/login", {**JSON, **(headers or {})}, json.dumps({"password": password}).encode(), client=client
    )


def cookie_of(answer: Answer) -> dict[str, str]:
    return {"cookie": answer.headers["set-cookie"].partition(";")[0]}


def basic(password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"prometheus:{password}".encode()).decode()}


@pytest.mark.parametrize(
    ("what", "status"),
    [
        (ask, 200),
        (lambda node: ask(node, path="/"), 200),
        (lambda node: ask(node, path="/static/x.js"), 200),
        (lambda node: ask(node, host="evil.example"), 421),
        (lambda node: ask(node, "PUT"), 405),
        (lambda node: ask(node, "POST", "/api/session", JSON, b"{}"), 405),
        (lambda node: ask(node, "POST", "/api/login", JSON, b"{}"), 400),
    ],
)
def test_every_response_has_the_headers_of_security(what: Callable[[Node], Answer], status: int) -> None:
    answer = what(Node())
    assert answer.status == status
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS


def test_data_and_refusals_are_not_stored_and_the_pages_files_are_asked_for_each_time() -> None:
    app = Echo(headers=[(b"Content-Security-Policy", b"none at all")])
    assert ask(Node(app)).headers["cache-control"] == "no-store"
    assert ask(Node(app), path="/").headers["cache-control"] == "no-cache"
    assert ask(Node(app), path="/static/x.js").headers["cache-control"] == "no-cache"
    assert ask(Node(app), path="/static/x.js", host="evil.example").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("host", ["evil.example", "", "nursery-pi.evil.example", "127.0.0.1/api?x"])
def test_a_foreign_host_is_refused_before_the_page_sees_it(host: str) -> None:
    app = Echo()
    answer = ask(Node(app), host=host)
    assert (answer.status, app.scopes) == (421, [])
    assert "open it by IP address, or set [web] url to its URL" in answer.error


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://192.168.1.5:9999"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_foreign_origin_is_refused(origin: str, method: str) -> None:
    app = Echo()
    answer = ask(Node(app), method, "/api/echo", {"origin": origin, **JSON}, b"{}" if method == "POST" else b"")
    assert (answer.status, app.scopes) == (403, [])


def test_the_pages_own_origin_and_a_program_without_one_are_served() -> None:
    node = Node()
    assert ask(node, "POST", "/api/echo", {"origin": f"http://{HOST}", **JSON}, b"{}").status == 200
    assert ask(node, "POST", "/api/echo", JSON, b"{}").status == 200


def test_what_another_site_fetches_is_refused_but_its_links_to_the_page_work() -> None:
    across = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert ask(Node(), path="/", headers=across).status == 200
    assert ask(Node(), path="/api/events", headers=across).status == 403
    assert ask(Node(), path="/", headers={**across, "sec-fetch-dest": "iframe"}).status == 403


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "get", "X" * 50])
def test_other_methods_are_refused_with_those_that_are_possible(method: str) -> None:
    answer = ask(Node(), method)
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD, POST")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonx"]
)
def test_a_body_that_a_form_could_send_is_refused(kind: str) -> None:
    app = Echo()
    assert ask(Node(app), "POST", "/api/echo", {"content-type": kind}, b"{}").status == 415
    assert app.scopes == []


def test_a_body_comes_to_the_page_in_one_piece() -> None:
    body = b'{"on": 0.5}' + b" " * 4_000
    answer = ask(Node(), "POST", "/api/echo", {"content-type": "application/json; charset=utf-8"}, body, parts=9)
    assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize(
    "headers", [{"content-length": "4097"}, {"content-length": "9" * 4_000}, {"transfer-encoding": "chunked"}]
)
def test_a_large_body_is_refused_and_its_connection_closed(headers: Mapping[str, str]) -> None:
    app = Echo()
    answer = ask(Node(app), "POST", "/api/echo", {**JSON, **headers}, b" " * 4_097, parts=3)
    assert (answer.status, answer.headers["connection"], app.scopes) == (413, "close", [])


@pytest.mark.parametrize(
    ("method", "headers", "version"),
    [
        ("POST", {"content-length": "2", "transfer-encoding": "chunked"}, "1.1"),
        ("POST", {"transfer-encoding": "chunked"}, "1.0"),
        ("GET", {"content-length": "2"}, "1.1"),
        ("HEAD", {"transfer-encoding": "chunked"}, "1.1"),
    ],
)
def test_a_body_of_unclear_length_or_where_none_belongs_closes_the_connection(
    method: str, headers: Mapping[str, str], version: str
) -> None:
    answer = ask(Node(), method, "/api/echo", {**JSON, **headers}, b"{}", version=version)
    assert (answer.status, answer.headers["connection"]) == (400, "close")


def test_a_post_without_a_length_closes_the_connection() -> None:
    scope = {"type": "http", "method": "POST", "path": "/api/echo", "raw_path": b"/api/echo", "query_string": b""}
    headers = [(b"host", HOST.encode()), (b"content-type", b"application/json")]
    sent = serve(Node().guard, {**scope, "http_version": "1.1", "headers": headers, "client": None}, nothing_comes)
    assert sent[0]["status"] == 411
    assert sent[0]["headers"].count((b"connection", b"close")) == 1


def test_another_version_of_http_is_refused() -> None:
    answer = ask(Node(), "POST", "/api/echo", JSON, b"{}", version="2.0")
    assert (answer.status, answer.headers["connection"]) == (505, "close")


def test_a_refusal_of_a_whole_request_leaves_the_connection_open() -> None:
    assert "connection" not in ask(Node(), host="evil.example").headers
    refused = login(Node(password=PASSWORD), "a wrong one")
    assert not {"connection", "www-authenticate"} & set(refused.headers)


def test_a_body_that_does_not_come_is_refused_after_its_time() -> None:
    node = Node(limits=RequestLimits(body_seconds=0.01))
    headers = [(b"host", HOST.encode()), (b"content-type", b"application/json"), (b"content-length", b"2")]
    scope = {"type": "http", "method": "POST", "path": "/api/echo", "raw_path": b"/api/echo", "query_string": b""}
    sent = serve(node.guard, {**scope, "http_version": "1.1", "headers": headers, "client": ("192.168.1.9", 1)}, nothing_comes)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


def test_a_client_that_goes_while_it_sends_its_body_gets_no_answer() -> None:
    async def gone() -> AsgiMessage:
        return {"type": "http.disconnect"}

    app = Echo()
    headers = [(b"host", HOST.encode()), (b"content-type", b"application/json"), (b"content-length", b"2")]
    scope = {"type": "http", "method": "POST", "path": "/api/echo", "raw_path": b"/api/echo", "query_string": b""}
    sent = serve(Node(app).guard, {**scope, "http_version": "1.1", "headers": headers, "client": None}, gone)
    assert (sent, app.scopes) == ([], [])


@pytest.mark.parametrize(
    "path", ["//evil.example/", "/static/../x", "/static/..", "/./x", "/static/..\\x", "/\x00", "http://a/", "*", ""]
)
def test_a_path_that_leaves_the_page_is_refused(path: str) -> None:
    assert ask(Node(), path=path).status == 400


def test_a_long_address_is_refused() -> None:
    assert ask(Node(), path="/api/events?" + "x" * 4_000).status == 200
    assert ask(Node(), path="/api/events?" + "x" * 4_096).status == 414


def test_many_or_large_headers_are_refused() -> None:
    assert ask(Node(), headers={f"x-{number}": "" for number in range(99)}).status == 200
    assert ask(Node(), headers={f"x-{number}": "" for number in range(100)}).status == 431
    assert ask(Node(), headers={"x": "x" * 16_384}).status == 431


def test_ranges_of_files_do_not_reach_the_page() -> None:
    app = Echo()
    ask(Node(app), path="/static/x.js", headers={"range": "bytes=" + "0-1," * 500, "if-range": "x", "if-none-match": "y"})
    assert [name for name, _ in app.scopes[0]["headers"]] == [b"host", b"if-none-match"]


def test_an_address_that_asks_too_often_waits_and_others_do_not() -> None:
    node = Node()
    assert {ask(node).status for _ in range(REQUESTS_AT_ONCE)} == {200}
    refused = ask(node)
    assert (refused.status, refused.headers["retry-after"]) == (429, "1")
    assert ask(node, client="192.168.1.10").status == 200
    node.seconds += 1.0
    assert ask(node).status == 200


def test_without_a_password_everybody_is_signed_in() -> None:
    node = Node()
    assert json.loads(ask(node, path="/api/session").body) == {"password_needed": False, "signed_in": True}
    assert ask(node).status == 200
    assert login(node, "anything").status == 204


@pytest.mark.parametrize(
    "path", ["/api/node", "/api/live", "/metrics", "/api", "/API/node", "/anything", "/api/login/", "/staticx"]
)
def test_with_a_password_everything_but_the_pages_files_needs_it(path: str) -> None:
    app = Echo()
    answer = ask(Node(app, PASSWORD), path=path)
    assert (answer.status, app.scopes) == (401, [])
    assert "sign in on the page" in answer.error


@pytest.mark.parametrize("path", ["/", "/static/x.js"])
def test_the_pages_files_need_no_password(path: str) -> None:
    assert ask(Node(password=PASSWORD), path=path).status == 200


def test_a_browser_asks_for_a_name_and_a_password_only_where_the_page_fetches_nothing() -> None:
    node = Node(password=PASSWORD)
    assert ask(node, path="/metrics").headers["www-authenticate"].startswith("Basic ")
    assert ask(node, path="/api/node").headers["www-authenticate"].startswith("Session ")


def test_a_login_gives_a_session_which_the_cookie_carries_for_30_days() -> None:
    node = Node(password=PASSWORD)
    assert json.loads(ask(node, path="/api/session").body) == {"password_needed": True, "signed_in": False}

    answer = login(node)
    assert answer.status == 204
    _, _, attributes = answer.headers["set-cookie"].partition("; ")
    assert attributes == f"Path=/; Max-Age={SESSION_SECONDS}; HttpOnly; SameSite=Strict"
    cookie = cookie_of(answer)
    assert json.loads(ask(node, path="/api/session", headers=cookie).body) == {"password_needed": True, "signed_in": True}
    assert ask(node, headers=cookie).status == 200

    node.seconds += SESSION_SECONDS
    assert ask(node, headers=cookie).status == 401


def test_the_cookie_is_for_https_alone_where_the_browser_sees_https() -> None:
    node = Node(password=PASSWORD, url="https://sounds.example.org")
    assert login(node, headers={"origin": "https://sounds.example.org"}).headers["set-cookie"].endswith("; Secure")
    assert login(node, headers={"host": "sounds.example.org"}).headers["set-cookie"].endswith("; Secure")
    assert "Secure" not in login(node, headers={"origin": f"http://{HOST}"}).headers["set-cookie"]


def test_the_key_is_derived_once_while_others_are_served(app: SmallApp, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    derive = hashlib.pbkdf2_hmac
    waited = []

    def slow(name: str, password: bytes, salt: bytes, iterations: int, size: int) -> bytes:
        begun.set()
        waited.append(go_on.wait(DEADLINE_SECONDS))
        return derive(name, password, salt, iterations, size)

    monkeypatch.setattr(hashlib, "pbkdf2_hmac", slow)
    with serving(app, password=PASSWORD) as server, ThreadPoolExecutor() as pool:
        assert post(server, "/api/login", {"password": "a wrong one"}).status == 403
        assert not begun.is_set(), "a wrong password costs nothing"
        logins = [pool.submit(post, server, "/api/login", {"password": PASSWORD}) for _ in range(2)]
        assert begun.wait(DEADLINE_SECONDS)
        assert http_ask(server, "GET", "/").status == 200
        go_on.set()
        assert [login.result().status for login in logins] == [204, 204]
    assert waited == [True]


def test_signing_out_deletes_the_cookie() -> None:
    answer = ask(Node(password=PASSWORD), "POST", "/api/logout", JSON, b"{}")
    assert answer.status == 204
    assert answer.headers["set-cookie"] == f"{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict"


def test_a_changed_cookie_is_no_session() -> None:
    node = Node(password=PASSWORD)
    cookie = cookie_of(login(node))["cookie"]
    assert ask(node, headers={"cookie": cookie}).status == 200
    for changed in (
        cookie[:-1] + ("A" if cookie[-1] != "A" else "B"),
        cookie.replace("=3", "=4"),
        f"{COOKIE}=",
        f"{COOKIE}=.",
        "x",
    ):
        assert ask(node, headers={"cookie": changed}).status == 401, changed


def test_a_login_to_another_node_of_the_same_machine_leaves_the_session_alone() -> None:
    nodes = {HOST: Node(password=PASSWORD), "192.168.1.5:8081": Node(password="another horse")}  # noqa: S106 - of tests alone
    jar: dict[str, str] = {}
    for host, password in zip(nodes, (PASSWORD, "another horse"), strict=True):
        answer = ask(nodes[host], "POST", "/api/login", JSON, json.dumps({"password": password}).encode(), host=host)
        name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
        jar[name] = value
    cookie = "; ".join(f"{name}={value}" for name, value in jar.items())
    assert [ask(node, headers={"cookie": cookie}, host=host).status for host, node in nodes.items()] == [200, 200]


def test_a_stale_cookie_of_another_path_does_not_hide_the_valid_one() -> None:
    node = Node(password=PASSWORD)
    valid = cookie_of(login(node))["cookie"]
    assert ask(node, headers={"cookie": f"{COOKIE}=stale; {valid}"}).status == 200


def test_a_program_sends_the_password_as_basic() -> None:
    node = Node(password=PASSWORD)
    assert ask(node, path="/metrics", headers=basic(PASSWORD)).status == 200
    assert ask(node, path="/metrics", headers=basic("a wrong one")).status == 401


@pytest.mark.parametrize("how", ["login", "basic"])
def test_after_five_wrong_passwords_even_the_right_one_waits(how: str) -> None:
    def try_password(node: Node, password: str) -> int:
        return (login(node, password) if how == "login" else ask(node, headers=basic(password))).status

    node = Node(password=PASSWORD)
    wrong = 403 if how == "login" else 401
    assert [try_password(node, f"wrong {number}") for number in range(WRONG_TRIES + 1)] == [*[wrong] * WRONG_TRIES, 429]
    assert try_password(node, PASSWORD) == 429
    node.seconds += 31.0
    assert try_password(node, PASSWORD) in (200, 204)


def test_wrong_passwords_of_basic_and_of_logins_are_counted_together() -> None:
    node = Node(password=PASSWORD)
    for _ in range(WRONG_TRIES):
        assert ask(node, headers=basic("a wrong one")).status == 401
    refused = login(node)
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) == 31


def test_a_user_who_is_signed_in_does_not_notice_a_flood_of_wrong_passwords() -> None:
    node = Node(password=PASSWORD)
    cookie = cookie_of(login(node))
    answers = [login(node, "a wrong one", client=f"192.168.2.{number}").status for number in range(100)]
    assert 429 in answers
    assert ask(node, headers=cookie).status == 200
    assert ask(node, headers={**cookie, **basic("a wrong one")}).status == 200


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"password": 1}', b'{"password": null}', b"\xff", b"[" * 4_000])
def test_a_login_without_a_password_is_refused_and_costs_no_try(body: bytes) -> None:
    node = Node(password=PASSWORD)
    for _ in range(2 * WRONG_TRIES):
        assert ask(node, "POST", "/api/login", JSON, body).status == 400
    assert login(node).status == 204


@pytest.mark.parametrize("path", ["/api/login", "/api/logout"])
def test_login_and_logout_are_posts(path: str) -> None:
    answer = ask(Node(password=PASSWORD), "GET", path)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_an_unforeseen_error_is_logged_in_one_line_and_the_client_learns_nothing(caplog: pytest.LogCaptureFixture) -> None:
    node = Node(Echo(error=LookupError("a secret\nsite")))
    with caplog.at_level(logging.ERROR):
        answer = ask(node)
    assert answer.status == 500
    assert "secret" not in answer.body.decode()
    line = Echo.__call__.__code__.co_firstlineno + 3
    assert [record.getMessage() for record in caplog.records] == [
        f"a request to the page failed: {REPORT}: LookupError: a secret site (test_guard.py, line {line})"
    ]
    assert caplog.records[0].exc_info is None


def test_an_error_that_repeats_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    node = Node(Echo(error=LookupError("again")))
    for _ in range(100):
        ask(node)
    assert len(caplog.records) == 5
    node.seconds += 1_000.0
    ask(node)
    assert caplog.records[-1].getMessage().endswith("; 95 similar ones were not logged")
