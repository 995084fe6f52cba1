"""A TCP server on a loopback port that leaves no thread and no socket behind."""

import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
JOIN_SECONDS = 20.0


class Listener:
    """Serve each connection on a thread of its own, and close it afterwards. Use it as a context manager.

    Args:
        serve: called with a connection and its number, from 1; an OSError ends it.

    Attributes:
        host, port: address.
        connections: count of accepted connections.

    """

    def __init__(self, serve: Callable[[socket.socket, int], None]) -> None:
        self._serve = serve
        self._server = socket.create_server((HOST, 0))
        self.host, self.port = HOST, int(self._server.getsockname()[1])
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._accepting = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._accepting.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()
        self._accepting.join(JOIN_SECONDS)
        self.hang_up()

    def close(self) -> None:
        """Accept no more connections; open ones go on."""
        # Closing alone does not wake a thread that waits in accept, and its port stays in use until one more client connects.
        end(self._server)

    def hang_up(self) -> None:
        """End all open connections."""
        with self._lock:
            ended, self._open = self._open, set()
        for each in ended:
            end(each)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            with self._lock:
                self._open.add(connection)
            threading.Thread(target=self._run, args=(connection, self.connections), daemon=True).start()

    def _run(self, connection: socket.socket, number: int) -> None:
        try:
            self._serve(connection, number)
        except OSError:
            return
        finally:
            with self._lock:
                self._open.discard(connection)
            end(connection)


def end(connection: socket.socket) -> None:
    """Shut a socket down, which wakes threads that wait for it, and close it. It may be closed already."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    finally:
        connection.close()
