"""Streaming TFLite step of a trained model, checked against its offline graph over every prefix and in full banks."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from convert.sequence.base import SequenceModel, Tensor
from convert.sequence.exported_step import StepErrors
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
"""Factor with a read-out: its log-odds are far larger than those of an LSTM's classifier, and so are their rounding errors."""

MOST_BANK_FRAMES = 60
"""Windows compared beyond the first full bank; the offline graph runs each as a sequence of its own."""


class StreamingStep(tf.Module):  # type: ignore[misc]
    """The model's step, with its frozen weights as the only variables."""

    def __init__(self, model: SequenceModel) -> None:
        super().__init__()
        # The method, not the model: attributes of a tf.Module are saved with it.
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
    """Probabilities (frames, classes) of one stream: with one row that is never reset, and with a sliding bank."""

    prefixes: Float32
    bank: Float32

    @property
    def finite(self) -> bool:
        """Whether every probability is a number."""
        return bool(np.isfinite(self.prefixes).all() and np.isfinite(self.bank).all())


def export_step(model: SequenceModel, precision: Precision) -> bytes:
    """Return a TFLite file with the signature step(embedding, row, states…) -> (probabilities, next states…), for any rows."""
    step = StreamingStep(model)
    return to_tflite(step, step.function(), "step", precision)


def open_step(content: bytes, model: SequenceModel, rows: int) -> TfliteSequenceStep:
    """Open the exported step with the detector's runner."""
    return TfliteSequenceStep(content, rows=rows, states=model.state_shapes, classes=model.classes)


def stream_prefixes(step: TfliteSequenceStep, model: SequenceModel, codes: Codes) -> Float32:
    """Return probabilities (frames, classes) of a step with one row that is never reset."""
    states = StateBank.empty(1, list(model.state_shapes.values())).states
    found = []
    for frame in codes:
        probabilities, states = step.step(frame, 0, states)
        found.append(probabilities)
    return np.stack(found)


def sliding_offline(model: SequenceModel, codes: Codes, context: int) -> Float32:
    """Return the offline probabilities of the last `context` frames (fewer at the start) at every frame."""
    windows = np.zeros((len(codes), context, EMBEDDING_SIZE), np.uint8)
    lengths = np.minimum(np.arange(1, len(codes) + 1), context).astype(np.int32)
    for end, length in enumerate(lengths, start=1):
        windows[end - 1, :length] = codes[end - length : end]
    return model.predict(windows, lengths)


def step_errors(content: bytes, model: SequenceModel, precision: str, context: int, codes: Codes) -> StepErrors:
    """Compare streaming with offline on codes uint8 (frames, 128)."""
    in_bank = codes[: context + MOST_BANK_FRAMES]
    streams = Streams(
        stream_prefixes(open_step(content, model, 1), model, codes),
        Step(content, model.state_shapes, model.classes).in_a_bank(context, in_bank),
    )
    if not streams.finite:
        return StepErrors(precision, len(codes), context, finite=False, bytes=len(content))
    prefix = np.abs(streams.prefixes - model.prefixes(codes[np.newaxis])[0])
    bank = np.abs(streams.bank - sliding_offline(model, in_bank, context))
    return StepErrors(
        precision,
        len(codes),
        context,
        finite=True,
        bytes=len(content),
        largest_difference_prefix=float(prefix.max()),
        mean_difference_prefix=float(prefix.mean()),
        largest_difference_bank=float(bank.max()),
        mean_difference_bank=float(bank.mean()),
    )


def allowed_difference(precision: str, readout_labels: int = 0) -> float:
    """Return the allowed difference of a probability in this precision, of a model with so many AudioSet labels."""
    return LARGEST_DIFFERENCE[precision] * (READOUT_FACTOR if readout_labels else 1.0)


def require_equal(errors: StepErrors, readout_labels: int = 0) -> None:
    """Raise EdgeDetectorError for a step that is not finite or too far from the offline graph over windows of its context."""
    if errors.largest_difference_bank is None:
        message = "the exported step gives values that are not finite; its source graph does not: nothing is written"
        raise EdgeDetectorError(message)
    allowed = allowed_difference(errors.precision, readout_labels)
    if errors.largest_difference_bank > allowed:
        message = (
            f"the exported step differs from the offline graph by {errors.largest_difference_bank:.2g} in a probability, "
            f"{errors.precision} may differ by {allowed:g}; try another --precision"
        )
        raise EdgeDetectorError(message)
