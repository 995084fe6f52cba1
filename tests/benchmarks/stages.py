"""What is measured: each stage of hearing by itself, the whole path, and the bare loop of YAMNet beside them."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from edge_detector.audio.sample_clock import Anchor
from edge_detector.config import default_config, rules
from edge_detector.detection.bundle import hop_key
from edge_detector.detection.detector import Networks, StreamDetector
from edge_detector.detection.embedding import quantise
from edge_detector.detection.hysteresis import Decider
from edge_detector.detection.logmel import LogMelStream, patches
from edge_detector.detection.tflite import interpreter_class
from edge_detector.mqtt import messages
from edge_detector.mqtt.reporter import Reporter
from edge_detector.params import FRONT_END, HOPS_PER_PATCH
from edge_detector.service.factory import LoadedBundle
from edge_detector.types import Block, Codes, Detection, Float32, Scores

BLOCK_SAMPLES = 1_600
PEER = "YAMNet, bare loop"
FRONT_END_STAGE = "front end"
EMBEDDER = "embedder"
WHOLE_PATH = "samples to decided events"
AT_SHORTER_HOPS = {hops: f"the same, hop {hop_key(hops)} s" for hops in HOPS_PER_PATCH if hops > 1}
YAMNET_SECONDS = 0.96
"""YAMNet's input is 0.975 s; called as seldom as it can be without skipping sound."""


def blocks_of(sound: Float32) -> list[Block]:
    """The sound as a microphone gives it."""
    return [Block(sound[at : at + BLOCK_SAMPLES], at) for at in range(0, len(sound), BLOCK_SAMPLES)]


def front_end(blocks: Sequence[Block]) -> None:
    stream = LogMelStream()
    for block in blocks:
        for _ in stream.push(block):
            pass


def sequence(model: Networks, codes: Sequence[Codes]) -> None:
    bank = model.empty_bank()
    for code in codes:
        ready = bank.with_due_row_zeroed()
        _, states = model.sequence.step(code, ready.next_row, ready.states)
        bank = ready.stepped(states)


def decided_events(networks: LoadedBundle, blocks: Sequence[Block], hops_per_patch: int = 1) -> Iterator[Scores | Detection]:
    decider = Decider(rules(networks.classes, hops_per_patch, default_config()))
    detector = StreamDetector(networks.model, decider, hops_per_patch=hops_per_patch)
    for block in blocks:
        yield from detector.push(block)


def payloads(networks: LoadedBundle, blocks: Sequence[Block]) -> None:
    names = messages.Names("edge_detector/bench", "bench", "sound", "0")
    reporter = Reporter(names, networks.classes, rules(networks.classes, 1, default_config()), "hop", time.time)
    for item in decided_events(networks, blocks):
        for _ in reporter.report(item, Anchor(0, 0.0, "file")):
            pass


def stages(networks: LoadedBundle, sound: Float32) -> dict[str, Callable[[], object]]:
    """Each stage alone, on all of `sound`, and the whole path."""
    model = networks.model
    blocks = blocks_of(sound)
    found = patches(sound, log_offset=model.log_offset)
    raws = [model.embedder.embed(patch) for patch in found]
    codes = [quantise(raw, model.pca) for raw in raws]
    return {
        FRONT_END_STAGE: lambda: front_end(blocks),
        EMBEDDER: lambda: [model.embedder.embed(patch) for patch in found],
        "PCA and quantisation": lambda: [quantise(raw, model.pca) for raw in raws],
        "sequence step and bank": lambda: sequence(model, codes),
        WHOLE_PATH: lambda: deque(decided_events(networks, blocks), maxlen=0),
        "samples to MQTT payloads": lambda: payloads(networks, blocks),
    }


def yamnet(model: Path, sound: Float32) -> Callable[[], object]:
    """YAMNet's bare TFLite loop over all of `sound`."""
    interpreter = interpreter_class()(model_path=str(model), num_threads=1)
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
