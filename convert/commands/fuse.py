"""fuse: make one sequence model of the AudioSet read-out, alone or fused with a trained LSTM.

The step outputs the probabilities of AudioSet's labels, then those of the LSTM's classes. The LSTM is trained on a few hundred
labelled recordings, AudioSet's labels on two million. Their errors differ, so each class of the LSTM becomes the mean of two
log-odds (a logarithmic opinion pool: Heskes, NIPS 1997): the LSTM's own, and the highest of the class's labels.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from convert.bundling.embedder import BundledEmbedder
from convert.embedder.readout import BIAS, KERNEL, Readout, read_readout
from convert.files import read_json, write_arrays
from convert.plain_data import to_plain
from convert.recipe import add_recipe_arguments, load_recipe, require_share
from convert.records.classes import classes_from_json
from convert.records.identity import embedder_id, require_same_embedder
from convert.sequence.facts import WEIGHTS, SequenceFacts, read_facts, write_facts
from convert.sequence.options import LstmOptions, ReadoutOptions
from edge_detector.errors import UsageError
from edge_detector.types import Float32

HEAD_KERNEL, HEAD_BIAS = "head/kernel", "head/bias"


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """Table [fusion] of a recipe.

    Attributes:
        label_share: weight of the labels in a fused class, from 0 to 1.
        label_offset: added to the labels' log-odds. YAMNet gives most sounds that it detects 0.1 to 0.5, an LSTM nearly 1.

    """

    label_share: float
    label_offset: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_share(self, "label_share")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "source", type=Path, nargs="?", metavar="FOLDER", help="folder in which train made an LSTM with a logistic head (none)"
    )
    parser.add_argument(
        "--embedder", type=Path, required=True, metavar="FILE", help=".tflite embedder that export-embedder made of YAMNet"
    )
    parser.add_argument(
        "--classes", type=Path, metavar="FILE", help="AudioSet labels of each class, in the form bundle reads (nothing is fused)"
    )
    add_recipe_arguments(parser, "default")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for weights.npz and sequence.json")


def run(arguments: argparse.Namespace) -> SequenceFacts:
    """Fuse the models and write the result."""
    settings = load_recipe(arguments.recipe, arguments.replaced, tables=("fusion",)).section("fusion", FusionSettings)
    if arguments.source is None:
        return _readout_alone(arguments.embedder, arguments.output)
    return _fused(arguments.source, arguments.embedder, arguments.classes, settings, arguments.output)


def _readout_alone(embedder: Path, output: Path) -> SequenceFacts:
    from convert.sequence.models import build_model  # noqa: PLC0415 - TensorFlow takes seconds to load

    readout = read_readout(embedder)
    labels = len(readout.labels)
    model = build_model("readout", ReadoutOptions(labels), labels)
    weights = {KERNEL: readout.kernel, BIAS: readout.bias}
    model.load(weights)
    facts = SequenceFacts(
        model=model.kind,
        options=to_plain(model.options),
        states=model.states,
        parameters=model.parameters,
        macs_per_frame=model.macs_per_frame,
        labels=(),
        classes={},
        made_of=BundledEmbedder.of_file(embedder).made_of,
        folds=(),
        context=1,
        audioset=_pairs(readout),
    )
    write_arrays(output / WEIGHTS, weights)
    write_facts(output, facts)
    return facts


def _fused(source: Path, embedder_path: Path, named: Path | None, settings: FusionSettings, output: Path) -> SequenceFacts:
    from convert.sequence.models import build_model, load_model  # noqa: PLC0415 - TensorFlow takes seconds to load

    embedder, readout = BundledEmbedder.of_file(embedder_path), read_readout(embedder_path)
    facts = read_facts(source)
    if facts.model != "lstm" or facts.options.get("head") != "logistic" or facts.audioset:
        raise UsageError(f"{source} does not hold an LSTM with a logistic head as train makes it; only that has log-odds to fuse")
    # A model trained on records without provenance names no embedder; use the read-out's.
    facts = replace(facts, made_of=facts.made_of or embedder.made_of)
    require_same_embedder(
        embedder_id(facts.made_of),
        f"the LSTM in {source}",
        embedder.identity,
        str(embedder_path),
        "embed the recordings again with this embedder and train on them",
    )
    trained = load_model(source)
    options = cast("LstmOptions", trained.options)
    classes = classes_from_json(facts.labels, read_json(named) if named else {})
    columns = [readout.columns(each.audioset) for each in classes]
    labels, scores = len(readout.labels), max([1, *map(len, columns)])
    weights = {name: variable.numpy() for name, variable in trained.weights.items()}
    weights |= fused_readout(readout, columns, scores)
    weights |= fused_head(weights, columns, settings)
    model = build_model("lstm", replace(options, readout_labels=labels, readout_scores=scores), labels + len(classes))
    model.load(weights)
    fused = tuple(each.slug for each, own in zip(classes, columns, strict=True) if own)
    result = replace(
        facts,
        options=to_plain(model.options),
        states=model.states,
        parameters=model.parameters,
        macs_per_frame=model.macs_per_frame,
        audioset=_pairs(readout),
        fused=fused,
        label_share=settings.label_share if fused else None,
    )
    write_arrays(output / WEIGHTS, weights)
    write_facts(output, result)
    return result


def _pairs(readout: Readout) -> tuple[tuple[str, str | None], ...]:
    return tuple((label.name, label.mid) for label in readout.labels)


def describe(result: SequenceFacts) -> str:
    """Format the result as text."""
    own = f" and {len(result.labels)} classes of the LSTM" if result.labels else ""
    mixed = f"; {len(result.fused)} of them fused, {result.label_share:.0%} of each is its labels" if result.fused else ""
    return f"{result.model}: {len(result.audioset)} AudioSet labels{own}{mixed}"


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


def fused_head(weights: Mapping[str, Float32], columns: Sequence[Sequence[int]], settings: FusionSettings) -> dict[str, Float32]:
    """Return the classifier's kernel (cells + classes, classes) and bias (classes,): the weighted mean of both log-odds.

    A class without labels keeps those of the LSTM, kernel (cells, classes) and bias (classes,).
    """
    shares = np.array([settings.label_share if own else 0.0 for own in columns], np.float32)
    kernel = np.concatenate([weights[HEAD_KERNEL] * (1 - shares), np.diag(shares)])
    return {HEAD_KERNEL: kernel, HEAD_BIAS: weights[HEAD_BIAS] * (1 - shares) + np.float32(settings.label_offset) * shares}
