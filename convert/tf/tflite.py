"""Conversion of a TensorFlow function to a TFLite file with a named signature."""

import tempfile
import warnings
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias

import numpy as np
import tensorflow as tf

from edge_detector.errors import EdgeDetectorError

Precision: TypeAlias = Literal["float32", "float16", "dynamic", "int8"]
Samples: TypeAlias = Callable[[], Iterable[dict[str, np.ndarray[Any, Any]]]]


def to_tflite(
    module: Any,  # noqa: ANN401 - a tf.Module, which has no types
    function: Any,  # noqa: ANN401 - a concrete function
    signature: str,
    precision: Precision,
    samples: Samples | None = None,
) -> bytes:
    """Convert one concrete function of `module`. Inputs and outputs keep their names and dtypes in every precision.

    Args:
        module: owner of the variables.
        function: concrete function that returns named tensors.
        signature: name of the signature in the file.
        precision: of the weights; int8 also of the activations, whose ranges need `samples`.
        samples: representative inputs by name.

    Raises EdgeDetectorError if TensorFlow cannot convert the graph.

    """
    with tempfile.TemporaryDirectory(prefix="convert-") as folder:
        tf.saved_model.save(module, folder, signatures={signature: function})
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[signature])
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == "int8":
            if samples is None:
                raise EdgeDetectorError("int8 needs recordings for the ranges of its activations; give some with --clips")
            converter.representative_dataset = lambda: ((signature, sample) for sample in samples())
            # Operators without an int8 kernel stay in float instead of failing the export.
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
        try:
            with warnings.catch_warnings():
                # The converter warns of its own use of a deprecated interpreter.
                warnings.filterwarnings(
                    "ignore", message=r"\s*Warning: tf\.lite\.Interpreter is deprecated", category=UserWarning
                )
                return bytes(converter.convert())
        except (ValueError, RuntimeError) as error:
            message = f"TensorFlow could not convert the graph to {precision}: {str(error).splitlines()[0]}"
            raise EdgeDetectorError(message) from error
