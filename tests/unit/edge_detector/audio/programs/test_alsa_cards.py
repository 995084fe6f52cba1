import pytest

from edge_detector.audio.programs.alsa_cards import alsa_device
from edge_detector.errors import UnknownDeviceError

CARDS = """\
 0 [vc4hdmi        ]: vc4-hdmi - vc4-hdmi
                      vc4-hdmi
 2 [Device         ]: USB-Audio - USB PnP Sound Device
                      C-Media Electronics Inc. USB PnP Sound Device at usb-0000:01:00.0-1.2, full speed
 3 [Device_1       ]: USB-Audio - Samson GoMic
                      Samson Samson GoMic at usb-0000:01:00.0-1.3, full speed
"""


@pytest.mark.parametrize(
    ("wanted", "device"),
    [
        (None, None),
        ("gomic", "plughw:CARD=Device_1"),
        ("PnP", "plughw:CARD=Device"),
        ("hdmi", "plughw:CARD=vc4hdmi"),
        ("plughw:CARD=Device", "plughw:CARD=Device"),
        ("hw:2,0", "hw:2,0"),
    ],
)
def test_a_part_of_a_card_s_name_finds_it(wanted: str | None, device: str | None) -> None:
    assert alsa_device(wanted, CARDS) == device


@pytest.mark.parametrize(("wanted", "problem"), [("USB", "fits several sound cards"), ("webcam", "fits no sound card")])
def test_a_name_that_fits_none_or_several_lists_the_cards(wanted: str, problem: str) -> None:
    with pytest.raises(UnknownDeviceError, match=rf"'{wanted}' {problem}; there are: .*Device_1 \(USB-Audio - Samson GoMic\)"):
        alsa_device(wanted, CARDS)
    with pytest.raises(UnknownDeviceError, match="there are: none"):
        alsa_device(wanted, "--- no soundcards ---\n")
