"""Training of one model from files of records into a folder, by a recipe."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from convert.files import write_arrays
from convert.fingerprint import FINGERPRINT, check_resume
from convert.plain_data import to_plain
from convert.recipe import Recipe
from convert.records.classes import classes_to_json, numbered, read_class_names
from convert.records.files import find_classes, find_embedder, find_folds, record_files
from convert.records.identity import embedder_id, require_same_embedder
from convert.records.training_set import TrainingSet
from convert.sequence.facts import FACTS, WEIGHTS, SequenceFacts, TrainingFacts, write_facts
from convert.sequence.options import TRAINED_MODELS, VIDEO_LEVEL, ModelOptions
from convert.sequence.settings import LENGTH, TrainingSettings
from edge_detector.class_names import ClassName
from edge_detector.errors import UsageError

CHECKPOINT = "checkpoint.npz"
FILES = (FACTS, WEIGHTS, CHECKPOINT, FINGERPRINT, "best.npz", "curve.csv", "training.log")
"""Files of a training; deleted when it starts anew."""

TABLES = ("model", "training", *TRAINED_MODELS)
"""Parts of a recipe that a training reads."""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Model, options and hyper-parameters of a training, from a recipe."""

    model: str
    options: ModelOptions
    training: TrainingSettings

    @classmethod
    def of(cls, recipe: Recipe) -> "ModelSettings":
        """Read a recipe. Raises UsageError for a target that the model does not have."""
        model = recipe.text("model", tuple(TRAINED_MODELS))
        options = recipe.section(model, TRAINED_MODELS[model])
        training = recipe.section("training", TrainingSettings)
        if training.target == "frame" and model != "lstm":
            raise UsageError(f'{recipe.path} [training]: target = "frame" is for lstm; {model} needs "last"')
        return cls(model, options, training)


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """One training.

    Attributes:
        records: training files, or folders of them.
        validation: files for early stopping; empty to run all epochs.
        classes: classes of the records.
        settings: what to train, and how.
        output: folder of the result.
        without_folds: records made from clips of these folds are left out.
        skip_damaged: skip damaged records and count them.
        resume: resume from the checkpoint in `output`.
        tensorboard: write the curves for TensorBoard too.

    """

    records: Sequence[Path]
    validation: Sequence[Path]
    classes: tuple[ClassName, ...]
    settings: ModelSettings
    output: Path
    without_folds: tuple[int, ...] = ()
    skip_damaged: bool = False
    resume: bool = True
    tensorboard: bool = False


def choose_classes(records: Sequence[Path], given: str | None) -> tuple[ClassName, ...]:
    """Return the records' class names, else those given: the path of a CSV file, or only their number."""
    found = {find_classes(path) for path in records if record_files(path)}
    if len(found) > 1:
        raise UsageError("the records are of different classes; give records of one set of classes")
    own = next(iter(found))
    if own is None and given is None:
        raise UsageError(
            f"{records[0]} has no file of class names beside it; give --classes with a CSV file of names, or their number "
            "(AudioSet: 527)"
        )
    if given is None:
        return own or ()
    if given.isdigit():
        count = int(given)
        if not count or (own and count != len(own)):
            raise UsageError(f"--classes {given}, but there are names of {len(own or ())}; leave the option out")
        return own or numbered(count)
    names = read_class_names(Path(given))
    if own and names != own:
        raise UsageError(f"{records[0]} has class names of its own; leave out --classes")
    return names


