"""Files of others: what is no regular file, too large, or would unpack into too much is refused before it is read."""

import io
import os
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edge_detector.bounded_files import arrays_of, parse_json, read_regular


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=True, **arrays)
    return file.getvalue()


def zipped(members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def header(shape: tuple[int, ...]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_a_regular_file_is_read_whole_up_to_its_limit(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"four")
    assert read_regular(tmp_path / "file", 4) == b"four"
    (tmp_path / "file").write_bytes(bytes(3_001))
    with pytest.raises(OSError, match="larger than 3 kB"):
        read_regular(tmp_path / "file", 3_000)


def test_a_pipe_that_nobody_writes_to_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        read_regular(tmp_path / "pipe", 100)


@pytest.mark.parametrize("other", ["/dev/zero", "/dev", "/proc/self/mem"])
def test_devices_folders_and_endless_files_are_refused(other: str) -> None:
    with pytest.raises(OSError, match=r"not a regular file|Input/output error"):
        read_regular(Path(other), 100)


def test_a_link_is_followed_only_where_that_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"here")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_regular(tmp_path / "link", 100) == b"here"
    with pytest.raises(OSError, match="it is a symbolic link"):
        read_regular(tmp_path / "link", 100, follow_links=False)


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", '{"a": -Infinity}', "1e400", "[" * 100_000, "\ud800".encode("utf-8", "surrogatepass")]
)
def test_json_with_what_is_no_finite_number_or_no_end_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_arrays_read_back_as_they_were_saved() -> None:
    saved: dict[str, np.ndarray] = {
        "rows": np.arange(6, dtype=np.float32).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "number": np.asarray(7.5),
        "none": np.zeros((0, 128), np.uint8),
        "names": np.array(["rain", "dog"]),
    }
    read = arrays_of(npz(**saved), 10_000)
    assert set(read) == set(saved)
    for name, array in saved.items():
        assert np.array_equal(read[name], array), name
        assert read[name].dtype == array.dtype, name
    read["rows"][0, 0] = 1.0


def test_an_archive_that_would_unpack_into_too_much_is_refused_by_its_headers() -> None:
    bomb = zipped({"pca_eigen_vectors.npy": header((16_000_000,)) + bytes(64_000_000)})
    assert len(bomb) < 100_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="more than 1 MB"):
        arrays_of(bomb, 1_000_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000, "kB: nothing was unpacked"


def test_a_member_that_is_longer_than_its_header_says_is_not_unpacked() -> None:
    with pytest.raises(ValueError, match="does not have the length in its header"):
        arrays_of(zipped({"a.npy": header((4,)) + bytes(8_000_000)}), 1_000_000)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"PK", "cut or damaged"),
        (npz(a=np.zeros(1000, np.float32))[:-40], "cut or damaged"),
        (zipped({"a.npy": b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + bytes(1 << 24)}), "is not an array"),
        (zipped({"a.npy": b""}), "is not an array"),
        (zipped({"a.npy": header((4,))}), "does not have the length in its header"),
        (zipped({"a.npy": header((1 << 40, 1 << 40))}), "more than"),
        (npz(a=np.array([{}], dtype=object)), "not an array of numbers"),
        (zipped({"a.npy": header((1,)) + bytes(4)}, zipfile.ZIP_LZMA), "packed in a way"),
    ],
)
def test_what_is_no_archive_of_numbers_is_one_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as caught:
        arrays_of(content, 1_000_000)
    assert "\n" not in str(caught.value)
