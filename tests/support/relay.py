"""A relay in front of a broker that can swallow, hang up, or limit packets, as networks and brokers of others do."""

import socket
import threading
from enum import Enum
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
CHUNK_BYTES = 1 << 16


class Mode(Enum):
    """What becomes of a connection."""

    OPEN = "open"
    MUTE = "accepts and never answers"
    HANG_UP = "accepts and hangs up"
    LIMIT = "limits packets"


class Relay:
    """Use it as a context manager. A new mode ends open connections, except MUTE, which they do not notice.

    Args:
        host, port: the broker's.
        limit_bytes: a larger packet ends the connection in mode LIMIT.

    Attributes:
        host, port: where it listens.
        connections: how many there were.

    """

    def __init__(self, host: str, port: int, *, limit_bytes: int) -> None:
        self._broker = host, port
        self._limit_bytes = limit_bytes
        self._mode = Mode.OPEN
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server((HOST, 0))
        self.host, self.port = HOST, int(self._listener.getsockname()[1])
        self.connections = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._listener.close()
        self._end_connections()

    def set(self, mode: Mode) -> None:
        """What is to happen from now on."""
        with self._lock:
            self._mode = mode
        if mode is not Mode.MUTE:
            self._end_connections()

    def _end_connections(self) -> None:
        with self._lock:
            ended, self._open = self._open, set()
        for each in ended:
            _end(each)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            broker = socket.create_connection(self._broker)
            with self._lock:
                self._open |= {client, broker}
            threading.Thread(target=self._forward, args=(client, broker), daemon=True).start()
            threading.Thread(target=self._return, args=(broker, client), daemon=True).start()

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
            _end(client)
            _end(broker)

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
            _end(client)
            _end(broker)


def _end(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    finally:
        connection.close()


def _packet_bytes(data: bytes) -> int | None:
    """Length of the control packet that begins `data`; None while that is not known."""
    length = 0
    for at in range(1, min(5, len(data))):
        length |= (data[at] & 0x7F) << 7 * (at - 1)
        if not data[at] & 0x80:
            return 1 + at + length
    return None
