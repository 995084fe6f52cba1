"""Files that the converter reads are bounded, regular and finite, or rejected in one sentence."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from convert.embedder.runtime import read_pca
from convert.files import read_arrays, read_json, write_arrays, write_json
from edge_detector.errors import EdgeDetectorError


@pytest.mark.parametrize("content", ['{"a": NaN}', '{"a": 1e400}', '{"a":' * 100_000, "[1]", ""])
def test_json_that_is_not_finite_too_deep_or_no_object_is_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(EdgeDetectorError, match=r"plan\.json") as caught:
        read_json(tmp_path / "plan.json")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("read", [read_json, read_arrays, read_pca])
def test_a_pipe_in_place_of_a_file_is_one_sentence(tmp_path: Path, read: object) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert callable(read)
    with pytest.raises(EdgeDetectorError, match="it is not a regular file"):
        read(tmp_path / "pipe")


def test_an_output_below_a_regular_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgeDetectorError, match=r"file/plan\.json cannot be written: "):
        write_json(tmp_path / "file" / "plan.json", {})


def test_arrays_that_unpack_into_terabytes_are_rejected(tmp_path: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (1 << 38,)})
    with zipfile.ZipFile(tmp_path / "weights.npz", "w") as archive:
        archive.writestr("kernel.npy", header.getvalue())
    with pytest.raises(EdgeDetectorError, match="more than 4000 MB"):
        read_arrays(tmp_path / "weights.npz")


def test_arrays_read_back_as_they_were_written(tmp_path: Path) -> None:
    arrays = {"group/kernel": np.eye(3, dtype=np.float32), "step": np.asarray(7)}
    write_arrays(tmp_path / "weights.npz", arrays)
    read = read_arrays(tmp_path / "weights.npz")
    assert {name: array.tolist() for name, array in read.items()} == {name: array.tolist() for name, array in arrays.items()}
