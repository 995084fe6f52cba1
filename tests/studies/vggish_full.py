"""VGGish at full size, from a checkpoint of random weights to all four files: exactness, sizes, time and memory.

About four minutes on two cores; needs the recordings:

    python -m tests.studies.vggish_full [--data ../shared/data] [--work FOLDER]

int8 is fitted to folds 1 to 3; everything is measured on fold 4, against a NumPy forward pass in double precision. The promised
cosine is the average over patches; that of the worst one, whose embedding is nearest to the mean, stands beside it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_detector.audio.clips import find_clips
from edge_detector.audio.samples import read_16khz
from edge_detector.detection.logmel import patches as patches_of
from edge_detector.detection.tflite import TfliteEmbedder
from edge_detector.types import Float32
from tests.support.vggish_reference import centred_cosine, embedding, random_weights, write_checkpoint

PATCHES = 160
LARGEST_SHARE = 1e-4
LOWEST_CENTRED_COSINE = {"float32": 0.999999, "float16": 0.999, "dynamic": 0.99, "int8": 0.98}
MEGABYTES = {"float32": 289, "float16": 144, "dynamic": 72, "int8": 72}
LARGEST_RESIDENT_GB = 12.0


@dataclass(frozen=True, slots=True)
class Figures:
    """What one precision came to."""

    precision: str
    bytes: int
    largest_share: float
    cosine_mean: float
    cosine_lowest: float
    codes_changed: float
    milliseconds: float
    export_seconds: float
    resident_gb: float

    def failures(self) -> list[str]:
        """Every promise that is broken."""
        found = []
        if self.precision == "float32" and not self.largest_share <= LARGEST_SHARE:
            found.append(f"float32 differs by {self.largest_share:.1e} of the largest value")
        if not self.cosine_mean >= LOWEST_CENTRED_COSINE[self.precision]:
            found.append(f"{self.precision}: mean-centred cosine {self.cosine_mean:.6f}")
        if round(self.bytes / 1e6) != MEGABYTES[self.precision]:
            found.append(f"{self.precision}: {self.bytes / 1e6:.1f} MB")
        if self.resident_gb > LARGEST_RESIDENT_GB:
            found.append(f"{self.precision}: the export took {self.resident_gb:.1f} GB")
        return found

    def row(self) -> str:
        """The figures as a row of the table."""
        cells = (
            self.precision,
            f"{self.bytes / 1e6:.1f}",
            f"{self.largest_share:.1e}",
            f"{self.cosine_mean:.6f}",
            f"{self.cosine_lowest:.6f}",
            f"{100 * self.codes_changed:.2f} %",
            f"{self.milliseconds:.1f}",
            f"{self.export_seconds:.0f}",
            f"{self.resident_gb:.1f}",
        )
        return f"| {' | '.join(cells)} |"


def say(text: str) -> None:
    """A line on stdout, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def real_patches(clips: Path) -> Float32:
    """Patches of fold 4, from all sounds."""
    found = np.concatenate([patches_of(read_16khz(clip.path))[::2] for clip in find_clips(clips, {4})])
    return np.asarray(found[np.linspace(0, len(found) - 1, PATCHES).astype(int)], np.float32)


def export(checkpoint: Path, precision: str, clips: Path, output: Path) -> tuple[float, float]:
    """Seconds and peak resident gigabytes of the command, in a process of its own."""
    options = ["--clips", str(clips), "--folds", "1,2,3", "--set", "embedder.measured_windows=120", "-o", str(output)]
    command = [sys.executable, "-m", "convert", "export-embedder", str(checkpoint), "--precision", precision, *options]
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"{' '.join(command)} failed")
    return time.monotonic() - started, usage.ru_maxrss / 1e6


def measure(checkpoint: Path, precision: str, clips: Path, patches: Float32, wanted: NDArray[np.float64]) -> Figures:
    """Export and compare."""
    output = checkpoint.with_name(f"{precision}.tflite")
    seconds, resident_gb = export(checkpoint, precision, clips, output)
    errors = json.loads(output.with_name(f"{output.name}.errors.json").read_text())
    embedder = TfliteEmbedder(output.read_bytes())
    found = np.stack([embedder.embed(patch) for patch in patches])
    cosine = centred_cosine(wanted, found)
    return Figures(
        precision=precision,
        bytes=output.stat().st_size,
        largest_share=float(np.abs(found - wanted).max() / np.abs(wanted).max()),
        cosine_mean=float(cosine.mean()),
        cosine_lowest=float(cosine.min()),
        codes_changed=errors["codes_changed_share"],
        milliseconds=errors["milliseconds_per_window"],
        export_seconds=seconds,
        resident_gb=resident_gb,
    )


def main() -> int:
    """Print a table; exit code 1 if a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("EDGE_DETECTOR_DATA") or "../shared/data"))
    parser.add_argument("--work", type=Path, help="folder to leave the files in; otherwise they are removed")
    arguments = parser.parse_args()
    clips = arguments.data / "esc10"
    if not clips.is_dir():
        sys.exit(f"no recordings in {clips}; give --data")
    with tempfile.TemporaryDirectory(prefix="vggish-") as folder:
        work = arguments.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        return run(work, clips)


def run(work: Path, clips: Path) -> int:
    """All four precisions."""
    from convert.embedder.vggish import VGGISH  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.embedder.vggish_checkpoint import read_checkpoint  # noqa: PLC0415 - TensorFlow takes seconds to load

    weights = random_weights(VGGISH.shapes())
    checkpoint = write_checkpoint(work / "vggish_model.ckpt", weights)
    read = read_checkpoint(checkpoint)
    equal = all(np.array_equal(read[name], values) for name, values in weights.items())
    say(f"checkpoint {checkpoint.stat().st_size:,} bytes, read back {'equal' if equal else 'DIFFERENT'}")
    del read
    patches = real_patches(clips)
    wanted = embedding(weights, patches)
    say(f"{len(patches)} real patches, reference in float64, largest value {np.abs(wanted).max():.2f}\n")
    say("| precision | MB | max abs. diff. / max | centred cosine, mean | worst | codes changed | ms | export s | export GB |")
    say("|---|---|---|---|---|---|---|---|---|")
    failures = [] if equal else ["the checkpoint reads back different"]
    for precision in LOWEST_CENTRED_COSINE:
        figures = measure(checkpoint, precision, clips, patches, wanted)
        say(figures.row())
        failures += figures.failures()
    say("\n" + ("\n".join(f"FAILED: {failure}" for failure in failures) or "all promises kept"))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
