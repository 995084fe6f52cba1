"""The process that teaches for the page: a request on standard input, JSON lines on standard output.

It ends with the service, whose end of the input is then closed. Lines are {"type": "progress", …}, and at last {"type": "result"}
or {"type": "error", "sentence": …}.
"""

import json
import os
import resource
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from edge_detector.errors import EdgeDetectorError
from edge_detector.teaching.recordings import Bounds
from edge_detector.teaching.teach import STAGES, TeachingPlan, teach

BOUNDS = Bounds(recordings=300, of_label=100, others=100, rooms=30, seconds=15.0, room_seconds=60.0, file_bytes=50_000_000)
REPORT_SECONDS = 0.2
NICE = 19
_MOST_OOM_SCORE = "1000"


def main() -> int:
    """Teach what the request asks for."""
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_service, name="service", daemon=True).start()
    _yield_to_detection()
    plan = TeachingPlan(
        recordings=Path(request["recordings"]),
        base=Path(request["base"]),
        output=Path(request["output"]),
        classes=tuple(request["classes"]),
        bounds=BOUNDS,
    )
    try:
        teach(plan, _Progress().report)
    except EdgeDetectorError as error:
        return _failed(str(error))
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        return _failed(f"a recording cannot be used: {error.strerror or error}{place}; it may have been deleted: start again")
    except MemoryError:
        return _failed("there is too little memory; teach fewer classes at once")
    _write({"type": "result", "peak_bytes": 1_024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss})
    return 0


def _end_with_service() -> None:
    sys.stdin.read()
    os._exit(1)


def _yield_to_detection() -> None:
    """Let detection go first, for the processor and for memory."""
    with suppress(OSError):  # the unit's filter of system calls refuses it
        os.nice(NICE)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_MOST_OOM_SCORE, encoding="ascii")


def _failed(sentence: str) -> int:
    _write({"type": "error", "sentence": sentence})
    return 1


def _write(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


class _Progress:
    def __init__(self) -> None:
        self._stages: list[str] = []
        self._written_seconds = 0.0

    def report(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage in self._stages and done < total and now - self._written_seconds < REPORT_SECONDS:
            return
        if stage not in self._stages:
            self._stages.append(stage)
        self._written_seconds = now
        number = {"stage": stage, "stage_number": len(self._stages), "stages": STAGES}
        _write({"type": "progress", **number, "done": done, "total": total})


if __name__ == "__main__":
    sys.exit(main())
