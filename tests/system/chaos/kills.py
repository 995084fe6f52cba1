"""Kills a process that writes to the outbox, at random, many times, and looks whether anything committed is gone.

    python -m tests.system.chaos.kills --kills 500 [--power-cut]

With --power-cut what was not synced is lost too: each file goes back to its copy of the last sync, but for a random half of the
512-byte sectors that were written since, for a disk may write those in any order or not at all. Needs gcc.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from edge_detector.mqtt.outbox import IN_FLIGHT
from edge_detector.mqtt.sqlite_store import SqliteStore, open_outbox
from edge_detector.types import Message

FILE = "outbox.db"
SECTOR_BYTES = 512
LONGEST_LIFE_SECONDS = 0.15
COPIES = "SYNCED_COPIES"
PRELOAD = "LD_PRELOAD"
SHIM = Path(__file__).with_name("synced.c")


@dataclass(slots=True)
class Said:
    """What a writer said it would do, and had done, before it was killed."""

    tried: set[str] = field(default_factory=set)
    decided: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Figures:
    """Of all kills together."""

    kills: int = 0
    decided: int = 0
    acknowledged: int = 0
    most_repeated: int = 0
    interrupted: int = 0
    sectors_lost: int = 0


def write(folder: Path, run: int, say: int) -> None:
    """Decide, send and settle events until killed; first of all, end those that the last kill interrupted."""
    chance = random.Random(run)
    outbox = open_outbox(folder / FILE, time.monotonic, max_messages=100_000, max_age_seconds=86_400.0)
    assert outbox.trouble is None, outbox.trouble
    batch = [f"{message.message_id}".replace("/start", "/end") for message in outbox.open_events()]
    opened: list[str] = []
    flying: list[str] = []
    number = 0
    while True:
        answered = chance.sample(flying, chance.randrange(len(flying) + 1))
        _say(say, "acknowledged", answered)
        _say(say, "tried", batch)
        outbox.commit([Message("node/event", key.encode() * 20, 1, retained=False, message_id=key) for key in batch], answered)
        _say(say, "decided", batch)
        taken = [message.message_id or "" for message in outbox.dequeue()]
        _say(say, "sent", taken)
        flying = [key for key in flying if key not in answered] + taken
        batch = []
        for _ in range(chance.randrange(8)):
            if opened and chance.random() < 0.5:
                batch.append(f"{opened.pop(0)}/end")
            else:
                number += 1
                opened.append(f"run{run}/{number}")
                batch.append(f"{opened[-1]}/start")


def _say(say: int, word: str, keys: Sequence[str]) -> None:
    if keys:
        os.write(say, f"{word} {' '.join(keys)}\n".encode())


def kill_one(folder: Path, run: int, chance: random.Random, copies: Path | None) -> Said:
    """Let a writer live for a moment. A line that the kill cuts off is not said."""
    hear, say = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if copies is not None:
                os.environ[COPIES] = str(copies)
            write(folder, run, say)
        except BaseException:  # noqa: BLE001 - a forked child may not return into its parent's code, whatever happens
            traceback.print_exc()
        finally:
            os._exit(1)
    os.close(say)
    with os.fdopen(hear, "rb", buffering=0) as pipe:
        heard = pipe.read(1)  # the outbox is open and in use
        time.sleep(chance.random() * LONGEST_LIFE_SECONDS)
        os.kill(child, signal.SIGKILL)
        while more := pipe.read(1 << 16):
            heard += more
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the writer ended by itself"
    said = Said()
    for line in heard[: heard.rfind(b"\n") + 1].decode().splitlines():
        word, *keys = line.split()
        getattr(said, word).update(keys)
    return said


def cut_power(folder: Path, copies: Path, chance: random.Random) -> int:
    """Take back half of what was not synced; how many sectors that were."""
    lost = 0
    for file in folder.iterdir():
        new, copy = file.read_bytes(), copies / file.name
        old = copy.read_bytes() if copy.exists() else b""
        length = chance.choice((len(old), len(new)))
        content = bytearray()
        for start in range(0, length, SECTOR_BYTES):
            sector = slice(start, start + SECTOR_BYTES)
            kept = old if chance.random() < 0.5 else new
            lost += kept is old and old[sector] != new[sector]
            content += kept[sector].ljust(SECTOR_BYTES, b"\0")
        file.write_bytes(content[:length])
    return lost


def contents(folder: Path) -> tuple[set[str], set[str]]:
    """Message ids that wait, and events that are open."""
    with closing(SqliteStore(folder / FILE)) as store:
        waiting = {row.key for row in store.oldest(1_000_000)}
        return waiting, {row.key.removesuffix("/start") for row in store.open_events()}


def check(said: Said, before: tuple[set[str], set[str]], after: tuple[set[str], set[str]]) -> int:
    """Compare what is there with what was said; how many messages will be sent a second time."""
    waiting, opened = after
    gone = (before[0] | said.decided) - said.acknowledged - waiting
    assert not gone, f"committed and gone: {sorted(gone)}"
    invented = waiting - before[0] - said.tried
    assert not invented, f"never decided: {sorted(invented)}"
    repeated = said.sent & waiting
    assert len(repeated) <= IN_FLIGHT, f"{len(repeated)} will be sent twice"
    starts, ends = ({key.removesuffix(kind) for key in said.decided if key.endswith(kind)} for kind in ("/start", "/end"))
    perhaps_ended = {key.removesuffix("/end") for key in said.tried if key.endswith("/end")}
    assert (before[1] | starts) - perhaps_ended <= opened, "an open event was forgotten"
    assert not ends & opened, "an event is still open after its end"
    return len(repeated)


def rampage(kills: int, seed: int, *, power_cut: bool) -> Figures:
    """Kill as often as asked, on one outbox."""
    chance = random.Random(seed)
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="kills-") as name:
        folder, copies = Path(name) / "state", Path(name) / "synced"
        folder.mkdir()
        before = contents(folder)
        for run in range(kills):
            shutil.rmtree(copies, ignore_errors=True)
            shutil.copytree(folder, copies)
            said = kill_one(folder, seed + run, chance, copies if power_cut else None)
            if power_cut:
                figures.sectors_lost += cut_power(folder, copies, chance)
            after = contents(folder)
            figures.kills += 1
            figures.decided += len(said.decided)
            figures.acknowledged += len(said.acknowledged)
            figures.interrupted += len(after[1])
            figures.most_repeated = max(figures.most_repeated, check(said, before, after))
            assert not list(folder.glob("*.damaged")), "the outbox was damaged"
            before = after
    assert figures.decided, "nothing was written"
    assert not power_cut or figures.sectors_lost, "every write was synced before the cut, or the shim was not loaded"
    return figures


def build_shim(folder: Path) -> Path:
    """Compile the library that remembers what was synced."""
    library = folder / "synced.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SHIM), "-ldl"], check=True)
    return library


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--power-cut", action="store_true")
    options = parser.parse_args()
    if options.power_cut and PRELOAD not in os.environ:
        with tempfile.TemporaryDirectory(prefix="shim-") as folder:
            environment = {**os.environ, PRELOAD: str(build_shim(Path(folder)))}
            sys.exit(
                subprocess.run([sys.executable, "-m", __spec__.name, *sys.argv[1:]], env=environment, check=False).returncode
            )
    sys.stdout.write(f"seed {options.seed}: {rampage(options.kills, options.seed, power_cut=options.power_cut)}\n")


if __name__ == "__main__":
    main()
