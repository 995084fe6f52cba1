"""VGGish's weights from the file that Google released: one file in TensorFlow 1's old saver format, 18 variables."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from convert.embedder.vggish import VGGISH, Layout, Weights
from edge_detector.errors import EdgeDetectorError, UsageError

NAMED_IN_A_MESSAGE = 3


def read_checkpoint(path: Path, layout: Layout = VGGISH) -> Weights:
    """Read every variable, float32, by name. Raises EdgeDetectorError unless the file holds exactly VGGish's variables.

    TensorFlow's newer format (PREFIX.index, PREFIX.data-…) is read too; `path` is then the prefix.
    """
    if not (path.is_file() or path.with_name(f"{path.name}.index").is_file()):
        message = f"{path} does not exist; python -m convert fetch gets the released checkpoint"
        raise UsageError(message)
    try:
        reader = tf.train.load_checkpoint(str(path))
        _require(path, layout, reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map())
        weights = {name: np.asarray(reader.get_tensor(name), np.float32) for name in layout.shapes()}
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        message = f"{path} is not a TensorFlow checkpoint, or is cut or damaged ({_first_sentence(error)}); fetch it again"
        raise EdgeDetectorError(message) from error
    for name, values in weights.items():
        if not np.isfinite(values).all():
            message = f"{path}: {name} holds values that are not finite; take a checkpoint from before the training diverged"
            raise EdgeDetectorError(message)
    return weights


def _require(path: Path, layout: Layout, shapes: Mapping[str, Sequence[int]], dtypes: Mapping[str, tf.DType]) -> None:
    wanted = layout.shapes()
    if missing := [name for name in wanted if name not in shapes]:
        message = f"{path} lacks {_names(missing)}; VGGish has {len(wanted)} variables, this is another model's checkpoint"
        raise EdgeDetectorError(message)
    if extra := sorted(set(shapes) - set(wanted)):
        message = f"{path} also holds {_names(extra)}, which VGGish does not have; save its {len(wanted)} variables alone"
        raise EdgeDetectorError(message)
    for name, shape in wanted.items():
        found = tuple(int(size) for size in shapes[name])
        if found != shape:
            message = f"{path}: {name} is {found}, VGGish's is {shape}; this is another model's checkpoint"
            raise EdgeDetectorError(message)
        if dtypes[name] != tf.float32:
            message = f"{path}: {name} is {dtypes[name].name}, VGGish's is float32; save it as float32"
            raise EdgeDetectorError(message)


def _names(names: list[str]) -> str:
    more = len(names) - NAMED_IN_A_MESSAGE
    return ", ".join(names[:NAMED_IN_A_MESSAGE]) + (f" and {more} more" if more > 0 else "")


def _first_sentence(error: Exception) -> str:
    text = str(error.message if isinstance(error, tf.errors.OpError) else error)
    return text.splitlines()[0].split(": perhaps")[0] if text else type(error).__name__
