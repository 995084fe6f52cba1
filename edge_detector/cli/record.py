"""`record`: records clips of one sound into a folder for `convert teach`."""

import argparse
import json
import os
import re
import select
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Protocol

from edge_detector.audio.resampler import StreamResampler
from edge_detector.audio.segmenter import SHORTEST_SECONDS, Problem, Recording, Segmenter
from edge_detector.audio.signal_quality import SignalMonitor
from edge_detector.audio.source import Source
from edge_detector.audio.wav_file import write_clip
from edge_detector.cli.live_panel import Panel, level_line
from edge_detector.errors import EdgeDetectorError, SourceError, UsageError
from edge_detector.plain_text import is_plain
from edge_detector.schema import MAX_SLUG_CHARACTERS, MOST_SHOWN_CHARACTERS
from edge_detector.service.factory import STDIN, open_argument, warn
from edge_detector.types import SignalQuality

POLL_SECONDS = 0.1
ADVICE: dict[Problem, str] = {
    "silent": "digital silence: the microphone is muted, or unplugged at its far end",
    "flat": "flat: the microphone gives a constant and no sound",
    "clipped": "clipped: go further away, or turn the microphone down",
    "quiet": "too quiet: go nearer, or turn the microphone up",
    "gap": "a piece is missing: this machine was too busy",
}


def run(options: argparse.Namespace) -> int:
    """Collect clips until there are enough, the source ends, or Ctrl-C."""
    if not _is_label(options.label):
        allowed = f"one line of at most {MAX_SLUG_CHARACTERS} characters with a letter or digit, without / and a leading dot"
        raise UsageError(f"{options.label[:MOST_SHOWN_CHARACTERS]!r} cannot be a label, which becomes a folder: give {allowed}")
    if options.seconds < SHORTEST_SECONDS:
        raise UsageError(f"--seconds {options.seconds:g} is too short for a clip; give at least {SHORTEST_SECONDS:g}")
    keys = sys.stdin is not None and sys.stdin.isatty() and options.source != STDIN
    if options.press_enter and not keys:
        raise UsageError("--press-enter needs a terminal to press Enter on; without it, clips begin by themselves")
    collection = Collection(options.output / options.label, options.label, options.count)
    view: View = JsonLines(collection) if options.json else Screen(collection, options, keys=keys)
    cutter = Segmenter(options.seconds, None if options.press_enter else options.louder_by)
    source = open_argument(options.source)
    printed = tuple(getattr(source, "warnings", ()))
    view.begin()
    try:
        with closing(source), suppress(KeyboardInterrupt):
            for take in _takes(source, cutter, view, keys=keys):
                view.show(take, collection.add(take))
                if collection.complete:
                    break
    finally:
        view.finish()
    warn(source, printed)
    if not collection.kept and not collection.refused and not source.live:
        louder_by = f"{options.louder_by:g} dB louder than what came before it"
        raise SourceError(f"nothing in {options.source} was {louder_by}; give a lower --louder-by")
    return 0


def _is_label(label: str) -> bool:
    named = any(character.isalnum() for character in label)
    return named and is_plain(label) and len(label) <= MAX_SLUG_CHARACTERS and "/" not in label and not label.startswith(".")


def _takes(source: Source, cutter: Segmenter, view: "View", *, keys: bool) -> Iterator[Recording]:
    resampler, monitor = StreamResampler(source.rate_hz), SignalMonitor()
    while not source.ended:
        block = source.read(POLL_SECONDS)
        if keys and select.select([sys.stdin], [], [], 0.0)[0]:
            if not os.read(sys.stdin.fileno(), 4_096):
                return
            cutter.begin()
        resampled = None if block is None else resampler.push(block)
        if resampled is not None:
            yield from cutter.push(resampled)
            view.update(cutter, monitor.push(resampled))
    if (last := resampler.finish()) is not None:
        yield from cutter.push(last)
    yield from cutter.finish()


