import pytest

from edge_detector.audio.microphone import Measurement
from edge_detector.cli.setup.microphone import Candidate, best, cards, choose


def candidate(name: str, level_dbfs: float | None = -40.0, *, is_default: bool = False) -> Candidate:
    return Candidate(name, name, is_default, Measurement((16_000,), level_dbfs, None if level_dbfs else "in use"))


MUTED = candidate("HDMI", -120.0)
BROKEN = candidate("Line", None)
USB = candidate("USB Audio (hw:1,0)")
DEFAULT = candidate("default", is_default=True)


@pytest.mark.parametrize(
    ("candidates", "current", "suggested"),
    [
        ([MUTED, BROKEN, USB, DEFAULT], None, DEFAULT),
        ([MUTED, USB, candidate("default", -120.0, is_default=True)], None, USB),
        ([MUTED, candidate("default", -120.0, is_default=True)], None, candidate("default", -120.0, is_default=True)),
        ([BROKEN, MUTED], None, BROKEN),
        ([DEFAULT, USB, MUTED], "HDMI", MUTED),
        ([DEFAULT, USB, MUTED], "usb", USB),
        ([DEFAULT, USB, MUTED], "unplugged", DEFAULT),
    ],
    ids=["default", "sounds", "all mute", "nothing", "present", "part of a name", "gone"],
)
def test_the_present_one_is_suggested_then_the_default_then_what_sounds(
    candidates: list[Candidate], current: str | None, suggested: Candidate
) -> None:
    assert candidates[best(candidates, current)] == suggested


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [("1", MUTED), ("3", USB), ("0", None), ("4", None), ("usb", USB), ("HDMI", MUTED), ("i", None), ("x", None), ("²", None)],
)
def test_one_is_chosen_by_its_number_or_a_part_of_its_name(answer: str, chosen: Candidate | None) -> None:
    assert choose([MUTED, BROKEN, USB], answer) == chosen


def test_cards_of_one_name_are_told_apart_by_their_identifier() -> None:
    listed = [("Device", "USB-Audio - USB PnP"), ("Device_1", "USB-Audio - USB PnP"), ("C920", "USB-Audio - HD Webcam")]
    devices = ["plughw:CARD=Device", "plughw:CARD=Device_1", "HD Webcam", None]
    assert [each.device for each in cards("mic", listed)] == devices, "ALSA's default is the last"
    assert [each.device for each in cards("arecord", listed)][2] == "plughw:CARD=C920"
    assert [each.name for each in cards("mic", listed)][2] == "HD Webcam (C920)"
