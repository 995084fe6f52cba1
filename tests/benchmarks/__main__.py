"""`make bench`: what a second of sound costs, stage by stage, beside YAMNet's bare loop in the same run.

One thread, rounds interleaved so that a machine that slows down slows both, medians with their spread. Ratios are what
counts; milliseconds are this machine's.
"""

import argparse
import json
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edge_detector.cli.build import Ears, load_ears
from edge_detector.core import wire
from edge_detector.core.clock import Anchor
from edge_detector.core.config import rules
from edge_detector.core.decision import Decider
from edge_detector.core.embedding import quantise
from edge_detector.core.logmel import LogMelStream, patches
from edge_detector.core.soundscape import make_soundscape
from edge_detector.edges.tflite import interpreter_class
from edge_detector.params import FRONT_END
from edge_detector.pipeline.hearing import Hearing, Model
from edge_detector.pipeline.reporter import Reporter
from edge_detector.types import Block, Codes, Detection, Float32, Scores
from tests.benchmarks.service import measure_service, yamnet_memory_bytes
from tests.conftest import DATA

BLOCK_SAMPLES = 1_600
YAMNET_SECONDS = 0.96
"""YAMNet's input is 0.975 s; called as seldom as it can be without skipping sound."""

YAMNET = DATA / "peers" / "yamnet.tflite"


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def front_end(blocks: Sequence[Block]) -> None:
    stream = LogMelStream()
    for block in blocks:
        for _ in stream.push(block):
            pass


def sequence(model: Model, codes: Sequence[Codes]) -> None:
    bank = model.empty_bank()
    for code in codes:
        ready = bank.with_due_row_zeroed()
        _, states = model.sequence.step(code, ready.next_row, ready.states)
        bank = ready.stepped(states)


def decided_events(ears: Ears, blocks: Sequence[Block]) -> Iterator[Scores | Detection]:
    hearing = Hearing(ears.model, Decider(rules(ears.manifest.classes, 1, {})))
    for block in blocks:
        yield from hearing.push(block)


def payloads(ears: Ears, blocks: Sequence[Block]) -> None:
    names = wire.Names("edge_detector/bench", "bench", "sound", "0")
    reporter = Reporter(names, ears.manifest.classes, "hop", time.time)
    for item in decided_events(ears, blocks):
        for _ in reporter.report(item, Anchor(0, 0.0, "file")):
            pass


def stages(ears: Ears, sound: Float32) -> dict[str, Callable[[], object]]:
    """Each stage alone, on all of `sound`, and the whole path."""
    model = ears.model
    blocks = [Block(sound[at : at + BLOCK_SAMPLES], at) for at in range(0, len(sound), BLOCK_SAMPLES)]
    found = patches(sound)
    raws = [model.embedder.embed(patch) for patch in found]
    codes = [quantise(raw, model.pca) for raw in raws]
    return {
        "front end": lambda: front_end(blocks),
        "embedder": lambda: [model.embedder.embed(patch) for patch in found],
        "PCA and quantisation": lambda: [quantise(raw, model.pca) for raw in raws],
        "sequence step and bank": lambda: sequence(model, codes),
        "samples to decided events": lambda: deque(decided_events(ears, blocks), maxlen=0),
        "samples to MQTT payloads": lambda: payloads(ears, blocks),
    }


def yamnet(sound: Float32) -> Callable[[], object]:
    interpreter = interpreter_class()(model_path=str(YAMNET), num_threads=1)
    interpreter.allocate_tensors()
    entry, output = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    step = round(YAMNET_SECONDS * FRONT_END.sample_rate_hz)
    windows = [sound[at : at + FRONT_END.patch_samples] for at in range(0, len(sound) - FRONT_END.patch_samples + 1, step)]

    def loop() -> None:
        for window in windows:
            interpreter.set_tensor(entry, window)
            interpreter.invoke()
            interpreter.get_tensor(output)

    return loop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sound = make_soundscape().block.samples
    seconds = len(sound) / FRONT_END.sample_rate_hz
    works = {"YAMNet, bare loop": yamnet(sound), **stages(load_ears(options.bundle), sound)} if YAMNET.exists() else {}
    if not works:
        sys.exit(f"no YAMNet at {YAMNET}; set EDGE_DETECTOR_DATA: a benchmark without its peer says nothing")
    rounds = [{name: cpu_seconds(work) / seconds * 1e3 for name, work in works.items()} for _ in range(options.rounds + 1)][1:]
    base = next(iter(works))
    report: dict[str, object] = {}
    lines = [f"CPU per second of sound, one thread, median of {options.rounds} interleaved rounds on {seconds:.0f} s:"]
    for name in works:
        times = [each[name] for each in rounds]
        ratios = [each[name] / each[base] for each in rounds]
        report[name] = {"ms": statistics.median(times), "ratio": statistics.median(ratios)}
        lines.append(
            f"  {name:<32} {statistics.median(times):6.3f} ms ({min(times):.3f} to {max(times):.3f})"
            f"   {statistics.median(ratios):5.2f} × YAMNet ({min(ratios):.2f} to {max(ratios):.2f})"
        )
    service, peer = measure_service(options.bundle), yamnet_memory_bytes(YAMNET)
    ratio = service.memory_bytes / peer
    report |= {"memory_mb": service.memory_bytes / 1e6, "memory_ratio": ratio, "latency_ms": service.latency_milliseconds}
    latencies = service.all_latencies_milliseconds
    lines.append(
        f"resident memory: run, one microphone, MQTT connected {service.memory_bytes / 1e6:.1f} MB,"
        f" YAMNet's bare loop {peer / 1e6:.1f} MB: {ratio:.2f} ×"
    )
    lines.append(
        f"latency, last sample of the window to its receipt by a subscriber, {len(latencies)} windows:"
        f" median {service.latency_milliseconds:.0f} ms ({min(latencies):.0f} to {max(latencies):.0f})"
    )
    sys.stdout.write((json.dumps(report) if options.json else "\n".join(lines)) + "\n")


if __name__ == "__main__":
    main()
