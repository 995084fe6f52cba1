"""Unknown classes of a frame change neither loss nor gradient."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.records.files import write_dataset
from convert.records.forms import Record
from convert.records.training_set import Target, TrainingSet
from tests.support.models import facts_of, options, settings
from tests.support.synthetic import EXAMPLE_LABELS, examples

tf = pytest.importorskip("tensorflow")

from convert.sequence.losses import LOSSES  # noqa: E402
from convert.sequence.models import build_model  # noqa: E402 - after TensorFlow was found
from convert.sequence.settings import LossName, TrainingSettings  # noqa: E402
from convert.sequence.training import Training  # noqa: E402
from convert.sequence.validation import validate  # noqa: E402

CLASSES = len(EXAMPLE_LABELS)
UNKNOWN: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "no frame": ((), ()),
    "some frames": ((2,), (1, 2)),
    "all frames": ((2,), (2,)),
}
"""Classes that are unknown in even frames, and in odd ones."""


def composed(unknown: str, *, labelled: bool) -> Iterator[Record]:
    """Yield records with labels for every frame; `labelled` adds the unknown classes to them."""
    for number, record in enumerate(examples(6, seed=4)):
        unknown_by_frame = tuple(UNKNOWN[unknown][(frame + number) % 2] for frame in range(len(record.codes)))
        true = tuple({frame % CLASSES} for frame in range(len(record.codes)))
        labels = tuple(
            tuple(sorted({*known, *unknown_classes} if labelled else known - set(unknown_classes)))
            for known, unknown_classes in zip(true, unknown_by_frame, strict=True)
        )
        yield replace(record, frame_labels=labels, frame_unknown=unknown_by_frame if any(unknown_by_frame) else None)


def training_set(folder: Path, unknown: str, target: Target, *, labelled: bool = False) -> TrainingSet:
    folder.mkdir()
    write_dataset(folder / "some.tfrecord", composed(unknown, labelled=labelled), EXAMPLE_LABELS)
    return TrainingSet([folder / "some.tfrecord"], CLASSES, 6, target)


def first_step(kind: str, dataset: TrainingSet, training: TrainingSettings, folder: Path) -> tuple[float, dict[str, Any]]:
    """Return the loss on the records and the gradients of the first step."""
    model = build_model(kind, options(kind, layers=1, cells=3, head="logistic"), CLASSES, seed=3)
    loss, _ = validate(model, {name: value.numpy() for name, value in model.variables_by_name.items()}, dataset, training)
    Training(model, dataset, None, training, folder=folder, facts=facts_of(model)).run()
    with np.load(folder / "checkpoint.npz") as after:
        return loss, {name: after[name] for name in after.files if name.startswith("first/")}


@pytest.mark.parametrize("target", ["frame", "last"])
def test_targets_are_known_except_for_the_unknown_classes_of_the_records(target: Target, tmp_path: Path) -> None:
    records = list(composed("some frames", labelled=True))
    dataset = training_set(tmp_path / "set", "some frames", target, labelled=True)
    (batch,) = dataset.in_order(10)
    assert batch.known.shape == batch.targets.shape
    expected = np.ones_like(batch.targets)
    for row, record in enumerate(records):
        assert record.frame_unknown is not None
        if target == "last":
            expected[row, list(record.frame_unknown[-1])] = 0.0
            continue
        for frame, unknown in enumerate(record.frame_unknown):
            expected[row, frame, list(unknown)] = 0.0
    assert np.array_equal(batch.known, expected)
    assert 0.0 < batch.known.mean() < 1.0
    (plain,) = training_set(tmp_path / "plain", "no frame", target).in_order(10)
    assert plain.known.all()


# sparse-categorical is left out: it rejects frames without exactly one label, which these records have.
MULTI_LABEL_LOSSES = [loss for loss in LOSSES if loss != "sparse-categorical"]


@pytest.mark.parametrize(
    ("kind", "target", "loss"),
    [*(("lstm", "frame", loss) for loss in MULTI_LABEL_LOSSES), ("lstm", "last", "cross-entropy"), ("logistic", "last", "hinge")],
)
def test_labels_of_unknown_classes_change_neither_loss_nor_gradient(
    kind: str,
    target: Target,
    loss: LossName,
    tmp_path: Path,
) -> None:
    training = settings(batch=6, max_steps=1, l2=0.0, target=target, loss=loss)
    folders = [tmp_path / name for name in ("labelled", "unlabelled", "known")]
    sets = [
        training_set(folders[0], "some frames", target, labelled=True),
        training_set(folders[1], "some frames", target),
        training_set(folders[2], "no frame", target),
    ]
    assert any(
        not np.array_equal(one.targets, other.targets)
        for one, other in zip(sets[0].in_order(10), sets[1].in_order(10), strict=True)
    )
    (one, first), (other, second), (known, third) = (
        first_step(kind, dataset, training, folder) for dataset, folder in zip(sets, folders, strict=True)
    )
    assert one == other
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert known != one
    assert not np.allclose(first["first/head/kernel"], third["first/head/kernel"])


@pytest.mark.parametrize("loss", ["cross-entropy", "hinge"])
def test_a_class_that_is_unknown_in_all_frames_has_no_gradient(loss: LossName, tmp_path: Path) -> None:
    training = settings(batch=6, max_steps=1, l2=0.0, target="frame", loss=loss)
    dataset = training_set(tmp_path / "set", "all frames", "frame", labelled=True)
    _, gradients = first_step("lstm", dataset, training, tmp_path / "set")
    assert not gradients["first/head/kernel"][:, 2].any()
    assert not gradients["first/head/bias"][2]
    assert gradients["first/head/kernel"][:, :2].all()
