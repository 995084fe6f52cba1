"""Stands between server and page: refuses requests that were not meant or are too large, signs users in, hides errors."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from itertools import islice
from typing import TypeAlias

from edge_detector.errors import unforeseen
from edge_detector.repeat_limit import RepeatLimit
from edge_detector.threads import in_thread
from edge_detector.web.access import (
    SESSION_SECONDS,
    ClientBuckets,
    HostRule,
    LoginLimit,
    Sessions,
    cookie_name,
    cookie_values,
    json_object,
)
from edge_detector.web.asgi import App, AsgiMessage, Receive, Scope, Send
from edge_detector.web.request import (
    CLOSE,
    UNFORESEEN,
    HttpError,
    PageRequest,
    RequestLimits,
    challenge,
    not_signed_in,
    problems,
    too_large,
    too_many,
    wrong_method,
)

LOG = logging.getLogger(__name__)

Headers: TypeAlias = list[tuple[bytes, bytes]]

CONTENT_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    b"media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Headers = [
    (b"content-security-policy", CONTENT_POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
NOT_STORED = (b"cache-control", b"no-store")
ASKED_FOR = (b"cache-control", b"no-cache")
"""Of the page's files: without it, browsers would go on with those of an earlier version after an upgrade."""
_COOKIES_TRIED = 4


