"""The files Google released for VGGish, by name and checksum."""

from convert.data.resume import ReleasedFile

URL = "https://storage.googleapis.com/audioset"
CHECKPOINT = ReleasedFile(
    "vggish_model.ckpt", "0962b1914e3e053922d957c45bc84a78c985765641dc6bceeeb3a7d8dfecfdf6", largest_bytes=400_000_000
)
PCA_PARAMETERS = ReleasedFile(
    "vggish_pca_params.npz", "4d878af3e306defbfb37095365aa7e5a6cecb86bad13e859e626151c4e6a8b9d", largest_bytes=10_000_000
)
"""The checksums are those that unrelated projects agree on. Google publishes none, nor the sizes: the limits are generous."""

FILES = (CHECKPOINT, PCA_PARAMETERS)
