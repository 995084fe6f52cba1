"""Tasks on several cores, in processes of this machine."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from convert.tasks import Outcome, Report, Task
from edge_detector.errors import EdgeDetectorError

MOST_LOSSES = 3
"""Times in a row that a process may be lost before any task is finished."""

_own_task: Task


def run_in_pool(task: Task, numbers: Sequence[int], report: Report, *, jobs: int) -> None:
    """Carry out tasks in `jobs` processes; those of a process that is killed are carried out by new ones.

    Raises EdgeDetectorError if processes are killed again and again.
    """
    left, losses = dict.fromkeys(numbers), 0
    while left:
        before = len(left)
        try:
            _run_once(task, left, report, jobs)
        except BrokenProcessPool as error:
            losses = losses + 1 if len(left) == before else 1
            if losses >= MOST_LOSSES:
                raise EdgeDetectorError(
                    f"a process was killed {losses} times before it had finished a file; is the memory full? give fewer --jobs"
                ) from error


def _run_once(task: Task, left: dict[int, None], report: Report, jobs: int) -> None:
    """Carry out the tasks that are left, and take each out that has ended; all of them once one has failed."""
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(min(jobs, len(left)), multiprocessing.get_context("spawn"), _begin, (task,)) as pool:
        try:
            for future in as_completed(_submitted(pool, left)):
                outcome = future.result()
                del left[outcome.number]
                report(outcome)
                if outcome.state == "failed":
                    pool.shutdown(cancel_futures=True)
                    left.clear()
                    return
        except BaseException:
            # A file that is begun may take minutes, and is not there before it is whole.
            for process in set(multiprocessing.active_children()) - others:
                process.kill()
            pool.shutdown(cancel_futures=True)
            raise


def _submitted(pool: ProcessPoolExecutor, numbers: Iterable[int]) -> list[Future[Outcome]]:
    """Begin the processes, and give them all tasks."""
    # Ctrl-C reaches every process of a terminal; the parent ends these. They have it blocked from their first instruction, so
    # that none is interrupted while it imports; the parent gets it below.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return [pool.submit(_carry_out, number) for number in numbers]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(task: Task) -> None:
    """Prepare a process."""
    global _own_task  # noqa: PLW0603 - sent once to each process, not with each number
    _own_task = task
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent is gone, even if that was killed: it would wait for work for ever."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


def _carry_out(number: int) -> Outcome:
    return _own_task(number)
