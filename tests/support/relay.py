"""A relay in front of a broker that can swallow, hang up, or limit packets, as networks and brokers of others do."""

import socket
import threading
from enum import Enum

from tests.support.listener import Listener, end

CHUNK_BYTES = 1 << 16


class Mode(Enum):
    """What becomes of a connection."""

    OPEN = "open"
    MUTE = "accepts and never answers"
    HANG_UP = "accepts and hangs up"
    LIMIT = "limits packets"


class Relay(Listener):
    """Use it as a context manager. A new mode ends open connections, except MUTE, which they do not notice.

    Args:
        host, port: the broker's.
        limit_bytes: a larger packet ends the connection in mode LIMIT.

    """

    def __init__(self, host: str, port: int, *, limit_bytes: int) -> None:
        super().__init__(self._relay)
        self._broker = host, port
        self._limit_bytes = limit_bytes
        self._mode = Mode.OPEN

    def set(self, mode: Mode) -> None:
        """What is to happen from now on."""
        self._mode = mode
        if mode is not Mode.MUTE:
            self.hang_up()

    def _relay(self, client: socket.socket, _number: int) -> None:
        broker = socket.create_connection(self._broker)
        back = threading.Thread(target=self._return, args=(broker, client), daemon=True)
        back.start()
        self._forward(client, broker)
        back.join()

    def _forward(self, client: socket.socket, broker: socket.socket) -> None:
        pending = b""
        try:
            while data := client.recv(CHUNK_BYTES):
                if self._mode is Mode.MUTE:
                    continue
                pending += data
                while (length := _packet_bytes(pending)) is not None:
                    if self._mode is Mode.LIMIT and length > self._limit_bytes:
                        return
                    if len(pending) < length:
                        break
                    broker.sendall(pending[:length])
                    pending = pending[length:]
        except OSError:
            return
        finally:
            end(client)
            end(broker)

    def _return(self, broker: socket.socket, client: socket.socket) -> None:
        try:
            while data := broker.recv(CHUNK_BYTES):
                if self._mode is not Mode.MUTE:
                    client.sendall(data)
                if self._mode is Mode.HANG_UP:
                    return
        except OSError:
            return
        finally:
            end(client)
            end(broker)


def _packet_bytes(data: bytes) -> int | None:
    """Length of the control packet that begins `data`; None while that is not known."""
    length = 0
    for at in range(1, min(5, len(data))):
        length |= (data[at] & 0x7F) << 7 * (at - 1)
        if not data[at] & 0x80:
            return 1 + at + length
    return None
