"""Which hop finds short sounds, how many false events does it give, and what does it cost?

    python -m tests.studies.short_sounds --data ../shared/data

Half a second around the loudest moment of a clip, and whole clips, stand in a quiet room at eight phases of the window. The
bundle that ships was trained on the clips of ESC-10, so that what is found of them is optimistic, and only differences between
hops count; the coughs are of collections that nothing was fitted to, as are the other sounds. Each stretch of sound runs
through the networks once, at the finest hop, whose windows hold those of the others. Beside the thresholds as shipped, those of
the shorter hops are shifted until as many other recordings have a false event as at 0.96 s.
"""

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from convert.embedder.runtime import DEFAULT_BUNDLE, enabled_classes, stream_probabilities
from convert.evaluation.may_hold import MAY_HOLD, read_may_hold
from convert.evaluation.other_sounds import TEN
from convert.progress import Progress
from edge_detector.audio.clips import find_clips
from edge_detector.audio.samples import read_16khz
from edge_detector.demo.soundscape import make_soundscape
from edge_detector.detection.bundle import SoundClass, hop_key, load_bundle
from edge_detector.detection.detector import Networks, StreamDetector
from edge_detector.detection.hysteresis import Decider, shifted
from edge_detector.detection.networks_of_bundle import networks_of
from edge_detector.params import FRONT_END, HOPS_PER_PATCH
from edge_detector.teaching.augment import gain_of_db
from edge_detector.teaching.calibration import FINEST, at_hop, event_starts
from edge_detector.types import Float32
from tests.benchmarks.stages import blocks_of
from tests.studies.white_noise import noise

SHORT = ("dog_bark", "person_sneeze", "rooster", "clock_tick")
UNSEEN_SHORT = "cough"
PIECE_SAMPLES = FRONT_END.sample_rate_hz // 2
ROOM_SAMPLES = 3 * FRONT_END.patch_step_samples
ROOM_DBFS = -60.0
PHASES = 8
ROUNDS = 9
PIECES, WHOLE = "half a second", "whole clips"


@dataclass(frozen=True, slots=True)
class Sound:
    """A stretch of sound in a quiet room, the class that should be found, and the row of the table that it counts in."""

    samples: Float32
    slug: str
    row: str


def in_a_quiet_room(sound: Float32, phase: int, seed: int) -> Float32:
    """The sound with room before and after it, its beginning at one of the phases of the window."""
    before = ROOM_SAMPLES + phase * FRONT_END.patch_step_samples // PHASES
    room = noise(np.random.default_rng(seed), before + len(sound) + ROOM_SAMPLES, 0.5) * gain_of_db(ROOM_DBFS)
    room[before : before + len(sound)] += sound
    return np.asarray(np.clip(room, -1.0, 1.0), np.float32)


def loudest(samples: Float32) -> Float32:
    """Half a second of it, with the most energy; all of it if it is shorter."""
    energy = np.cumsum(np.concatenate([[0.0], samples.astype(np.float64) ** 2]))
    first = int((energy[PIECE_SAMPLES:] - energy[:-PIECE_SAMPLES]).argmax()) if len(samples) > PIECE_SAMPLES else 0
    return samples[first : first + PIECE_SAMPLES]


def sounds_to_find(data: Path) -> Iterator[Sound]:
    """Every sound at every phase."""
    clips = [clip for clip in find_clips(data / "esc10") if clip.label in TEN]
    coughs = [clip for clip in find_clips(data / "check") if clip.label == UNSEEN_SHORT]
    for number, clip in enumerate((*clips, *coughs)):
        samples = read_16khz(clip.path)
        for phase in range(PHASES):
            if clip.label in (*SHORT, UNSEEN_SHORT):
                yield Sound(in_a_quiet_room(loudest(samples), phase, number), clip.label, f"{PIECES}: {clip.label}")
            if clip.label in TEN and not phase:
                yield Sound(in_a_quiet_room(samples, phase, number), clip.label, WHOLE)


@dataclass(frozen=True, slots=True)
class Heard:
    """Probabilities at the finest hop: of the class to be found, by the row of the table; of the classes that cannot be there."""

    to_find: Sequence[tuple[str, int, Float32]]
    others: Sequence[tuple[Sequence[int], Float32]]
    hours: float


