"""Daemon threads for calls that may hang, such as opening a sound device or writing to a disk."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_thread(call: Callable[[], T], name: str) -> Future[T]:
    """Start `call` in a daemon thread and return at once. A call that never returns does not keep the program alive."""
    future: Future[T] = Future()
    threading.Thread(target=_run, args=(call, future), name=name, daemon=True).start()
    return future


class Worker:
    """One daemon thread, started by the first call, that runs queued calls in order."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def __call__(self, call: Callable[[], T], then: Callable[[], None] = lambda: None) -> Future[T]:
        """Queue `call` and return at once; `then` runs after it on the same thread. Not thread-safe."""
        future: Future[T] = Future()

        def run() -> None:
            _run(call, future)
            then()

        self._calls.put(run)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        return future

    def _work(self) -> None:
        while True:
            self._calls.get()()


def _run(call: Callable[[], T], future: Future[T]) -> None:
    if not future.set_running_or_notify_cancel():
        return  # given up before it began; later it cannot be cancelled any more, so it always gets its result
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - raised again by the future's result()
        future.set_exception(error)
    else:
        future.set_result(result)
