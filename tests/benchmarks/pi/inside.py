"""Runs in the box, under emulation: one piece of work on a file of samples, and nothing beside it that grows with them.

python -m tests.benchmarks.pi.inside WORK SAMPLES.npy YAMNET [BUNDLE]
"""

import sys
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from edge_detector.params import FRONT_END
from edge_detector.service.factory import LoadedBundle, load_networks
from edge_detector.types import Float32
from tests.benchmarks.stages import (
    AT_SHORTER_HOPS,
    EMBEDDER,
    FRONT_END_STAGE,
    PEER,
    WHOLE_PATH,
    blocks_of,
    decided_events,
    front_end,
    yamnet,
)


def decide(networks: LoadedBundle, sound: Float32, hops_per_patch: int) -> None:
    deque(decided_events(networks, blocks_of(sound), hops_per_patch), maxlen=0)


def main(work: str, samples: str, peer: str, *bundle: str) -> None:
    sound = np.load(samples)
    networks = load_networks(Path(bundle[0]) if bundle else None)
    # A network takes as many instructions for silence as for anything.
    silence = np.zeros((FRONT_END.patch_frames, FRONT_END.mel_bands), np.float32)
    works: dict[str, Callable[[], object]] = {
        PEER: yamnet(Path(peer), sound),
        FRONT_END_STAGE: lambda: front_end(blocks_of(sound)),
        EMBEDDER: lambda: [networks.model.embedder.embed(silence) for _ in range(len(sound) // FRONT_END.patch_step_samples)],
        WHOLE_PATH: partial(decide, networks, sound, 1),
        **{name: partial(decide, networks, sound, hops) for hops, name in AT_SHORTER_HOPS.items()},
    }
    works[work]()


if __name__ == "__main__":
    main(*sys.argv[1:])
