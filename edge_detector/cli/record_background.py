"""`record --background`: records the room without special sounds, in pieces of a minute, for `teach`."""

import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Protocol

from edge_detector.audio.room_pieces import RoomPieces
from edge_detector.audio.segmenter import SHORTEST_SECONDS, Recording
from edge_detector.audio.signal_quality import SignalMonitor
from edge_detector.audio.source import Source
from edge_detector.cli.live_panel import level_line
from edge_detector.cli.recorded import ADVICE, Collection, JsonLines, Screen, blocks_at_16_khz
from edge_detector.errors import SourceError, UsageError
from edge_detector.files import BACKGROUND_FOLDER
from edge_detector.service.factory import open_argument, warn
from edge_detector.types import SignalQuality


def run(minutes: float, source_text: str, sounds: Path, *, as_json: bool) -> int:
    """Record the room into a folder of `sounds` until the minutes have passed, the source ends, or Ctrl-C.

    Raises SourceError if none of the sound could be kept.
    """
    if 60.0 * minutes < SHORTEST_SECONDS:
        raise UsageError(f"--background {minutes:g} is too short; give minutes: 10")
    pieces = RoomPieces(60.0 * minutes)
    collection = Collection(sounds / BACKGROUND_FOLDER, BACKGROUND_FOLDER)
    view: View = JsonPieces(collection) if as_json else RoomScreen(collection, minutes)
    source = open_argument(source_text)
    printed = tuple(getattr(source, "warnings", ()))
    view.begin()
    try:
        with closing(source), _asked_to_stop() as stopped:
            for piece in _pieces(source, pieces, view, stopped):
                view.show(piece, collection.add(piece))
    finally:
        view.finish()
    warn(source, printed)
    if collection.kept or stopped():
        return 0
    reasons = [ADVICE[problem] for problem, _ in collection.refused.most_common(1)] or ["it ended at once; give more sound"]
    raise SourceError(f"nothing of {source_text} was kept: {reasons[0]}")


@contextmanager
def _asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Yield whether Ctrl-C was pressed: it must interrupt neither a minute nor its writing. A second one does."""
    pressed: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


def _pieces(source: Source, pieces: RoomPieces, view: "View", stopped: Callable[[], bool]) -> Iterator[Recording]:
    monitor = SignalMonitor()
    for block in blocks_at_16_khz(source):
        if block is not None:
            yield from pieces.push(block)
            view.update(pieces, monitor.push(block))
        if pieces.complete or stopped():
            break
    yield from pieces.finish()


class View(Protocol):
    """Shows how the recording goes."""

    def begin(self) -> None:
        """The source is open."""

    def update(self, pieces: RoomPieces, signal: SignalQuality) -> None:
        """A block was processed."""

    def show(self, take: Recording, path: Path | None) -> None:
        """A piece was kept under `path`, or was not."""

    def finish(self) -> None:
        """There will be no more."""


class JsonPieces(JsonLines):
    """JSON lines of pieces, as of clips."""

    def update(self, pieces: RoomPieces, signal: SignalQuality) -> None:
        """Levels are for people."""


class RoomScreen(Screen):
    """For people: a line for each piece, and on a terminal a live line of time and level below."""

    def __init__(self, collection: Collection, minutes: float) -> None:
        super().__init__(collection)
        self._minutes = minutes

    def begin(self) -> None:
        """Say what to do."""
        self._panel.print(f"The room is recorded for {self._minutes:g} min; make none of your sounds. Ctrl-C ends it.")

    def update(self, pieces: RoomPieces, signal: SignalQuality) -> None:
        """Refresh the live line, and report a microphone that begins to deliver nothing."""
        self._report(signal)
        if self._panel.live:
            seconds = 60.0 * self._minutes
            left = _clock(seconds - pieces.passed_seconds)
            head = f"{_clock(pieces.passed_seconds)} of {_clock(seconds)}, {left} left"
            self._panel.draw([level_line(head, pieces.level_dbfs, self._panel.style)])

    def show(self, take: Recording, path: Path | None) -> None:
        """Say what became of a piece."""
        if take.problem is not None:
            self._panel.print(f"{take.seconds:.0f} s not kept, {ADVICE[take.problem]}")
        else:
            self._panel.print(f"{path}  {take.seconds:.0f} s, loudest {take.peak_dbfs:.0f} dBFS")

    def finish(self) -> None:
        """Print the summary."""
        collection = self._collection
        refused = collection.refused.total()
        not_kept = f", {refused} recordings not kept" if refused else ""
        kept = f"{_clock(collection.kept_seconds)} of {_clock(60.0 * self._minutes)}"
        self._panel.print(f"the room in {collection.folder}: {kept}{not_kept}")
        if collection.kept:
            self._panel.print(f"edge-detector teach {collection.folder.parent} takes it as the room")


def _clock(seconds: float) -> str:
    """Format a time as 9:05 or 1:09:05."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
