"""Stored probabilities: their size a day, the time of a hop and of an answer for a week, and what a day writes.

Run `python -m tests.benchmarks.probabilities [RECORDING …]`; the day on a disk of its own needs root.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge_detector.detection.detector import StreamDetector
from edge_detector.detection.hysteresis import Decider, Rule
from edge_detector.history.probabilities import Block, BlockCollector, encode
from edge_detector.history.probability_files import ProbabilityFolder, read_blocks
from edge_detector.history.would_have import count
from edge_detector.params import FRONT_END
from edge_detector.service.factory import DEFAULT_BUNDLE, LoadedBundle, load_networks, open_argument
from edge_detector.types import Block as Sound
from edge_detector.types import Float32, Scores
from tests.benchmarks.history import DISK_BYTES
from tests.support.disks import measured_disk, sync
from tests.support.history import NOON_MS
from tests.support.probabilities import blocks_of, scores_of

DAY_SECONDS, DAYS = 86_400.0, 7
DAY_MS = 86_400_000
REPETITIONS = 5


def heard(networks: LoadedBundle, files: Sequence[str], hops_per_patch: int) -> Float32:
    """Probabilities (windows, enabled classes) of recordings, one after the other."""
    from edge_detector.audio.resampler import StreamResampler  # noqa: PLC0415 - with recordings alone

    enabled = [index for index, rule in enumerate(networks.rules[1]) if rule.enabled]
    detector = StreamDetector(networks.model, Decider([Rule(2.0, 2.0)] * len(networks.classes)), hops_per_patch=hops_per_patch)
    found, sample = [], 0
    for file in files:
        source = open_argument(file)
        resampler = StreamResampler(source.rate_hz)
        parts = []
        while (block := source.read(1.0)) is not None:
            if (resampled := resampler.push(block)) is not None:
                parts.append(resampled.samples)
        source.close()
        samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        found += [item.probabilities[enabled] for item in detector.push(Sound(samples, sample)) if isinstance(item, Scores)]
        sample += len(samples)
    return np.stack(found)


def sizes(name: str, probabilities: Float32, hops_per_patch: int) -> list[Block]:
    """Print the bytes of a day; returns the blocks."""
    slugs = [f"a_class_of_{number:02}" for number in range(probabilities.shape[1])]
    blocks = list(blocks_of(probabilities, slugs, NOON_MS, hops_per_patch))
    seconds = len(probabilities) * FRONT_END.patch_step_samples / FRONT_END.sample_rate_hz / hops_per_patch
    since = time.perf_counter()
    size = sum(len(encode(block)) for block in blocks)
    took = (time.perf_counter() - since) / len(blocks)
    day = size * DAY_SECONDS / seconds / 1e6
    sys.stdout.write(
        f"{name}, hop {0.96 / hops_per_patch:.2f} s, {len(slugs)} classes, {seconds / 3600:.2f} h: {day:.2f} MB a day, "
        f"{1e3 * took:.2f} ms a block\n"
    )
    return blocks


def hops(probabilities: Float32) -> None:
    """Print the time that a hop costs the detecting thread."""
    collector = BlockCollector("cot", 4, 1)
    list(collector.use_classes(range(probabilities.shape[1]), [f"class_{n}" for n in range(probabilities.shape[1])]))
    took = []
    for scores in scores_of(probabilities[:20_000], 4):
        since = time.perf_counter()
        list(collector.add(scores, 1e9 + scores.first_sample / 16_000))
        took.append(time.perf_counter() - since)
    sys.stdout.write(f"a hop: median {1e6 * statistics.median(took):.1f} us, slowest {1e6 * max(took):.0f} us\n")


def week(folder: Path, blocks: Sequence[Block], hops_per_patch: int) -> None:
    """Print the time of an answer for a week of these blocks again and again."""
    store = ProbabilityFolder(folder, days=8, megabytes=10_000)
    number, start_ms, end_ms = 0, NOON_MS - DAYS * DAY_MS, NOON_MS
    while start_ms < end_ms:
        for block in blocks:
            place = replace(
                block.place, stream_ms=1, number=number, start_ms=start_ms, first_sample=(start_ms - NOON_MS) * 16 + 2**40
            )
            store.append(replace(block, place=place))
            number += len(block.steps)
            start_ms += len(block.steps) * 960 // hops_per_patch
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    rows = np.concatenate([block.values for block in blocks])
    shares = (rows >= 76).mean(axis=0)
    order = np.argsort(shares)
    for name, index in (("quietest", order[0]), ("median", order[len(order) // 2]), ("most frequent", order[-1])):
        rules, took = [Rule(0.5, 0.3), Rule(0.4, 0.3)], []
        for _ in range(REPETITIONS):
            since = time.process_time()
            found = count(
                read_blocks(folder, "cot", NOON_MS - DAYS * DAY_MS, NOON_MS + DAY_MS),
                blocks[0].slugs[index],
                rules,
                NOON_MS - DAYS * DAY_MS,
                NOON_MS + DAY_MS,
            )
            took.append(time.process_time() - since)
        sys.stdout.write(
            f"a week at {0.96 / hops_per_patch:.2f} s, {size:.1f} MB, {name} class ({100 * shares[index]:.2f} % at or above off, "
            f"{found.events[0]} events, {found.hours:.0f} h): {1e3 * statistics.median(took):.0f} ms of CPU\n"
        )


def day(image: Path, blocks: Sequence[Block]) -> None:
    """Print what a day of blocks writes to a disk, as root."""
    with measured_disk(image, DISK_BYTES) as (folder, written_bytes):
        store = ProbabilityFolder(folder / "probabilities", days=8, megabytes=100)
        store.append(blocks[0])
        sync(folder)
        before = written_bytes()
        for number in range(288):
            block = blocks[number % len(blocks)]
            store.append(replace(block, place=replace(block.place, start_ms=NOON_MS + number * 300_000)))
            store.trim(NOON_MS)
            sync(folder)
        sys.stdout.write(f"a day of one source writes {(written_bytes() - before) / 1e6:.1f} MB\n")


def main() -> None:
    """Print all figures."""
    networks = load_networks(DEFAULT_BUNDLE)
    files = sys.argv[1:]
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        for hops_per_patch in (1, 4):
            noise = generator.random((12_500, 44), np.float32)
            blocks = sizes("noise, the worst case", noise, hops_per_patch)
            if files:
                blocks = sizes("recordings", heard(networks, files[::hops_per_patch], hops_per_patch), hops_per_patch)
            week(Path(name) / str(hops_per_patch), blocks, hops_per_patch)
            if hops_per_patch == 1:
                hops(noise)
                day(Path(name) / "disk.img", [block for block in blocks if len(block.steps) > 300])


if __name__ == "__main__":
    main()
