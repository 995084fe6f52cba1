"""train: a sequence model on embedding records."""

import argparse
from pathlib import Path
from typing import Any

from convert.arguments import positive_float, positive_int
from convert.data.records import Sequences, read_dataset, read_labels, sidecar, to_sequences
from convert.files import write_arrays, write_json
from edge_detector.errors import UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("records", type=Path, metavar="TFRECORD", help="records to learn from, made by embed")
    parser.add_argument("--validation", type=Path, required=True, help="records to stop by, from other original recordings")
    parser.add_argument("--model", choices=("lstm",), default="lstm")
    parser.add_argument("--target", choices=("frame", "last"), default="frame", help="what the loss looks at (every frame)")
    parser.add_argument("--classes", type=positive_int, help="number of classes, for records without a file of class names")
    parser.add_argument("--context", type=positive_int, default=10, help="frames of a sequence at most (10)")
    parser.add_argument("--layers", type=positive_int, default=1)
    parser.add_argument("--cells", type=positive_int, default=128)
    parser.add_argument("--epochs", type=positive_int, default=40, help="at most (40)")
    parser.add_argument("--patience", type=positive_int, default=8, help="epochs without progress before it stops (8)")
    parser.add_argument("--batch", type=positive_int, default=128)
    parser.add_argument("--learning-rate", type=positive_float, default=3e-3)
    parser.add_argument("--keep", type=positive_float, default=0.7, help="share of LSTM outputs kept in training (0.7)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True, help="go on from the checkpoint")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for weights.npz and sequence.json")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Train and write the best epoch's weights."""
    labels = _labels(arguments.records, arguments.classes)
    training = _sequences(arguments.records, len(labels), arguments.context)
    validation = _sequences(arguments.validation, len(labels), arguments.context)

    from convert.graphs.lstm import Lstm, LstmShape  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.graphs.lstm_training import LstmPlan, train_lstm  # noqa: PLC0415 - TensorFlow takes seconds to load

    checkpoint = arguments.output / "checkpoint.npz"
    if not arguments.resume:
        checkpoint.unlink(missing_ok=True)
    plan = LstmPlan(
        target=arguments.target,
        epochs=arguments.epochs,
        patience=arguments.patience,
        batch=arguments.batch,
        learning_rate=arguments.learning_rate,
        keep=min(arguments.keep, 1.0),
        seed=arguments.seed,
    )
    model = Lstm(LstmShape(arguments.layers, arguments.cells, len(labels)), arguments.seed)
    outcome = train_lstm(model, training, validation, plan, checkpoint)
    result: dict[str, Any] = {
        "model": arguments.model,
        "layers": arguments.layers,
        "cells": arguments.cells,
        "labels": list(labels),
        "context": arguments.context,
        "target": arguments.target,
        "seed": arguments.seed,
        "sequences": len(training.lengths),
        "epochs": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "validation_loss": outcome.best_loss,
    }
    write_arrays(arguments.output / "weights.npz", outcome.weights)
    write_json(arguments.output / "sequence.json", result)
    return result


def _labels(records: Path, classes: int | None) -> tuple[str, ...]:
    if classes is not None:
        return tuple(f"class_{index}" for index in range(classes))
    if not records.exists():
        message = f"{records} does not exist; make it with: python -m convert embed"
        raise UsageError(message)
    if not sidecar(records).exists():
        message = f"{records} has no file of class names ({sidecar(records).name}); say how many there are with --classes"
        raise UsageError(message)
    return read_labels(records)


def _sequences(path: Path, classes: int, context: int) -> Sequences:
    return to_sequences(read_dataset(path), classes, context, path)
