"""fuse: make one sequence model of the AudioSet read-out, alone or fused with a trained LSTM.

The step outputs the probabilities of AudioSet's labels, then those of the LSTM's classes. The LSTM is trained on a few hundred
labelled recordings, AudioSet's labels on two million. Their errors
differ, so each class of the LSTM becomes the mean of two log-odds (a logarithmic opinion pool: Heskes, NIPS 1997): the LSTM's
own, and the highest of the class's labels.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from convert.arguments import share
from convert.bundling.embedder import BundledEmbedder
from convert.embedder.readout import BIAS, KERNEL, Readout, read_readout
from convert.files import read_json, write_arrays, write_json
from convert.records.classes import from_json
from convert.records.identity import identity_of, require_same
from edge_detector.errors import UsageError
from edge_detector.types import Float32

SHARE = 0.5
OFFSET = 2.0
"""Added to the labels' log-odds: YAMNet gives most sounds that it detects 0.1 to 0.5, where an LSTM gives nearly 1."""

HEAD_KERNEL, HEAD_BIAS = "head/kernel", "head/bias"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "source", type=Path, nargs="?", metavar="FOLDER", help="folder in which train made an LSTM with a logistic head (none)"
    )
    parser.add_argument(
        "--embedder", type=Path, required=True, metavar="FILE", help="the .tflite embedder that export-embedder made of YAMNet"
    )
    parser.add_argument(
        "--classes", type=Path, metavar="FILE", help="the labels of each class, as bundle takes them (without: nothing is fused)"
    )
    parser.add_argument("--share", type=share, default=SHARE, help=f"weight of the labels, from 0 to 1 ({SHARE})")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for weights.npz and sequence.json")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Fuse the models and write the result."""
    from convert.sequence.base import Options  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.sequence.models import FACTS, WEIGHTS, build_model, load_model, read_facts  # noqa: PLC0415 - TensorFlow takes seconds to load

    embedder, readout = BundledEmbedder.of_file(arguments.embedder), read_readout(arguments.embedder)
    labels = len(readout.labels)
    fused: tuple[str, ...] = ()
    if arguments.source is None:
        facts: dict[str, Any] = {"labels": [], "context": 1, "folds": [], "made_of": embedder.made_of}
        weights = {KERNEL: readout.kernel, BIAS: readout.bias}
        model = build_model("readout", Options(readout_labels=labels), labels)
    else:
        facts = read_facts(arguments.source)
        # A model trained on records without provenance names no embedder; use the read-out's.
        facts["made_of"] = facts.get("made_of") or embedder.made_of
        if facts.get("model") != "lstm" or facts.get("head") != "logistic" or facts.get("readout_labels"):
            raise UsageError(
                f"{arguments.source} does not hold an LSTM with a logistic head as train makes it; only that has log-odds to fuse"
            )
        require_same(
            identity_of(facts.get("made_of", {})),
            f"the LSTM in {arguments.source}",
            embedder.identity,
            str(arguments.embedder),
            "embed the recordings again with this embedder and train on them",
        )
        trained = load_model(arguments.source)
        said = read_json(arguments.classes) if arguments.classes else {}
        classes = from_json(facts["labels"], said)
        columns = [readout.columns(each.audioset) for each in classes]
        scores = max([1, *map(len, columns)])
        weights = {name: variable.numpy() for name, variable in trained.weights.items()}
        weights |= fused_readout(readout, columns, scores)
        weights |= weighed(weights, columns, arguments.share)
        fused = tuple(each.slug for each, own in zip(classes, columns, strict=True) if own)
        options = replace(trained.options, readout_labels=labels, readout_scores=scores)
        model = build_model("lstm", options, labels + len(classes))
    model.load(weights)
    result = {
        **facts,
        **model.facts,
        "parameters": model.parameters,
        "macs_per_frame": model.macs_per_frame,
        "audioset": [[label.name, label.mid] for label in readout.labels],
        "fused": list(fused),
        "label_share": arguments.share if fused else None,
    }
    write_arrays(arguments.output / WEIGHTS, weights)
    write_json(arguments.output / FACTS, result)
    return result


def describe(result: dict[str, Any]) -> str:
    """Format the result as text."""
    own = f" and {len(result['labels'])} classes of the LSTM" if result["labels"] else ""
    mixed = (
        f"; {len(result['fused'])} of them fused, {result['label_share']:.0%} of each is its labels" if result["fused"] else ""
    )
    return f"{result['model']}: {len(result['audioset'])} AudioSet labels{own}{mixed}"


def fused_readout(readout: Readout, columns: Sequence[Sequence[int]], scores: int) -> dict[str, Float32]:
    """Return kernel and bias of all labels, then of each class's labels, the last one repeated up to `scores`.

    A class without labels has zeros.
    """
    kernel = np.zeros((len(readout.kernel), len(columns), scores), np.float32)
    bias = np.zeros((len(columns), scores), np.float32)
    for index, own in enumerate(columns):
        if own:
            padded = [*own, *[own[-1]] * (scores - len(own))]
            kernel[:, index], bias[index] = readout.kernel[:, padded], readout.bias[padded]
    return {
        KERNEL: np.concatenate([readout.kernel, kernel.reshape(len(kernel), -1)], axis=1),
        BIAS: np.concatenate([readout.bias, bias.reshape(-1)]),
    }


def weighed(weights: Mapping[str, Float32], columns: Sequence[Sequence[int]], weight: float) -> dict[str, Float32]:
    """Return the classifier's kernel (cells + classes, classes) and bias (classes,): the weighted mean of both log-odds.

    A class without labels keeps those of the LSTM, kernel (cells, classes) and bias (classes,).
    """
    shares = np.array([weight if own else 0.0 for own in columns], np.float32)
    kernel = np.concatenate([weights[HEAD_KERNEL] * (1 - shares), np.diag(shares)])
    return {HEAD_KERNEL: kernel, HEAD_BIAS: weights[HEAD_BIAS] * (1 - shares) + np.float32(OFFSET) * shares}
