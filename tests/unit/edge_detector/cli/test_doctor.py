"""What the doctor says: of real parts, and of sounds, devices and messages made up for it."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edge_detector.cli import doctor
from edge_detector.cli.doctor.sound import CheckedSound, device_advice, examine_source, judge_sound
from edge_detector.config import SourceConfig, default_config, parse_config, rules
from edge_detector.detection.bundle import load_bundle
from edge_detector.detection.classes import enabled_indices, resolve_classes
from edge_detector.errors import UsageError
from edge_detector.service.factory import DEFAULT_BUNDLE, load_networks
from edge_detector.types import Float32, Scores
from tests.support.broker import Broker, free_port
from tests.support.fake_microphone import FakeMicrophone
from tests.support.inbox import subscriber
from tests.support.labelled_bundle import labelled_bundle
from tests.support.soundscape_file import write_soundscape

CLASSES = resolve_classes(load_bundle(DEFAULT_BUNDLE).manifest, {})
RULES = rules(CLASSES, 1, default_config())
ENABLED = enabled_indices(RULES)[3]
"""One of the classes that are on."""
MICROPHONE = SourceConfig("cot")
BASE = "edge_detector/nursery"


def write_config(folder: Path, port: int, extra: str = "", mqtt: str = "") -> Path:
    path = folder / "edge.toml"
    broker = f'[mqtt]\nhost = "127.0.0.1"\nport = {port}\n{mqtt}\n'
    path.write_text(f'[node]\nname = "nursery"\n[[source]]\nname = "cot"\n{broker}{extra}')
    return path


def examined(
    config: Path | None, capsys: pytest.CaptureFixture[str], *, seconds: float = 2.0
) -> tuple[int, list[dict[str, object]]]:
    code = doctor.run(config, as_json=True, seconds=seconds, installed=Path("/no/such/file"))
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def about(findings: Sequence[dict[str, object]], what: str) -> list[dict[str, object]]:
    return [finding for finding in findings if finding["about"] == what]


def heard(samples: Float32, lost_samples: int = 0, scores: Sequence[Scores] = ()) -> CheckedSound:
    return CheckedSound(16_000, [samples], list(scores), lost_samples)


def noise(amplitude: float, seconds: float = 3.0) -> Float32:
    return np.random.default_rng(1).uniform(-amplitude, amplitude, round(16_000 * seconds)).astype(np.float32)


def scores(probability: float) -> Scores:
    probabilities = np.full(len(CLASSES), 0.01, np.float32)
    probabilities[ENABLED] = probability
    return Scores(probabilities, 1, 0, 0, 15_600, 0, -30.0)


def test_where_everything_works_it_says_so_and_leaves_no_trace(
    tmp_path: Path,
    broker: Broker,
    microphone: FakeMicrophone,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in microphone.environment.items():
        monkeypatch.setenv(name, value)
    microphone.play((noise(0.2, 60.0) * 32_767).astype("<i2").tobytes(), latency_milliseconds=200)
    with subscriber(broker.host, broker.port) as inbox:
        code, findings = examined(write_config(tmp_path, broker.port), capsys)
        inbox.wait_for_payload(f"{BASE}/doctor", b"")
        assert {(item.topic, item.payload) for item in inbox.messages} == {(f"{BASE}/doctor", b"")}, "nobody else is bothered"
    assert code == 0, findings
    assert [finding["about"] for finding in findings] == ["config", "bundle", "speed", "cot", "cot", "broker", "service"]
    sound = about(findings, "cot")[0]
    assert sound["signal"] == "ok"
    assert -30 < float(str(sound["level_dbfs"])) < -10
    assert float(str(about(findings, "speed")[0]["window_ms"])) > 0
    assert "accepts the login" in str(about(findings, "broker")[0]["said"])
    assert "no service publishes as this node" in str(about(findings, "service")[0]["said"])


def test_a_silent_microphone_no_broker_and_people_as_readers(
    tmp_path: Path, microphone: FakeMicrophone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in microphone.environment.items():
        monkeypatch.setenv(name, value)
    assert doctor.run(write_config(tmp_path, free_port()), as_json=False, seconds=1.0) == 1
    said = capsys.readouterr().out
    assert re.search(r"(?m)^BAD   cot +digital silence.*\n +-> it is muted", said)
    assert re.search(r"(?m)^BAD   broker +the broker 127\.0\.0\.1:\d+ cannot be reached: nothing listens", said)
    assert re.search(r"(?m)^ok    bundle ", said)
    assert "Traceback" not in said


def test_a_microphone_that_is_not_there_comes_with_what_the_kernel_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, free_port())
    config.write_text(config.read_text().replace('name = "cot"', 'name = "cot"\ndevice = "no such microphone"'))
    code, findings = examined(config, capsys)
    assert code == 1
    assert about(findings, "cot")[0]["verdict"] == "bad"
    assert about(findings, "cot")[0]["advice"] is not None


def test_how_many_classes_are_on_is_told_with_the_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tape = '[[source]]\nname = "tape"\nkind = "file"\ndevice = "none.wav"\n'
    extra = f'[bundle]\npath = "{labelled_bundle(tmp_path / "bundle")}"\n{tape}[class.rain]\nenabled = false\n'
    for class_list, enabled, animal in ((1, 11, False), (2, 12, True)):
        config = write_config(tmp_path, free_port(), f"{extra}[detection]\nclass_list = {class_list}\n")
        config.write_text(config.read_text().replace('[[source]]\nname = "cot"\n', ""))
        said = str(about(examined(config, capsys)[1], "bundle")[0]["said"])
        assert f": {enabled} of 14 classes are enabled: " in said
        assert "Rain" not in said
        assert ("Animal" in said) is animal


def test_a_class_of_labels_that_the_bundle_does_not_have_is_a_wrong_configuration(tmp_path: Path) -> None:
    extra = f'[bundle]\npath = "{labelled_bundle(tmp_path / "bundle")}"\n[class.kettle]\naudioset = ["Tick-tok"]\n'
    with pytest.raises(UsageError, match="did you mean 'Tick-tock'"):
        doctor.run(write_config(tmp_path, free_port(), extra), as_json=True, seconds=1.0)


def test_a_damaged_bundle_does_not_keep_it_from_looking_at_the_rest(
    tmp_path: Path, broker: Broker, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path, broker.port, f'[bundle]\npath = "{tmp_path}"\n')
    code, findings = examined(config, capsys)
    assert code == 1
    assert about(findings, "bundle")[0]["verdict"] == "bad"
    assert about(findings, "broker")[0]["verdict"] == "good"


def test_a_wrong_configuration_is_the_usual_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown key 'nonsense'"):
        doctor.run(write_config(tmp_path, 1, "[nonsense]\n"), as_json=True)


def test_without_a_file_the_installed_configuration_is_examined(tmp_path: Path) -> None:
    installed = write_config(tmp_path, 1, "[nonsense]\n")
    with pytest.raises(UsageError, match=str(installed)):
        doctor.run(None, as_json=True, installed=installed)


def test_a_broker_that_refuses_the_password_or_the_topic_is_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    access = tmp_path / "acl"
    access.write_text("topic readwrite elsewhere/#\n")
    extra = f'[bundle]\npath = "{tmp_path}"\n'
    with Broker(anonymous=False) as closed:
        _, findings = examined(write_config(tmp_path, closed.port, extra), capsys)
        assert "check user name and password" in str(about(findings, "broker")[0]["said"])
    with Broker(f"acl_file {access}") as narrow:
        _, findings = examined(write_config(tmp_path, narrow.port, extra), capsys)
        assert "no message on edge_detector/nursery/doctor" in str(about(findings, "broker")[0]["said"])
        assert "topic readwrite edge_detector/nursery/#" in str(about(findings, "broker")[0]["advice"])


def test_a_recording_is_examined_as_a_source_too(tmp_path: Path) -> None:
    tape = SourceConfig("tape", "file", str(write_soundscape(tmp_path / "tape.wav")))
    findings = examine_source(tape, load_networks(None), RULES, 1e6)
    assert [finding.verdict for finding in findings] == ["good", "good"]
    assert findings[1].said.startswith("detected "), "the soundscape is made of sounds it knows"
    missing = examine_source(SourceConfig("tape", "file", str(tmp_path / "none.wav")), load_networks(None), RULES, 1.0)
    assert missing[0].verdict == "bad"


@pytest.mark.parametrize(
    ("samples", "verdict", "said"),
    [
        (np.zeros(48_000, np.float32), "bad", "digital silence"),
        (np.full(48_000, 0.25, np.float32), "bad", "a constant value"),
        (np.clip(noise(3.0), -1.0, 1.0), "warning", "clipped"),
        (np.zeros(0, np.float32), "bad", "it gives no sound"),
        (noise(0.3), "good", "3.0 s at 16000 Hz, level -15 dBFS, peak -10 dBFS"),
    ],
)
def test_a_signal_that_can_be_no_sound_is_named(samples: Float32, verdict: str, said: str) -> None:
    finding = judge_sound(MICROPHONE, heard(samples), CLASSES, RULES)[0]
    assert finding.verdict == verdict
    assert said in finding.said
    assert (finding.advice is None) == (verdict == "good")


def test_a_moment_of_silence_is_no_dead_microphone() -> None:
    samples = np.concatenate([np.zeros(32_000, np.float32), noise(0.1)])
    assert [finding.verdict for finding in judge_sound(MICROPHONE, heard(samples), CLASSES, RULES)] == ["good"]


def test_a_quiet_room_and_lost_samples_are_remarked_on() -> None:
    findings = judge_sound(MICROPHONE, heard(noise(0.0005), lost_samples=7), CLASSES, RULES)
    assert [finding.verdict for finding in findings] == ["good", "warning", "warning"]
    assert "7 samples were lost" in findings[1].said
    assert "very quiet" in findings[2].said


def test_why_nothing_was_reported_is_answered_with_the_class_that_came_nearest() -> None:
    label, slug, threshold = CLASSES[ENABLED].label, CLASSES[ENABLED].slug, RULES[ENABLED].on
    almost = judge_sound(MICROPHONE, heard(noise(0.1), scores=[scores(0.02), scores(threshold - 0.05)]), CLASSES, RULES)[-1]
    assert f"the closest is {label}: {threshold - 0.05:.2f}, threshold {threshold:.2f}" in almost.said
    assert almost.figures["nearest"] == slug
    enough = judge_sound(MICROPHONE, heard(noise(0.1), scores=[scores(0.999)]), CLASSES, RULES)[-1]
    assert enough.said.startswith(f"detected {label}: 1.00")
    without = rules(CLASSES, 1, parse_config({"class": {slug: {"enabled": False}}}, "test"))
    assert label not in judge_sound(MICROPHONE, heard(noise(0.1), scores=[scores(0.999)]), CLASSES, without)[-1].said


def test_a_configuration_that_hears_nothing_by_itself_is_found_out() -> None:
    off = {sound.slug: {"enabled": False} for sound in CLASSES}
    nothing = rules(CLASSES, 1, parse_config({"class": off}, "test"))
    finding = examine_source(MICROPHONE, load_networks(None), nothing, 1.0)[0]
    assert (finding.verdict, finding.said) == ("bad", "no class is enabled: no event would be reported")


def test_advice_about_devices_goes_by_what_the_kernel_has(tmp_path: Path) -> None:
    assert "no capture device" in device_advice(tmp_path / "missing")
    (tmp_path / "pcmC0D0p").touch()
    assert "no capture device" in device_advice(tmp_path), "a loudspeaker is none"
    (tmp_path / "pcmC1D0c").touch()
    assert "usermod -aG audio" in device_advice(tmp_path, lambda _: False)
    assert "systemctl stop edge-detector" in device_advice(tmp_path, lambda _: True)
