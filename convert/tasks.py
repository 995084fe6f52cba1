"""Numbered tasks, carried out by one process or by many; each makes one file, whole or not at all."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from edge_detector.errors import EdgeDetectorError, UsageError

APPEARS_WITHIN_SECONDS = 60.0
"""NFS remembers for so long that a file was not there."""

LOOK_EVERY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of a task.

    Attributes:
        number: of the task.
        state: its file is made, another run is making it, or an error prevents it.
        error: sentence of the error. It is no exception, so that no engine tries the task again.
        exit_code: of the error.

    """

    number: int
    state: Literal["made", "busy", "failed"]
    error: str = ""
    exit_code: int = 1

    @classmethod
    def of_error(cls, number: int, error: EdgeDetectorError) -> "Outcome":
        """Return the outcome of a task that an error prevents."""
        return cls(number, "failed", str(error), error.exit_code)


Task: TypeAlias = Callable[[int], Outcome]
"""Carries out a task by its number. It can be pickled, unless it stays in this process."""

Report: TypeAlias = Callable[[Outcome], None]

Runner: TypeAlias = Callable[[Task, Sequence[int], Report], None]
"""Carries out tasks and reports each, until one has failed."""


def carry_out(task: Task, numbers: Sequence[int], run: Runner, finished: Callable[[int], None]) -> list[int]:
    """Carry out tasks; return the numbers of those that other runs are at.

    `finished` gets the number of each task whose file is made. Raises the error of the first that failed.
    """
    busy: list[int] = []
    failed: list[Outcome] = []

    def report(outcome: Outcome) -> None:
        if outcome.state == "made":
            finished(outcome.number)
        elif outcome.state == "busy":
            busy.append(outcome.number)
        else:
            failed.append(outcome)

    if numbers:
        run(task, numbers, report)
    if failed:
        first = min(failed, key=lambda each: each.number)
        raise UsageError(first.error) if first.exit_code == UsageError.exit_code else EdgeDetectorError(first.error)
    return sorted(busy)


def carry_out_shared(make: Callable[..., Outcome], numbers: Sequence[int], run: Runner, finished: Callable[[int], None]) -> None:
    """Carry out the tasks that no other run is at; then wait for the others, and take up what they leave.

    `make` is a task with a keyword `wait`: it waits for another run, in place of the outcome `busy`.
    """
    if busy := carry_out(partial(make, wait=False), numbers, run, finished):
        sys.stderr.write(f"another run is making {len(busy)} of the files; waiting for them\n")
        carry_out(partial(make, wait=True), busy, run, finished)


def run_here(task: Task, numbers: Sequence[int], report: Report) -> None:
    """Carry out tasks in this process."""
    for number in numbers:
        outcome = task(number)
        report(outcome)
        if outcome.state == "failed":
            return


def require_made(files: Iterable[Path]) -> None:
    """Raise EdgeDetectorError for a file that another machine has made and that does not appear here."""
    give_up_at = time.monotonic() + APPEARS_WITHIN_SECONDS
    for path in files:
        while not path.exists():
            if time.monotonic() > give_up_at:
                raise EdgeDetectorError(f"{path} was made elsewhere; {path.parent} must be the same folder on every machine")
            time.sleep(LOOK_EVERY_SECONDS)
