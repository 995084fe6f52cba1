"""Audio files as a source: containers, decoders, and the source itself."""

from edge_detector.audio.file.decoders import FOREIGN_SUFFIXES
from edge_detector.audio.file.source import AudioFile, read_mono, refuse_cancelled, refuse_cut

__all__ = ["FOREIGN_SUFFIXES", "AudioFile", "read_mono", "refuse_cancelled", "refuse_cut"]
