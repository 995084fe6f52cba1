"""Files that Google released, by name and checksum: VGGish's and YAMNet's."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReleasedFile:
    """A file identified by its content.

    Attributes:
        name: local name.
        sha256: hexadecimal digest of its bytes.
        largest_bytes: limit of a download; a longer answer cannot be the file.
        remote_name: name where it is published, if another.

    """

    name: str
    sha256: str
    largest_bytes: int
    remote_name: str | None = None

    @property
    def published_name(self) -> str:
        """Name where it is published."""
        return self.remote_name or self.name


@dataclass(frozen=True, slots=True)
class Release:
    """The files of one model, and the web folder that holds them."""

    url: str
    files: tuple[ReleasedFile, ...]


CHECKPOINT = ReleasedFile(
    "vggish_model.ckpt", "0962b1914e3e053922d957c45bc84a78c985765641dc6bceeeb3a7d8dfecfdf6", largest_bytes=400_000_000
)
PCA_PARAMETERS = ReleasedFile(
    "vggish_pca_params.npz", "4d878af3e306defbfb37095365aa7e5a6cecb86bad13e859e626151c4e6a8b9d", largest_bytes=10_000_000
)
"""Google publishes neither checksums nor sizes: the checksums are those in several unrelated projects, the limits generous."""

YAMNET = ReleasedFile(
    "yamnet.tflite",
    "10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de",
    largest_bytes=4_126_810,
    remote_name="lite-model_yamnet_classification_tflite_1.tflite",
)
"""Classifier with its list of labels. The limit is its size."""

MODELS: Mapping[str, Release] = {
    "vggish": Release("https://storage.googleapis.com/audioset", (CHECKPOINT, PCA_PARAMETERS)),
    "yamnet": Release(
        "https://storage.googleapis.com/download.tensorflow.org/models/tflite/task_library/audio_classification/rpi", (YAMNET,)
    ),
}
