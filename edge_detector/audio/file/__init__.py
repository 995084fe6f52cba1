"""Audio files as a source: containers, decoders, and the source itself."""

from edge_detector.audio.file.decoders import FOREIGN_SUFFIXES
from edge_detector.audio.file.source import AudioFile, read_mono, require_complete, require_not_cancelled

__all__ = ["FOREIGN_SUFFIXES", "AudioFile", "read_mono", "require_complete", "require_not_cancelled"]
