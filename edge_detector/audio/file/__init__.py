"""Recordings: their containers, what decodes them, and a source made of both."""

from edge_detector.audio.file.decoders import FOREIGN_SUFFIXES
from edge_detector.audio.file.source import AudioFile, read_mono, refuse_cancelled, refuse_cut

__all__ = ["FOREIGN_SUFFIXES", "AudioFile", "read_mono", "refuse_cancelled", "refuse_cut"]
