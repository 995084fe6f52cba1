"""Turns an embedder's 3×3 convolutions into pairs of 3×1 and 1×3, so that what it has learnt costs a third to run.

A pair is a kernel of low rank (Jaderberg et al. 2014, arXiv 1405.3866). The best one is not that of the kernel but of what it
gives on real sound (Zhang et al. 2015, "Accelerating very deep convolutional networks", arXiv 1505.06798): the same number of
channels between leaves 4 % of the output's energy out instead of 40 %.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from convert.graphs.embedder import Layer, Shape, Weights, activated, folded, norm_factor
from edge_detector.errors import UsageError
from edge_detector.types import Float32

SMALLEST_SHARE = 1e-4
"""Of the mean: neither directions that real sound hardly has nor channels that hardly count are divided by less."""


def factorised(weights: Weights, was: Shape, shape: Shape, log_mel: Float32) -> Weights:
    """What an embedder of the shape `was` has learnt, for one of `shape`, which has pairs in place of some convolutions.

    Args:
        weights: of TrainedEmbedder, batch normalisation and all.
        was: the shape that they are of.
        shape: the same layers, more of them in two.
        log_mel: patches float32 (n, 96, 64) of the sound that the outputs are to be kept on; 256 are plenty.

    Raises:
        UsageError: the shapes differ in more than that.

    """
    out = dict(weights)
    hidden = tf.constant(log_mel[..., np.newaxis])
    pairs = list(zip(was.layers, shape.layers, strict=False))
    if len(was.layers) != len(shape.layers) or any(not _like(old, new) for old, new in pairs):
        message = (
            f"the embedder to begin with has the layers {was.notation or was.width}, not {shape.notation or shape.width}; "
            f"give the same, with 16x before one's channels to make it two"
        )
        raise UsageError(message)
    whole = folded(weights, was)
    for index, (old, new) in enumerate(pairs):
        name = f"conv{index}"
        if new.between and not old.between:
            kernel, importance = weights[f"{name}/kernel"], np.abs(norm_factor(weights, name))
            out[f"{name}/time/kernel"], out[f"{name}/kernel"] = _pair(kernel, importance, new.between, hidden.numpy())
        hidden = activated(hidden, whole, name, old)
    return out


def in_the_basis_of(first: Weights, weights: Weights) -> Weights:
    """The same network as `weights`, the channels between each pair turned to be nearest to those of `first`.

    What one kernel mixes the other can unmix, so two trainings may differ there by any change of basis and be alike all the same;
    their mean is of any use only without it.
    """
    out = dict(weights)
    for name in (name for name in weights if name.endswith("/time/kernel")):
        over_bands = name.replace("/time", "")
        own, wanted = (each[name].reshape(-1, each[name].shape[-1]).astype(np.float64) for each in (weights, first))
        turn = np.linalg.lstsq(own, wanted, rcond=None)[0]
        out[name] = (own @ turn).reshape(weights[name].shape).astype(np.float32)
        back = np.linalg.inv(turn)
        out[over_bands] = np.einsum("mn,abno->abmo", back, weights[over_bands]).astype(np.float32)
    return out


def _like(old: Layer, new: Layer) -> bool:
    same = (old.channels, old.stride, old.pool) == (new.channels, new.stride, new.pool)
    return same and old.between in (0, new.between)


def _pair(kernel: Float32, importance: Float32, between: int, inputs: Float32) -> tuple[Float32, Float32]:
    """Kernels (3, 1, in, between) and (1, 3, between, out) whose output on `inputs` is nearest to that of (3, 3, in, out).

    Output channels weigh by `importance`. The kernel as a matrix of (frame, in) by (band, out), times the root of the second
    moments of what its rows meet, is cut to its largest singular values; the root is divided out again.
    """
    importance = np.maximum(importance, SMALLEST_SHARE * importance.mean())
    frames, bands, channels_in, channels = kernel.shape
    matrix = (kernel * importance).transpose(0, 2, 1, 3).reshape(frames * channels_in, bands * channels)
    padded = np.pad(inputs, ((0, 0), (1, 1), (0, 0), (0, 0)))
    shifted = [padded[:, frame : frame + inputs.shape[1]] for frame in range(frames)]
    met = np.concatenate(shifted, axis=-1).reshape(-1, frames * channels_in)
    moments = (met.T @ met).astype(np.float64) / len(met)
    values, vectors = np.linalg.eigh(moments)
    roots = np.sqrt(np.maximum(values, 0.0) + SMALLEST_SHARE * values.mean())
    left, sizes, right = np.linalg.svd((vectors * roots) @ vectors.T @ matrix, full_matrices=False)
    shares = np.sqrt(sizes[:between])
    over_time: Any = (vectors / roots) @ vectors.T @ (left[:, :between] * shares)
    over_bands: Any = (shares[:, np.newaxis] * right[:between]).reshape(between, bands, channels).transpose(1, 0, 2) / importance
    return (
        over_time.reshape(frames, 1, channels_in, between).astype(np.float32),
        over_bands[np.newaxis].astype(np.float32),
    )
