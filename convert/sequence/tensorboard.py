"""Curves of a training for TensorBoard, which need not be installed to write them."""

from dataclasses import asdict
from pathlib import Path

import tensorflow as tf

from convert.sequence.journal import Point

FOLDER = "tensorboard"


class ScalarWriter:
    """Writer of each figure of a training's points, by step, into a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._writer = tf.summary.create_file_writer(str(folder / FOLDER))
        plugin = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
        # tf.summary.scalar needs the package tensorboard; this is what it writes.
        self._metadata = tf.compat.v1.SummaryMetadata(plugin_data=plugin)

    def add(self, point: Point) -> None:
        """Write the figures that a point has."""
        with self._writer.as_default(step=point.step):
            for name, value in asdict(point).items():
                if name != "step" and value is not None:
                    tf.summary.write(name, tf.constant(value, tf.float32), metadata=self._metadata)

    def flush(self) -> None:
        """Write what is buffered."""
        self._writer.flush()
