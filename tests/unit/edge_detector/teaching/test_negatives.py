"""Negatives: what is written is read, and what does not fit is refused."""

from pathlib import Path

import numpy as np
import pytest

from edge_detector.bounded_files import npz_bytes
from edge_detector.detection.bundle import embedder_digest, load_bundle
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.service.factory import DEFAULT_BUNDLE
from edge_detector.teaching.negatives import SHIPPED, Negative, Negatives, negatives_content, read_negatives


def some() -> Negatives:
    rng = np.random.default_rng(0)
    codes = [rng.integers(0, 256, (length, 128), np.uint8) for length in (1, 10, 4)]
    return Negatives("ab" * 32, (Negative(codes[0]), Negative(codes[1], frozenset({"rain", "dog"})), Negative(codes[2])))


def test_negatives_read_back_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "n.npz").write_bytes(negatives_content(some()))
    found = read_negatives(tmp_path / "n.npz")
    assert found.embedder == some().embedder
    assert [each.labels for each in found.sequences] == [each.labels for each in some().sequences]
    assert all(np.array_equal(one.codes, other.codes) for one, other in zip(found.sequences, some().sequences, strict=True))


def test_negatives_of_a_taught_class_are_left_out() -> None:
    assert len(some().without(["dog"])) == 2
    assert len(some().without(["cat"])) == 3


def test_the_negatives_that_ship_are_of_the_embedder_that_ships() -> None:
    bundle, negatives = load_bundle(DEFAULT_BUNDLE), read_negatives(SHIPPED)
    assert negatives.embedder == embedder_digest(bundle.embedder, bundle.pca)
    labels = {label for each in negatives.sequences for label in each.labels}
    assert {"speech", "music", "dog_bark", "household_vacuum_cleaner"} < labels
    assert sum(len(each.codes) for each in negatives.sequences) * 0.96 > 4 * 3600


@pytest.mark.parametrize(
    "changed",
    [
        {"codes": np.zeros((14, 128), np.uint8)},
        {"codes": np.zeros((15, 127), np.uint8)},
        {"codes": np.zeros((15, 128), np.int8)},
        {"lengths": np.array([0, 11, 4], np.int32)},
        {"lengths": np.array([1.0, 10.0, 4.0])},
        {"labels": np.zeros((3, 1), np.bool_)},
        {"slugs": np.array(["dog"])},
        {"embedder": np.array([], np.str_)},
    ],
)
def test_arrays_that_do_not_fit_are_refused(changed: dict[str, np.ndarray], tmp_path: Path) -> None:
    arrays = {
        "embedder": np.array(["ab" * 32]),
        "slugs": np.array(["dog", "rain"]),
        "codes": np.zeros((15, 128), np.uint8),
        "lengths": np.array([1, 10, 4], np.int32),
        "labels": np.zeros((3, 2), np.bool_),
    }
    (tmp_path / "n.npz").write_bytes(npz_bytes(arrays))
    assert len(read_negatives(tmp_path / "n.npz").sequences) == 3
    (tmp_path / "n.npz").write_bytes(npz_bytes({**arrays, **changed}))
    with pytest.raises(EdgeDetectorError, match="make it again with convert negatives"):
        read_negatives(tmp_path / "n.npz")


def test_a_missing_array_or_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "n.npz").write_bytes(npz_bytes({"codes": np.zeros((1, 128), np.uint8)}))
    with pytest.raises(EdgeDetectorError, match="lacks an array of negatives"):
        read_negatives(tmp_path / "n.npz")
    (tmp_path / "n.npz").write_bytes(b"no archive")
    with pytest.raises(EdgeDetectorError, match="does not hold negatives"):
        read_negatives(tmp_path / "n.npz")
    with pytest.raises(UsageError, match="python -m convert negatives makes such files"):
        read_negatives(tmp_path / "none.npz")
