"""Full VGGish (int8) with YouTube-8M's LSTM of 2 × 1024 cells in the daemon's sliding bank, beside the bare calls.

The weights are random: cost does not depend on them. Made by the converter's own commands, about three minutes and 12 GB:

    python -m tests.benchmarks.full_vggish [--bundle FOLDER] [--rounds 15]

A bundle that is there is measured again; `python -m tests.benchmarks.pi --bundle FOLDER` counts its instructions on a Pi.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from convert.__main__ import main as convert
from convert.embedder.runtime import CodeEmbedder
from convert.embedder.vggish import VGGISH
from convert.records.files import Record, write_dataset
from edge_detector.demo.soundscape import make_soundscape
from edge_detector.detection.bundle import load_bundle
from edge_detector.detection.state_bank import StateBank
from edge_detector.detection.tflite import TfliteSequenceStep
from edge_detector.params import FRONT_END
from edge_detector.service.factory import load_networks
from tests.benchmarks.stages import blocks_of, decided_events
from tests.conftest import DATA
from tests.support.vggish_reference import random_weights, write_checkpoint

CLASSES = tuple(f"class_{number}" for number in range(12))


def make_bundle(work: Path) -> Path:
    """A bundle of full size, of random weights."""
    checkpoint, embedder = (
        write_checkpoint(work / "vggish_model.ckpt", random_weights(VGGISH.shapes())),
        work / "vggish" / "embedder.tflite",
    )
    rng = np.random.default_rng(0)
    np.savez(work / "vggish_pca_params.npz", pca_eigen_vectors=rng.normal(size=(128, 128)), pca_means=rng.normal(size=(128, 1)))
    clips = ("--clips", DATA / "esc10", "--set", "embedder.measured_windows=20")
    _run("export-embedder", checkpoint, "--precision", "int8", *clips, "-o", embedder)
    made_of = CodeEmbedder.load(embedder).made_of
    records = [Record(str(n), 0.0, 9.6, (n % 12,), rng.integers(0, 256, (10, 128), np.uint8)) for n in range(32)]
    write_dataset(work / "train.tfrecord", records, CLASSES, made_of=made_of)
    lstm = work / "lstm"
    _run("train", work / "train.tfrecord", "--set", "lstm.head=logistic", "training.max_steps=1", "training.batch=16", "-o", lstm)
    _run("export", lstm, "--precision", "dynamic")
    _run("bundle", lstm, "--embedder", embedder, "-o", work / "bundle")
    return work / "bundle"


def _run(*arguments: object) -> None:
    if convert([str(argument) for argument in arguments]):
        sys.exit(f"convert {arguments[0]} failed")


def cpu_milliseconds(work: Callable[[], object], seconds: float) -> float:
    """CPU milliseconds for a second of sound."""
    started = time.process_time()
    work()
    return 1e3 * (time.process_time() - started) / seconds


def measure(bundle: Path, rounds: int) -> None:
    """Print the whole path, both bare calls, and the ratio of the former to the sum of the latter."""
    networks = load_networks(bundle)
    model = networks.model
    sound = make_soundscape().block.samples[: 20 * FRONT_END.sample_rate_hz]
    seconds = len(sound) / FRONT_END.sample_rate_hz
    blocks = blocks_of(sound)
    windows = int((len(sound) - FRONT_END.frame_overlap_samples) // FRONT_END.patch_step_samples)
    patch = np.zeros((FRONT_END.patch_frames, FRONT_END.mel_bands), np.float32)
    code = np.zeros(128, np.uint8)
    shapes = {state.name: state.shape for state in model.spec.states}
    bare = TfliteSequenceStep(load_bundle(bundle).sequence, rows=1, states=shapes, classes=len(CLASSES))
    states = StateBank.empty(1, list(shapes.values())).states
    works: dict[str, Callable[[], object]] = {
        "embedder, bare": lambda: [model.embedder.embed(patch) for _ in range(windows)],
        "LSTM step of one row, bare": lambda: [bare.step(code, 0, states) for _ in range(windows)],
        "samples to decided events": lambda: deque(decided_events(networks, blocks), maxlen=0),
    }
    times = [{name: cpu_milliseconds(work, seconds) for name, work in works.items()} for _ in range(rounds + 1)][1:]
    for name in works:
        found = [each[name] for each in times]
        sys.stdout.write(f"{name:<28} {statistics.median(found):8.3f} ms ({min(found):.3f} to {max(found):.3f})\n")
    ratios = []
    for each in times:
        embedder, step, whole = each.values()
        ratios.append(whole / (embedder + step))
    low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
    sys.stdout.write(f"whole path × the sum of the bare calls: {middle:.2f} ({low:.2f} to {high:.2f})\n")


def main() -> None:
    """Make the bundle, unless it is there, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, help="folder to keep the bundle in; without it, it is removed afterwards")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="full-vggish-") as folder:
        bundle = options.bundle
        if bundle is None or not bundle.exists():
            made = make_bundle(Path(folder))
            bundle = made if options.bundle is None else made.rename(options.bundle)
        measure(bundle, options.rounds)


if __name__ == "__main__":
    main()
