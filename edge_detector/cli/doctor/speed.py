"""Speed of this machine in multiples of real time."""

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

import numpy as np

from edge_detector.audio.resampler import StreamResampler
from edge_detector.cli.doctor.finding import Finding
from edge_detector.config import SourceConfig
from edge_detector.detection.bundle import hop_key
from edge_detector.detection.detector import StreamDetector
from edge_detector.detection.hysteresis import Decider
from edge_detector.params import FRONT_END, HOPS_PER_PATCH
from edge_detector.service.factory import LoadedBundle
from edge_detector.types import Block

STEP_SECONDS = FRONT_END.patch_step_samples / FRONT_END.sample_rate_hz
RATE_HZ = 48_000
"""Sample rate of most microphones, so that resampling is included."""
STEPS = 40
TIME_LIMIT_SECONDS = 4.0
USABLE_SHARE = 0.5
"""Share of one core: one thread processes all sources, and the machine does other work as well."""


def measure(networks: LoadedBundle, clock: Callable[[], float] = time.perf_counter) -> dict[int, float]:
    """Return the CPU share of one core by hops per patch: the median of up to `STEPS` steps."""
    return {hops: _share(networks, hops, clock) for hops in HOPS_PER_PATCH}


def _share(networks: LoadedBundle, hops_per_patch: int, clock: Callable[[], float]) -> float:
    noise = np.random.default_rng(0).normal(0.0, 0.05, round(STEP_SECONDS * RATE_HZ)).astype(np.float32)
    resampler = StreamResampler(RATE_HZ)
    detector = StreamDetector(networks.model, Decider(()), hops_per_patch=hops_per_patch)
    took: list[float] = []
    began = clock()
    for step in range(STEPS + 2):
        start = clock()
        resampled = resampler.push(Block(noise, step * len(noise)))
        if resampled is not None:
            for _ in detector.push(resampled):
                pass
        took.append(clock() - start)
        if clock() - began > TIME_LIMIT_SECONDS and step > 2:  # noqa: PLR2004 - the first two fill buffers
            break
    return median(took[2:]) / STEP_SECONDS


def judge_speed(shares: Mapping[int, float], sources: Sequence[SourceConfig]) -> Finding:
    """Return the finding on the measured shares, for these sources."""
    carries = {hops: int(USABLE_SHARE / share) for hops, share in shares.items()}
    needed = sum(shares[source.hops_per_patch] for source in sources)
    milliseconds = 1e3 * STEP_SECONDS * shares[1]
    table = ", ".join(f"{carries[hops]} at {hop_key(hops)} s" for hops in HOPS_PER_PATCH)
    said = f"{milliseconds:.1f} ms per window of 0.96 s; half of one core is enough for these numbers of sources: {table}"
    figures = {
        "window_ms": round(milliseconds, 3),
        "sources_by_hop": {hop_key(hops): carries[hops] for hops in HOPS_PER_PATCH},
        "needed_share": round(needed, 4),
    }
    if needed > 1.0:
        return Finding("speed", "bad", f"{said}; yours need {needed:.0%} of a core", _advice(shares, len(sources)), figures)
    if needed > USABLE_SHARE:
        return Finding("speed", "warning", f"{said}; yours need {needed:.0%} of a core", _advice(shares, len(sources)), figures)
    return Finding("speed", "good", f"{said}; yours need {needed:.1%} of a core", None, figures)


def _advice(shares: Mapping[int, float], sources: int) -> str:
    if sources * shares[1] <= USABLE_SHARE:
        return "set hop = 0.96 for each source"
    return "use fewer sources or a smaller bundle; if TFLite reports an error about cpuinfo, let it read /proc/cpuinfo"
