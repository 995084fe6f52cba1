"""Writer of probabilities: blocks on their way into their folder, beside the history's events and never in place of them."""

import logging
import math
import threading
import time
from collections import deque

from edge_detector.history.probabilities import Block
from edge_detector.history.probability_files import ProbabilityFolder
from edge_detector.history.store import HistoryError

LOG = logging.getLogger(__name__)

MOST_WAITING_BYTES = 4 << 20
"""Blocks that may wait for the disk: 64 of the largest."""
RETRY_SECONDS = 10.0
UPKEEP_SECONDS = 3_600.0


class ProbabilityWriter:
    """Queue of blocks for a folder. It has no thread: `put` is called by one, and `turn` by the history's.

    Attributes:
        trouble: why blocks are not written now, as a sentence, or None.
        lost: blocks that could not wait.

    """

    def __init__(self, folder: ProbabilityFolder) -> None:
        self._folder = folder
        self._waiting: deque[Block] = deque()
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._due_seconds = 0.0
        self._told_lost = 0
        self.trouble: str | None = None
        self.lost = 0

    @property
    def due_seconds(self) -> float:
        """Monotonic time of the next `turn`."""
        waits = self._waiting and self.trouble is None
        return -math.inf if waits else self._due_seconds

    def put(self, block: Block) -> None:
        """Take a block, and return at once; its arrays must stay as they are."""
        with self._lock:
            if self._waiting_bytes + _bytes_of(block) > MOST_WAITING_BYTES:
                self.lost += 1
                return
            self._waiting.append(block)
            self._waiting_bytes += _bytes_of(block)

    def turn(self) -> None:
        """Write what waits, and remove what is too old. A block that is not written waits again."""
        try:
            while self._waiting:
                self._folder.append(self._waiting[0])
                with self._lock:
                    self._waiting_bytes -= _bytes_of(self._waiting.popleft())
            self._folder.trim(round(1e3 * time.time()))
        except HistoryError as error:
            self._due_seconds = time.monotonic() + RETRY_SECONDS
            if self.trouble is None:
                self.trouble = f"probabilities are not stored: {error}"
                LOG.error("%s", self.trouble)  # noqa: TRY400 - the sentence is for people
            return
        self._due_seconds = time.monotonic() + UPKEEP_SECONDS
        if self.trouble is not None:
            LOG.info("probabilities are stored again; %d blocks of them are missing", self.lost)
        elif self.lost > self._told_lost:
            LOG.warning("%d blocks of probabilities so far are missing, which could not be stored in time", self.lost)
        self.trouble, self._told_lost = None, self.lost


def _bytes_of(block: Block) -> int:
    return block.values.nbytes + block.steps.nbytes
