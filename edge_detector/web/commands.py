"""Commands: thresholds and mutes from the page, handed to the detecting thread, which answers each."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from edge_detector.mqtt.runtime_settings import COMMANDS_PER_SECOND, OFF, ON, Accepted, Refusal
from edge_detector.types import Message

MOST_WAITING = 50
TOO_FAST = Refusal(f"the command was refused: they come faster than {COMMANDS_PER_SECOND:g} a second; wait a while")
"""Answer to a command beyond the rate limit."""


@dataclass(frozen=True, slots=True)
class PageCommand:
    """A command in the form that it has over MQTT, and its answer, which the detecting thread sets."""

    message: Message
    answer: "Future[Accepted | Refusal]" = field(default_factory=Future)


class Commands:
    """Bounded queue of commands; `base` is the node's topic, edge_detector/<node>."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._waiting: queue.Queue[PageCommand] = queue.Queue(MOST_WAITING)
        self._restart = threading.Event()

    def request_restart(self) -> None:
        """Let the service end its run and start again, with the bundle that was chosen."""
        self._restart.set()

    @property
    def restart_requested(self) -> bool:
        """Whether the service shall start again."""
        return self._restart.is_set()

    def set_threshold(self, source: str, slug: str, on: float | None) -> "Future[Accepted | Refusal] | None":
        """Set the threshold `on` of a class, or None for the configured one. None: too many commands wait."""
        return self._submit(f"{source}/threshold/{slug}", "" if on is None else f"{on:.6f}")

    def set_mute(self, source: str, *, muted: bool | None) -> "Future[Accepted | Refusal] | None":
        """Mute a source, or unmute it, or None for the configured value. None: too many commands wait."""
        return self._submit(f"{source}/mute", "" if muted is None else (ON if muted else OFF))

    def carry_out(self, handle: Callable[[Message], Accepted | Refusal | None]) -> None:
        """Handle the commands that wait and answer each, on the detecting thread; one whose sender has given up is left out."""
        while True:
            try:
                command = self._waiting.get_nowait()
            except queue.Empty:
                return
            if not command.answer.set_running_or_notify_cancel():
                continue
            try:
                result = handle(command.message)
            except BaseException as error:
                command.answer.set_exception(error)
                raise
            command.answer.set_result(result or TOO_FAST)

    def _submit(self, target: str, payload: str) -> "Future[Accepted | Refusal] | None":
        command = PageCommand(Message(f"{self._base}/{target}/set", payload.encode(), qos=1, retained=False))
        try:
            self._waiting.put_nowait(command)
        except queue.Full:
            return None
        return command.answer
