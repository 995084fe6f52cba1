"""Who may use the page: addresses, Host and Origin rules, session tokens, limits of tries and requests. Pure.

A browser sends requests to the node on behalf of any page that is open in it, so a request must prove that it was meant: its Host
names this node (against DNS rebinding), and its Origin, if it has one, is this node's page.
"""

import base64
import hashlib
import hmac
import ipaddress
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit

from edge_detector.bounded_files import parse_json
from edge_detector.config import LOCALHOST, WebConfig
from edge_detector.token_bucket import TokenBucket

SESSION_SECONDS = 30 * 24 * 3600
KEY_ITERATIONS = 600_000
"""OWASP's number for PBKDF2 with SHA-256: a stolen token does not reveal a weak password soon."""
_KEY_SALT = b"edge-detector page session"
"""Fixed, so that a session survives a restart without anything being stored."""
_MAC_BYTES = 32
COOKIE = "edge_detector"
MAX_TOKEN_CHARACTERS = 80
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::(?P<port>[0-9]{1,5}))?", re.ASCII)
_MAX_PORT = 65_535

WRONG_TRIES = 5
WRONG_TRIES_PER_SECOND = 1 / 30
WRONG_TRIES_OF_ALL = 20
WRONG_TRIES_OF_ALL_PER_SECOND = 1 / 10
"""Of all addresses together: 8,700 tries a day."""
REQUESTS_AT_ONCE = 200
REQUESTS_PER_SECOND = 50.0
REMEMBERED_CLIENTS = 1_000


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where the page is served.

    Attributes:
        host: IPv4 or IPv6 address without brackets.
        port: 0 lets the system choose a free one.

    """

    host: str
    port: int

    def __str__(self) -> str:
        """Return host:port, as a URL has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return ipaddress.ip_address(self.host).is_loopback


def listen_address(web: WebConfig) -> ListenAddress | None:
    """Return where a configuration serves the page; None if it has no page."""
    if web.address is None:
        return None
    host, port = web.address
    return ListenAddress("127.0.0.1" if host == LOCALHOST else str(ipaddress.ip_address(host)), port)


def client_key(address: str) -> str:
    """Return the address of a client as the limits count it: IPv4 in IPv6 as IPv4, without a zone."""
    return address.partition("%")[0].removeprefix("::ffff:")


class HostRule:
    """Decides which Host and Origin headers belong to this node.

    Served are IP addresses, since DNS rebinding needs a name, localhost, the machine's name, with and without .local, and the
    host of the configured URL; each with any port.

    Args:
        machine: the machine's host name, or an empty text.
        url: the URL under which a proxy publishes the page, or None.

    """

    def __init__(self, machine: str, url: str | None = None) -> None:
        short = machine.partition(".")[0].lower()
        names = {machine.lower(), short, f"{short}.local"} if short else set()
        parts = urlsplit(url) if url is not None else None
        self._names = frozenset({"localhost", *names, *({parts.hostname or ""} if parts else ())})
        self._origin = _origin(parts.scheme, parts.netloc.lower()) if parts else None

    def serves(self, host: str) -> bool:
        """Return whether a Host header names this node."""
        match = _HOST.fullmatch(host)
        if match is None or int(match["port"] or 0) > _MAX_PORT:
            return False
        return match["name"].lower() in self._names or _is_address(match["name"].strip("[]"))

    def is_own_origin(self, origin: str, host: str) -> bool:
        """Return whether an Origin header is that of this node's page, reached as `host`, or of the configured URL."""
        scheme, separator, netloc = origin.partition("://")
        if not separator or scheme not in ("http", "https"):
            return False
        return netloc.lower() == host.lower() or _origin(scheme, netloc.lower()) == self._origin

    def is_public_https(self, origin: str | None, host: str) -> bool:
        """Return whether a request came through the configured URL, and that is https."""
        if self._origin is None or self._origin[0] != "https":
            return False
        if origin is not None:
            scheme, _, netloc = origin.partition("://")
            return _origin(scheme, netloc.lower()) == self._origin
        return _origin("https", host.lower()) == self._origin


def is_meant(method: str, path: str, fetch: Mapping[str, str]) -> bool:
    """Return whether a request is the user's or the page's own, by the Sec-Fetch-* headers (names without that prefix).

    Other sites may link to the page, but neither embed it nor fetch anything of it. Browsers send these headers only over https
    and to localhost; other clients never do.
    """
    if fetch.get("site", "none") in ("none", "same-origin"):
        return True
    return method == "GET" and path == "/" and fetch.get("mode") == "navigate" and fetch.get("dest") == "document"


