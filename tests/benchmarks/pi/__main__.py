"""`make bench-pi`: what a second of sound costs on the processors of Raspberry Pis, in instructions, beside YAMNet's bare loop.

The same Python, libraries and kernels as on a Pi, in emulation, which says nothing of time but counts: the count of a long
sound less that of a short one, so that loading cancels out. Instructions are not cycles, but both networks consist of the
same few kinds, so that their ratio is near that of time. Runs have differed by 2 % at most, with the places of things in memory.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from edge_detector.demo.soundscape import make_soundscape
from edge_detector.params import FRONT_END
from tests.benchmarks.stages import AT_SHORTER_HOPS, EMBEDDER, FRONT_END_STAGE, PEER, WHOLE_PATH
from tests.conftest import DATA
from tests.support.pi_box import EMULATOR, PROCESSORS, PROJECT, Box, Processor, make_box, why_not

BOX = PROJECT / "build" / "pi"
SHORT_SECONDS, LONG_SECONDS = 4.8, 14.4


def write_sounds(folder: Path) -> list[Path]:
    """A short and a long piece of the demo's soundscape, as files of samples."""
    sound = make_soundscape().block.samples
    paths = []
    for seconds in (SHORT_SECONDS, LONG_SECONDS):
        paths.append(folder / f"{seconds}.npy")
        np.save(paths[-1], sound[: round(seconds * FRONT_END.sample_rate_hz)])
    return paths


def millions_per_second(box: Box, processor: Processor, work: str, sounds: list[Path], more: tuple[Path, ...]) -> float:
    """Instructions for a second of sound, in millions."""
    short, long = (box.run(processor, "tests.benchmarks.pi.inside", work, samples, *more)[0] for samples in sounds)
    return (long - short) / (LONG_SECONDS - SHORT_SECONDS) / 1e6


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--box", type=Path, default=BOX, help="folder for a Pi's Python and libraries (build/pi)")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    peer = DATA / "peers" / "yamnet.tflite"
    if not peer.exists():
        sys.exit(f"no YAMNet at {peer}; set EDGE_DETECTOR_DATA: a benchmark without its peer says nothing")
    if missing := why_not():
        sys.exit(f"no Pi can be emulated: {missing}")
    more = (peer.resolve(), *([options.bundle.resolve()] if options.bundle else []))
    box = make_box(options.box)
    sounds = write_sounds(box.folder)
    works = (PEER, FRONT_END_STAGE, EMBEDDER, WHOLE_PATH, *AT_SHORTER_HOPS.values())
    for work in works:
        # In a new box Python compiles what it imports, once, which is no part of hearing.
        box.run(PROCESSORS[0], "tests.benchmarks.pi.inside", work, sounds[0], *more)
    report: dict[str, dict[str, float]] = {}
    lines = [f"Instructions for a second of sound, in millions, one thread, counted by {EMULATOR}:"]
    for processor in PROCESSORS:
        counts = report[processor.board] = {work: millions_per_second(box, processor, work, sounds, more) for work in works}
        lines.append(f"{processor.board} ({processor.name})")
        lines += [f"  {work:<28} {count:7.2f}   {count / counts[PEER]:5.2f} × YAMNet" for work, count in counts.items()]
    sys.stdout.write((json.dumps(report) if options.json else "\n".join(lines)) + "\n")


if __name__ == "__main__":
    main()
