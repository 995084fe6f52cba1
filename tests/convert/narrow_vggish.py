"""A VGGish of a tenth of the width, with random weights."""

import functools

from convert.graphs.vggish import Layout
from tests.convert.vggish_reference import Weights, random_weights

NARROW = Layout((8, 16, 24, 24, 32, 32), hidden=128)


@functools.cache
def weights() -> Weights:
    """He-normal, the same each time."""
    return random_weights(NARROW.shapes())
