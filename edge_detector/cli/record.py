"""`record`: records clips of one sound, or the room, into a folder for `teach`."""

import argparse
import os
import select
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Protocol

from edge_detector.audio.segmenter import SHORTEST_SECONDS, Recording, Segmenter
from edge_detector.audio.signal_quality import SignalMonitor
from edge_detector.audio.source import Source
from edge_detector.class_names import label_problem
from edge_detector.cli import record_background
from edge_detector.cli.live_panel import level_line
from edge_detector.cli.recorded import ADVICE, Collection, JsonLines, Screen, blocks_at_16_khz
from edge_detector.errors import SourceError, UsageError
from edge_detector.schema import shown
from edge_detector.service.factory import MICROPHONE, STDIN, is_source, open_argument, warn
from edge_detector.types import SignalQuality

SECONDS = 5.0
COUNT = 10
LOUDER_BY_DB = 12.0
CLIP_OPTIONS = ("seconds", "count", "louder_by", "press_enter")


def run(options: argparse.Namespace) -> int:
    """Collect clips until there are enough, the source ends, or Ctrl-C; with `--background` record the room."""
    if options.background is not None:
        _require_room_options(options)
        return record_background.run(options.background, options.label or MICROPHONE, options.output, as_json=options.json)
    return _collect_clips(_with_defaults(options))


def _require_room_options(options: argparse.Namespace) -> None:
    # The one word left for it is the source: the room has no label.
    source = options.label or MICROPHONE
    if options.source is not None:
        raise UsageError(f"--background takes no LABEL; leave {shown(source)!r} out, or --background for clips of that sound")
    if not is_source(source):
        problem = f"{shown(source)!r} is neither a file nor another source, and --background takes no LABEL"
        raise UsageError(f"{problem}; leave it out, or --background for clips of that sound")
    for name in CLIP_OPTIONS:
        if getattr(options, name):
            raise UsageError(f"--{name.replace('_', '-')} is for clips of a sound; leave it out with --background")


def _with_defaults(options: argparse.Namespace) -> argparse.Namespace:
    defaults = {"source": MICROPHONE, "seconds": SECONDS, "count": COUNT, "louder_by": LOUDER_BY_DB}
    given = {name: value for name, value in vars(options).items() if value is not None}
    return argparse.Namespace(**{"label": None, **defaults, **given})


def _collect_clips(options: argparse.Namespace) -> int:
    if options.label is None:
        raise UsageError("record needs the LABEL of the sound, or --background MINUTES for the room without it")
    problem = label_problem(options.label)
    if problem is not None:
        raise UsageError(problem)
    if options.seconds < SHORTEST_SECONDS:
        raise UsageError(f"--seconds {options.seconds:g} is too short for a clip; give at least {SHORTEST_SECONDS:g}")
    keys = sys.stdin is not None and sys.stdin.isatty() and options.source != STDIN
    if options.press_enter and not keys:
        raise UsageError("--press-enter needs a terminal to press Enter on; without it, clips begin by themselves")
    collection = Collection(options.output / options.label, options.label)
    view: View = JsonClips(collection) if options.json else ClipScreen(collection, options, keys=keys)
    cutter = Segmenter(options.seconds, None if options.press_enter else options.louder_by)
    source = open_argument(options.source)
    printed = tuple(getattr(source, "warnings", ()))
    view.begin()
    try:
        with closing(source), suppress(KeyboardInterrupt):
            for take in _takes(source, cutter, view, keys=keys):
                view.show(take, collection.add(take))
                if collection.kept >= options.count:
                    break
    finally:
        view.finish()
    warn(source, printed)
    if not collection.kept and not collection.refused and not source.live:
        louder_by = f"{options.louder_by:g} dB louder than what came before it"
        raise SourceError(f"nothing in {options.source} was {louder_by}; give a lower --louder-by")
    return 0


def _takes(source: Source, cutter: Segmenter, view: "View", *, keys: bool) -> Iterator[Recording]:
    monitor = SignalMonitor()
    for block in blocks_at_16_khz(source):
        if keys and select.select([sys.stdin], [], [], 0.0)[0]:
            if not os.read(sys.stdin.fileno(), 4_096):
                return
            cutter.begin()
        if block is not None:
            yield from cutter.push(block)
            view.update(cutter, monitor.push(block))
    yield from cutter.finish()


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


class JsonClips(JsonLines):
    """JSON lines of clips."""

    def update(self, cutter: Segmenter, signal: SignalQuality) -> None:
        """Levels are for people."""


class ClipScreen(Screen):
    """For people: a line for each take, and on a terminal a live line of the level below."""

    def __init__(self, collection: Collection, options: argparse.Namespace, *, keys: bool) -> None:
        super().__init__(collection)
        self._options, self._keys = options, keys

    def begin(self) -> None:
        """Say what to do."""
        louder = f"when it is {self._options.louder_by:g} dB louder than the room"
        when = [] if self._options.press_enter else [louder]
        when += ["when you press Enter"] if self._keys else []
        self._panel.print(f"Make the sound: {self._options.seconds:g} s of it are kept {' or '.join(when)}. Ctrl-C ends it.")

    def update(self, cutter: Segmenter, signal: SignalQuality) -> None:
        """Refresh the live line, and report a microphone that begins to deliver nothing."""
        self._report(signal)
        if self._panel.live:
            state = "waiting" if cutter.recorded_seconds is None else f"recording {cutter.recorded_seconds:.1f} s"
            clip = f"clip {self._collection.kept + 1} of {self._options.count}: {state}"
            self._panel.draw([level_line(clip, cutter.level_dbfs, self._panel.style, tail=f"room {cutter.room_dbfs:.0f}")])

    def show(self, take: Recording, path: Path | None) -> None:
        """Say what became of a take."""
        if take.problem is not None:
            self._panel.print(f"not kept, {ADVICE[take.problem]}")
        else:
            kept = f"{self._collection.kept} of {self._options.count}"
            self._panel.print(f"{path}  {take.seconds:.1f} s, {take.peak_dbfs:.0f} dBFS, {kept}")

    def finish(self) -> None:
        """Print the summary."""
        collection = self._collection
        refused = collection.refused.total()
        not_kept = f", {refused} not kept" if refused else ""
        self._panel.print(f"clips of {collection.label} in {collection.folder}: {collection.kept}{not_kept}")
        if collection.kept:
            sounds = collection.folder.parent
            self._panel.print(f"to learn the sounds in {sounds}: edge-detector teach {sounds} -o my.bundle")
