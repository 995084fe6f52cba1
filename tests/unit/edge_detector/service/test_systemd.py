"""What systemd is told, with a socket of this machine in its place."""

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge_detector.service.systemd import Notifier


@contextmanager
def systemd(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.settimeout(0.0)
        yield listening


def waiting(listening: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found.append(listening.recv(65_536).decode())
        except BlockingIOError:
            return found


def test_watchdog_notifications_are_sent_at_most_once_a_second(tmp_path: Path) -> None:
    now = 0.0
    with systemd(tmp_path / "notify") as listening:
        notify = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}, lambda: now)
        sent = []
        for tenth in range(100):
            now = tenth / 10
            notify("WATCHDOG=1")
            sent += waiting(listening)
    assert sent == ["WATCHDOG=1"] * 10


def test_a_shorter_watchdog_interval_is_notified_more_often(tmp_path: Path) -> None:
    now = 0.0
    with systemd(tmp_path / "notify") as listening:
        notify = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "2000000"}, lambda: now)
        for tenth in range(40):
            now = tenth / 10
            notify("WATCHDOG=1")
        assert len(waiting(listening)) == 8


def test_without_systemd_nothing_happens() -> None:
    Notifier({}, time.monotonic)("READY=1")


@pytest.mark.parametrize("address", ["/no/such/socket", "@no-such-socket", "x" * 300])
def test_a_missing_systemd_socket_is_logged_once_and_ends_nothing(address: str, caplog: pytest.LogCaptureFixture) -> None:
    notify = Notifier({"NOTIFY_SOCKET": address}, time.monotonic)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            notify("READY=1")
    assert caplog.text.count("systemd notifications cannot be sent") == 1


def test_a_systemd_that_does_not_read_does_not_block_and_gets_ready_later(tmp_path: Path) -> None:
    with systemd(tmp_path / "notify") as listening:
        notify = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify")}, time.monotonic)
        began = time.monotonic()
        for number in range(2_000):
            notify(f"STATUS={number}")
        notify("READY=1", "STATUS=ready")
        assert time.monotonic() - began < 5.0
        assert "READY=1" not in "\n".join(waiting(listening))
        notify("WATCHDOG=1")
        assert set(waiting(listening)[0].splitlines()) == {"READY=1", "STATUS=ready", "WATCHDOG=1"}
