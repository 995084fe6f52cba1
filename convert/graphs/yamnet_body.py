"""YAMNet's int8 body, cut out of Google's classifier: from a log-mel patch to 128 numbers, with a projection behind the pooling.

The operators from the feature patch to the mean over time and frequency stay as they are, weights untouched. The front end
before them and the classifier behind them are left out; a dequantisation and a float32 projection are added.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from convert.data import released
from convert.data.projection import POOLED_SIZE, Projection
from edge_detector.errors import UsageError
from edge_detector.params import EMBEDDING_SIZE
from edge_detector.types import Float32

PATCH, POOLED = "feature_patch", "tower0/network/layer28/reduce_mean"
KERNEL, BIAS = "tower0/network/layer29/fc/MatMul", "network/layer29/fc/biases"


@dataclass(frozen=True, slots=True)
class Classifier:
    """YAMNet's last layer: logits are pooled @ kernel + bias; kernel float32 (1024, 521), bias float32 (521,)."""

    kernel: Float32
    bias: Float32


def read_file(path: Path) -> bytes:
    """The released file. Raises UsageError for any other: the cut is by the names of this one's tensors."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}; python -m convert fetch yamnet gets it") from error
    if hashlib.sha256(content).hexdigest() != released.YAMNET.sha256:
        raise UsageError(f"{path} is not Google's YAMNet classifier; python -m convert fetch yamnet gets it")
    return content


def classifier(content: bytes) -> Classifier:
    """The classifier's weights, dequantised."""
    model = _parsed(content)
    kernel, bias = (_dequantised(model, _index(model, name)) for name in (KERNEL, BIAS))
    return Classifier(np.ascontiguousarray(kernel.T), bias)


def cut_body(content: bytes, projection: Projection) -> bytes:
    """A TFLite file: embed(log_mel float32[1,96,64]) -> embedding float32[1,128], pooled float32[1,1,1,1024].

    `pooled` is what YAMNet's classifier sees, for comparison; `embedding` is its product with the projection's matrix.
    """
    model = _parsed(content)
    graph = model.subgraphs[0]
    patch, pooled = _index(model, PATCH), _index(model, POOLED)
    first = next(place for place, operator in enumerate(graph.operators) if patch in operator.inputs)
    last = next(place for place, operator in enumerate(graph.operators) if pooled in operator.outputs)
    body = graph.operators[first : last + 1]
    floats = _add_tensor(model, "pooled", (1, 1, 1, POOLED_SIZE))
    matrix = _add_tensor(model, "projection", (EMBEDDING_SIZE, POOLED_SIZE), projection.matrix)
    embedding = _add_tensor(model, "embedding", (1, EMBEDDING_SIZE))
    graph.operators = [
        *body,
        _operator(model, "DEQUANTIZE", schema.DequantizeOptionsT(), [pooled], floats),
        _operator(model, "FULLY_CONNECTED", schema.FullyConnectedOptionsT(), [floats, matrix, -1], embedding),
    ]
    graph.inputs, graph.outputs = np.array([patch], np.int32), np.array([embedding, floats], np.int32)
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"embed", 0
    signature.inputs = [_named("log_mel", patch)]
    signature.outputs = [_named("embedding", embedding), _named("pooled", floats)]
    model.signatureDefs, model.metadata = [signature], []
    model.description = b"YAMNet's body, modified: front end and classifier removed, a projection to 128 numbers added"
    _drop_unused(model)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def parameters(content: bytes) -> int:
    """How many numbers the constants of a file hold."""
    model = _parsed(content)
    held = [tensor for tensor in model.subgraphs[0].tensors if model.buffers[tensor.buffer].data is not None]
    return sum(int(np.prod(tensor.shape)) for tensor in held)


def with_inner_outputs(content: bytes) -> bytes:
    """YAMNet with a signature classify(samples) -> scores, and what its body takes and gives: patch and pooled, dequantised."""
    model = _parsed(content)
    graph = model.subgraphs[0]
    patch, pooled = _index(model, PATCH), _index(model, POOLED)
    floats = _add_tensor(model, "pooled", (1, 1, 1, POOLED_SIZE))
    graph.operators.append(_operator(model, "DEQUANTIZE", schema.DequantizeOptionsT(), [pooled], floats))
    scores = int(graph.outputs[0])
    graph.outputs = np.array([scores, patch, floats], np.int32)
    signature = schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = b"classify", 0
    signature.inputs = [_named("samples", int(graph.inputs[0]))]
    signature.outputs = [_named("scores", scores), _named("patch", patch), _named("pooled", floats)]
    model.signatureDefs = [signature]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def _parsed(content: bytes) -> Any:  # noqa: ANN401 - the objects of a TFLite file have no types
    return flatbuffer_utils.convert_bytearray_to_object(bytearray(content))


def _index(model: Any, name: str) -> int:  # noqa: ANN401 - as above
    return next(index for index, tensor in enumerate(model.subgraphs[0].tensors) if tensor.name.decode() == name)


def _dequantised(model: Any, index: int) -> Float32:  # noqa: ANN401 - as above
    tensor = model.subgraphs[0].tensors[index]
    kind = {schema.TensorType.INT8: np.int8, schema.TensorType.INT32: np.int32}[tensor.type]
    values = np.frombuffer(bytes(model.buffers[tensor.buffer].data), kind).reshape(tensor.shape)
    quantisation = tensor.quantization
    found = (values.astype(np.float64) - quantisation.zeroPoint[0]) * quantisation.scale[0]
    return np.asarray(found, np.float32)


def _named(name: str, index: int) -> Any:  # noqa: ANN401 - as above
    return schema.TensorMapT(name=name.encode(), tensorIndex=index)


def _add_tensor(model: Any, name: str, shape: tuple[int, ...], values: Float32 | None = None) -> int:  # noqa: ANN401 - as above
    data = None if values is None else np.frombuffer(np.ascontiguousarray(values, np.float32).tobytes(), np.uint8)
    model.buffers.append(schema.BufferT(data=data))
    tensor = schema.TensorT(
        name=name.encode(),
        shape=np.array(shape, np.int32),
        type=schema.TensorType.FLOAT32,
        buffer=len(model.buffers) - 1,
        hasRank=True,
    )
    model.subgraphs[0].tensors.append(tensor)
    return len(model.subgraphs[0].tensors) - 1


def _operator(model: Any, name: str, options: Any, inputs: list[int], output: int) -> Any:  # noqa: ANN401 - as above
    code = getattr(schema.BuiltinOperator, name)
    model.operatorCodes.append(schema.OperatorCodeT(deprecatedBuiltinCode=code, builtinCode=code))
    return schema.OperatorT(
        opcodeIndex=len(model.operatorCodes) - 1,
        inputs=np.array(inputs, np.int32),
        outputs=np.array([output], np.int32),
        builtinOptionsType=getattr(schema.BuiltinOptions, type(options).__name__.removesuffix("T")),
        builtinOptions=options,
    )


def _drop_unused(model: Any) -> None:  # noqa: ANN401 - as above
    """Take away the tensors that no operator is left for, and their constants."""
    graph = model.subgraphs[0]
    used = {int(index) for operator in graph.operators for index in (*operator.inputs, *operator.outputs) if index >= 0}
    used |= {int(index) for index in graph.inputs}
    place = {old: new for new, old in enumerate(sorted(used))}
    for operator in graph.operators:
        operator.inputs = np.array([place.get(int(index), -1) for index in operator.inputs], np.int32)
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
