"""What a request asks for, and why it is refused before the page sees it. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edge_detector.web.access import REQUESTS_AT_ONCE, REQUESTS_PER_SECOND, HostRule, client_key, is_meant

CLOSE = (b"connection", b"close")
METHODS = ("GET", "HEAD", "POST")
UNFORESEEN = "an error in this program prevented the answer; its log says more"
"""Sentence of a 500."""
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Sizes and times of requests.

    Attributes:
        target_bytes: of path and query.
        headers, header_bytes: their number, and the size of names and values.
        body_seconds: until the body is complete.
        at_once, per_second: requests of one client address.

    """

    target_bytes: int = 4_096
    headers: int = 100
    header_bytes: int = 16_384
    body_bytes: int = 4_096
    body_seconds: float = 10.0
    at_once: int = REQUESTS_AT_ONCE
    per_second: float = REQUESTS_PER_SECOND


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request's line and headers.

    Attributes:
        path: decoded.
        target_bytes: length of path and query as they were sent.
        header_lines, header_bytes: number of header lines, and size of their names and values.
        headers: by name in lower case; a repeated header is joined by commas.
        cookies: the Cookie headers.
        client: address, as the limits count it.

    """

    method: str
    path: str
    target_bytes: int
    http_version: str
    header_lines: int
    header_bytes: int
    headers: Mapping[str, str]
    cookies: tuple[str, ...]
    client: str

    @staticmethod
    def of(scope: Mapping[str, Any]) -> "PageRequest":
        """Return the request of an ASGI scope of HTTP."""
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        headers: dict[str, str] = {}
        for name, value in pairs:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return PageRequest(
            method=scope["method"],
            path=scope["path"],
            target_bytes=len(scope["raw_path"]) + len(scope["query_string"]),
            http_version=scope["http_version"],
            header_lines=len(pairs),
            header_bytes=sum(len(name) + len(value) for name, value in pairs),
            headers=headers,
            cookies=tuple(value for name, value in pairs if name == "cookie"),
            client=client_key(scope["client"][0]) if scope["client"] else "",
        )

    @property
    def has_body(self) -> bool:
        """Whether the headers announce a body."""
        return "transfer-encoding" in self.headers or self.headers.get("content-length", "").strip("0") != ""

    @property
    def is_data(self) -> bool:
        """Whether it is for more than the page's own files, which hold no secrets."""
        return self.path != "/" and not self.path.startswith("/static/")


@dataclass(frozen=True, slots=True)
class HttpError:
    """An answer of an error: status, sentence, and headers beside the usual ones."""

    status: int
    sentence: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


def problems(request: PageRequest, hosts: HostRule, limits: RequestLimits) -> Iterator[HttpError]:
    """Yield why a request is not acceptable, from any sender."""
    if request.http_version not in ("1.0", "1.1"):
        yield HttpError(505, "the version of HTTP is unknown here; use HTTP/1.1", (CLOSE,))
    if request.method not in METHODS:
        yield wrong_method(METHODS)
    if request.target_bytes > limits.target_bytes:
        yield HttpError(414, f"the address is longer than {limits.target_bytes} bytes; shorten it")
    if request.header_lines > limits.headers or request.header_bytes > limits.header_bytes:
        yield HttpError(431, f"there are more than {limits.headers} headers, or {limits.header_bytes} bytes of them; send fewer")
    if not _is_sane(request.path):
        yield HttpError(400, "the path is not one of this page; begin at /")
    yield from _of_another_site(request, hosts)
    yield from _body_problems(request, limits)


def _of_another_site(request: PageRequest, hosts: HostRule) -> Iterator[HttpError]:
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    if not hosts.serves(host):
        named = f"under the name {host[:_SHOWN_CHARACTERS]!a}" if host else "without a name"
        yield HttpError(421, f"the page is not served {named}; open it by IP address, or set [web] url to its URL")
    if origin is not None and not hosts.is_own_origin(origin, host):
        yield HttpError(403, "the request came from a page of another origin; open this node's page itself")
    fetch = {name.removeprefix("sec-fetch-"): value for name, value in request.headers.items() if name.startswith("sec-fetch-")}
    if not is_meant(request.method, request.path, fetch):
        yield HttpError(403, "the request came from another site; open this node's page itself")


def _body_problems(request: PageRequest, limits: RequestLimits) -> Iterator[HttpError]:
    length, chunked = request.headers.get("content-length"), "transfer-encoding" in request.headers
    if chunked and (length is not None or request.http_version == "1.0"):
        # Server and proxy may take different ones, and one request for two.
        yield HttpError(400, "the length of the body is not clear; send either Content-Length or, with HTTP/1.1, chunks")
    if request.method != "POST":
        if request.has_body:
            yield HttpError(400, f"a {request.method} request has no body here; send none")
        return
    if length is None and not chunked:
        # A proxy that sees a length here, such as one in a folded header, would take what follows for this request's body.
        yield HttpError(411, "the length of the body is missing; send Content-Length, 0 for none", (CLOSE,))
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        yield HttpError(415, "the body is not announced as JSON; send Content-Type: application/json")
    if length is not None and not _is_at_most(length, limits.body_bytes):
        yield too_large(limits)


def _is_at_most(digits: str, most: int) -> bool:
    return len(digits) <= len(str(most)) and int(digits) <= most


def _is_sane(path: str) -> bool:
    """Return whether a decoded path begins with one slash, and has no step back, backslash or control character."""
    plain = path.startswith("/") and not path.startswith("//") and path.isprintable() and "\\" not in path
    return plain and not {".", ".."} & set(path.split("/"))


def too_large(limits: RequestLimits) -> HttpError:
    """Return the refusal of a large body."""
    return HttpError(413, f"the body is larger than {limits.body_bytes} bytes; send less")


def wrong_method(methods: Iterable[str]) -> HttpError:
    """Return the refusal of a method where others are possible."""
    allowed = ", ".join(methods)
    return HttpError(405, f"the method is not possible here; use {allowed}", ((b"allow", allowed.encode()),))


def too_many(fact: str, wait_seconds: float) -> HttpError:
    """Return the refusal of what exceeds a rate."""
    whole_seconds = int(wait_seconds) + 1
    return HttpError(429, f"{fact}; wait {whole_seconds} s", ((b"retry-after", str(whole_seconds).encode()),))


def not_signed_in(request: PageRequest) -> HttpError:
    """Return the refusal of a request without a password."""
    sentence = "a password is needed; sign in on the page, or send it as HTTP Basic with any user name"
    return HttpError(401, sentence, challenge(request))


def challenge(request: PageRequest) -> tuple[tuple[bytes, bytes], ...]:
    """Return the header of a 401. At Basic, browsers ask for a name and a password: not where the page itself fetches."""
    scheme = b"Basic" if request.path == "/metrics" else b"Session"
    return ((b"www-authenticate", scheme + b' realm="edge-detector"'),)
