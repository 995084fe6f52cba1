"""Streaming equals offline: the detector's outputs are those that teaching computes from whole recordings."""

from dataclasses import replace

import numpy as np
import pytest

from edge_detector.detection.bundle import load_bundle
from edge_detector.detection.detector import Networks, StreamDetector
from edge_detector.detection.hysteresis import Decider
from edge_detector.detection.linear_classifier import FEATURES, LinearClassifier
from edge_detector.detection.networks_of_bundle import networks_of
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.service.factory import DEFAULT_BUNDLE
from edge_detector.teaching.streams import codes_of, features, outputs_of
from edge_detector.types import Block, Float32, Scores
from tests.support.synthetic import sound


@pytest.fixture(scope="module")
def networks() -> Networks:
    """The networks that ship, with three taught classes of random weights."""
    rng = np.random.default_rng(0)
    taught = LinearClassifier(rng.standard_normal((3, FEATURES)).astype(np.float32) / 10.0, np.zeros(3, np.float32))
    return replace(networks_of(load_bundle(DEFAULT_BUNDLE)), taught=taught)


def streamed(networks: Networks, samples: Float32, hops: int, block: int) -> Float32:
    detector = StreamDetector(networks, Decider(()), hops_per_patch=hops)
    found = [
        item.probabilities
        for first in range(0, len(samples), block)
        for item in detector.push(Block(samples[first : first + block], first_sample=first))
        if isinstance(item, Scores)
    ]
    return np.stack(found)


@pytest.mark.parametrize("hops", HOPS_PER_PATCH)
@pytest.mark.parametrize("block", [1_000, 1_000_000])
def test_the_detector_gives_what_the_stages_give_over_a_whole_recording(networks: Networks, hops: int, block: int) -> None:
    samples = np.concatenate([sound("hiss", 1, 6.0), sound("beep", 2, 9.0)])
    codes = codes_of(networks, samples, hops)
    found = streamed(networks, samples, hops, block)
    assert np.array_equal(found, outputs_of(networks, codes, hops))
    assert networks.taught is not None
    assert np.array_equal(found[:, -3:], networks.taught.of_features(features(codes, hops)))


def test_a_gap_forgets_the_recent_frames(networks: Networks) -> None:
    samples = sound("hiss", 1, 6.0)
    detector = StreamDetector(networks, Decider(()))
    first = [item for item in detector.push(Block(samples, 0)) if isinstance(item, Scores)]
    again = [item for item in detector.push(Block(samples, 200_000, lost_samples=104_000)) if isinstance(item, Scores)]
    assert all(np.array_equal(one.probabilities, other.probabilities) for one, other in zip(first, again, strict=True))


def test_a_recording_shorter_than_a_window_has_one_frame(networks: Networks) -> None:
    assert codes_of(networks, sound("beep", 1, 0.2)).shape == (1, 128)
