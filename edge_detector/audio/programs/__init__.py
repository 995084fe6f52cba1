"""Sources by child processes that write raw samples; a child that hangs can be killed."""

from edge_detector.audio.programs.arecord import ArecordMicrophone
from edge_detector.audio.programs.ffmpeg import UrlSource

__all__ = ["ArecordMicrophone", "UrlSource"]