def train_model(job: TrainingJob) -> SequenceFacts:
    """Train, or resume, and write the weights of the best epoch and sequence.json.

    Raises UsageError for records that do not fit each other or the recipe, and for a checkpoint of another training.
    """
    settings = job.settings.training
    training = _training_set(job, job.records)
    validation = _training_set(job, job.validation) if job.validation else None
    # The lengths of all records and the first record are read before TensorFlow is loaded: other files are reported at once.
    examples = training.examples
    if missing := set(job.without_folds) - training.left_out:
        raise UsageError(
            f"no record of {job.records[0]} says that it is of fold {min(missing)}; leave it out of --without-folds, or embed "
            "the clips again"
        )
    if settings.target == "frame" and not training.has_frame_labels():
        raise UsageError(
            f'{job.records[0]} labels whole recordings, and the recipe has training.target = "frame"; give --recipe youtube8m, '
            "or records that compose made"
        )
    held_out = validation.examples if validation else 0

    from convert.sequence.models import build_model  # noqa: PLC0415 - TensorFlow takes seconds to load
    from convert.sequence.training import CHECKPOINTS, Training  # noqa: PLC0415 - TensorFlow takes seconds to load

    if not job.resume:
        for name in FILES:
            (job.output / name).unlink(missing_ok=True)
        shutil.rmtree(job.output / CHECKPOINTS, ignore_errors=True)
    model = build_model(job.settings.model, job.settings.options, len(job.classes), settings.seed, settings.features)
    started = TrainingFacts(settings.target, settings.seed, examples, held_out, training.damage.skipped)
    facts = SequenceFacts(
        model=model.kind,
        options=to_plain(job.settings.options),
        states=model.states,
        parameters=model.parameters,
        macs_per_frame=model.macs_per_frame,
        labels=tuple(each.slug for each in job.classes),
        classes=classes_to_json(job.classes),
        made_of=_embedder(job),
        folds=_folds(job),
        context=settings.context_frames,
        features=settings.features,
        training=started,
        recipe={"training": to_plain(settings)},
    )
    check_resume(job.output / CHECKPOINT, _fingerprint(job, facts, training, validation))
    outcome = Training(model, training, validation, settings, folder=job.output, facts=facts, tensorboard=job.tensorboard).run()
    trained = replace(
        started,
        skipped=training.damage.skipped,
        epochs=outcome.epochs,
        steps=outcome.steps,
        best_epoch=outcome.best_epoch,
        validation_loss=outcome.best_loss,
    )
    write_arrays(job.output / WEIGHTS, outcome.weights)
    result = replace(facts, training=trained)
    write_facts(job.output, result)
    return result


def _fingerprint(
    job: TrainingJob, facts: SequenceFacts, training: TrainingSet, validation: TrainingSet | None
) -> Mapping[str, object]:
    """Return data and recipe values that must match on resume: all but the training length."""
    settings, options = job.settings.training, job.settings.options
    values = {f"training.{each.name}": getattr(settings, each.name) for each in fields(settings) if each.name not in LENGTH}
    return {
        "records": training.digest,
        "validation records": validation.digest if validation else None,
        "classes": facts.classes,
        "folds": facts.folds,
        "model": facts.model,
        **{f"{facts.model}.{each.name}": getattr(options, each.name) for each in fields(options)},
        **values,
    }


def _training_set(job: TrainingJob, paths: Sequence[Path]) -> TrainingSet:
    settings = job.settings.training
    return TrainingSet(
        paths,
        len(job.classes),
        settings.context_frames,
        settings.target,
        skip=job.skip_damaged,
        buffer=settings.shuffle_records,
        without_folds=job.without_folds,
        frame_level=job.settings.model not in VIDEO_LEVEL,
        features=settings.features,
    )


def _embedder(job: TrainingJob) -> dict[str, str]:
    """Return checksums of the records' embedder; empty if unknown."""
    known = [(path, dict(each)) for path in (*job.records, *job.validation) if (each := find_embedder(path)) is not None]
    for path, each in known[1:]:
        first, of_first = known[0]
        require_same_embedder(
            embedder_id(of_first), f"{first}", embedder_id(each), f"{path}", "embed all recordings with one embedder"
        )
    return known[0][1] if known else {}


def _folds(job: TrainingJob) -> tuple[int, ...] | None:
    """Return the folds used for training or early stopping; None if unknown."""
    found = [find_folds(path) for path in (*job.records, *job.validation)]
    known = [folds for folds in found if folds is not None]
    if len(known) < len(found):
        return None
    return tuple(sorted(frozenset[int]().union(*known) - frozenset(job.without_folds)))
