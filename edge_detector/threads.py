"""Threads for calls that may hang, such as opening a sound device or writing to a disk; none of them keeps the program alive."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def in_thread(call: Callable[[], T], name: str) -> Future[T]:
    """Start `call` and return at once. A call that never returns keeps its thread, which does not keep the program alive."""
    future: Future[T] = Future()
    threading.Thread(target=_run, args=(call, future), name=name, daemon=True).start()
    return future


class Worker:
    """One thread, begun with the first call, that makes one call after another."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def __call__(self, call: Callable[[], T], then: Callable[[], None] = lambda: None) -> Future[T]:
        """Queue `call` and return at once; `then` is called after it, on the same thread. For one thread at a time."""
        future: Future[T] = Future()

        def do() -> None:
            _run(call, future)
            then()

        self._calls.put(do)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        return future

    def _work(self) -> None:
        while True:
            self._calls.get()()


def _run(call: Callable[[], T], future: Future[T]) -> None:
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - raised again in whoever asks the future
        future.set_exception(error)
    else:
        future.set_result(result)
