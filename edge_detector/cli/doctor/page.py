"""Checks of the page: packages, password, port or the page that is served there already, and its address."""

import json
import os
import socket
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException

from edge_detector.cli.doctor.finding import Finding
from edge_detector.config import WebConfig, public_url
from edge_detector.errors import UsageError
from edge_detector.web.access import ListenAddress, listen_address
from edge_detector.web.page import packages_missing
from edge_detector.web.password import page_password
from edge_detector.web.server import port_problem

ANSWER_SECONDS = 5.0
MAX_ANSWER_BYTES = 4_096
FIRST_FREE_PORT = 1_024
"""Lower ports are root's, and the service is not root."""


def examine_page(web: WebConfig, environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Yield the findings of the page; none if the configuration has no page."""
    address = listen_address(web)
    if address is None:
        return
    missing = packages_missing()
    if missing is not None:
        yield Finding("page", "bad", missing)
    try:
        password = page_password(web.password_file, environment)
    except UsageError as error:
        yield Finding("page", "bad", str(error))
        return
    if password is not None and password.warning is not None:
        yield Finding("page", "warning", password.warning)
    if address.port < FIRST_FREE_PORT:
        said = f"port {address.port} is for root alone, and the service is not root"
        yield Finding("page", "warning", said, f"choose a port from {FIRST_FREE_PORT} on in [web] listen, such as 8080")
    problem = port_problem(address)
    at = _address_of(web)
    if problem is None:
        yield Finding("page", "good", f"{address} is free for it; while the service runs, it is at {at}", None, {"url": at})
        return
    asks = _password_needed(address)
    if asks is None:
        yield Finding("page", "bad", problem)
    elif asks != (password is not None):
        said = f"the page that is served at {address} asks for {'a' if asks else 'no'} password, unlike this configuration"
        yield Finding("page", "warning", said, "systemctl restart edge-detector takes a new configuration")
    else:
        yield Finding("page", "good", f"it is served at {at}", None, {"url": at})


def _address_of(web: WebConfig) -> str:
    """Return the URL to open: of other machines if they reach the page, else of this machine."""
    url = public_url(web, socket.gethostname()) or f"http://{web.listen}"
    return f"{url}/"


def _password_needed(address: ListenAddress) -> bool | None:
    """Return whether the page at an address of this machine asks for a password; None if there is no page."""
    loopback = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to ask, not where to listen
    connection = HTTPConnection(loopback.get(address.host, address.host), address.port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", "/api/session")
        answer = json.loads(connection.getresponse().read(MAX_ANSWER_BYTES))
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()
    needed = answer.get("password_needed") if isinstance(answer, dict) else None
    return needed if isinstance(needed, bool) else None
