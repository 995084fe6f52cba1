"""YAMNet's int8 body, extracted from Google's classifier: log-mel patch to 128 numbers, with a projection after the pooling.

The operators from the feature patch to the mean over time and frequency are unchanged, weights included. The front end before
them and the classifier after them are removed; a dequantisation and a float32 projection are added.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from convert.download import released
from convert.embedder.projection import POOLED_SIZE, Projection
from convert.tf.tflite_file import OMITTED_INPUT, add_operator, add_tensor, pack_model, parse_model, set_interface
from edge_detector.bounded_files import read_regular
from edge_detector.errors import UsageError
from edge_detector.params import EMBEDDING_SIZE
from edge_detector.types import Float32

PATCH, POOLED = "feature_patch", "tower0/network/layer28/reduce_mean"
KERNEL, BIAS = "tower0/network/layer29/fc/MatMul", "network/layer29/fc/biases"
MAX_FILE_BYTES = 10_000_000
"""The released file has 4.1 MB."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """YAMNet's last layer: logits are pooled @ kernel + bias; kernel float32 (1024, 521), bias float32 (521,)."""

    kernel: Float32
    bias: Float32


def read_file(path: Path) -> bytes:
    """Read the released file. Raises UsageError for any other, which may have other tensors."""
    try:
        content = read_regular(path, MAX_FILE_BYTES)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; python -m convert fetch yamnet gets it") from error
    if hashlib.sha256(content).hexdigest() != released.YAMNET.sha256:
        raise UsageError(f"{path} is not Google's YAMNet classifier; python -m convert fetch yamnet gets it")
    return content


def classifier(content: bytes) -> Classifier:
    """Return the classifier's weights, dequantised."""
    model = parse_model(content)
    kernel, bias = (_dequantised(model, _index(model, name)) for name in (KERNEL, BIAS))
    return Classifier(np.ascontiguousarray(kernel.T), bias)


def cut_body(content: bytes, projection: Projection) -> bytes:
    """Return a TFLite file: embed(log_mel float32[1,96,64]) -> embedding float32[1,128], pooled float32[1,1,1,1024].

    `pooled` is the input of YAMNet's classifier, for comparison; `embedding` is its product with the projection's matrix.
    """
    model = parse_model(content)
    graph = model.subgraphs[0]
    patch, pooled = _index(model, PATCH), _index(model, POOLED)
    first = next(place for place, operator in enumerate(graph.operators) if patch in operator.inputs)
    last = next(place for place, operator in enumerate(graph.operators) if pooled in operator.outputs)
    graph.operators = graph.operators[first : last + 1]
    floats = add_tensor(model, "pooled", (1, 1, 1, POOLED_SIZE))
    matrix = add_tensor(model, "projection", (EMBEDDING_SIZE, POOLED_SIZE), projection.matrix)
    embedding = add_tensor(model, "embedding", (1, EMBEDDING_SIZE))
    add_operator(model, "DEQUANTIZE", schema.DequantizeOptionsT(), [pooled], floats)
    add_operator(model, "FULLY_CONNECTED", schema.FullyConnectedOptionsT(), [floats, matrix, OMITTED_INPUT], embedding)
    signature = schema.SignatureDefT(signatureKey=b"embed", subgraphIndex=0)
    set_interface(model, signature, {"log_mel": patch}, {"embedding": embedding, "pooled": floats})
    model.signatureDefs, model.metadata = [signature], []
    model.description = b"YAMNet's body, modified: front end and classifier removed, a projection to 128 numbers added"
    _drop_unused(model)
    return pack_model(model)


def parameters(content: bytes) -> int:
    """Return the number of values in the constants of a file."""
    model = parse_model(content)
    held = [tensor for tensor in model.subgraphs[0].tensors if model.buffers[tensor.buffer].data is not None]
    return sum(int(np.prod(tensor.shape)) for tensor in held)


def with_inner_outputs(content: bytes) -> bytes:
    """Return YAMNet with a signature classify(samples) -> scores, patch, pooled: the body's input and output too, dequantised."""
    model = parse_model(content)
    graph = model.subgraphs[0]
    patch, pooled = _index(model, PATCH), _index(model, POOLED)
    floats = add_tensor(model, "pooled", (1, 1, 1, POOLED_SIZE))
    add_operator(model, "DEQUANTIZE", schema.DequantizeOptionsT(), [pooled], floats)
    signature = schema.SignatureDefT(signatureKey=b"classify", subgraphIndex=0)
    outputs = {"scores": int(graph.outputs[0]), "patch": patch, "pooled": floats}
    set_interface(model, signature, {"samples": int(graph.inputs[0])}, outputs)
    model.signatureDefs = [signature]
    return pack_model(model)


def _index(model: Any, name: str) -> int:  # noqa: ANN401 - as above
    return next(index for index, tensor in enumerate(model.subgraphs[0].tensors) if tensor.name.decode() == name)


def _dequantised(model: Any, index: int) -> Float32:  # noqa: ANN401 - as above
    tensor = model.subgraphs[0].tensors[index]
    kind = {schema.TensorType.INT8: np.int8, schema.TensorType.INT32: np.int32}[tensor.type]
    values = np.frombuffer(bytes(model.buffers[tensor.buffer].data), kind).reshape(tensor.shape)
    quantisation = tensor.quantization
    found = (values.astype(np.float64) - quantisation.zeroPoint[0]) * quantisation.scale[0]
    return np.asarray(found, np.float32)


def _drop_unused(model: Any) -> None:  # noqa: ANN401 - as above
    """Remove the tensors that no operator uses, and their constants."""
    graph = model.subgraphs[0]
    used = {int(index) for operator in graph.operators for index in (*operator.inputs, *operator.outputs) if index >= 0}
    used |= {int(index) for index in graph.inputs}
    place = {old: new for new, old in enumerate(sorted(used))}
    for operator in graph.operators:
        operator.inputs = np.array([place.get(int(index), OMITTED_INPUT) for index in operator.inputs], np.int32)
        operator.outputs = np.array([place[int(index)] for index in operator.outputs], np.int32)
    graph.inputs, graph.outputs = (
        np.array([place[int(index)] for index in side], np.int32) for side in (graph.inputs, graph.outputs)
    )
    for entry in (*model.signatureDefs[0].inputs, *model.signatureDefs[0].outputs):
        entry.tensorIndex = place[int(entry.tensorIndex)]
    graph.tensors = [graph.tensors[old] for old in sorted(used)]
    buffers = sorted({0, *(tensor.buffer for tensor in graph.tensors)})
    for tensor in graph.tensors:
        tensor.buffer = buffers.index(tensor.buffer)
    model.buffers = [model.buffers[old] for old in buffers]
    codes = sorted({operator.opcodeIndex for operator in graph.operators})
    for operator in graph.operators:
        operator.opcodeIndex = codes.index(operator.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[old] for old in codes]
