"""Teaching: from a folder of recordings to a bundle that detects them beside the classes of another bundle."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from edge_detector.audio.clips import Clip, classes_of, labels_of
from edge_detector.bounded_files import read_regular
from edge_detector.detection import bundle as format_
from edge_detector.detection.bundle_folder import EVALUATION, created, require_bundle_place, write_folder
from edge_detector.detection.classes import ClassMap
from edge_detector.detection.networks_of_bundle import networks_of
from edge_detector.errors import UsageError
from edge_detector.files import BACKGROUND_FOLDER
from edge_detector.params import FRONT_END
from edge_detector.teaching.card import limits_of, taught_card
from edge_detector.teaching.extension import Extension
from edge_detector.teaching.figures import TaughtFigures, measure
from edge_detector.teaching.learning import Report, TeachingData, learn
from edge_detector.teaching.negatives import SHIPPED, Negative, read_negatives
from edge_detector.teaching.recordings import FEWEST, Bounds, find_recordings, load_recordings, read_sound
from edge_detector.teaching.report import report_content
from edge_detector.teaching.sounds import halve_background, synthetic_sounds
from edge_detector.teaching.taught_bundles import REPORT
from edge_detector.teaching.thresholds import NEGATIVE_SHARES, Thresholds, choose_thresholds
from edge_detector.types import Float32

FEW = 10
"""Recordings of a class below which its figures are uncertain."""

VERSION = "1.0.0"
STAGES = 5
"""Stages that `teach` reports."""


@dataclass(frozen=True, slots=True)
class TeachingPlan:
    """What to teach.

    Attributes:
        recordings: folder with a folder of recordings for each class.
        base: bundle to extend.
        output: folder of the new bundle.
        only: without the classes of the extended bundle.
        background: folders of the room without the classes, beside the recordings' own.
        negatives: file of negatives; None for those that ship.
        false_alarms_per_hour: limit for each class on noise and the room.
        seed: of all random draws.
        classes: names of the folders to teach, None for all; the recordings of the others are sound without them.
        bounds: limits of the recordings, None for none.

    """

    recordings: Path
    base: Path
    output: Path
    only: bool = False
    background: tuple[Path, ...] = ()
    negatives: Path | None = None
    false_alarms_per_hour: float = 0.1
    seed: int = 0
    classes: tuple[str, ...] | None = None
    bounds: Bounds | None = None


@dataclass(frozen=True, slots=True)
class Taught:
    """A bundle with taught classes.

    Attributes:
        bundle: its folder.
        bytes: its size.
        base: name and version of the extended bundle.
        recordings: number by slug.
        wrong: number of recordings that are not the class, by slug.
        background_minutes: of the room.
        negative_hours: of the negatives.
        kept: slugs of the kept classes.
        replaced: slugs of the classes that new ones replace.
        thresholds: of the new classes.
        figures: of the left-out recordings.
        limits: sentences for users.

    """

    bundle: Path
    bytes: int
    base: str
    recordings: Mapping[str, int]
    wrong: Mapping[str, int]
    background_minutes: float
    negative_hours: float
    kept: tuple[str, ...]
    replaced: tuple[str, ...]
    thresholds: Thresholds
    figures: TaughtFigures
    limits: tuple[str, ...]


def teach(plan: TeachingPlan, report: Report) -> Taught:
    """Learn, leave each recording out once, choose thresholds, measure and write the bundle.

    Raises UsageError for too few recordings, and for a place that a bundle must not replace.
    """
    require_bundle_place(plan.output)
    base = format_.load_bundle(plan.base)
    found = find_recordings(plan.recordings, plan.classes)
    if plan.bounds is not None:
        found = found.bounded(plan.bounds)
    clips, labels = found.clips, labels_of(found.clips)
    _require_enough(plan.recordings, clips)
    extension = Extension.of(base, classes_of(clips, labels), only=plan.only)
    room = plan.recordings / BACKGROUND_FOLDER
    # record makes the folder before its first piece is complete.
    rooms = [room] if room.is_dir() and any(room.iterdir()) else []
    training_room, room_for_thresholds = halve_background([*plan.background, *rooms], plan.bounds)
    negatives = _negatives(plan.negatives, base, labels)
    data = TeachingData(
        labels=labels,
        clips=load_recordings(clips, labels, plan.bounds),
        sounds=(*synthetic_sounds(labels), *training_room, *(read_sound(clip.path, plan.bounds) for clip in found.others)),
        negatives=negatives,
        seed=plan.seed,
        wrong=load_recordings(found.wrong, labels, plan.bounds),
    )
    networks = networks_of(base)
    learnt = learn(networks, data, report)
    report("choose thresholds", 0, 1)
    thresholds = choose_thresholds(
        networks,
        learnt,
        labels,
        background=room_for_thresholds,
        false_alarms_per_hour=plan.false_alarms_per_hour,
        seed=plan.seed,
    )
    report("choose thresholds", 1, 1)
    enabled = tuple(sound for sound in extension.kept if sound.enabled)
    if enabled:
        networks = replace(networks, classes=ClassMap.of(enabled, base.manifest.named_outputs))
    figures = measure(networks, enabled, learnt, labels, thresholds)
    counts = Counter(clip.label for clip in clips)
    recordings = {label: counts[label] for label in labels}
    counts_wrong = Counter(clip.label for clip in found.wrong)
    minutes = _minutes([*training_room, *room_for_thresholds])
    wrong = {label: counts_wrong[label] for label in labels if counts_wrong[label]}
    limits = limits_of(*(recordings, figures, wrong, thresholds), few=FEW, negatives=bool(negatives), background_minutes=minutes)
    result = Taught(
        bundle=plan.output,
        bytes=0,
        base=extension.base_name,
        recordings=recordings,
        wrong=wrong,
        background_minutes=minutes,
        negative_hours=round(sum(thresholds.hours.get(kind, 0.0) for kind in NEGATIVE_SHARES), 2),
        kept=tuple(sound.slug for sound in extension.kept),
        replaced=extension.replaced,
        thresholds=thresholds,
        figures=figures,
        limits=limits,
    )
    size = _write(plan, extension, result, format_.taught_content(extension.classifier(learnt.classifier)))
    report("write the bundle", 1, 1)
    return replace(result, bytes=size)


def _write(plan: TeachingPlan, extension: Extension, result: Taught, classifier: bytes) -> int:
    base = extension.base.manifest
    facts = {
        "from": result.base,
        "recordings": result.recordings,
        **({"wrong": result.wrong} if result.wrong else {}),
        "background_minutes": result.background_minutes,
        "negative_hours": result.negative_hours,
        "seed": plan.seed,
        "limits": result.limits,
    }
    before = base.training.get("taught")
    manifest = replace(
        extension.manifest({slug: result.thresholds.rules(slug) for slug in result.recordings}),
        name=plan.output.resolve().name,
        version=VERSION,
        created=created(),
        training={**base.training, "taught": [*(before if isinstance(before, list) else ()), facts]},
        evaluation={**base.evaluation, "taught": asdict(result.figures)},
    )
    files = {
        format_.EMBEDDER: extension.base.embedder,
        format_.SEQUENCE: extension.base.sequence,
        format_.PCA: _content(plan.base, format_.PCA),
    }
    pages = {}
    if (plan.base / EVALUATION).is_file():
        pages[EVALUATION] = _content(plan.base, EVALUATION)
    card = taught_card(
        manifest,
        result.figures,
        result.thresholds,
        result.limits,
        base_name=result.base,
        base_card=_content(plan.base, format_.MODEL_CARD).decode(),
    )
    report = report_content(
        result.figures,
        result.thresholds,
        {sound.slug: sound.label for sound in manifest.classes},
        replaced=result.replaced,
        limits=result.limits,
        kept=len(result.kept),
    )
    pages[REPORT] = report
    contents = {**files, **pages, format_.TAUGHT: classifier, format_.MODEL_CARD: card.encode()}
    return write_folder(plan.output, manifest, contents)


def _content(folder: Path, name: str) -> bytes:
    try:
        return read_regular(folder / name, format_.MAX_FILE_BYTES.get(name, format_.MAX_FILE_BYTES[format_.MODEL_CARD]))
    except OSError as error:
        raise UsageError(f"{folder / name} cannot be read ({error.strerror}); copy the bundle again") from error


def _negatives(path: Path | None, base: format_.Bundle, labels: Sequence[str]) -> tuple[Negative, ...]:
    """Return the given negatives, or those that ship if they are of the bundle's embedder, without these classes."""
    own = format_.embedder_digest(base.embedder, base.pca)
    found = read_negatives(path or SHIPPED)
    if found.embedder == own:
        return found.without(labels)
    if path is not None:
        raise UsageError(
            f"{path} is of the embedder {found.embedder[:8]}, and the bundle has {own[:8]}; make the negatives with "
            "convert embed --embedder BUNDLE and convert negatives, or leave them out"
        )
    return ()


def _require_enough(folder: Path, found: Sequence[Clip]) -> None:
    for label in labels_of(found):
        clips = [clip for clip in found if clip.label == label]
        if len(clips) < FEWEST:
            raise UsageError(f"{folder} has {len(clips)} recordings of {label}; teach needs {FEWEST}, and ten are better")
        if len(originals := {clip.source for clip in clips}) < FEWEST:
            raise UsageError(
                f"{folder} has {len(clips)} recordings of {label}, by their names (FOLD-ORIGINAL-TAKE) of {len(originals)} "
                f"originals only; teach needs {FEWEST}: record more, or rename what is no take of another"
            )


def _minutes(sounds: Sequence[Float32]) -> float:
    return round(sum(map(len, sounds)) / FRONT_END.sample_rate_hz / 60.0, 1)
