"""The models of YouTube-8M by name, and the folder that a trained one lives in."""

from dataclasses import fields
from pathlib import Path
from typing import Any, cast

import numpy as np

from convert.files import read_arrays, read_json
from convert.sequence.base import Options, SequenceModel
from convert.sequence.dbof import Dbof
from convert.sequence.label_readout import LabelReadout
from convert.sequence.logistic import FrameLogistic, VideoLogistic, VideoMoe
from convert.sequence.lstm import Lstm
from edge_detector.errors import EdgeDetectorError

MODELS = {model.kind: model for model in (Lstm, Dbof, FrameLogistic, VideoMoe, VideoLogistic, LabelReadout)}
WEIGHTS, FACTS = "weights.npz", "sequence.json"


def build_model(kind: str, options: Options, classes: int, seed: int = 0) -> SequenceModel:
    """A model with its first random weights."""
    return cast("SequenceModel", MODELS[kind](options, classes, seed))


def read_facts(folder: Path) -> dict[str, Any]:
    """What train wrote about the model: its kind and options, class names, context and training."""
    return read_json(folder / FACTS)


def load_model(folder: Path) -> SequenceModel:
    """The model that train left in a folder, or in one of its checkpoints."""
    facts = read_facts(folder)
    weights = read_arrays(folder / WEIGHTS)
    known = {field.name for field in fields(Options)}
    try:
        options = Options(**{name: value for name, value in facts.items() if name in known})
        model = build_model(str(facts["model"]), options, options.readout_labels + len(facts["labels"]))
        model.load(weights)
    except (KeyError, ValueError, TypeError) as error:
        message = f"{folder} is not what train makes ({error}); train the model again"
        raise EdgeDetectorError(message) from error
    if not all(np.isfinite(value).all() for value in weights.values()):
        message = f"{folder / WEIGHTS} holds values that are not finite; the training diverged, lower --learning-rate"
        raise EdgeDetectorError(message)
    return model
