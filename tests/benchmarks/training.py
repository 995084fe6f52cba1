"""Reading and training beside tf.data and Keras, in one run, on segments made up here:

    make bench-train

One batch of each in turn: LSTM of two layers of 1,024 cells with a logistic classifier, ten frames, 527 classes.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import tensorflow as tf

from convert.records.damage import Damage
from convert.records.files import read_dataset, write_dataset
from convert.records.forms import Form
from convert.records.tfrecord import summarise
from convert.records.training_set import TrainingSet
from convert.sequence.models import build_model
from convert.sequence.training import Training
from tests.benchmarks.audioset_size import CLASSES, FRAMES, say, segments
from tests.support.models import facts_of, options, settings

CELLS, LAYERS, BATCH, ROUNDS, READ = 1024, 2, 128, 9, 20_000


def _interleaved(works: Mapping[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Return the rate of each work in each round: what it counts, in a second."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            started = time.perf_counter()
            count = work()
            # The first round traces graphs.
            if number:
                found[name].append(count / (time.perf_counter() - started))
    return found


def _report(title: str, rates: Mapping[str, list[float]], beside: str) -> None:
    say(title)
    for name, values in rates.items():
        ratio = statistics.median(one / other for one, other in zip(values, rates[beside], strict=True))
        spread = f"{min(values):,.0f} to {max(values):,.0f}"
        say(f"  {name:<28} {statistics.median(values):>10,.0f}  ({spread})  {ratio:.2f} × {beside}")


def _by_tf_data(path: Path) -> int:
    """Read and parse all records as TensorFlow's guide does."""
    context = {"video_id": tf.io.FixedLenFeature([], tf.string), "labels": tf.io.VarLenFeature(tf.int64)}
    lists = {"audio_embedding": tf.io.FixedLenSequenceFeature([], tf.string)}
    parsed = tf.data.TFRecordDataset(str(path)).batch(BATCH).map(lambda text: tf.io.parse_sequence_example(text, context, lists))
    return sum(int(found["video_id"].shape[0]) for found, _, _ in parsed)


def _keras() -> tf.keras.Model:
    layers = [tf.keras.layers.LSTM(CELLS, return_sequences=layer < LAYERS - 1) for layer in range(LAYERS)]
    dense = tf.keras.layers.Dense(CLASSES, activation="sigmoid")
    model = tf.keras.Sequential([tf.keras.layers.Input((FRAMES, 128)), *layers, dense])
    model.compile("adam", "binary_crossentropy")
    return model


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="bench-training-") as name:
        path = Path(name) / "train.tfrecord"
        write_dataset(path, segments(READ), [f"class_{index}" for index in range(CLASSES)])
        form = Form(classes=CLASSES, min_frames=1)
        reading = {
            "convert": lambda: sum(1 for _ in read_dataset(path, form)),
            "convert, lengths alone": lambda: summarise(path, Damage()).records,
            "tf.data": lambda: _by_tf_data(path),
        }
        _report(f"Records a second, {READ} of ten frames:", _interleaved(reading, 3), "tf.data")
        model = build_model("lstm", options("lstm", cells=CELLS, layers=LAYERS, head="logistic"), CLASSES)
        data = TrainingSet([path], CLASSES, FRAMES, "last")
        training = Training(model, data, None, settings(batch=BATCH), folder=Path(name) / "model", facts=facts_of(model))
        batches = itertools.cycle(list(itertools.islice(data.in_order(BATCH), 4)))
        keras = _keras()

        def ours() -> int:
            training._train_batch(next(batches), 0.0)  # noqa: SLF001 - one step of what `train` runs
            return BATCH

        def theirs() -> int:
            batch = next(batches)
            keras.train_on_batch(batch.codes.astype("float32") / 64.0 - 2.0, batch.targets)
            return BATCH

        _report("Examples of training a second:", _interleaved({"convert": ours, "Keras": theirs}, rounds), "Keras")


if __name__ == "__main__":
    main()
