"""What the commands print, on the demo's soundscape with the default bundle."""

import json
import math
from pathlib import Path

import pytest
import soundfile

from edge_detector.demo.soundscape import Soundscape, make_soundscape
from edge_detector.params import FRONT_END
from tests.support.command import edge_detector

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def soundscape() -> Soundscape:
    return make_soundscape()


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, soundscape: Soundscape) -> Path:
    path = tmp_path_factory.mktemp("recording") / "soundscape.wav"
    soundfile.write(path, soundscape.samples, RATE_HZ)
    return path


def test_listen_prints_each_event_and_a_summary(recording: Path, soundscape: Soundscape) -> None:
    lines = edge_detector("listen", recording).splitlines()
    assert lines[-1].startswith(f"processed {len(soundscape.samples) / RATE_HZ:.1f} s in ")
    assert sum(" start " in line for line in lines) == sum(" end " in line for line in lines) > 0


def test_a_bark_of_a_third_of_a_second_is_heard_and_ends_with_the_recording(tmp_path: Path, soundscape: Soundscape) -> None:
    bark = soundscape.events[0]
    assert bark.slug == "dog_bark"
    soundfile.write(tmp_path / "bark.wav", soundscape.samples[bark.first_sample :][: RATE_HZ // 3], RATE_HZ)
    start, end, _ = edge_detector("listen", tmp_path / "bark.wav").splitlines()
    assert "Dog barking" in start
    assert "Dog barking, 0.33 s" in end


@pytest.mark.parametrize("hop", ["0.96", "0.48", "0.24"])
def test_listen_decides_once_a_hop_to_the_end(recording: Path, soundscape: Soundscape, hop: str) -> None:
    lines = [json.loads(line) for line in edge_detector("listen", recording, "--json", "--hop", hop).splitlines()]
    windows = [line for line in lines if line["type"] == "probabilities"]
    # The last 15 ms are in the frames of the window before.
    assert len(windows) == math.ceil((len(soundscape.samples) / RATE_HZ - 0.015) / float(hop))
    assert {line["type"] for line in lines} == {"probabilities", "event", "health"}


def test_listen_stops_after_the_seconds_it_was_given(recording: Path) -> None:
    assert edge_detector("listen", recording, "--seconds", "3").splitlines()[-1].startswith("processed 3.")


def test_the_demo_ends_by_itself_and_hears_what_the_soundscape_holds(soundscape: Soundscape) -> None:
    output = edge_detector("demo")
    messages = [line.split(" ", 1) for line in output.splitlines() if line.startswith("edge_detector/demo/")]
    events = [json.loads(payload) for topic, payload in messages if topic.endswith("/event")]
    starts = {event["id"]: event for event in events if event["event_type"] == "start"}
    ends = {event["id"]: event for event in events if event["event_type"] == "end"}
    assert starts.keys() == ends.keys()
    assert {event.slug for event in soundscape.events} <= {event["slug"] for event in ends.values()}
    assert messages[-1] == ["edge_detector/demo/status", "offline"]
    assert "not detected" not in output
    assert "synthesised" in output


def test_check_config_says_what_a_configuration_amounts_to(tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text('[[source]]\nname = "cot"\nhop = 0.24\n[class.rain]\nenabled = false\n[web]\nlisten = "[::1]:80"\n')
    output = edge_detector("check-config", config)
    assert "localhost:1883" in output
    assert "source cot: mic default, hop 0.24 s" in output
    assert "dog_bark" in output
    assert "rain" not in output
    assert "page: on [::1]:80, no password" in output


def test_check_config_says_that_sound_is_stored_and_how_long(tmp_path: Path) -> None:
    config = tmp_path / "edge.toml"
    config.write_text("[clips]\nenabled = true\ndays = 7\n")
    sentence = "clips: the sound of events is stored in /var/lib/edge-detector/clips for 7 days, 500 MB at most"
    assert sentence in edge_detector("check-config", config).splitlines()
    config.write_text("[clips]\ndays = 7\n")
    assert "clips:" not in edge_detector("check-config", config)


def test_the_shipped_example_configuration_is_right() -> None:
    assert "is valid" in edge_detector("check-config", Path(__file__).parents[2] / "systemd" / "edge.toml")
    assert edge_detector("check-config", "--quiet", Path(__file__).parents[2] / "systemd" / "edge.toml") == ""


def test_a_file_of_another_rate_gives_nearly_what_its_original_gives(recording: Path, tmp_path: Path) -> None:
    import soxr  # noqa: PLC0415 - only to make the file

    samples, _ = soundfile.read(recording)
    upsampled = tmp_path / "48k.wav"
    soundfile.write(upsampled, soxr.resample(samples, RATE_HZ, 48_000), 48_000)

    def heard(path: Path) -> tuple[list[dict[str, float]], list[tuple[str, int]]]:
        lines = [json.loads(line) for line in edge_detector("listen", path, "--json").splitlines()]
        starts = [(line["slug"], int(line["id"].split("/")[-2])) for line in lines if line.get("event_type") == "start"]
        return [line["probabilities"] for line in lines if "probabilities" in line], starts

    (ours, our_starts), (theirs, their_starts) = heard(recording), heard(upsampled)
    assert len(ours) == 57
    for here, there in zip(ours, theirs, strict=True):
        # The embedder's activations are int8: a sample that is rounded another way moves some of them by a whole step.
        assert there == pytest.approx(here, abs=0.05)
    assert [slug for slug, _ in their_starts] == [slug for slug, _ in our_starts]
    # A class may stand so near its threshold that the hop before or after is the first above it.
    assert [first for _, first in their_starts] == pytest.approx(
        [first for _, first in our_starts], abs=FRONT_END.patch_step_samples
    )
