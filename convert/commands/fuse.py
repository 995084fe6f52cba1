"""fuse: a trained LSTM's opinion and the one that its embedder has of its teacher's classes, weighed into one model.

A few hundred labelled recordings teach a classifier to tell just those apart; the teacher's classes were learnt from hours of
everything, and without a label. The two err in different places, so the mean of their log-odds (a logarithmic opinion pool:
Heskes, NIPS 1997) errs less often than either. An LSTM trained on top of the teacher's log-odds was worse: sure of what it was
trained on, it no longer listened to them.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from convert.arguments import share
from convert.data.classes import from_json
from convert.files import read_json, write_arrays, write_json
from convert.prior import Prior, prior_of
from convert.serving import digest_of_pca
from edge_detector.errors import UsageError
from edge_detector.types import Float32

SHARE = 0.6
OFFSET = 2.0
"""Added to the teacher's log-odds: YAMNet gives most of what it knows a score of 0.1 to 0.5, where an LSTM is sure."""

KERNEL, BIAS = "head/kernel", "head/bias"


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("source", type=Path, metavar="FOLDER", help="folder in which train made an LSTM with a logistic head")
    parser.add_argument(
        "--embedder-source", type=Path, required=True, metavar="DIR", help="what train-embedder made, with a teacher"
    )
    parser.add_argument(
        "--teacher", type=Path, required=True, metavar="FILE", help="that teacher, YAMNet's .tflite, its list of labels beside it"
    )
    parser.add_argument(
        "--classes", type=Path, metavar="FILE", help="AudioSet's identifiers of the classes, as bundle takes them (the records')"
    )
    parser.add_argument("--share", type=share, default=SHARE, help=f"weight of the teacher's opinion, from 0 to 1 ({SHARE})")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for weights.npz and sequence.json")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Weigh and write."""
    from convert.graphs.models import FACTS, WEIGHTS, build_model, load_model, read_facts  # noqa: PLC0415 - TensorFlow takes seconds to load

    facts = read_facts(arguments.source)
    if facts.get("model") != "lstm" or facts.get("head") != "logistic" or facts.get("prior"):
        raise UsageError(
            f"{arguments.source} does not hold an LSTM with a logistic head as train makes it; only that has log-odds to weigh"
        )
    trained = load_model(arguments.source)
    classes = from_json(facts["labels"], read_json(arguments.classes) if arguments.classes else facts.get("classes", {}))
    prior = prior_of(arguments.embedder_source, arguments.teacher, classes)
    if facts.get("made_of", {}).get("pca") not in (None, digest_of_pca(prior.pca)):
        raise UsageError(f"{arguments.source} learnt from records of another embedder than that of {arguments.embedder_source}")
    weights = {name: variable.numpy() for name, variable in trained.weights.items()} | prior.arrays
    weights[KERNEL], weights[BIAS] = weighed(weights[KERNEL], weights[BIAS], prior, arguments.share)
    model = build_model("lstm", replace(trained.options, prior=prior.scores), len(classes))
    model.load(weights)
    result = {
        **facts,
        **model.facts,
        "parameters": model.parameters,
        "macs_per_frame": model.macs_per_frame,
        "prior_share": arguments.share,
        "prior_of": arguments.teacher.name,
        "prior_deaf_to": [slug for slug, known in zip(facts["labels"], prior.known, strict=True) if not known],
    }
    write_arrays(arguments.output / WEIGHTS, weights)
    write_json(arguments.output / FACTS, result)
    return result


def describe(result: dict[str, Any]) -> str:
    """The result for people."""
    deaf = f"; it has none of {', '.join(result['prior_deaf_to'])}" if result["prior_deaf_to"] else ""
    return f"lstm: {result['prior_share']:.0%} of each opinion is what the embedder has learnt of {result['prior_of']}{deaf}"


def weighed(kernel: Float32, bias: Float32, prior: Prior, weight: float) -> tuple[Float32, Float32]:
    """The classifier's kernel (cells + classes, classes) and bias (classes,): the mean of both log-odds, class by class.

    Where the teacher knows nothing of a class, the LSTM (kernel (cells, classes), bias (classes,)) is heard alone.
    """
    weights = np.where(prior.known, np.float32(weight), np.float32(0.0))
    return np.concatenate([kernel * (1 - weights), np.diag(weights)]), bias * (1 - weights) + OFFSET * weights
