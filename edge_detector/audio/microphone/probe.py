"""Child process that PortAudio may abort or hang: prints the microphones, or the measurement of one, as JSON."""

import json
import sys
from dataclasses import asdict

from edge_detector.audio.microphone.measuring import measure_here
from edge_detector.audio.microphone.portaudio import input_devices, open_portaudio

if __name__ == "__main__":
    names = sys.argv[1:]
    answer = asdict(measure_here(names[0])) if names else [asdict(device) for device in input_devices(open_portaudio())]
    print(json.dumps(answer))  # noqa: T201 - the parent reads it
