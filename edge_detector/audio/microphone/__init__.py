"""Microphones by PortAudio, through PyAudio in callback mode.

PortAudio may abort the process while it lists devices, loses devices without a word, and a blocking read on a vanished one
never returns. So devices are listed in a child process first, the callback only hands bytes on through a ring, and a read
that gets nothing asks when the last callback was.
"""

from edge_detector.audio.microphone.capture import Microphone
from edge_detector.audio.microphone.devices import InputDevice, UnseenDeviceError, alsa_name, choose_device
from edge_detector.audio.microphone.measuring import Measurement, measure
from edge_detector.audio.microphone.portaudio import list_devices

__all__ = [
    "InputDevice",
    "Measurement",
    "Microphone",
    "UnseenDeviceError",
    "alsa_name",
    "choose_device",
    "list_devices",
    "measure",
]
