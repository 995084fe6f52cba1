"""Sound from programs that run beside this one and write raw samples: whatever hangs in them can be killed."""

from edge_detector.audio.programs.arecord import ArecordMicrophone
from edge_detector.audio.programs.ffmpeg import UrlSource

__all__ = ["ArecordMicrophone", "UrlSource"]
