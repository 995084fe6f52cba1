"""Is white noise in training needed, or harmful, for these embeddings? On the real recordings, fold by fold, with several seeds:

    python -m tests.studies.white_noise --work build/white-noise

Each model learns from embeddings of the recordings as they are, of the recordings mixed with white noise before they are
embedded, or from embeddings with noise added to them; it is tested on the fold that it did not learn from: as recorded, with
white noise, and with pink noise, which none of them has met. All three learn from equally many examples. The embedder is that of
the bundle that ships, or one that export-embedder made, such as VGGish. What is done is not done again.
"""

import argparse
import contextlib
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from convert.arguments import folds, seeds
from convert.embedder.runtime import DEFAULT_BUNDLE, CodeEmbedder
from convert.evaluation.comparison import train_and_measure
from convert.evaluation.records import Measuring, evaluate_model, open_model
from convert.files import write_bytes, write_json
from convert.recipe import load_recipe
from convert.records.damage import Damage
from convert.records.files import Record, write_dataset
from convert.sequence.splits import Split, share_of
from convert.sequence.training_job import ModelSettings
from edge_detector.audio.clips import LoadedClip, classes_of, find_clips, labels_of, load_clips
from edge_detector.class_names import ClassName
from edge_detector.detection.bundle import load_bundle
from edge_detector.detection.embedding import CODES_PER_UNIT, dequantise
from edge_detector.params import CODE_LIMIT, FRONT_END
from edge_detector.teaching.augment import gain_of_db, rms
from edge_detector.types import Codes, Float32

SNRS_DB = (20.0, 10.0, 0.0)
SPREADS = (0.08, 0.25, 0.5)
"""Of noise on embeddings, in standard deviations of the embeddings' own components."""

VALIDATION_SHARE = 0.15
SILENT = 1e-5
TRAININGS = ("as recorded", "white noise in the sound", "noise on the embeddings")
TESTS = ("clean", "white 20 dB", "white 10 dB", "white 0 dB", "pink 10 dB")
MODELS = ("frame-logistic", "lstm")
CHANGES = ("training.batch=32", "training.epochs=40", "training.patience=5", "lstm.layers=1", "lstm.cells=128")
Change = Callable[[Float32], Float32]


@dataclass(frozen=True, slots=True)
class Material:
    """The recordings of one tested fold's side, and how they are embedded."""

    clips: Sequence[LoadedClip]
    classes: tuple[ClassName, ...]
    embedder: CodeEmbedder

    def records(self, change: Change | None = None, name: str = "") -> Iterator[Record]:
        """Each recording, changed or as it is."""
        for clip in self.clips:
            samples = clip.samples if change is None else change(clip.samples)
            codes = self.embedder.codes(samples)
            yield Record(f"{clip.clip.path.stem}{name}", 0.0, 0.96 * len(codes), (clip.class_index,), codes)


def noise(rng: np.random.Generator, length: int, exponent: float) -> Float32:
    """Noise of RMS 1 whose amplitude falls as 1 / f^exponent: 0 white, 0.5 pink."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    spectrum *= np.maximum(np.fft.rfftfreq(length, 1.0 / FRONT_END.sample_rate_hz), 20.0) ** -exponent
    made = np.fft.irfft(spectrum, length).astype(np.float32)
    return made / np.float32(rms(made))


def with_noise(rng: np.random.Generator, snr_db: float, exponent: float = 0.0) -> Change:
    """Noise so far below a recording's level where it is not silent."""

    def change(samples: Float32) -> Float32:
        level = rms(samples[np.abs(samples) > SILENT])
        mixed = samples + noise(rng, len(samples), exponent) * np.float32(level) * gain_of_db(-snr_db)
        return np.asarray(np.clip(mixed, -1.0, 1.0), np.float32)

    return change


def shaken(codes: Codes, rng: np.random.Generator, spread: float) -> Codes:
    """Codes with normal noise on the embeddings that they stand for."""
    values = dequantise(codes) + rng.normal(0.0, spread, codes.shape).astype(np.float32)
    return np.asarray(np.clip((values + CODE_LIMIT) * CODES_PER_UNIT, 0, 255), np.uint8)


def training_records(kind: str, material: Material, plain: Sequence[Record], seed: int) -> Iterator[Record]:
    """Every recording once as it is, and three times more: as it is, or with noise of one kind or the other."""
    rng = np.random.default_rng([seed, 61])
    own_spread = float(dequantise(np.concatenate([record.codes for record in plain])).std())
    yield from plain
    for number, (snr_db, spread) in enumerate(zip(SNRS_DB, SPREADS, strict=True)):
        if kind == TRAININGS[1]:
            yield from material.records(with_noise(rng, snr_db), f"-{number}")
        else:
            for record in plain:
                codes = record.codes if kind == TRAININGS[0] else shaken(record.codes, rng, spread * own_spread)
                yield replace(record, video_id=f"{record.video_id}-{number}", codes=codes)


def records_to_test(material: Material) -> Iterator[tuple[str, Iterator[Record]]]:
    """The tests, by name."""
    rng = np.random.default_rng(62)
    changes = (None, *(with_noise(rng, snr_db) for snr_db in SNRS_DB), with_noise(rng, 10.0, exponent=0.5))
    for name, change in zip(TESTS, changes, strict=True):
        yield name, material.records(change)


