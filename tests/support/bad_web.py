"""A web server on this machine that serves one file badly: each answer as a script says, the last one for ever."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self, TypeAlias

Answer: TypeAlias = Literal[
    "whole", "cut", "stall", "corrupt", "unavailable", "missing", "no-ranges", "wrong-range", "endless", "drop", "cut-corrupt"
]
CUT_SHARE = 3
"""A cut answer stops after a third of what was asked for."""


class BadWeb:
    """Serves `content` under every path, by `script`."""

    def __init__(self, content: bytes, *script: Answer) -> None:
        self.content, self.script = content, list(script)
        self.ranges: list[str | None] = []
        self.paths: list[str] = []
        self.release = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: Any) -> None:  # noqa: ANN401 - the base class's signature
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.ranges.append(asked)
        self.paths.append(request.path)
        kind = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked and kind != "no-ranges" else 0
        if kind == "drop":
            request.close_connection = True
            request.connection.close()
        elif kind == "unavailable":
            self._head(request, 503, {"Retry-After": "7", "Content-Length": "0"})
        elif kind == "missing":
            self._head(request, 404, {"Content-Length": "0"})
        elif kind == "endless":
            self._endless(request)
        elif first >= len(self.content):
            self._head(request, 416, {"Content-Range": f"bytes */{len(self.content)}", "Content-Length": "0"})
        else:
            self._send(request, kind, first)

    def _send(self, request: BaseHTTPRequestHandler, kind: Answer, first: int) -> None:
        body = self.content[first:]
        start = first + 1 if kind == "wrong-range" and first else first
        headers = {"Content-Length": str(len(body))}
        if request.headers.get("Range") and kind != "no-ranges":
            headers["Content-Range"] = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        self._head(request, 206 if "Content-Range" in headers else 200, headers)
        if "corrupt" in kind:
            body = body[:-1] + bytes([body[-1] ^ 1]) if kind == "corrupt" else bytes([body[0] ^ 1]) + body[1:]
        if "cut" in kind or kind == "stall":
            request.wfile.write(body[: len(body) // CUT_SHARE])
            request.wfile.flush()
            if kind == "stall":
                self.release.wait(60.0)
            request.close_connection = True
        else:
            request.wfile.write(body)

    def _endless(self, request: BaseHTTPRequestHandler) -> None:
        self._head(request, 200, {})
        try:
            while not self.release.is_set():
                request.wfile.write(b"x" * 65_536)
        except OSError:
            pass
        request.close_connection = True

    @staticmethod
    def _head(request: BaseHTTPRequestHandler, code: int, headers: dict[str, str]) -> None:
        request.send_response(code)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
