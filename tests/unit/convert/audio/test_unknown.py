"""Where nobody knows whether a class sounds, nothing is learnt of it and nothing is measured by it."""

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
    "nowhere": ((), ()),
    "here and there": ((2,), (1, 2)),
    "everywhere": ((2,), (2,)),
}
"""Which classes are unknown in even frames, and in odd ones."""


def composed(unknown: str, *, said: bool) -> Iterator[Record]:
    """Records with labels for every frame. Where a class is unknown, it is said to sound or not to."""
    for number, record in enumerate(examples(6, seed=4)):
        doubtful = tuple(UNKNOWN[unknown][(frame + number) % 2] for frame in range(len(record.codes)))
        true = tuple({frame % CLASSES} for frame in range(len(record.codes)))
        labels = tuple(
            tuple(sorted({*sounding, *doubt} if said else sounding - set(doubt)))
            for sounding, doubt in zip(true, doubtful, strict=True)
        )
        yield replace(record, frame_labels=labels, frame_unknown=doubtful if any(doubtful) else None)


def learning_set(folder: Path, unknown: str, target: Target, *, said: bool = False) -> TrainingSet:
    folder.mkdir()
    write_dataset(folder / "some.tfrecord", composed(unknown, said=said), EXAMPLE_LABELS)
    return TrainingSet([folder / "some.tfrecord"], CLASSES, 6, target)


def first_step(kind: str, learnt: TrainingSet, training: TrainingSettings, folder: Path) -> tuple[float, dict[str, Any]]:
    """The loss on the records, and the gradients of the first step on them."""
    model = build_model(kind, options(kind, layers=1, cells=3, head="logistic"), CLASSES, seed=3)
    loss, _ = validate(model, {name: value.numpy() for name, value in model.variables_by_name.items()}, learnt, training)
    Training(model, learnt, None, training, folder=folder, facts=facts_of(model)).run()
    with np.load(folder / "checkpoint.npz") as after:
        return loss, {name: after[name] for name in after.files if name.startswith("first/")}


@pytest.mark.parametrize("target", ["frame", "last"])
def test_targets_are_known_unless_the_records_mark_them_unknown(target: Target, tmp_path: Path) -> None:
    records = list(composed("here and there", said=True))
    learnt = learning_set(tmp_path / "set", "here and there", target, said=True)
    (lesson,) = learnt.in_order(10)
    assert lesson.known.shape == lesson.targets.shape
    wanted = np.ones_like(lesson.targets)
    for row, record in enumerate(records):
        assert record.frame_unknown is not None
        if target == "last":
            wanted[row, list(record.frame_unknown[-1])] = 0.0
            continue
        for frame, unknown in enumerate(record.frame_unknown):
            wanted[row, frame, list(unknown)] = 0.0
    assert np.array_equal(lesson.known, wanted)
    assert 0.0 < lesson.known.mean() < 1.0
    (plain,) = learning_set(tmp_path / "plain", "nowhere", target).in_order(10)
    assert plain.known.all()


@pytest.mark.parametrize(
    ("kind", "target", "loss"),
    [*(("lstm", "frame", loss) for loss in LOSSES), ("lstm", "last", "cross-entropy"), ("logistic", "last", "hinge")],
)
def test_outputs_with_unknown_targets_change_neither_loss_nor_gradient(
    kind: str,
    target: Target,
    loss: LossName,
    tmp_path: Path,
) -> None:
    training = settings(batch=6, max_steps=1, l2=0.0, target=target, loss=loss)
    folders = [tmp_path / name for name in ("sounds", "silent", "known")]
    sets = [
        learning_set(folders[0], "here and there", target, said=True),
        learning_set(folders[1], "here and there", target),
        learning_set(folders[2], "nowhere", target),
    ]
    assert any(
        not np.array_equal(one.targets, other.targets)
        for one, other in zip(sets[0].in_order(10), sets[1].in_order(10), strict=True)
    )
    (one, first), (other, second), (known, third) = (
        first_step(kind, learnt, training, folder) for learnt, folder in zip(sets, folders, strict=True)
    )
    assert one == other
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert known != one
    assert not np.allclose(first["first/head/kernel"], third["first/head/kernel"])


@pytest.mark.parametrize("loss", ["cross-entropy", "hinge"])
def test_a_class_with_only_unknown_targets_is_not_trained(loss: LossName, tmp_path: Path) -> None:
    training = settings(batch=6, max_steps=1, l2=0.0, target="frame", loss=loss)
    learnt = learning_set(tmp_path / "set", "everywhere", "frame", said=True)
    _, slopes = first_step("lstm", learnt, training, tmp_path / "set")
    assert not slopes["first/head/kernel"][:, 2].any()
    assert not slopes["first/head/bias"][2]
    assert slopes["first/head/kernel"][:, :2].all()
