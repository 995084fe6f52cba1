"""Executors of calls that may block, such as those to a disk: the interface, and one on the caller's thread."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Pending(Protocol[T_co]):
    """Result of a call that may still run; concurrent.futures.Future is one."""

    def done(self) -> bool:
        """Return whether the call has ended."""
        ...

    def result(self, timeout: float | None = None) -> T_co:
        """Wait for the result and return it. Raises TimeoutError."""
        ...


class Run(Protocol):
    """Executor that makes calls in order on one thread, and calls `then` there after each."""

    def __call__(self, call: Callable[[], T], then: Callable[[], None]) -> Pending[T]:
        """Queue `call` and return at once, or make the call on this thread."""
        ...


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    answer: T

    def done(self) -> bool:
        return True

    def result(self, timeout: float | None = None) -> T:  # noqa: ARG002 - the result is known
        return self.answer


def at_once(call: Callable[[], T], then: Callable[[], None]) -> Pending[T]:
    """Make the call on the caller's own thread."""
    done = _Done(call())
    then()
    return done
