"""`make bench`: what a second of sound costs, stage by stage, beside YAMNet's bare loop in the same run.

One thread, rounds interleaved so that a machine that slows down slows both, medians with their spread. Ratios are what
counts; milliseconds are this machine's.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from edge_detector.demo.soundscape import make_soundscape
from edge_detector.params import FRONT_END
from edge_detector.service.factory import load_networks
from tests.benchmarks.service import measure_service, yamnet_memory_bytes
from tests.benchmarks.stages import PEER, stages, yamnet
from tests.conftest import DATA

YAMNET = DATA / "peers" / "yamnet.tflite"
WIDEST_FIRST = ("amx_int8", "avx512_vnni", "avx512f", "avx_vnni", "avx2", "sse4_2", "asimddp", "asimd")


def cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def processor() -> str:
    """What the ratio depends on: this machine's processor, and the widest registers or fastest products of bytes it has."""
    found = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if ":" in line)
    facts = {key.strip(): value.strip() for key, value in found.items()}
    flags = (facts.get("flags") or facts.get("Features") or "").split()
    widest = next((flag for flag in WIDEST_FIRST if flag in flags), "no vector unit known here")
    return f"{facts.get('model name') or facts.get('Model') or 'a processor without a name'}, {widest}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sound = make_soundscape().block.samples
    seconds = len(sound) / FRONT_END.sample_rate_hz
    works = {PEER: yamnet(YAMNET, sound), **stages(load_networks(options.bundle), sound)} if YAMNET.exists() else {}
    if not works:
        sys.exit(f"no YAMNet at {YAMNET}; set EDGE_DETECTOR_DATA: a benchmark without its peer says nothing")
    rounds = [{name: cpu_seconds(work) / seconds * 1e3 for name, work in works.items()} for _ in range(options.rounds + 1)][1:]
    base = next(iter(works))
    here = processor()
    report: dict[str, object] = {"processor": here}
    lines = [
        here,
        f"CPU per second of sound, one thread, median of {options.rounds} interleaved rounds on {seconds:.0f} s:",
    ]
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