def hear(model: Networks, classes: Sequence[SoundClass], data: Path) -> Heard:
    """Run everything through the networks."""
    by_slug = {sound.slug: index for index, sound in enumerate(classes)}
    to_find = []
    for sound in sounds_to_find(data):
        index = by_slug[sound.slug]
        to_find.append((sound.row, index, stream_probabilities(model, sound.samples, FINEST)[:, index]))
    may_hold = read_may_hold(MAY_HOLD, list(by_slug))
    recordings = [clip for clip in find_clips(data / "check") if clip.label not in may_hold.anything]
    others, seconds = [], 0.0
    progress = Progress("other sound", len(recordings))
    for number, recording in enumerate(recordings, 1):
        samples = read_16khz(recording.path)
        seconds += len(samples) / FRONT_END.sample_rate_hz
        wrong = [index for slug, index in by_slug.items() if slug not in may_hold.classes(recording.label)]
        others.append((wrong, stream_probabilities(model, in_a_quiet_room(samples, 0, number), FINEST)))
        progress.update(number)
    progress.close()
    return Heard(to_find, others, seconds / 3_600.0)


@dataclass(frozen=True, slots=True)
class Counts:
    """Share of the sounds found by row, false events an hour, share of the other recordings with one."""

    found: Mapping[str, float]
    false_events_an_hour: float
    false_share: float


def counted(heard: Heard, classes: Sequence[SoundClass], hops: int, log_odds: float = 0.0) -> Counts:
    """Count at a hop, with its own thresholds shifted by so much."""
    rules = [shifted(sound.rules[hops], log_odds) for sound in classes]
    total = Counter(row for row, _, _ in heard.to_find)
    found = Counter(
        row for row, index, probabilities in heard.to_find if event_starts(at_hop(probabilities, hops), rules[index], hops)
    )
    false = [
        sum(event_starts(at_hop(probabilities[:, index], hops), rules[index], hops) for index in wrong)
        for wrong, probabilities in heard.others
    ]
    shares = {row: found[row] / count for row, count in total.items()}
    return Counts(shares, sum(false) / heard.hours, sum(map(bool, false)) / len(false))


def shift_for(heard: Heard, classes: Sequence[SoundClass], hops: int, false_share: float) -> float:
    """The shift of the thresholds at which so many of the other recordings have a false event, to 1/64."""
    low, high = -1.0, 1.0
    while high - low > 1.0 / 64.0:
        middle = (low + high) / 2.0
        low, high = (middle, high) if counted(heard, classes, hops, middle).false_share > false_share else (low, middle)
    return high


def cpu_seconds(model: Networks, classes: Sequence[SoundClass]) -> Mapping[int, float]:
    """Processor time for a second of sound, from samples to decided events, by hop; the rounds are interleaved."""
    sound = make_soundscape().block.samples
    blocks = blocks_of(sound)
    rounds: dict[int, list[float]] = {hops: [] for hops in HOPS_PER_PATCH}
    for _ in range(ROUNDS):
        for hops, times in rounds.items():
            detector = StreamDetector(model, Decider([each.rules[hops] for each in classes]), hops_per_patch=hops)
            start = time.process_time()
            for block in blocks:
                for _item in detector.push(block):
                    pass
            times.append((time.process_time() - start) * FRONT_END.sample_rate_hz / len(sound))
    return {hops: statistics.median(times) for hops, times in rounds.items()}


def main() -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.bundle)
    classes = enabled_classes(bundle)
    model = networks_of(bundle, classes)
    heard = hear(model, classes, arguments.data)
    shipped = {hops: counted(heard, classes, hops) for hops in HOPS_PER_PATCH}
    aim = shipped[1].false_share
    alike = {hops: counted(heard, classes, hops, shift_for(heard, classes, hops, aim)) for hops in HOPS_PER_PATCH if hops > 1}
    cpu = cpu_seconds(model, classes)
    columns = [*shipped.values(), *alike.values()]
    lines = [
        "|"
        + "".join(f" | hop {hop_key(hops)} s" for hops in shipped)
        + "".join(f" | {hop_key(hops)} s, false as at 0.96 s" for hops in alike)
        + " |",
        "|---|" + "---:|" * len(columns),
    ]
    for row, count in Counter(row for row, _, _ in heard.to_find).items():
        lines.append(f"| {row} ({count}) | " + " | ".join(f"{each.found[row]:.1%}" for each in columns) + " |")
    lines += [
        f"| other recordings with a false event ({len(heard.others)}) | "
        + " | ".join(f"{each.false_share:.1%}" for each in columns)
        + " |",
        f"| false events an hour ({heard.hours:.2f} h) | "
        + " | ".join(f"{each.false_events_an_hour:.0f}" for each in columns)
        + " |",
        "| CPU, ms per second of sound | " + " | ".join(f"{1e3 * seconds:.2f}" for seconds in cpu.values()) + " | | |",
        "| CPU beside hop 0.96 s | " + " | ".join(f"{seconds / cpu[1]:.2f} ×" for seconds in cpu.values()) + " | | |",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
