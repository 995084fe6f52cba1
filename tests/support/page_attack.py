"""Everything that somebody in the network can send to the page, all at once, as fast as one process can.

Run `python -m tests.support.page_attack PORT`; it attacks until its stdin ends, then writes what came of it as JSON. It runs at
the lowest priority, so that it takes no core from whom it attacks.
"""

import asyncio
import json
import os
import resource
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count

HOST = "127.0.0.1"
SLOW_CONNECTIONS = 1_000
STREAMS = 32
SLOW_SOURCE, STREAM_SOURCE, FLOOD_SOURCE = "127.0.0.2", "127.0.0.3", "127.0.0.4"
_NUMBERS = count()
_HEAD = "Host: localhost\r\nContent-Type: application/json\r\n"
_GET = f"GET /api/node HTTP/1.1\r\n{_HEAD}\r\n".encode()
_LOGIN = b'{"password": "a guess, and no good one"}'


class Attack:
    """Its answers are counted by kind and status."""

    def __init__(self, port: int, authorization: str) -> None:
        self._port = port
        self._authorization = authorization
        self.counts: Counter[str] = Counter()
        self.was_refused = asyncio.Event()

    async def run(self) -> None:
        """Attack until it is cancelled."""
        kinds: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (SLOW_CONNECTIONS, self.slow),
            (STREAMS, self.stream),
            (4, self.flood),
            (4, self.flood_of_addresses),
            (2, self.guess),
            (2, self.headers),
            (2, self.body),
        ]
        await asyncio.gather(*(self._again(one) for number, one in kinds for _ in range(number)))

    async def slow(self) -> None:
        """Headers that never end."""
        reader, writer = await self._open(SLOW_SOURCE)
        writer.write(b"GET / HTTP/1.1\r\nHost: local")
        self.counts["slow"] += not await reader.read(1)
        writer.close()
        await asyncio.sleep(0.5)

    async def stream(self) -> None:
        """A live stream that nobody reads."""
        reader, writer = await self._open(STREAM_SOURCE)
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a socket's transport
        writer.write(f"GET /api/live HTTP/1.1\r\n{_HEAD}Authorization: {self._authorization}\r\n\r\n".encode())
        self.counts["stream"] += 1
        await asyncio.sleep(20.0)
        del reader
        writer.close()

    async def flood(self) -> None:
        """Requests of one address, sixteen at once."""
        await self._requests("flood", FLOOD_SOURCE, _GET * 16, 16)

    async def flood_of_addresses(self) -> None:
        """Requests of many addresses, each below its limit."""
        await self._requests("addresses", _address(), _GET * 16, 16)

    async def guess(self) -> None:
        """Passwords of many addresses."""
        login = f"POST /api/login HTTP/1.1\r\n{_HEAD}Content-Length: {len(_LOGIN)}\r\n\r\n".encode() + _LOGIN
        await self._requests("guess", _address(), login, 1)

    async def headers(self) -> None:
        """Too many headers, and endless ones."""
        many = "".join(f"X-{number}: {number}\r\n" for number in range(1_000))
        await self._requests("headers", _address(), f"GET /api/node HTTP/1.1\r\n{many}{_HEAD}\r\n".encode(), 1)
        await self._requests("headers", _address(), b"GET / HTTP/1.1\r\nX: " + b"y" * 1_000_000, 1)

    async def body(self) -> None:
        """Bodies that are too long, in one piece and in tiny ones."""
        head = f"POST /api/threshold HTTP/1.1\r\n{_HEAD}"
        await self._requests("body", _address(), f"{head}Content-Length: 1000000\r\n\r\n".encode() + b"x" * 1_000_000, 1)
        await self._requests("body", _address(), f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + b"1\r\nx\r\n" * 10_000, 1)

    async def _again(self, one: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                async with asyncio.timeout(30.0):
                    await one()
            except (OSError, TimeoutError):
                await asyncio.sleep(0.01)

    async def _requests(self, kind: str, source: str, requests: bytes, number: int) -> None:
        """Send these again and again on a connection, until the server closes it."""
        reader, writer = await self._open(source)
        try:
            while True:
                writer.write(requests)
                for _ in range(number):
                    head = await reader.readuntil(b"\r\n\r\n")
                    self.counts[f"{kind} {head[9:12].decode()}"] += 1
                    if head[9:10] == b"4":
                        self.was_refused.set()
                    length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
                    await reader.readexactly(int(length.partition(b":")[2]))
        except (asyncio.IncompleteReadError, ConnectionError):
            self.counts[f"{kind} closed"] += 1
        finally:
            writer.close()

    async def _open(self, source: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(HOST, self._port, local_addr=(source, 0))


def _address() -> str:
    number = next(_NUMBERS)
    return f"127.1.{number // 250 % 250}.{1 + number % 250}"


@contextmanager
def attacked(port: int, authorization: str = "") -> Iterator[dict[str, int]]:
    """Attack the page at a port meanwhile; afterwards the answer says how often which refusal came."""
    found: dict[str, int] = {}
    command = [sys.executable, "-m", "tests.support.page_attack", str(port), authorization]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "attacking\n"
            yield found
            output, _ = process.communicate("\n", timeout=60.0)
            found.update(json.loads(output))
        finally:
            process.kill()


async def main() -> None:
    """Attack until stdin ends."""
    attack = Attack(int(sys.argv[1]), sys.argv[2])
    running = asyncio.create_task(attack.run())
    # On a busy machine it takes a while until anything is sent.
    await attack.was_refused.wait()
    sys.stdout.write("attacking\n")
    sys.stdout.flush()
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await asyncio.wait([running, ended], return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    sys.stdout.write(json.dumps(attack.counts))


if __name__ == "__main__":
    os.nice(10)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4_096)), hard))
    asyncio.run(main())
