"""The sequence models by name, and the folder of a trained one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np

from convert.files import read_arrays
from convert.plain_data import from_plain
from convert.records.forms import Features
from convert.sequence.base import SequenceModel
from convert.sequence.dbof import Dbof
from convert.sequence.facts import FACTS, WEIGHTS, SequenceFacts, read_facts
from convert.sequence.label_readout import LabelReadout
from convert.sequence.logistic import FrameLogistic, VideoLogistic, VideoMoe
from convert.sequence.lstm import Lstm
from convert.sequence.options import TRAINED_MODELS, ModelOptions, ReadoutOptions
from edge_detector.errors import EdgeDetectorError, UsageError

MODELS: Mapping[str, Any] = {model.kind: model for model in (Lstm, Dbof, FrameLogistic, VideoMoe, VideoLogistic, LabelReadout)}
OPTIONS = {**TRAINED_MODELS, LabelReadout.kind: ReadoutOptions}


def build_model(kind: str, options: ModelOptions, classes: int, seed: int = 0, features: Features = "audio") -> SequenceModel:
    """Build a model with random initial weights."""
    return cast("SequenceModel", MODELS[kind](options, classes, seed, features))


def load_model(folder: Path) -> SequenceModel:
    """Load the model that train wrote to a folder, or to one of its checkpoints."""
    facts = read_facts(folder)
    weights = read_arrays(folder / WEIGHTS)
    model = _untrained(facts, folder)
    try:
        model.load(weights)
    except (KeyError, ValueError, TypeError) as error:
        message = f"{folder} is not what train makes ({error}); train the model again"
        raise EdgeDetectorError(message) from error
    if not all(np.isfinite(value).all() for value in weights.values()):
        message = f"{folder / WEIGHTS} holds values that are not finite; the training diverged, lower the learning rate"
        raise EdgeDetectorError(message)
    return model


def _untrained(facts: SequenceFacts, folder: Path) -> SequenceModel:
    if facts.model not in OPTIONS:
        raise UsageError(f"{folder / FACTS}: model must be one of {', '.join(OPTIONS)}, not {facts.model!r}")
    options = from_plain(OPTIONS[facts.model], facts.options, f"{folder / FACTS}: options")
    return build_model(facts.model, options, len(facts.audioset) + len(facts.labels), features=facts.features)
