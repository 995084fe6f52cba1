"""Whatever arrives from outside ends in a value or in one sentence: never in a crash, a traceback or a hang.

EDGE_DETECTOR_FUZZ sets how many inputs each test tries: a few by default, many in `make fuzz`.
"""

import io
import json
import os
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edge_detector.audio.file import AudioFile
from edge_detector.audio.gaps import Gap, format_gaps, gaps_path
from edge_detector.config import load_config, parse_config, rules
from edge_detector.detection.bundle import MANIFEST, PCA, SoundClass, load_bundle, parse_manifest, render_manifest
from edge_detector.detection.hysteresis import Rule
from edge_detector.errors import BundleError, EdgeDetectorError, SourceError, UsageError
from edge_detector.mqtt.home_assistant import Rediscovery
from edge_detector.mqtt.runtime_settings import Accepted, Refusal, RuntimeSettings, Settings, SourceDefaults
from edge_detector.service.settings_file import parse_settings, render_settings
from edge_detector.types import Message
from tests.system.fuzz.damage import Tree, damaged_bytes, damaged_trees
from tests.unit.edge_detector.detection.test_bundle import contents, manifest
from tests.unit.edge_detector.test_config import CONFIGS

MANY = os.environ.get("EDGE_DETECTOR_FUZZ")
EXAMPLES = int(MANY or 100)
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=MANY is None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

RULE = Rule(0.5, 0.3)
BASE = "edge_detector/nursery"
CLASSES = (SoundClass("rain", "Rain", None, dict.fromkeys((1, 2, 4), RULE)),)


def ends_in_one_sentence(attempt: Callable[[], object], error: type[EdgeDetectorError]) -> None:
    try:
        attempt()
    except error as caught:
        sentence = str(caught)
        assert sentence.strip()
        assert "\n" not in sentence, f"more than one line: {sentence!r}"
        assert len(sentence) < 2_000, "a sentence that no one would read"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    in_memory = Path("/dev/shm")  # noqa: S108 - only the parent of a folder with a name of its own
    with tempfile.TemporaryDirectory(dir=in_memory if in_memory.is_dir() else None) as name:
        yield Path(name)


@fuzz
@example({"class": {"\n": {}}})
@example({"class": {"rain": {"on": 10**400}}})
@example({"mqtt": {"port": 1 << 20_000}})
@given(st.one_of([damaged_trees(tomllib.loads(config)) for config in CONFIGS]))
def test_a_configuration_with_wrong_values(data: Tree) -> None:
    def attempt() -> None:
        config = parse_config(data, "edge.toml")
        for source in config.sources:
            rules(CLASSES, source.hops_per_patch, config)

    ends_in_one_sentence(attempt, UsageError)


@fuzz
@given(content=st.binary(max_size=200) | st.one_of([damaged_bytes(config.encode()) for config in CONFIGS]))
def test_a_configuration_of_damaged_text(folder: Path, content: bytes) -> None:
    path = folder / "edge.toml"
    path.write_bytes(content)
    ends_in_one_sentence(lambda: load_config(path), UsageError)


@fuzz
@given(damaged_trees(json.loads(render_manifest(manifest(), contents()))))
def test_a_manifest_with_wrong_values(data: Tree) -> None:
    content = json.dumps(data).encode()
    ends_in_one_sentence(lambda: parse_manifest(content, "manifest.json"), BundleError)


@fuzz
@given(damaged_bytes(render_manifest(manifest(), contents())) | st.binary(max_size=200))
def test_a_manifest_of_damaged_text(content: bytes) -> None:
    ends_in_one_sentence(lambda: parse_manifest(content, "manifest.json"), BundleError)


def squeezed_pca() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, pca_eigen_vectors=np.eye(128, dtype=np.float32), pca_means=np.zeros(128, np.float32))
    return file.getvalue()


@fuzz
@given(content=damaged_bytes(squeezed_pca()))
def test_parameters_that_were_tampered_with_and_signed_again(folder: Path, content: bytes) -> None:
    files = {**contents(), PCA: content}
    for name, written in {**files, MANIFEST: render_manifest(manifest(), files)}.items():
        (folder / name).write_bytes(written)
    ends_in_one_sentence(lambda: load_bundle(folder), BundleError)


TOPICS = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from([BASE, "cot", "door", "threshold", "mute", "set", "rain", "", "+", "#", "status"]), max_size=7).map(
        "/".join
    ),
    st.sampled_from([f"{BASE}/cot/threshold/rain/set", f"{BASE}/cot/mute/set", "homeassistant/status"]),
)
PAYLOADS = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([b"ON", b"OFF", b"", b"online", b"nan", b"1e400", b"-0", b"0.5"]),
    st.floats().map(lambda number: repr(number).encode()),
)


@fuzz
@given(st.lists(st.tuples(TOPICS, PAYLOADS, st.booleans(), st.floats(0, 1e9)), max_size=6))
def test_commands_from_a_stranger(messages: list[tuple[str, bytes, bool, float]]) -> None:
    sources = {"cot": SourceDefaults({"rain": RULE}), "door": SourceDefaults({"rain": RULE})}
    controls, rediscovery = RuntimeSettings(BASE, sources, Settings()), Rediscovery(lambda: 0.5)
    for topic, payload, retained, now in messages:
        message = Message(topic, payload, 1, retained)
        rediscovery.handle(message, now)
        answer = controls.handle(message, now)
        if isinstance(answer, Refusal):
            assert answer.sentence.isprintable()
        if isinstance(answer, Accepted):
            assert answer.answer.topic == topic.removesuffix("/set")
    for rule in controls.rules("cot"):
        assert 0.0 < rule.on <= 1.0
        assert rule.off <= rule.on
    assert parse_settings(render_settings(controls.settings), "settings") == controls.settings


@fuzz
@given(st.one_of(damaged_bytes(render_settings(Settings({"cot": {"rain": 0.5}}, {"cot": True}, {"a-b": "sensor"}))), st.binary()))
def test_a_damaged_settings_file(content: bytes) -> None:
    ends_in_one_sentence(lambda: parse_settings(content, "settings.json"), EdgeDetectorError)


def recording(kind: str) -> bytes:
    file = io.BytesIO()
    samples = (np.arange(4_000) * 7_919 % 20_000 - 10_000).astype(np.int16)
    soundfile.write(file, samples, 16_000, format=kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "AIFF", "MP3"])
def test_audio_with_a_damaged_header(folder: Path, kind: str) -> None:
    path = folder / f"damaged.{kind.lower()}"

    @fuzz
    @given(damaged_bytes(recording(kind)))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        ends_in_one_sentence(lambda: hear(path), SourceError)

    check()


def hear(path: Path) -> None:
    """Read as the service does, but no longer than a second's worth of blocks: a header may promise hours."""
    source = AudioFile(path)
    try:
        for _ in range(16):
            block = source.read(0.0)
            if block is None:
                break
            assert np.isfinite(block.samples).all(), "nothing but numbers goes into the networks"
    finally:
        source.close()


@fuzz
@given(content=damaged_bytes(format_gaps([Gap(100, 7)]).encode()) | st.binary(max_size=100))
def test_a_damaged_note_of_gaps(folder: Path, content: bytes) -> None:
    path = folder / "dump.wav"
    path.write_bytes(recording("WAV"))
    gaps_path(path).write_bytes(content)
    ends_in_one_sentence(lambda: hear(path), SourceError)
    gaps_path(path).unlink()
