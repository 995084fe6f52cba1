"""The detector's stages over whole recordings: codes, the outputs of the sequence step, and features of taught classes."""

import numpy as np

from edge_detector.detection.detector import Networks
from edge_detector.detection.linear_classifier import FEATURES, RECENT_FRAMES, features_of
from edge_detector.detection.logmel import LogMelStream
from edge_detector.params import EMBEDDING_SIZE, FRONT_END
from edge_detector.types import Block, Codes, Float32


def codes_of(networks: Networks, samples: Float32, hops_per_patch: int = 1) -> Codes:
    """Return the codes uint8 (hops, 128) of a recording, float32 (n,) at 16 kHz.

    A recording shorter than a window is padded with silence, because a microphone does not stop with the sound.
    """
    samples = np.pad(samples, (0, max(FRONT_END.patch_samples - len(samples), 0)))
    patches = LogMelStream(hops_per_patch, networks.log_offset).push(Block(samples, first_sample=0))
    rows = [networks.embed(patch).codes for patch in patches]
    return np.stack(rows) if rows else np.zeros((0, EMBEDDING_SIZE), np.uint8)


def features(codes: Codes, hops_per_patch: int = 1) -> Float32:
    """Return the features float32 (hops, 256) of taught classes; each phase of a hop has frames of its own."""
    rows = [
        features_of(codes[max(index - (RECENT_FRAMES - 1) * hops_per_patch, index % hops_per_patch) : index + 1 : hops_per_patch])
        for index in range(len(codes))
    ]
    return np.stack(rows) if rows else np.zeros((0, FEATURES), np.float32)


def outputs_of(networks: Networks, codes: Codes, hops_per_patch: int = 1) -> Float32:
    """Return the class probabilities float32 (hops, classes) of codes, as the detector computes them."""
    banks = [networks.empty_bank() for _ in range(hops_per_patch)]
    found = []
    for index, frame in enumerate(codes):
        phase = index % hops_per_patch
        outputs, banks[phase] = networks.step(frame, banks[phase].with_due_row_zeroed())
        found.append(outputs if networks.classes is None else networks.classes.probabilities(outputs))
    return np.stack(found)
