"""Runs in the box, under emulation: one piece of work on a file of samples, and nothing beside it that grows with them.

python -m tests.benchmarks.pi.inside WORK SAMPLES.npy YAMNET [BUNDLE]
"""

import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edge_detector.params import FRONT_END
from edge_detector.service.factory import load_networks
from tests.benchmarks.stages import EMBEDDER, FRONT_END_STAGE, PEER, WHOLE_PATH, blocks_of, decided_events, front_end, yamnet


def main(work: str, samples: str, peer: str, *bundle: str) -> None:
    sound = np.load(samples)
    networks = load_networks(Path(bundle[0]) if bundle else None)
    # A network takes as many instructions for silence as for anything.
    silence = np.zeros((FRONT_END.patch_frames, FRONT_END.mel_bands), np.float32)
    works: dict[str, Callable[[], object]] = {
        PEER: yamnet(Path(peer), sound),
        FRONT_END_STAGE: lambda: front_end(blocks_of(sound)),
        EMBEDDER: lambda: [networks.model.embedder.embed(silence) for _ in range(len(sound) // FRONT_END.patch_step_samples)],
        WHOLE_PATH: lambda: deque(decided_events(networks, blocks_of(sound)), maxlen=0),
    }
    works[work]()


if __name__ == "__main__":
    main(*sys.argv[1:])
