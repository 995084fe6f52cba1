"""systemd's notification protocol: one datagram per message. By hand, since it is shorter than depending on a package."""

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

LOG = logging.getLogger(__name__)

WATCHDOG_SECONDS = 1.0
"""So often at most, or four times in the time that systemd gives."""


class Notifier:
    """Tells systemd, if it started us. Never waits and never raises: whether it is heard must not matter to the service.

    Args:
        environment: says where systemd listens, and how often it wants to hear from us.
        clock: seconds, monotonic.

    """

    def __init__(self, environment: Mapping[str, str], clock: Callable[[], float]) -> None:
        self._environment = environment
        self._clock = clock
        self._unsent: dict[str, str] = {}
        self._fed_at: float | None = None
        self._lost = False

    def __call__(self, *lines: str) -> None:
        """Send "READY=1", "STATUS=…", "WATCHDOG=1", "STOPPING=1"; what finds no room is sent with the next message."""
        address = self._environment.get("NOTIFY_SOCKET")
        if not address or (lines == ("WATCHDOG=1",) and not self._feeding_is_due()):
            return
        self._unsent |= {line.partition("=")[0]: line for line in lines}
        if self._send("\n".join(self._unsent.values()), "\0" + address[1:] if address.startswith("@") else address):
            self._unsent.clear()
        else:
            # A sign of life that comes late would be a lie.
            self._unsent.pop("WATCHDOG", None)

    def _feeding_is_due(self) -> bool:
        wanted = self._environment.get("WATCHDOG_USEC", "")
        seconds = min(WATCHDOG_SECONDS, int(wanted) / 4e6) if wanted.isdecimal() else WATCHDOG_SECONDS
        now = self._clock()
        if self._fed_at is not None and now - self._fed_at < seconds:
            return False
        self._fed_at = now
        return True

    def _send(self, text: str, address: str) -> bool:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as channel:
                channel.sendto(text.encode(), address)
        except OSError as error:
            if not self._lost:
                LOG.warning("systemd cannot be told how the service is: %s", error.strerror or error)
            self._lost = True
            return False
        self._lost = False
        return True


notify = Notifier(os.environ, time.monotonic)
"""Tells the systemd that started this process."""
