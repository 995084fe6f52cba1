"""Log of a training in the words of YouTube-8M's code, as lines and as CSV."""

import csv
import io
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TextIO

from convert.files import write_bytes
from convert.progress import Progress
from edge_detector.errors import EdgeDetectorError

LOG, CSV = "training.log", "curve.csv"


@dataclass(frozen=True, slots=True)
class Point:
    """One line of the curve: every tenth training step, or the end of an epoch, with the validation's figures."""

    step: int
    epoch: int
    learning_rate: float | None = None
    loss: float | None = None
    examples_per_second: float | None = None
    hit_at_1: float | None = None
    perr: float | None = None
    gap: float | None = None
    validation_loss: float | None = None
    validation_average_precision: float | None = None

    def line(self) -> str:
        """Format the line of a step as YouTube-8M's train.py does, or the line of an epoch's end."""
        if self.validation_loss is not None:
            found = self.validation_average_precision
            precision = "" if found is None else f" mAP: {found:.3f}"
            return f"epoch {self.epoch} | step {self.step} | Validation Loss: {self.validation_loss:.4f}{precision}"
        return (
            f"training step {self.step} | Loss: {self.loss:.2f} Examples/sec: {self.examples_per_second:.2f} | "
            f"Hit@1: {self.hit_at_1:.2f} PERR: {self.perr:.2f} GAP: {self.gap:.2f}"
        )


class Journal:
    """Keeps a training's points in its folder; a resumed training continues after the checkpoint's step.

    A terminal shows the newest line, other streams every line. All lines are in training.log.
    """

    def __init__(self, folder: Path, step: int, stream: TextIO | None = None) -> None:
        self._folder, self._stream = folder, stream or sys.stderr
        self._points = [point for point in _read(folder / CSV) if point.step <= step]
        self._progress = Progress("train", stream=self._stream)

    def add(self, point: Point) -> None:
        """Show and keep a point."""
        self._points.append(point)
        line = point.line()
        if self._stream.isatty():
            self._progress.update(point.step, line)
        else:
            print(line, file=self._stream, flush=True)

    def save(self) -> None:
        """Write both files atomically."""
        text = io.StringIO()
        writer = csv.DictWriter(text, [field.name for field in fields(Point)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {key: "" if value is None else repr(value) for key, value in asdict(point).items()} for point in self._points
        )
        write_bytes(self._folder / CSV, text.getvalue().encode())
        write_bytes(self._folder / LOG, "".join(f"{point.line()}\n" for point in self._points).encode())

    def close(self) -> None:
        """End the updating line."""
        self._progress.close()


def _read(path: Path) -> list[Point]:
    if not path.exists():
        return []
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        return [
            Point(
                int(row["step"]),
                int(row["epoch"]),
                **{key: float(value) for key, value in row.items() if value and key not in ("step", "epoch")},
            )
            for row in rows
        ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        message = f"{path} is not the curve of a training; remove it, or give --no-resume to start anew"
        raise EdgeDetectorError(message) from error
