"""Table [embedder] of a recipe: the fit of YAMNet's body, and the windows that an export is measured on."""

from dataclasses import dataclass

from convert.recipe import require_not_negative, require_positive, require_share


@dataclass(frozen=True, slots=True)
class EmbedderSettings:
    """Hyper-parameters of an export.

    Attributes:
        fit_windows: maximum windows that the projection and the read-out of YAMNet's body are fitted to.
        recording_windows: maximum windows of one recording.
        shrinkage: share of the mean variance added to that of each pooled number.
        ridge: regularisation of the read-out, as a share of the codes' variance.
        least_weight: lowest probability that a label is weighted by in the projection.
        measured_windows: windows that VGGish is measured on.
        seed: of the order of recordings, and of the windows that VGGish is measured on.

    """

    fit_windows: int
    recording_windows: int
    shrinkage: float
    ridge: float
    least_weight: float
    measured_windows: int
    seed: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_positive(self, "fit_windows", "recording_windows", "ridge", "least_weight", "measured_windows")
        require_not_negative(self, "shrinkage", "seed")
        require_share(self, "least_weight")