def measured(clips: Path, embedder: CodeEmbedder, fold: int, own_seeds: Sequence[int], work: Path) -> list[dict[str, Any]]:
    """All runs that are tested on one fold."""
    found = find_clips(clips)
    labels = labels_of(found)
    loaded = load_clips(found, labels)

    def material(*, tested: bool, held_out: bool = False) -> Material:
        of_side = [clip for clip in loaded if (clip.clip.fold == fold) == tested]
        chosen = of_side if tested else [clip for clip in of_side if is_held_out(clip) == held_out]
        return Material(chosen, classes_of(found, labels), embedder)

    def is_held_out(clip: LoadedClip) -> bool:
        return share_of(f"validation {clip.clip.source}") < VALIDATION_SHARE

    folder = work / f"fold-{fold}"
    learnt, held_out = material(tested=False), material(tested=False, held_out=True)
    tests: dict[str, Path] = {}
    for name, records in records_to_test(material(tested=True)):
        tests[name] = folder / f"test-{name.replace(' ', '-')}.tfrecord"
        write_dataset(tests[name], records, learnt.classes)
    write_dataset(folder / "validation.tfrecord", held_out.records(), learnt.classes)
    plain = list(learnt.records())
    runs = []
    for seed in own_seeds:
        for kind in TRAININGS:
            path = folder / f"train-{kind.replace(' ', '-')}-{seed}.tfrecord"
            write_dataset(path, training_records(kind, learnt, plain, seed), learnt.classes)
            for model in MODELS:
                split = Split(kind, path, folder / "validation.tfrecord", tests["clean"])
                own = folder / f"{model}-{kind.replace(' ', '-')}-{seed}"
                recipe = load_recipe("youtube8m", [*CHANGES, f"model={model}", f"training.seed={seed}"])
                hits = tested(ModelSettings.of(recipe), learnt.classes, split, tests, own)
                runs.append({"model": model, "training": kind, "fold": fold, "seed": seed, **hits})
                said = " ".join(f"{name} {hits[name]:.3f}" for name in TESTS)
                say(f"fold {fold}, seed {seed}, {model}, {kind}: {said}")
    return runs


def tested(
    settings: ModelSettings, classes: tuple[ClassName, ...], split: Split, tests: dict[str, Path], folder: Path
) -> dict[str, float]:
    """Hit@1 on each test."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "said.log").open("w") as log, contextlib.redirect_stderr(log):
        train_and_measure(settings, classes, split, folder)
        model = open_model(folder)
        figures = {name: evaluate_model(model, path, Measuring(), Damage()) for name, path in tests.items()}
    return {name: figure.hit_at_1 for name, figure in figures.items()}


def table(runs: Sequence[dict[str, Any]]) -> str:
    """Hit@1 by model and training; below, what each noise changed in the same folds and seeds."""
    head = ["model", "trained on", *TESTS]
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * len(TESTS)]
    for model in dict.fromkeys(run["model"] for run in runs):
        plain = {(run["fold"], run["seed"]): run for run in runs if (run["model"], run["training"]) == (model, TRAININGS[0])}
        for training in TRAININGS:
            own = [run for run in runs if (run["model"], run["training"]) == (model, training)]
            cells = [_cell([run[test] for run in own]) for test in TESTS]
            lines.append("| " + " | ".join([model, training, *cells]) + " |")
            if training != TRAININGS[0]:
                gains = [_cell([run[test] - plain[run["fold"], run["seed"]][test] for run in own], "+") for test in TESTS]
                lines.append("| " + " | ".join(["", "… changed by", *gains]) + " |")
    return "\n".join(lines)


def _cell(values: Sequence[float], sign: str = "") -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.fmean(values):{sign}.3f} ± {spread:.3f}"


def say(text: str) -> None:
    """A line on stdout, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument(
        "--embedder", type=Path, help="the .tflite file that export-embedder wrote (that of the bundle that ships)"
    )
    parser.add_argument("--folds", type=folds, default=(1, 2, 3, 4))
    parser.add_argument("--seeds", type=seeds, default=(0, 1, 2))
    parser.add_argument("--work", type=Path, default=Path("build/white-noise"))
    arguments = parser.parse_args()
    shipped = arguments.embedder is None
    embedder = CodeEmbedder.of_bundle(load_bundle(DEFAULT_BUNDLE)) if shipped else CodeEmbedder.load(arguments.embedder)
    runs: list[dict[str, Any]] = []
    for fold in arguments.folds:
        runs += measured(arguments.data / "esc10", embedder, fold, arguments.seeds, arguments.work)
    text = table(runs)
    write_json(arguments.work / "runs.json", {"runs": runs})
    write_bytes(arguments.work / "table.md", f"{text}\n".encode())
    say(f"\n{text}\n\nHit@1; ± is the standard deviation over {len(arguments.folds)} folds × {len(arguments.seeds)} seeds.")
    say(json.dumps({"tested_clips": 80 * len(arguments.folds)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
