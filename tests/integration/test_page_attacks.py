"""What somebody in the network, or a page of another site in a browser, can send to the page's server."""

import base64
import http.client
import json
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from edge_detector.web.access import WRONG_TRIES, WRONG_TRIES_OF_ALL, Sessions
from edge_detector.web.connection_limits import ConnectionLimits
from edge_detector.web.connections import MAX_HEADER_BYTES
from edge_detector.web.request import RequestLimits
from edge_detector.web.server import SEND_BUFFER_BYTES, PageServer
from tests.support.page_server import (
    DEADLINE_SECONDS,
    PASSWORD,
    Answer,
    SmallApp,
    ask,
    connect,
    exchange,
    post,
    read_all,
    serving,
)
from tests.support.waiting import wait_until

SLOW_CONNECTIONS = 1_000
SECRET = "not for everybody"  # noqa: S105 - of a file that must not be served


@pytest.fixture
def app(tmp_path: Path) -> SmallApp:
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "page.js").write_text("// the page")
    (tmp_path / "secret").write_text(SECRET)
    return SmallApp(folder)


@pytest.fixture
def server(app: SmallApp) -> Iterator[PageServer]:
    with serving(app) as server:
        yield server


@pytest.fixture
def locked(app: SmallApp) -> Iterator[PageServer]:
    with serving(app, password=PASSWORD) as server:
        yield server


