"""`edge-detector run` with its page, as a process that can be killed, and started again at the same address."""

import http.client
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path

from tests.support.broker import HOST, free_port
from tests.support.rig import Rig
from tests.support.waiting import wait_until

START_SECONDS = 60.0


class PageService(Rig):
    """The service with a page on a loopback port.

    Args:
        configuration: its configuration without the table [web].
        environment: what its process gets beyond this one's environment.
        state: its state directory; its folder by default.
        password: of the page; None: it has none.

    Attributes:
        url: where the page is, without a slash at its end.

    """

    def __init__(
        self, configuration: str, environment: Mapping[str, str], *, state: Path | None = None, password: str | None = None
    ) -> None:
        super().__init__("edge-detector", stop_seconds=30.0)
        self._port = port = free_port()
        self.url = f"http://{HOST}:{port}"
        self._environment = {**os.environ, **environment, "STATE_DIRECTORY": str(state or self.folder), "NOTIFY_SOCKET": ""}
        web = f'[web]\nlisten = "{HOST}:{port}"\n'
        if password is not None:
            secret = self.folder / "password"
            secret.touch(mode=0o600)
            secret.write_text(password)
            web += f'password_file = "{secret}"\n'
        self._config = self.folder / "edge.toml"
        self._config.write_text(configuration + web)

    def start(self) -> None:
        """Start, and wait until the page is served."""
        self.launch([sys.executable, "-m", "edge_detector", "run", "--config", str(self._config)], self._environment)
        wait_until(self._serves, "the page to be served", deadline_seconds=START_SECONDS)

    def _serves(self) -> bool:
        self.check_alive()
        try:
            status, _ = self.ask("GET", "/api/node")
        except OSError:
            return False
        return status in {HTTPStatus.OK, HTTPStatus.UNAUTHORIZED}

    def ask(self, method: str, path: str, content: object = None) -> tuple[int, str]:
        """Send a request, with JSON if there is content; status and text of the answer."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=20.0)
        try:
            body = None if content is None else json.dumps(content)
            connection.request(method, path, body, {} if body is None else {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Look at the live view, as a browser does, until the service ends its stream or this ends."""
        connection = http.client.HTTPConnection(HOST, self._port, timeout=20.0)
        try:
            connection.request("GET", "/api/live")
            assert connection.getresponse().status == HTTPStatus.OK
            yield
        finally:
            connection.close()
