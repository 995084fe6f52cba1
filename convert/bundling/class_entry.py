"""A class in the class file of bundle."""

from dataclasses import dataclass

from edge_detector.detection.bundle import FIRST_CLASS_LIST, Evidence


@dataclass(frozen=True, slots=True)
class ClassEntry:
    """Entry of the class file, by slug.

    Attributes:
        label: display name; by default made of the slug.
        mid: AudioSet's identifier.
        audioset: names of its AudioSet labels.
        class_list: first list that has the class.
        enabled: the class is detected without a configuration.
        evidence: its results on recordings not used for training or calibration.

    """

    label: str | None = None
    mid: str | None = None
    audioset: tuple[str, ...] = ()
    class_list: int = FIRST_CLASS_LIST
    enabled: bool = True
    evidence: Evidence | None = None
