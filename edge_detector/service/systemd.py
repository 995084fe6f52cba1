"""systemd's notification protocol (sd_notify), one datagram per message."""

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

LOG = logging.getLogger(__name__)

WATCHDOG_SECONDS = 1.0
"""Longest interval between watchdog messages; a quarter of WATCHDOG_USEC if that is shorter."""


class Notifier:
    """Sends notifications to systemd if it started this process. Never blocks and never raises.

    Args:
        environment: NOTIFY_SOCKET and WATCHDOG_USEC.
        clock: seconds, monotonic.

    """

    def __init__(self, environment: Mapping[str, str], clock: Callable[[], float]) -> None:
        self._environment = environment
        self._clock = clock
        self._unsent: dict[str, str] = {}
        self._fed_at: float | None = None
        self._lost = False

    def __call__(self, *lines: str) -> None:
        """Send "READY=1", "STATUS=…", "WATCHDOG=1", "STOPPING=1"; lines that could not be sent go with the next message."""
        address = self._environment.get("NOTIFY_SOCKET")
        if not address or (lines == ("WATCHDOG=1",) and not self._feeding_is_due()):
            return
        self._unsent |= {line.partition("=")[0]: line for line in lines}
        if self._send("\n".join(self._unsent.values()), "\0" + address[1:] if address.startswith("@") else address):
            self._unsent.clear()
        else:
            # A late watchdog message would report a liveness that is no longer checked.
            self._unsent.pop("WATCHDOG", None)

    def _feeding_is_due(self) -> bool:
        interval = self._environment.get("WATCHDOG_USEC", "")
        seconds = min(WATCHDOG_SECONDS, int(interval) / 4e6) if interval.isdecimal() else WATCHDOG_SECONDS
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
                LOG.warning("systemd notifications cannot be sent: %s", error.strerror or error)
            self._lost = True
            return False
        self._lost = False
        return True


notify = Notifier(os.environ, time.monotonic)
"""Notifies the systemd that started this process."""
