"""A mosquitto of one's own on a loopback port, that can be stopped, killed and frozen. Needs the Debian package mosquitto."""

import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.rigs.waiting import wait_until

HOST = "127.0.0.1"
_STOP_SECONDS = 5.0


def free_port() -> int:
    """A TCP port on the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


class Broker:
    """Use it as a context manager; or `start` and `close`. A broker that was stopped or killed starts again on its port.

    Attributes:
        host, port: where it listens.
        folder: a folder of its own, for password files and certificates; removed on close.

    """

    def __init__(
        self,
        *config_lines: str,
        anonymous: bool = True,
        persistent: bool = False,
        listener_lines: tuple[str, ...] = (),
    ) -> None:
        """Prepare, without starting.

        Args:
            config_lines: further lines of mosquitto.conf, such as "password_file …".
            anonymous: whether clients may connect without a user name.
            persistent: keep sessions and retained messages over a restart.
            listener_lines: lines that belong to the listener, such as "certfile …".

        """
        self.host = HOST
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="broker-"))
        lines = [
            f"listener {self.port} {HOST}",
            *listener_lines,
            f"allow_anonymous {str(anonymous).lower()}",
            # Started by root it would become the user mosquitto, who cannot read this folder.
            "user root",
            "log_dest stderr",
            "log_type all",
            f"persistence {str(persistent).lower()}",
            *([f"persistence_location {self.folder}/", "autosave_interval 1"] if persistent else []),
            *config_lines,
        ]
        self._config = self.folder / "mosquitto.conf"
        self._config.write_text("\n".join(lines) + "\n")
        self._log = self.folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start, and wait until it accepts connections."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Stop it and remove its folder."""
        self.close()

    @property
    def log(self) -> str:
        """What mosquitto has written so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def start(self) -> None:
        """Start, at first or after `stop` or `kill`."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["mosquitto", "-c", str(self._config)], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._accepts, "mosquitto to accept connections")

    def _accepts(self) -> bool:
        if self._running().poll() is not None:
            message = f"mosquitto ended by itself:\n{self.log}"
            raise RuntimeError(message)
        try:
            socket.create_connection((HOST, self.port), timeout=1.0).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """Shut it down in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Crash it: it saves nothing and says nothing."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop its process: connections stay open and nothing is answered."""
        self._running().send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen broker go on."""
        self._running().send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop it, whatever its state, and remove its folder; may be called again."""
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, how: signal.Signals) -> None:
        process = self._running()
        process.send_signal(how)
        process.wait(_STOP_SECONDS)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            message = "the broker has not been started"
            raise RuntimeError(message)
        return self._process
