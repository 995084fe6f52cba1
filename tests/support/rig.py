"""What the stand-ins have in common: a process with a folder and a log of its own, of which nothing is left behind."""

import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self


class Rig(ABC):
    """Use it as a context manager; or `start` and `close`. What was stopped or killed can be started again.

    Args:
        name: for errors, and the beginning of the folder's name.
        stop_seconds: how long it may take to end.

    Attributes:
        folder: removed on close.

    """

    def __init__(self, name: str, *, stop_seconds: float = 5.0) -> None:
        self._name = name
        self._stop_seconds = stop_seconds
        self._started: subprocess.Popen[bytes] | None = None
        self.folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))

    def __enter__(self) -> Self:
        """Start, and wait until it can be used."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """End it and leave nothing behind."""
        self.close()

    @abstractmethod
    def start(self) -> None:
        """Start, at first or again."""

    def launch(self, command: Sequence[str], environment: Mapping[str, str] | None = None, *, own_session: bool = False) -> None:
        """Start the process, with all it says in the log; in a session of its own, no interrupt at the terminal reaches it."""
        with (self.folder / "log").open("ab") as log:
            self._started = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=own_session
            )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that was started last."""
        if self._started is None:
            message = f"{self._name} has not been started"
            raise RuntimeError(message)
        return self._started

    @property
    def log(self) -> str:
        """What it has said so far."""
        file = self.folder / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    def check_alive(self) -> None:
        """Raise RuntimeError with the log if it has ended."""
        if self.process.poll() is not None:
            message = f"{self._name} has ended, with {self.process.returncode}:\n{self.log}"
            raise RuntimeError(message)

    def stop(self) -> int:
        """Shut it down in good order; its exit code."""
        return self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Crash it: it saves nothing and says nothing."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Stop its process: connections stay open and nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it, whatever its state, and remove its folder; may be called again."""
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def end(self) -> None:
        """End everything that uses the folder."""
        if self._started is not None and self._started.poll() is None:
            self.thaw()
            self.stop()

    def _end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        return self.process.wait(self._stop_seconds)
