"""Recordings that `record` keeps: their folder, why one is refused, and what is shown of them."""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from edge_detector.audio.resampler import StreamResampler
from edge_detector.audio.segmenter import Problem, Recording
from edge_detector.audio.source import Source
from edge_detector.audio.wav_file import write_clip
from edge_detector.cli.live_panel import Panel
from edge_detector.errors import EdgeDetectorError
from edge_detector.types import Block, SignalQuality

POLL_SECONDS = 0.1
ADVICE: dict[Problem, str] = {
    "silent": "digital silence: the microphone is muted, or unplugged at its far end",
    "flat": "flat: the microphone gives a constant and no sound",
    "clipped": "clipped: go further away, or turn the microphone down",
    "quiet": "too quiet: go nearer, or turn the microphone up",
    "gap": "a piece is missing: this machine was too busy",
}


def blocks_at_16_khz(source: Source) -> Iterator[Block | None]:
    """Yield the source's sound, resampled, until it ends; None where nothing has arrived for POLL_SECONDS."""
    resampler = StreamResampler(source.rate_hz)
    while not source.ended:
        block = source.read(POLL_SECONDS)
        yield None if block is None else resampler.push(block)
    yield resampler.finish()


class Collection:
    """The recordings of one label. Those that are there stay; new ones are numbered on."""

    def __init__(self, folder: Path, label: str) -> None:
        self.folder, self.label = folder, label
        self.kept = 0
        self.kept_seconds = 0.0
        self.refused: Counter[Problem] = Counter()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            numbers = [re.fullmatch(rf"{re.escape(label)}_(\d+)\..+", path.name) for path in folder.iterdir()]
        except OSError as error:
            raise EdgeDetectorError(f"no clips can be kept in {folder}: {error.strerror}; choose another folder") from error
        self._last = max((int(found[1]) for found in numbers if found), default=0)

    def add(self, take: Recording) -> Path | None:
        """Write a recording if it is fit for training, and print its path. Raises EdgeDetectorError if it cannot be written."""
        if take.problem is not None:
            self.refused[take.problem] += 1
            return None
        path = self.folder / f"{self.label}_{self._last + 1:03d}.wav"
        write_clip(path, take.samples)
        self._last += 1
        self.kept += 1
        self.kept_seconds += take.seconds
        return path


class JsonLines:
    """A line when it listens, one for each take, and one at the end."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def begin(self) -> None:
        """Report that the source delivers sound."""
        self._print({"type": "listening", "label": self._collection.label})

    def show(self, take: Recording, path: Path | None) -> None:
        """Print what became of a take."""
        found = {"kept": path is not None, "path": None if path is None else str(path), "problem": take.problem}
        self._print({"type": "clip", **found, "seconds": round(take.seconds, 3), "peak_dbfs": round(take.peak_dbfs, 1)})

    def finish(self) -> None:
        """Print what was collected."""
        collection = self._collection
        seconds = round(collection.kept_seconds, 3)
        facts = {"label": collection.label, "folder": str(collection.folder), "kept": collection.kept}
        self._print({"type": "summary", **facts, "not_kept": dict(collection.refused), "seconds": seconds})

    def _print(self, line: dict[str, object]) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


class Screen:
    """For people: lines that stay, and on a terminal a live one below."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._panel = Panel.on(sys.stdout)
        self._signal: SignalQuality = "ok"

    def _report(self, signal: SignalQuality) -> None:
        """Report a microphone that begins to deliver nothing."""
        if signal != self._signal and signal in ("silent", "flat"):
            self._panel.print(f"no sound, {ADVICE[signal]}")
        self._signal = signal
