"""Trains the LSTM on as many segments as AudioSet's balanced set has, made up here, and watches the memory.

    make bench-train

The set streams from disk: what is resident must be the same at the end as after the first tenth.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

from convert.records.files import write_dataset
from convert.records.forms import Record

SEGMENTS, CLASSES, FRAMES, CELLS = 22_000, 527, 10, 256
FLAT = 1.02
LINE = re.compile(r"training step (\d+) \| .* Examples/sec: ([\d.]+)")


def segments(count: int) -> Iterator[Record]:
    """Random codes, two labels each, as AudioSet has on average."""
    rng = np.random.default_rng(0)
    for number in range(count):
        codes = rng.integers(0, 256, (FRAMES, 128), dtype=np.uint8)
        labels = tuple(sorted({int(label) for label in rng.integers(0, CLASSES, 2)}))
        yield Record(f"{number:011d}", 0.0, 10.0, labels, codes)


def say(line: str) -> None:
    """To stdout, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def megabytes(process: psutil.Process) -> float:
    """Resident memory."""
    return float(process.memory_info().rss) / 1e6


def main() -> int:
    """Make, train, report; 1 when memory was not flat."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segments", type=int, default=SEGMENTS)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="audioset-size-") as name:
        folder = Path(name)
        write_dataset(folder / "train.tfrecord", segments(arguments.segments), [f"class_{index}" for index in range(CLASSES)])
        size = (folder / "train.tfrecord").stat().st_size / 1e6
        in_memory = arguments.segments * FRAMES * CLASSES * 4 / 1e6
        say(f"{arguments.segments} segments, {size:.0f} MB on disk; as padded arrays with targets per frame {in_memory:.0f} MB")
        command = [sys.executable, "-m", "convert", "train", str(folder / "train.tfrecord"), "-o", str(folder / "model")]
        values = (f"lstm.cells={CELLS}", f"training.batch={arguments.batch}", f"training.epochs={arguments.epochs}")
        return _watch([*command, "--set", *values], arguments.segments * arguments.epochs, arguments.batch)


def _watch(command: list[str], examples: int, batch: int) -> int:
    started = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    watched, rss, rates = psutil.Process(process.pid), {}, []
    first = None
    for line in process.stderr or ():
        if found := LINE.match(line):
            first = first or (time.monotonic(), int(found[1]))
            rss[int(found[1])] = megabytes(watched)
            rates.append(float(found[2]))
            last = (time.monotonic(), int(found[1]))
    process.wait()
    if process.returncode or first is None:
        say("the training failed")
        return 1
    steps = examples // batch
    early = max(value for step, value in rss.items() if step <= max(steps // 10, min(rss)))
    late = max(rss.values())
    with_reading = batch * (last[1] - first[1]) / (last[0] - first[0])
    say(f"examples per second: {np.median(rates):.0f} in a step, {with_reading:.0f} with reading")
    say(f"resident: {early:.0f} MB after a tenth, {late:.0f} MB at most; {time.monotonic() - started:.0f} s in all")
    for step in sorted(rss)[:: max(len(rss) // 10, 1)]:
        say(f"  step {step:5d}  {rss[step]:7.1f} MB")
    return 0 if late <= FLAT * early else 1


if __name__ == "__main__":
    sys.exit(main())
