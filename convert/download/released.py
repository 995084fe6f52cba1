"""The files that Google released, by name and checksum: VGGish's and YAMNet's."""

from dataclasses import dataclass

from convert.download.resume import ReleasedFile


@dataclass(frozen=True, slots=True)
class Release:
    """The files of one model.

    Attributes:
        url: the folder on the web that holds them all.
        files: by what they are called on the command line.

    """

    url: str
    files: dict[str, ReleasedFile]


CHECKPOINT = ReleasedFile(
    "vggish_model.ckpt", "0962b1914e3e053922d957c45bc84a78c985765641dc6bceeeb3a7d8dfecfdf6", largest_bytes=400_000_000
)
PCA_PARAMETERS = ReleasedFile(
    "vggish_pca_params.npz", "4d878af3e306defbfb37095365aa7e5a6cecb86bad13e859e626151c4e6a8b9d", largest_bytes=10_000_000
)
"""The checksums are those that unrelated projects agree on. Google publishes none, nor the sizes: the limits are generous."""

YAMNET = ReleasedFile(
    "yamnet.tflite",
    "10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de",
    largest_bytes=4_126_810,
    remote_name="lite-model_yamnet_classification_tflite_1.tflite",
)
"""The classifier with its list of labels. The limit is its size."""

MODELS = {
    "vggish": Release("https://storage.googleapis.com/audioset", {"checkpoint": CHECKPOINT, "pca": PCA_PARAMETERS}),
    "yamnet": Release(
        "https://storage.googleapis.com/download.tensorflow.org/models/tflite/task_library/audio_classification/rpi",
        {"classifier": YAMNET},
    ),
}
DEFAULT_MODEL = "vggish"
