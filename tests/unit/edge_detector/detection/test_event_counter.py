"""The counter finds exactly the events of the decider, whatever the rule, the hop, the gaps and the stretches."""

import itertools

import numpy as np
import pytest

from edge_detector.detection.event_counter import EventCounter
from edge_detector.detection.hysteresis import Decider, Rule
from edge_detector.params import FRONT_END
from edge_detector.types import EventStart, Scores

RULES = (
    Rule(on=0.6, off=0.3),
    Rule(on=0.6, off=0.6, hold_seconds=0.0),
    Rule(on=0.5, off=0.2, min_seconds=1.5, hold_seconds=3.0),
    Rule(on=0.7, off=0.4, max_seconds=10.0, hold_seconds=0.5),
    Rule(on=0.5, off=0.4, refractory_seconds=30.0),
    Rule(on=1.0, off=0.1, min_seconds=0.9, hold_seconds=12.0, max_seconds=20.0, refractory_seconds=5.0),
)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("hops_per_patch", [1, 2, 4])
@pytest.mark.parametrize("seed", range(6))
def test_the_events_are_those_of_the_decider_on_every_window(rule: Rule, hops_per_patch: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    # Long quiet stretches, loud ones, and single windows.
    loud = np.repeat(generator.choice([0.05, 0.3, 0.9], 150, p=[0.6, 0.2, 0.2]), generator.integers(1, 25, 150))
    probabilities = np.clip(loud + generator.normal(0.0, 0.25, len(loud)), 0.0, 1.0).astype(np.float32)
    steps = generator.choice([1, 2], len(loud), p=[0.95, 0.05]) * (FRONT_END.patch_step_samples // hops_per_patch)
    first_samples = np.cumsum(steps)
    end_samples = first_samples + FRONT_END.patch_samples
    edges = [0, *sorted(generator.choice(np.arange(1, len(loud)), 20, replace=False)), len(loud)]
    gaps = {edge for edge in edges if edge and generator.random() < 0.3}

    decider, counter = Decider((rule,)), EventCounter(rule)
    decided, counted = [], []
    for begin, end in itertools.pairwise(edges):
        if begin in gaps:
            list(decider.close("gap", 100))
            counter.gap()
        for number in range(begin, end):
            first, past = int(first_samples[number]), int(end_samples[number])
            scores = Scores(probabilities[number : number + 1], 1, number, first, past, 0, 0.0)
            decided += [found.first_sample for found in decider.decide(scores) if isinstance(found, EventStart)]
        part = slice(begin, end)
        if counter.needs(float(probabilities[part].max())):
            counted += counter.push(probabilities[part], first_samples[part], end_samples[part])
    assert counted == decided
    assert decided or rule.on == 1.0, "there is something to find"