class Collection:
    """The clips of one label. Those that are there stay; new ones are numbered on."""

    def __init__(self, folder: Path, label: str, count: int) -> None:
        self.folder, self.label, self.count = folder, label, count
        self.kept = 0
        self.refused: Counter[Problem] = Counter()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            numbers = [re.fullmatch(rf"{re.escape(label)}_(\d+)\..+", path.name) for path in folder.iterdir()]
        except OSError as error:
            raise EdgeDetectorError(f"no clips can be kept in {folder}: {error.strerror}; choose another folder") from error
        self._last = max((int(found[1]) for found in numbers if found), default=0)

    @property
    def complete(self) -> bool:
        """Whether as many were kept as were asked for."""
        return self.kept >= self.count

    def add(self, take: Recording) -> Path | None:
        """Write a recording if it is fit for training, and print its path. Raises EdgeDetectorError if it cannot be written."""
        if take.problem is not None:
            self.refused[take.problem] += 1
            return None
        path = self.folder / f"{self.label}_{self._last + 1:03d}.wav"
        write_clip(path, take.samples)
        self._last += 1
        self.kept += 1
        return path


class View(Protocol):
    """Shows how the collecting goes."""

    def begin(self) -> None:
        """The source is open."""

    def update(self, cutter: Segmenter, signal: SignalQuality) -> None:
        """A block was processed."""

    def show(self, take: Recording, path: Path | None) -> None:
        """A take was kept under `path`, or was not."""

    def finish(self) -> None:
        """There will be no more."""


class JsonLines:
    """A line when it listens, one for each take, and one at the end."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    def begin(self) -> None:
        """Report that the source delivers sound."""
        self._print({"type": "listening", "label": self._collection.label})

    def update(self, cutter: Segmenter, signal: SignalQuality) -> None:
        """Levels are for people."""

    def show(self, take: Recording, path: Path | None) -> None:
        """Print what became of a take."""
        found = {"kept": path is not None, "path": None if path is None else str(path), "problem": take.problem}
        self._print({"type": "clip", **found, "seconds": round(take.seconds, 3), "peak_dbfs": round(take.peak_dbfs, 1)})

    def finish(self) -> None:
        """Print what was collected."""
        collection = self._collection
        facts = {"label": collection.label, "folder": str(collection.folder), "kept": collection.kept}
        self._print({"type": "summary", **facts, "not_kept": dict(collection.refused)})

    def _print(self, line: dict[str, object]) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


class Screen:
    """For people: a line for each take, and on a terminal a live line of the level below."""

    def __init__(self, collection: Collection, options: argparse.Namespace, *, keys: bool) -> None:
        self._collection, self._options, self._keys = collection, options, keys
        self._panel = Panel.on(sys.stdout)
        self._signal: SignalQuality = "ok"

    def begin(self) -> None:
        """Say what to do."""
        louder = f"when it is {self._options.louder_by:g} dB louder than the room"
        when = [] if self._options.press_enter else [louder]
        when += ["when you press Enter"] if self._keys else []
        self._panel.print(f"Make the sound: {self._options.seconds:g} s of it are kept {' or '.join(when)}. Ctrl-C ends it.")

    def update(self, cutter: Segmenter, signal: SignalQuality) -> None:
        """Refresh the live line, and report a microphone that begins to deliver nothing."""
        if signal != self._signal and signal in ("silent", "flat"):
            self._panel.print(f"no sound, {ADVICE[signal]}")
        self._signal = signal
        if self._panel.live:
            state = "waiting" if cutter.recorded_seconds is None else f"recording {cutter.recorded_seconds:.1f} s"
            clip = f"clip {self._collection.kept + 1} of {self._collection.count}: {state}"
            self._panel.draw([level_line(clip, cutter.level_dbfs, self._panel.style, tail=f"room {cutter.room_dbfs:.0f}")])

    def show(self, take: Recording, path: Path | None) -> None:
        """Say what became of a take."""
        if take.problem is not None:
            self._panel.print(f"not kept, {ADVICE[take.problem]}")
        else:
            kept = f"{self._collection.kept} of {self._collection.count}"
            self._panel.print(f"{path}  {take.seconds:.1f} s, {take.peak_dbfs:.0f} dBFS, {kept}")

    def finish(self) -> None:
        """Print the summary."""
        collection = self._collection
        refused = collection.refused.total()
        not_kept = f", {refused} not kept" if refused else ""
        self._panel.print(f"clips of {collection.label} in {collection.folder}: {collection.kept}{not_kept}")
        if collection.kept:
            sounds = collection.folder.parent
            self._panel.print(f"to learn the sounds in {sounds}: python -m convert teach {sounds} -o my.bundle")
