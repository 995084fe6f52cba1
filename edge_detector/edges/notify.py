"""systemd's notification protocol: one datagram per message. By hand, since it is shorter than depending on a package."""

import os
import socket


def notify(*lines: str) -> None:
    """Tell systemd, if it started us: "READY=1", "STATUS=…", "WATCHDOG=1", "STOPPING=1"."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        channel.sendto("\n".join(lines).encode(), address)
