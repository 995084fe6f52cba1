"""teach: the same as edge-detector teach."""

from edge_detector.cli.taught import describe, teach_classes
from edge_detector.cli.teach import configure

__all__ = ["configure", "describe", "run"]

run = teach_classes
