"""Browsers of the soak, in a process of their own: `browse PORT NUMBER` reads until standard input has a line.

Each reads the live stream; one of them also asks for everything else, again and again, and plays the newest event that has a
clip. Prints what was read.
"""

import asyncio
import json
import sys
from collections import Counter

EVENTS = "/api/events?limit=100"
PATHS = ("/", "/api/node", "/api/hours", "/api/kinds", "/api/health", "/api/classes", "/metrics")
PAUSE_SECONDS = 1.0


async def get(port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    return reader, writer


async def watch(port: int, counts: Counter[str], connected: asyncio.Event) -> None:
    reader, _ = await get(port, "/api/live")
    await reader.readline()
    connected.set()
    while line := await reader.readline():
        if line.startswith(b"event: "):
            counts[line[7:].strip().decode()] += 1
    counts["streams that ended"] += 1


async def answer(port: int, path: str, counts: Counter[str]) -> bytes:
    reader, writer = await get(port, path)
    found = await reader.read(-1)
    writer.close()
    status = found.split(b" ", 2)[1].decode()
    counts[f"answers {status}" if status == "200" else f"answers {status} to {path.partition('?')[0]}"] += 1
    return found


async def ask(port: int, counts: Counter[str]) -> None:
    while True:
        for path in PATHS:
            await answer(port, path, counts)
        page = json.loads((await answer(port, EVENTS, counts)).partition(b"\r\n\r\n")[2])
        clip_id = next((event["clip"] for event in page["events"] if event.get("clip") is not None), None)
        if clip_id is not None:
            for path in ("/api/clips", f"/api/clips/{clip_id}/spectrogram", f"/api/clips/{clip_id}"):
                await answer(port, path, counts)
        await asyncio.sleep(PAUSE_SECONDS)


async def browse(port: int, number: int) -> None:
    counts: Counter[str] = Counter()
    connected = [asyncio.Event() for _ in range(number)]
    tasks = [asyncio.create_task(watch(port, counts, event)) for event in connected]
    await asyncio.gather(*(event.wait() for event in connected))
    sys.stdout.write("connected\n")
    sys.stdout.flush()
    tasks.append(asyncio.create_task(ask(port, counts)))
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception) and not isinstance(ended, ConnectionRefusedError):  # the service has ended
            counts[f"failed: {ended!r}"] += 1
    sys.stdout.write(json.dumps(counts) + "\n")


if __name__ == "__main__":
    asyncio.run(browse(int(sys.argv[1]), int(sys.argv[2])))
