"""The page as the service holds it: what it hands over, what comes back, and the thread that serves it."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from edge_detector.clips.store import ClipStore
from edge_detector.config import WebConfig
from edge_detector.errors import UsageError
from edge_detector.review.sounds import SoundsFolder
from edge_detector.secret_files import Secret
from edge_detector.web.access import HostRule, ListenAddress, Sessions, listen_address
from edge_detector.web.asgi import App
from edge_detector.web.commands import Commands
from edge_detector.web.feed import Feed
from edge_detector.web.password import page_password
from edge_detector.web.server import PageServer
from edge_detector.web.teaching_api import Teaching

_PACKAGES = ("starlette", "uvicorn", "prometheus_client")


@dataclass(frozen=True, slots=True)
class Page:
    """What the detecting thread fills, where commands come from, and the server, which is started and closed with the program."""

    feed: Feed
    commands: Commands
    server: PageServer


def local_page(port: int, base: str, history: Path | None = None) -> Page:
    """Return a page for this machine alone, without a password. Raises UsageError where packages are missing."""
    return _page(ListenAddress("127.0.0.1", port), base, HostRule(socket.gethostname()), Sessions(None), history)


def configured_page(
    web: WebConfig,
    base: str,
    history: Path | None,
    environment: Mapping[str, str] = os.environ,
    *,
    clips: ClipStore | None = None,
    sounds: SoundsFolder | None = None,
    teaching: Teaching | None = None,
) -> tuple[Page, Secret | None] | None:
    """Return the page of a configuration and its password; None if it has no page. Raises UsageError."""
    address = listen_address(web)
    if address is None:
        return None
    secret = page_password(web.password_file, environment)
    sessions = Sessions(None if secret is None else secret.value)
    hosts = HostRule(socket.gethostname(), web.url)
    return _page(address, base, hosts, sessions, history, clips=clips, sounds=sounds, teaching=teaching), secret


def packages_missing() -> str | None:
    """Return a sentence if packages of the page are not installed, or None."""
    if all(find_spec(package) is not None for package in _PACKAGES):
        return None
    return "the page needs further packages, 6 MB; install them: pip install -e '.[web]'"


def _page(
    address: ListenAddress,
    base: str,
    hosts: HostRule,
    sessions: Sessions,
    history: Path | None,
    *,
    clips: ClipStore | None = None,
    sounds: SoundsFolder | None = None,
    teaching: Teaching | None = None,
) -> Page:
    missing = packages_missing()
    if missing is not None:
        raise UsageError(missing)
    feed, commands = Feed(), Commands(base)

    def build() -> App:
        # Imported here: only where a page is served, and in its thread, so that detection need not wait.
        from edge_detector.web.app import AppParts, build_app  # noqa: PLC0415 - as above
        from edge_detector.web.broadcast import Broadcast  # noqa: PLC0415 - as above
        from edge_detector.web.guard import Guard  # noqa: PLC0415 - as above

        app = build_app(AppParts(feed, Broadcast(feed), commands, history, clips, server.counts, sounds, teaching))
        return Guard(app, hosts, sessions)

    server = PageServer(build, address)
    return Page(feed, commands, server)
