"""A mosquitto of one's own on a loopback port, that can be stopped, killed and frozen. Needs the Debian package mosquitto."""

import socket
import subprocess

from tests.support.rig import Rig
from tests.support.waiting import wait_until

HOST = "127.0.0.1"


def free_port() -> int:
    """A TCP port on the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


class Broker(Rig):
    """A broker that was stopped or killed starts again on its port. Its folder has room for password files and certificates.

    Attributes:
        host, port: where it listens.

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
        super().__init__("mosquitto")
        self.host = HOST
        self.port = free_port()
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

    def start(self) -> None:
        """Start, and wait until it serves connections."""
        self.launch(["mosquitto", "-c", str(self._config)])
        wait_until(self._serves, "mosquitto to serve connections")

    def publish(self, topic: str, payload: str) -> None:
        """Publish as anybody could."""
        command = ["mosquitto_pub", "-h", self.host, "-p", str(self.port), "-t", topic, "-m", payload]
        subprocess.run(command, check=True)

    def _serves(self) -> bool:
        """Whether its main loop runs, which ends a connection of zeros.

        An open port is not enough: mosquitto forgets a SIGTERM that arrives between its `listen` and its main loop.
        """
        self.check_alive()
        try:
            with socket.create_connection((HOST, self.port), timeout=1.0) as connection:
                connection.sendall(bytes(16))
                connection.recv(16)
        except ConnectionResetError:
            return True
        except OSError:
            return False
        return True
