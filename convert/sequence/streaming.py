"""A trained model as a streaming TFLite step, checked against its offline graph over every prefix and in full banks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from convert.sequence.base import SequenceModel, Tensor
from convert.sequence.steps import Step
from convert.tf.tflite import Precision, to_tflite
from edge_detector.detection.state_bank import StateBank
from edge_detector.detection.tflite import TfliteSequenceStep
from edge_detector.errors import EdgeDetectorError
from edge_detector.params import EMBEDDING_SIZE
from edge_detector.types import Codes, Float32

LARGEST_DIFFERENCE = {"float32": 1e-5, "float16": 5e-3, "dynamic": 5e-2}
"""Between a probability of the streaming step and the offline graph's."""

READOUT_FACTOR = 2.0
"""So much more with a read-out: it adds up far larger log-odds than an LSTM's classifier, and rounding changes them by more."""

MOST_BANK_FRAMES = 60
"""Windows of a bank that are compared beyond its first: each is a sequence of its own to the offline graph."""


class StreamingStep(tf.Module):  # type: ignore[misc]
    """The model's step, with its frozen weights as the only variables."""

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        # A method, not the model: what a tf.Module holds is saved with it.
        self._advance, self._state_shapes = model.step, model.state_shapes
        self.weights = {name: tf.Variable(value) for name, value in model.frozen().items()}

    def step(self, embedding: Tensor, row: Tensor, *states: Tensor) -> dict[str, Tensor]:
        """One frame for all rows of a bank; the classifier looks at `row` only."""
        probabilities, after = self._advance(self.weights, embedding, row, list(states))
        named = {f"next_{name}": value for name, value in zip(self._state_shapes, after, strict=True)}
        return {"probabilities": probabilities, **named}

    def function(self) -> Any:  # noqa: ANN401 - a concrete function
        """The step for any number of rows, as it is exported."""
        specs = [
            tf.TensorSpec((1, EMBEDDING_SIZE), tf.uint8, name="embedding"),
            tf.TensorSpec((1,), tf.int32, name="row"),
            *(tf.TensorSpec((None, *shape), tf.float32, name=name) for name, shape in self._state_shapes.items()),
        ]
        return tf.function(self.step).get_concrete_function(*specs)


@dataclass(frozen=True, slots=True)
class Streams:
    """What the step said of one stream: with a single row never reset, and with a sliding bank."""

    prefixes: Float32
    bank: Float32

    @property
    def finite(self) -> bool:
        """Whether every probability is a number."""
        return bool(np.isfinite(self.prefixes).all() and np.isfinite(self.bank).all())


def export_step(model: SequenceModel, precision: Precision) -> bytes:
    """A TFLite file with the signature step(embedding, row, states…) -> (probabilities, next states…), any number of rows."""
    step = StreamingStep(model)
    return to_tflite(step, step.function(), "step", precision)


def open_step(content: bytes, model: SequenceModel, rows: int) -> TfliteSequenceStep:
    """The detector's own runner of the exported step."""
    return TfliteSequenceStep(content, rows=rows, states=model.state_shapes, classes=model.classes)


def stream_prefixes(step: TfliteSequenceStep, model: SequenceModel, codes: Codes) -> Float32:
    """Probabilities (frames, classes) of a step with one row that is never reset: it has seen the prefix."""
    states = StateBank.empty(1, list(model.state_shapes.values())).states
    found = []
    for frame in codes:
        probabilities, states = step.step(frame, 0, states)
        found.append(probabilities)
    return np.stack(found)


def sliding_offline(model: SequenceModel, codes: Codes, context: int) -> Float32:
    """What the offline graph says of the last `context` frames (or all, at the start) at every frame."""
    windows = np.zeros((len(codes), context, EMBEDDING_SIZE), np.uint8)
    lengths = np.minimum(np.arange(1, len(codes) + 1), context).astype(np.int32)
    for end, length in enumerate(lengths, start=1):
        windows[end - 1, :length] = codes[end - length : end]
    return model.predict(windows, lengths)


def step_errors(content: bytes, model: SequenceModel, context: int, codes: Codes) -> dict[str, Any]:
    """How far streaming is from offline on a stream: every prefix with one row never reset, windows with a bank."""
    in_bank = codes[: context + MOST_BANK_FRAMES]
    streams = Streams(
        stream_prefixes(open_step(content, model, 1), model, codes),
        Step(content, model.state_shapes, model.classes).in_a_bank(context, in_bank),
    )
    result: dict[str, Any] = {"frames": len(codes), "context": context, "finite": streams.finite, "bytes": len(content)}
    if not streams.finite:
        return result
    prefix = np.abs(streams.prefixes - model.prefixes(codes[np.newaxis])[0])
    bank = np.abs(streams.bank - sliding_offline(model, in_bank, context))
    return result | {
        "largest_difference_prefix": float(prefix.max()),
        "mean_difference_prefix": float(prefix.mean()),
        "largest_difference_bank": float(bank.max()),
        "mean_difference_bank": float(bank.mean()),
    }


def allowed_difference(precision: str, readout_labels: int = 0) -> float:
    """What a probability may differ by in this precision, of a model with so many AudioSet labels."""
    return LARGEST_DIFFERENCE[precision] * (READOUT_FACTOR if readout_labels else 1.0)


def require_equal(errors: dict[str, Any], precision: Precision, readout_labels: int = 0) -> None:
    """Refuse a step that is not finite or too far from the offline graph over windows it was trained on."""
    if not errors["finite"]:
        message = "the exported step gives values that are not finite; its source graph does not: nothing is written"
        raise EdgeDetectorError(message)
    allowed = allowed_difference(precision, readout_labels)
    if errors["largest_difference_bank"] > allowed:
        message = (
            f"the exported step differs from the offline graph by {errors['largest_difference_bank']:.2g} in a probability, "
            f"{precision} may differ by {allowed:g}; try another --precision"
        )
        raise EdgeDetectorError(message)
