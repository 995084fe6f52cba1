"""Microphones by PortAudio, through PyAudio in callback mode.

PortAudio may abort the process while it lists devices, loses devices silently, and a blocking read of a lost device never
returns. So devices are listed in a child process first, the callback only copies bytes into a ring, and a read without data
checks the time of the last callback.
"""

from edge_detector.audio.microphone.capture import Microphone
from edge_detector.audio.microphone.devices import InputDevice, PyAudioMissingError, UnseenDeviceError, alsa_name, choose_device
from edge_detector.audio.microphone.measuring import Measurement, measure
from edge_detector.audio.microphone.portaudio import list_devices

__all__ = [
    "InputDevice",
    "Measurement",
    "Microphone",
    "PyAudioMissingError",
    "UnseenDeviceError",
    "alsa_name",
    "choose_device",
    "list_devices",
    "measure",
]