@pytest.fixture
def many_files() -> Iterator[None]:
    """Both ends of all connections are in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4_096)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def get(path: str, *headers: str, version: str = "1.1", method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", *headers, "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1")


def status(response: bytes) -> int:
    return int(response.split(b" ", 2)[1])


def sign_in(server: PageServer, password: str = PASSWORD, *, source: str = "127.0.0.1") -> Answer:
    return post(server, "/api/login", {"password": password}, source=source)


def cookie(answer: Answer) -> dict[str, str]:
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"anybody:{password}".encode()).decode()}


@pytest.mark.parametrize(
    "host", ["evil.example", "nursery-pi.evil.example:80", "127.0.0.1.evil.example", "", "127.0.0.1/api/node?"]
)
def test_a_name_that_was_rebound_to_this_node_reads_nothing(server: PageServer, app: SmallApp, host: str) -> None:
    assert ask(server, "GET", "/api/node", {"Host": host}).status == 421
    assert app.seen == []


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost", "nursery-pi.local", "[::1]:8080", "sounds.example.org"])
def test_the_names_of_this_node_are_served(server: PageServer, host: str) -> None:
    assert ask(server, "GET", "/api/node", {"Host": host}).status == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://localhost:1", "https://sounds.example.org.evil.example"]
)
def test_a_page_of_another_origin_neither_reads_nor_changes_anything(server: PageServer, origin: str) -> None:
    assert ask(server, "GET", "/api/live", {"Origin": origin}).status == 403
    assert post(server, "/api/echo", {}, {"Origin": origin}).status == 403


def test_the_own_page_and_that_behind_a_proxy_are_served(server: PageServer) -> None:
    for origin in (f"http://127.0.0.1:{server.address.port}", "https://sounds.example.org"):
        assert post(server, "/api/echo", {}, {"Origin": origin}).status == 200


def test_what_a_browser_marks_as_another_sites_is_refused(server: PageServer) -> None:
    across = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}
    assert ask(server, "GET", "/api/node", across).status == 403
    assert ask(server, "GET", "/static/page.js", across).status == 403
    assert ask(server, "GET", "/", {**across, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}).status == 200


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_a_form_of_another_site_cannot_post(server: PageServer, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    assert ask(server, "POST", "/api/echo", headers, b'{"on": 1}').status == 415


@pytest.mark.parametrize("how", ["login", "basic"])
def test_passwords_cannot_be_tried_out(locked: PageServer, how: str) -> None:
    def attempt(password: str) -> int:
        if how == "login":
            return sign_in(locked, password, source="127.0.0.2").status
        return ask(locked, "GET", "/metrics", basic(password), source="127.0.0.2").status

    signed_in = cookie(sign_in(locked))
    wrong = 403 if how == "login" else 401
    statuses = [attempt(f"wrong {number}") for number in range(3 * WRONG_TRIES)]
    assert statuses == [wrong] * WRONG_TRIES + [429] * 2 * WRONG_TRIES
    assert attempt(PASSWORD) == 429, "the right one is no exception, or the limit would limit nothing"
    assert sign_in(locked).status == 204, "another address is not concerned"
    assert ask(locked, "GET", "/api/node", signed_in, source="127.0.0.2").status == 200, "nor is who is signed in"


def test_passwords_cannot_be_tried_out_from_many_addresses(locked: PageServer) -> None:
    signed_in = cookie(sign_in(locked))
    sources = [f"127.0.1.{number}" for number in range(1, 101)]
    statuses = [sign_in(locked, "a wrong one", source=source).status for source in sources]
    # A token comes back in 10 s: some more where this takes long.
    assert WRONG_TRIES_OF_ALL <= statuses.count(403) < len(sources) / 2
    assert statuses.count(403) + statuses.count(429) == len(sources)
    assert ask(locked, "GET", "/api/node", signed_in).status == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For: 127.0.9.9", "Forwarded: for=127.0.9.9", "X-Real-IP: 127.0.9.9"])
def test_a_client_cannot_give_itself_another_address(locked: PageServer, header: str) -> None:
    name, _, value = header.partition(": ")
    for number in range(WRONG_TRIES):
        assert post(locked, "/api/login", {"password": "a wrong one"}, {name: f"{value}{number}"}).status == 403
    assert post(locked, "/api/login", {"password": "a wrong one"}, {name: value}).status == 429


def test_a_session_needs_a_cookie_that_this_node_signed(locked: PageServer) -> None:
    answer = sign_in(locked)
    own = cookie(answer)["Cookie"]
    assert answer.headers["set-cookie"].partition("; ")[2] == "Path=/; Max-Age=2592000; HttpOnly; SameSite=Strict"
    name, _, token = own.partition("=")
    expired = Sessions(PASSWORD, iterations=1_000).issue(0.0)
    of_another_password = Sessions("another horse", iterations=1_000).issue(2_000_000_000.0)
    later = f"{int(token.partition('.')[0]) + 1}.{token.partition('.')[2]}"
    for forged in (expired, of_another_password, later, token[:-1], token + "x", "", ".", "x" * 10_000):
        assert ask(locked, "GET", "/api/node", {"Cookie": f"{name}={forged}"}).status == 401
    assert ask(locked, "GET", "/api/node", {"Cookie": own}).status == 200


@pytest.mark.parametrize(
    "path", ["/api/node", "/api/live", "/metrics", "/api", "/api/node/", "/API/NODE", "/static", "/%61pi/node"]
)
def test_nothing_but_the_pages_files_is_shown_without_the_password(locked: PageServer, app: SmallApp, path: str) -> None:
    assert ask(locked, "GET", path).status == 401
    assert ask(locked, "HEAD", path).status == 401
    assert (app.seen, app.streams) == ([], 0)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../secret",
        "/static/%2e%2e/secret",
        "/static/..%2fsecret",
        "/static/%2e%2e%2fsecret",
        "/static/....//secret",
        "/static//etc/passwd",
        "/static/..%5csecret",
        "/static/%00",
        "/static/page.js%00",
        "//static/../secret",
        "/static/%2fetc/passwd",
    ],
)
def test_no_path_leaves_the_folder_of_the_page(server: PageServer, path: str) -> None:
    response = exchange(server, get(path))
    assert status(response) in (400, 404)
    assert SECRET.encode() not in response
    assert b"root:" not in response


def test_a_flood_of_headers_is_refused(server: PageServer, app: SmallApp) -> None:
    floods = (
        [f"X-Large: {'x' * MAX_HEADER_BYTES}"],
        [f"X-{number}: {number}" for number in range(3_000)],
        ["X: " + "y" * 10_000_000],
    )
    for headers in floods:
        response = exchange(server, get("/api/node", *headers))
        # A connection that is cut while its client sends may lose the answer.
        assert not response or status(response) in (400, 431)
    assert status(exchange(server, get("/api/node", *(f"X-{number}: 1" for number in range(500))))) == 431
    assert app.seen == []
    assert ask(server, "GET", "/api/node").status == 200


def test_an_endless_request_line_is_refused(server: PageServer) -> None:
    assert status(exchange(server, get("/?" + "x" * 8_000))) == 414
    response = exchange(server, b"GET /" + b"x" * 1_000_000)
    assert not response or status(response) == 400


def body_of(announced: str, body: bytes) -> bytes:
    head = ["POST /api/echo HTTP/1.1", "Host: localhost", "Content-Type: application/json", announced, "", ""]
    return "\r\n".join(head).encode() + body


def test_a_flood_of_a_body_is_refused_by_its_announcement(server: PageServer) -> None:
    response = exchange(server, body_of("Content-Length: 1000000000", b"x" * 1_000))
    assert not response or status(response) == 413


def test_a_flood_of_chunks_is_refused(server: PageServer) -> None:
    for chunk in (b"1000\r\n" + b"x" * 4_096 + b"\r\n", b"1\r\nx\r\n", b"1;" + b"e" * 10_000 + b"\r\nx\r\n"):
        response = exchange(server, body_of("Transfer-Encoding: chunked", chunk * 5_000))
        assert not response or status(response) in (400, 413)
    assert ask(server, "GET", "/api/node").status == 200


def test_a_small_body_in_chunks_is_served(server: PageServer) -> None:
    request = body_of("Transfer-Encoding: chunked\r\nConnection: close", b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n")
    response = exchange(server, request)
    assert status(response) == 200
    assert response.endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 5 5",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: \x0bchunked",
        " Transfer-Encoding: chunked",
    ],
)
def test_a_second_request_cannot_hide_in_the_body_of_the_first(server: PageServer, app: SmallApp, headers: str) -> None:
    response = exchange(server, body_of(headers, b"0\r\n\r\nGET /api/node HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    assert status(response) in (400, 411)
    assert response.count(b"HTTP/1.1 ") == 1
    assert app.seen == []


def test_a_body_of_a_get_request_is_no_second_request(server: PageServer, app: SmallApp) -> None:
    hidden = get("/api/node")
    response = exchange(
        server, b"GET /static/page.js HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(hidden) + hidden
    )
    assert status(response) == 400
    assert response.count(b"HTTP/1.1 ") == 1
    assert app.seen == []


def test_two_requests_in_one_packet_are_answered_in_order(server: PageServer) -> None:
    response = exchange(server, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + get("/api/node"))
    assert response.count(b"HTTP/1.1 200 ") == 2
    assert response.index(b"page") < response.index(b"nursery")


@pytest.mark.parametrize("version", ["0.9", "1.2", "2.0"])
def test_other_versions_of_http_are_refused(server: PageServer, version: str) -> None:
    assert status(exchange(server, get("/", version=version))) == 505


def test_http_1_0_is_served_by_address_or_name_and_refused_without(server: PageServer) -> None:
    assert status(exchange(server, get("/api/node", version="1.0"))) == 200
    assert status(exchange(server, b"GET /api/node HTTP/1.0\r\n\r\n")) == 421


@pytest.mark.parametrize(
    "request_bytes", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\r\n\r\n", b"GET / HTTP/11\r\n\r\n"]
)
def test_what_is_not_http_1_gets_one_sentence(server: PageServer, request_bytes: bytes) -> None:
    response = exchange(server, request_bytes + b"\r\n\r\n")
    assert status(response) == 400
    assert b"Content-Security-Policy" in response.title()
    assert "send a shorter, valid one" in json.loads(response.partition(b"\r\n\r\n")[2])["error"]


@pytest.mark.parametrize("target", ["http://evil.example/api/node", "*", "evil.example:80"])
def test_the_server_is_no_proxy(server: PageServer, app: SmallApp, target: str) -> None:
    assert status(exchange(server, get(target))) == 400
    assert app.seen == []


def test_a_head_request_has_no_body(server: PageServer) -> None:
    response = exchange(server, get("/api/node", method="HEAD"))
    assert status(response) == 200
    assert response.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "FOO", "get", "PRI"])
def test_unknown_methods_are_refused(server: PageServer, method: str) -> None:
    response = exchange(server, get("/api/node", method=method))
    assert status(response) == 405
    assert b"allow: GET, HEAD, POST" in response


def test_a_websocket_is_not_opened(server: PageServer) -> None:
    response = exchange(
        server, b"GET /api/node HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade, close\r\n\r\n"
    )
    assert status(response) == 200


def test_an_error_tells_a_client_nothing_and_the_next_request_is_served(server: PageServer) -> None:
    assert b"secret place" not in ask(server, "GET", "/api/error").body
    with pytest.raises(http.client.IncompleteRead):
        ask(server, "GET", "/api/late-error")
    assert ask(server, "GET", "/api/node").status == 200


def test_an_address_that_sends_too_many_requests_waits_while_others_are_served(app: SmallApp) -> None:
    with serving(app, requests=RequestLimits(at_once=20, per_second=0.001)) as server:
        statuses = [ask(server, "GET", "/api/node", source="127.0.0.2").status for _ in range(30)]
        assert statuses == [200] * 20 + [429] * 10
        assert ask(server, "GET", "/api/node").status == 200


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize(
    "begin",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: local",
        body_of("Content-Length: 10", b"{"),
        body_of("Transfer-Encoding: chunked", b"5\r\n{"),
    ],
    ids=["silence", "headers", "a body", "chunks"],
)
def test_a_thousand_slow_connections_do_not_keep_a_user_out(app: SmallApp, begin: bytes) -> None:
    limits = ConnectionLimits(headers_seconds=2 * DEADLINE_SECONDS)
    with serving(app, limits=limits) as server, ExitStack() as stack:
        for number in range(SLOW_CONNECTIONS):
            slow = stack.enter_context(connect(server, source="127.0.0.2"))
            with suppress(ConnectionError):
                slow.sendall(begin)
            if number % 100 == 0:
                assert ask(server, "GET", "/api/node").status == 200
        wait_until(lambda: server.counts.refused >= SLOW_CONNECTIONS - limits.of_address, "most are refused")
        assert server.counts.open <= limits.of_address + 1
        assert ask(server, "GET", "/api/node").status == 200


@pytest.mark.usefixtures("many_files")
def test_slow_connections_from_many_addresses_do_not_keep_a_user_out(app: SmallApp) -> None:
    limits = ConnectionLimits(headers_seconds=2 * DEADLINE_SECONDS)
    with serving(app, limits=limits) as server, ExitStack() as stack:
        for number in range(SLOW_CONNECTIONS):
            slow = stack.enter_context(connect(server, source=f"127.0.2.{1 + number % 250}"))
            with suppress(ConnectionError):
                slow.sendall(b"GET / HT")
        assert ask(server, "GET", "/api/node").status == 200
        assert server.counts.open <= limits.in_total


@pytest.mark.parametrize("begin", [body_of("Content-Length: 10", b"{"), body_of("Transfer-Encoding: chunked", b"5\r\n{")])
def test_a_body_that_does_not_come_ends_its_connection(app: SmallApp, begin: bytes) -> None:
    with serving(app, requests=RequestLimits(body_seconds=0.1)) as server:
        response = exchange(server, begin)
    assert status(response) == 408
    assert b"connection: close" in response


def test_headers_that_trickle_end_their_connection(app: SmallApp) -> None:
    with serving(app, limits=ConnectionLimits(headers_seconds=0.2)) as server, connect(server) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        client.settimeout(0.01)
        with pytest.raises(ConnectionError):  # noqa: PT012 - whichever line meets the end first
            while True:
                client.sendall(b"X: y\r\n")
                with suppress(TimeoutError):
                    assert client.recv(1_000) == b"", "nothing but the end"
        assert server.counts.cut == 1


def test_a_body_that_goes_on_after_its_refusal_ends_its_connection(server: PageServer) -> None:
    with connect(server) as client:
        client.sendall(b"PUT /api/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n")
        with pytest.raises(ConnectionError):  # noqa: PT012 - whichever piece meets the end first
            for _ in range(100_000):
                client.sendall(b"x" * 10_000)


def test_streams_that_nobody_reads_are_cut_and_stay_small(app: SmallApp) -> None:
    count = 20
    with serving(app, limits=ConnectionLimits(stalled_seconds=1.0)) as server, ExitStack() as stack:
        clients = [stack.enter_context(connect(server, receive_bytes=4_096)) for _ in range(count)]
        for client in clients:
            client.sendall(b"GET /api/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: app.streamed_bytes > 0, "the streams have begun")
        assert ask(server, "GET", "/api/node", source="127.0.0.2").status == 200
        wait_until(lambda: server.counts.open == 0 and app.streams == 0, "all are cut")
        assert app.streamed_bytes < count * 4 * SEND_BUFFER_BYTES


def test_a_client_that_resets_its_connection_ends_its_stream_alone(app: SmallApp) -> None:
    with serving(app) as server, connect(server) as other:
        other.sendall(get("/api/live"))
        client = connect(server)
        client.sendall(get("/api/live"))
        wait_until(lambda: app.streams == 2, "both have begun")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()
        wait_until(lambda: app.streams == 1, "one has ended")
        assert other.recv(10)


def test_random_bytes_never_stop_the_server(server: PageServer, app: SmallApp) -> None:
    whole = body_of("Transfer-Encoding: chunked\r\nCookie: a=b\r\nConnection: close", b"2\r\n{}\r\n0\r\n\r\n")
    for place in range(len(whole)):
        for byte in (b"\0", b"\n", b"\xff", b":", b"9"):
            with connect(server, source=f"127.0.3.{1 + place % 250}") as client:
                client.sendall(whole[:place] + byte + whole[place + 1 :])
                client.shutdown(socket.SHUT_WR)
                read_all(client)
    assert server.trouble is None
    assert ask(server, "GET", "/api/node").status == 200
    assert app.streams == 0
