"""Run in a process of its own: prints the microphones as JSON, and may be aborted by PortAudio while it looks for them."""

import json
from dataclasses import asdict

from edge_detector.edges.microphone.portaudio import input_devices, open_portaudio

if __name__ == "__main__":
    print(json.dumps([asdict(device) for device in input_devices(open_portaudio())]))  # noqa: T201 - the parent reads it
