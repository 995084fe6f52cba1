"""Teaching for the page, in a process of its own: it can neither delay nor end the detection, and ends with the service."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal, TypeAlias

from edge_detector.bounded_files import parse_json
from edge_detector.teaching.taught_bundles import TaughtBundles
from edge_detector.threads import in_thread

LOG = logging.getLogger(__name__)

LIMIT_SECONDS = 7_200.0
CLOSE_SECONDS = 1.0
"""Longest wait for the end of a child that was killed, which a disk can delay."""
CHILD = ("-m", "edge_detector.teaching.child")
_MAX_LINE_BYTES = 100_000
_NOT_PASSED_ON = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY"}
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""More would take all cores, at the same priority as the detection where the priority cannot be lowered."""

JobState: TypeAlias = Literal["idle", "running", "failed", "done"]


@dataclass(frozen=True, slots=True)
class TeachingRequest:
    """What to teach: folder of recordings, bundle to extend, and slugs of the classes."""

    recordings: Path
    base: Path
    classes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How far the teaching is.

    Attributes:
        state: "idle" before the first one, and after one that was cancelled.
        stage, stage_number, stages: name and number of the stage, of so many; empty and 0 before the first.
        done, total: how much of the stage.
        started: Unix time; None while idle.
        error: why it failed, as a sentence.

    """

    state: JobState = "idle"
    stage: str = ""
    stage_number: int = 0
    stages: int = 0
    done: int = 0
    total: int = 0
    started: float | None = None
    error: str | None = None


class TeachingJob:
    """Teaches one request at a time. Every method may be called from any thread.

    Args:
        bundles: where the new bundle goes; old ones are removed after it.
        in_use: name of the taught bundle in use, which stays.
        limit_seconds: after which a teaching is ended.

    """

    def __init__(self, bundles: TaughtBundles, in_use: str | None, *, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._bundles = bundles
        self._in_use = in_use
        self._limit_seconds = limit_seconds
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._ended_by: Literal["cancel", "limit", "close"] | None = None
        self.status = JobStatus()

    def start(self, request: TeachingRequest) -> bool:
        """Begin to teach; False if it does so already, or the service is about to end."""
        with self._lock:
            if self.status.state == "running" or self._ended_by == "close":
                return False
            self._ended_by = None
            self.status = JobStatus("running", started=time.time())
        in_thread(lambda: self._teach(request), "teaching")
        return True

    def cancel(self) -> bool:
        """End the teaching; nothing of it stays. Whether there was one."""
        return self._end("cancel")

    def close(self) -> None:
        """End the teaching with the service, and take no other; waits for the child, for no thread is left after it to do so."""
        self._end("close")
        process = self._process
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(CLOSE_SECONDS)

    def _end(self, by: Literal["cancel", "limit", "close"]) -> bool:
        with self._lock:
            running = self.status.state == "running"
            if running or by == "close":
                self._ended_by = by
            if self._process is not None:
                self._process.kill()
            return running

    def _teach(self, request: TeachingRequest) -> None:
        started = time.monotonic()
        try:
            self._bundles.sweep(self._in_use)
            output = self._bundles.new_path(time.time())
            result = self._run_child(request, output)
            self._bundles.sweep(self._in_use)
            if isinstance(result, int):
                seconds, megabytes = time.monotonic() - started, result / 1e6
                LOG.info("taught %s: %.0f s, %.0f MB of memory", output.name, seconds, megabytes)
        except OSError as error:
            result = f"the teaching cannot be done ({error.strerror or error}); check the disk and the memory of this machine"
        with self._lock:
            self._process = None
            if isinstance(result, str) and self._ended_by in ("cancel", "close"):
                self.status = JobStatus()
            elif isinstance(result, str):
                self.status = replace(self.status, state="failed", error=result)
            else:
                self.status = replace(self.status, state="done")
        if self.status.state == "failed":
            LOG.warning("the teaching has failed: %s", result)

    def _run_child(self, request: TeachingRequest, output: Path) -> int | str:
        """Return the peak of its memory in bytes, or why it failed, as a sentence."""
        paths = {"recordings": str(request.recordings), "base": str(request.base), "output": str(output)}
        command = [sys.executable, *CHILD]
        with self._lock:
            if self._ended_by is not None:
                return "it was cancelled"
            self._process = process = subprocess.Popen(  # noqa: S603 - this program itself
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment(os.environ)
            )
        timer = threading.Timer(self._limit_seconds, lambda: self._end("limit"))
        timer.daemon = True
        result: int | str | None = None
        # Its input stays open until it has ended: it ends itself once the service has gone.
        with suppress(BrokenPipeError), process:  # also raised where its input is closed
            assert process.stdin is not None  # noqa: S101 - both are pipes
            assert process.stdout is not None  # noqa: S101 - as above
            try:
                timer.start()
                process.stdin.write(json.dumps({**paths, "classes": request.classes}).encode() + b"\n")
                process.stdin.flush()
                result = self._follow(process.stdout)
            finally:
                timer.cancel()  # or it would end a later teaching
                process.kill()
        return result if result is not None else self._reason(process.returncode)

    def _follow(self, output: IO[bytes]) -> int | str | None:
        """Show the progress until the child's last line; returns its result."""
        while line := output.readline(_MAX_LINE_BYTES):
            with suppress(ValueError):  # a library that prints
                match parse_json(line):
                    case {
                        "type": "progress",
                        "stage": str(stage),
                        "stage_number": int(number),
                        "stages": int(stages),
                        "done": int(done),
                        "total": int(total),
                    }:
                        self.status = replace(
                            self.status, stage=stage, stage_number=number, stages=stages, done=done, total=total
                        )
                    case {"type": "result", "peak_bytes": int(peak_bytes)}:
                        return peak_bytes
                    case {"type": "error", "sentence": str(sentence)}:
                        return sentence
        return None

    def _reason(self, code: int) -> str:
        if self._ended_by == "limit":
            return (
                f"the teaching took longer than {self._limit_seconds / 3600.0:g} hours and was ended; teach fewer classes at once"
            )
        if code < 0:
            return (
                f"the teaching was ended by signal {-code}; the machine may have too little memory: teach fewer classes at once"
            )
        return f"the teaching ended with code {code}; see the service's log"


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    return {**{name: value for name, value in own.items() if name not in _NOT_PASSED_ON}, **_ONE_THREAD}
