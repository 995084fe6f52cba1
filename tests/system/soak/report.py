"""What both forms of the soak see of a process, and what they must not see."""

import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Self

import psutil

MEMORY_GROWTH = 0.02


@dataclass(frozen=True, slots=True)
class Reading:
    """A process at one moment."""

    rss_bytes: int
    open_files: int
    threads: int

    @classmethod
    def of(cls, process: psutil.Process, when: str) -> Self:
        """Read it now, and say it on stderr."""
        reading = cls(process.memory_info().rss, process.num_fds(), process.num_threads())
        sys.stderr.write(f"{when}: {asdict(reading)}\n")
        return reading


def growth(readings: Sequence[Reading], *, memory: float = MEMORY_GROWTH, passing_files: int = 0) -> list[str]:
    """What grew or changed since the first reading, one sentence each.

    Memory may grow by this share; so many files may be open at one moment alone.
    """
    first, most = readings[0], max(reading.rss_bytes for reading in readings)
    found = []
    if most > (1 + memory) * first.rss_bytes:
        found.append(f"memory grew from {first.rss_bytes} to {most} bytes")
    for name, numbers, spare in (
        ("open files", {reading.open_files for reading in readings}, passing_files),
        ("threads", {reading.threads for reading in readings}, 0),
    ):
        if max(numbers) - min(numbers) > spare:
            found.append(f"{name} did not stay the same: {sorted(numbers)}")
    return found


def disagreement(decided: Sequence[str], received: Collection[str]) -> list[str]:
    """Where the events that were decided are not those that arrived, one sentence each. All by message id."""
    starts = {key.removesuffix("/start") for key in received if key.endswith("/start")}
    ends = {key.removesuffix("/end") for key in received if key.endswith("/end")}
    found = []
    if not starts:
        found.append("no event arrived")
    if len(decided) != len(set(decided)):
        found.append("an event was decided twice")
    if missing := set(decided) - set(received):
        found.append(f"{len(missing)} of {len(decided)} events did not arrive: {sorted(missing)[:5]}")
    if surplus := set(received) - set(decided):
        found.append(f"{len(surplus)} events arrived that were not decided: {sorted(surplus)[:5]}")
    if starts != ends:
        found.append(f"a start without an end, or an end without a start: {sorted(starts ^ ends)[:5]}")
    return found
