"""Training batches, made in a background thread, the same for the same seed whenever training is taken up again."""

import queue
import threading
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from convert.data.augment import masked
from convert.data.teacher import Teacher
from convert.data.windows import WindowSource
from edge_detector.core.logmel import log_mel
from edge_detector.types import Float32

FRESH_BATCHES_PER_BLOCK = 8
QUEUED_BATCHES = 24


@dataclass(frozen=True, slots=True)
class Batch:
    """Log-mel float32 (n, 96, 64), labels as of `Windows`, teacher's scores float32 (n, scores), 0 wide without one."""

    log_mel: Float32
    labels: Float32
    teacher: Float32


class Feed:
    """An endless iterator of batches. A block of fresh windows is shown `uses` times, with `masks` each time masked anew.

    Block k draws from a generator seeded by (seed, k), so training that resumes at batch n sees what it would have seen.
    """

    def __init__(
        self, source: WindowSource, teacher: Teacher | None, *, batch: int, uses: int, seed: int, masks: bool = True
    ) -> None:
        self._source, self._teacher, self._masks = source, teacher, masks
        self._batch, self._uses, self._seed = batch, uses, seed

    @property
    def batches_per_block(self) -> int:
        """Batches made from one block of fresh windows."""
        return FRESH_BATCHES_PER_BLOCK * self._uses

    def block(self, number: int) -> list[Batch]:
        """The batches of block `number`."""
        rng = np.random.default_rng([self._seed, number])
        count = self._batch * FRESH_BATCHES_PER_BLOCK
        windows = self._source.draw(rng, count)
        scores = np.zeros((count, 0), np.float32) if self._teacher is None else self._teacher.scores(windows.samples)
        features = np.stack([log_mel(samples) for samples in windows.samples])
        found = []
        for _ in range(self._uses):
            for rows in rng.permutation(count).reshape(FRESH_BATCHES_PER_BLOCK, self._batch):
                shown = np.stack([masked(patch, rng) for patch in features[rows]]) if self._masks else features[rows]
                found.append(Batch(shown, windows.labels[rows], scores[rows]))
        return found

    def batches(self, first: int) -> Generator[Batch, None, None]:
        """Batches from number `first` on, without end; close the iterator to stop the thread."""
        ready: queue.Queue[Batch | BaseException] = queue.Queue(QUEUED_BATCHES)
        stop = threading.Event()

        def put(item: Batch | BaseException) -> None:
            while not stop.is_set():
                try:
                    ready.put(item, timeout=0.2)
                except queue.Full:
                    continue
                return

        def work() -> None:
            number, skip = divmod(first, self.batches_per_block)
            try:
                while not stop.is_set():
                    for batch in self.block(number)[skip:]:
                        put(batch)
                    number, skip = number + 1, 0
            except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that trains
                put(error)

        thread = threading.Thread(target=work, name="feed", daemon=True)
        thread.start()
        try:
            while True:
                item = ready.get()
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            stop.set()
            thread.join()