def json_object(body: bytes) -> dict[str, object] | None:
    """Parse a JSON object; None for anything else, deep nesting and NaN included."""
    try:
        value = parse_json(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


class Sessions:
    """Stateless sessions: signed tokens that survive a restart and end when the password changes.

    Nothing is stored, so a token cannot be revoked on its own: signing out deletes it from the browser, and a new password ends
    all. The key is derived from the password at first use, which takes a fraction of a second of computing: `derive_key` does it
    on another thread.

    Args:
        password: None lets everybody in.

    """

    def __init__(self, password: str | None, iterations: int = KEY_ITERATIONS) -> None:
        self._password = None if password is None else password.encode("utf-8", "surrogatepass")
        self._iterations = iterations

    @property
    def password_needed(self) -> bool:
        """Whether there is a password."""
        return self._password is not None

    def is_password(self, text: str) -> bool:
        """Compare with the password, in constant time."""
        if self._password is None:
            return True
        given = text.encode("utf-8", "surrogatepass")
        return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(self._password).digest())

    def is_basic(self, authorization: str) -> bool:
        """Check the password of an Authorization header of HTTP Basic; the user name is free."""
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            text = base64.b64decode(credentials.strip(), validate=True).decode()
        except ValueError:
            return False
        _, separator, password = text.partition(":")
        return bool(separator) and self.is_password(password)

    def derive_key(self) -> None:
        """Derive the key now; later calls cost nothing."""
        _ = self._key

    def issue(self, now_utc_seconds: float) -> str:
        """Return a token that is valid for 30 days."""
        expires = str(int(now_utc_seconds) + SESSION_SECONDS)
        return f"{expires}.{self._signature(expires)}"

    def is_valid(self, token: str, now_utc_seconds: float) -> bool:
        """Return whether this password signed the token, and it has not expired."""
        if len(token) > MAX_TOKEN_CHARACTERS or not token.isascii():
            return False
        expires, _, signature = token.partition(".")
        if not hmac.compare_digest(signature, self._signature(expires)):
            return False
        # One that seems to be from the future is valid: a machine without a clock starts in the past.
        return now_utc_seconds < int(expires)

    def _signature(self, expires: str) -> str:
        digest = hmac.digest(self._key, b"session until " + expires.encode(), "sha256")
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    @cached_property
    def _key(self) -> bytes:
        return hashlib.pbkdf2_hmac("sha256", self._password or b"", _KEY_SALT, self._iterations, _MAC_BYTES)


class ClientBuckets:
    """A token bucket for each client address; the clients of longest ago are forgotten beyond 1,000."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of remembered clients, at most 1,000."""
        return len(self._buckets)

    def of(self, address: str) -> TokenBucket:
        """Return the bucket of an address."""
        bucket = self._buckets.setdefault(address, TokenBucket(self._burst, self._per_second))
        self._buckets.move_to_end(address)
        if len(self._buckets) > REMEMBERED_CLIENTS:
            self._buckets.popitem(last=False)
        return bucket


class LoginLimit:
    """Limits wrong passwords: 5 of an address at once, then one each 30 s; 20 of all addresses, then one each 10 s.

    A valid session is not asked for a password, so no flood locks it out.
    """

    def __init__(self) -> None:
        self._clients = ClientBuckets(WRONG_TRIES, WRONG_TRIES_PER_SECOND)
        self._all = TokenBucket(WRONG_TRIES_OF_ALL, WRONG_TRIES_OF_ALL_PER_SECOND)

    def wait_seconds(self, address: str, now_seconds: float) -> float:
        """Return the time in seconds until this address may try a password, 0 if it may now."""
        return max(self._clients.of(address).wait_seconds(now_seconds), self._all.wait_seconds(now_seconds))

    def count_wrong(self, address: str, now_seconds: float) -> None:
        """Count a wrong password."""
        self._clients.of(address).try_acquire(now_seconds)
        self._all.try_acquire(now_seconds)


def cookie_name(host: str) -> str:
    """Return the name of the session's cookie for a Host header that names this node.

    It holds the port: browsers send a cookie to all ports of a host, and a login to one node would replace that to another one.
    """
    match = _HOST.fullmatch(host)
    return f"{COOKIE}_{match['port']}" if match is not None and match["port"] else COOKIE


def cookie_values(headers: Iterable[str], name: str) -> Iterator[str]:
    """Yield the values of a cookie in Cookie headers; each path may have one."""
    for header in headers:
        for pair in header.split(";"):
            key, _, value = pair.partition("=")
            if key.strip() == name:
                yield value.strip()


def _origin(scheme: str, netloc: str) -> tuple[str, str]:
    return scheme, netloc.removesuffix({"http": ":80", "https": ":443"}.get(scheme, ":"))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