class _Response:
    """Sends a response with the headers of security, and records whether it has begun."""

    def __init__(self, request: PageRequest, send: Send) -> None:
        self._send = send
        self._own: Headers = [*SECURITY_HEADERS, *([NOT_STORED] if request.is_data else [])]
        self.started = False
        self.unread_body = request.has_body

    async def send(self, message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            names = {name for name, _ in self._own}
            others = [(name, value) for name, value in message.get("headers", ()) if name.lower() not in names]
            cached = any(name.lower() == ASKED_FOR[0] for name, _ in (*others, *self._own))
            message = {**message, "headers": [*others, *self._own, *(() if cached else (ASKED_FOR,))]}
        await self._send(message)

    async def json(self, status: int, content: object, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        body = json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")
        own = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), NOT_STORED, *headers]
        await self.send({"type": "http.response.start", "status": status, "headers": own})
        await self.send({"type": "http.response.body", "body": body})

    async def nothing(self, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        await self.send({"type": "http.response.start", "status": 204, "headers": list(headers)})
        await self.send({"type": "http.response.body", "body": b""})


class Guard:
    """ASGI application around the page's own.

    It answers /api/session, /api/login and /api/logout itself. With a password, all but the page's files needs a session's cookie
    or HTTP Basic. The body of a request is read here, and passed on in one piece. All of it runs in one event loop.

    Args:
        app: the page; it receives no request that was refused.
        limits: of each request.
        monotonic_seconds, utc_seconds: clocks.

    """

    def __init__(
        self,
        app: App,
        hosts: HostRule,
        sessions: Sessions,
        *,
        limits: RequestLimits | None = None,
        monotonic_seconds: Callable[[], float] = time.monotonic,
        utc_seconds: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._sessions = sessions
        self._limits = limits or RequestLimits()
        self._monotonic_seconds = monotonic_seconds
        self._utc_seconds = utc_seconds
        self._clients = ClientBuckets(self._limits.at_once, self._limits.per_second)
        self._logins = LoginLimit()
        self._logged = RepeatLimit(monotonic_seconds)
        self._key_derived: asyncio.Future[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        request = PageRequest.of(scope)
        response = _Response(request, send)
        try:
            refusal = await self._serve(request, response, scope, receive)
            if refusal is not None:
                await self._refuse(response, refusal)
        except Exception as error:  # noqa: BLE001 - it ends this request alone
            self._report(error)
            if not response.started:
                await response.json(500, {"error": UNFORESEEN}, [CLOSE])

    async def _serve(self, request: PageRequest, response: _Response, scope: Scope, receive: Receive) -> HttpError | None:
        wait_seconds = self._take_request(request.client)
        if wait_seconds:
            return too_many("too many requests came from this address", wait_seconds)
        refusal = next(problems(request, self._hosts, self._limits), None)
        if refusal is not None:
            return refusal
        body = b""
        if request.method == "POST":
            received = await self._read_body(receive)
            if not isinstance(received, bytes):
                return received
            response.unread_body = False
            body, receive = received, _replay(received, receive)
        own = {"/api/session": self._session, "/api/login": self._login, "/api/logout": self._logout}.get(request.path)
        if own is not None:
            return await own(request, response, body)
        refusal = await self._unauthorised(request) if request.is_data else None
        if refusal is None:
            # Without Range: the page's files are small, and parts of them only an attack's.
            headers = [(name, value) for name, value in scope["headers"] if name not in (b"range", b"if-range")]
            await self._app({**scope, "headers": headers}, receive, response.send)
        return refusal

    def _take_request(self, client: str) -> float:
        now_seconds = self._monotonic_seconds()
        bucket = self._clients.of(client)
        return 0.0 if bucket.try_acquire(now_seconds) else bucket.wait_seconds(now_seconds)

    async def _read_body(self, receive: Receive) -> bytes | HttpError | None:
        """Return the body; None if the client has gone."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    if len(body) > self._limits.body_bytes:
                        return too_large(self._limits)
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            return HttpError(408, f"the body did not come within {self._limits.body_seconds:g} s; send it again")

    async def _refuse(self, response: _Response, refusal: HttpError) -> None:
        # What is left of a body must not be taken for the next request, or be read for the sake of it.
        close = [CLOSE] if response.unread_body and CLOSE not in refusal.headers else []
        await response.json(refusal.status, {"error": refusal.sentence}, [*refusal.headers, *close])

    async def _session(self, request: PageRequest, response: _Response, _body: bytes) -> HttpError | None:
        if request.method == "POST":
            return wrong_method(("GET", "HEAD"))
        signed_in = not self._sessions.password_needed or await self._has_session(request)
        await response.json(200, {"password_needed": self._sessions.password_needed, "signed_in": signed_in})
        return None

    async def _login(self, request: PageRequest, response: _Response, body: bytes) -> HttpError | None:
        if request.method != "POST":
            return wrong_method(("POST",))
        password = (json_object(body) or {}).get("password")
        if not isinstance(password, str):
            return HttpError(400, 'the login has no password; send {"password": "…"}')
        if not self._sessions.password_needed:
            await response.nothing()
            return None
        refusal = self._try_password(request, lambda: self._sessions.is_password(password), 403)
        if refusal is not None:
            return refusal
        await self._derive_key()
        token = self._sessions.issue(self._utc_seconds())
        await response.nothing([self._cookie(request, token, SESSION_SECONDS)])
        return None

    async def _logout(self, request: PageRequest, response: _Response, _body: bytes) -> HttpError | None:
        if request.method != "POST":
            return wrong_method(("POST",))
        await response.nothing([self._cookie(request, "", 0)])
        return None

    async def _unauthorised(self, request: PageRequest) -> HttpError | None:
        if not self._sessions.password_needed or await self._has_session(request):
            return None
        authorization = request.headers.get("authorization", "")
        if authorization.partition(" ")[0].lower() != "basic":
            return not_signed_in(request)
        return self._try_password(request, lambda: self._sessions.is_basic(authorization), 401)

    def _try_password(self, request: PageRequest, is_right: Callable[[], bool], status: int) -> HttpError | None:
        """Check a password, unless too many were wrong; a right one is refused then too, or the limit would limit nothing."""
        now_seconds = self._monotonic_seconds()
        wait_seconds = self._logins.wait_seconds(request.client, now_seconds)
        if wait_seconds:
            return too_many("too many wrong passwords were sent", wait_seconds)
        if is_right():
            return None
        self._logins.count_wrong(request.client, now_seconds)
        headers = challenge(request) if status == HTTPStatus.UNAUTHORIZED else ()
        return HttpError(status, "the password is wrong; it is that of [web] in the node's configuration", headers)

    async def _has_session(self, request: PageRequest) -> bool:
        tokens = list(
            islice(filter(None, cookie_values(request.cookies, cookie_name(request.headers.get("host", "")))), _COOKIES_TRIED)
        )
        if not tokens:
            return False
        await self._derive_key()
        now_seconds = self._utc_seconds()
        return any(self._sessions.is_valid(token, now_seconds) for token in tokens)

    async def _derive_key(self) -> None:
        if self._key_derived is None:
            self._key_derived = asyncio.wrap_future(in_thread(self._sessions.derive_key, "page-key"))
        await asyncio.shield(self._key_derived)

    def _cookie(self, request: PageRequest, token: str, age_seconds: int) -> tuple[bytes, bytes]:
        # Secure only where the browser sees https: over http it would not keep the cookie.
        host = request.headers.get("host", "")
        https = self._hosts.is_public_https(request.headers.get("origin"), host)
        attributes = f"Path=/; Max-Age={age_seconds}; HttpOnly; SameSite=Strict{'; Secure' if https else ''}"
        return b"set-cookie", f"{cookie_name(host)}={token}; {attributes}".encode()

    def _report(self, error: Exception) -> None:
        suppressed = self._logged.allow(type(error).__name__)
        if suppressed is not None:
            more = f"; {suppressed} similar ones were not logged" if suppressed else ""
            LOG.error("a request to the page failed: %s%s", unforeseen(error), more)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was read, then whatever comes."""
    waiting: list[AsgiMessage] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> AsgiMessage:
        return waiting.pop() if waiting else await receive()

    return again
