"""calibrate-records: choose each class's threshold on half of some labelled records, and measure it on the other half."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from convert.bundling.class_entry import ClassEntry
from convert.evaluation.chosen_thresholds import Calibration, CostWeights
from convert.evaluation.record_thresholds import (
    MeasuredThreshold,
    ThresholdSettings,
    choose_thresholds,
    joined,
    record_scores,
)
from convert.evaluation.records import require_embedder
from convert.files import write_json
from convert.plain_data import to_plain
from convert.progress import Progress
from convert.recipe import add_recipe_arguments, load_recipe
from convert.records.batches import batches
from convert.records.classes import classes_from_json
from convert.records.damage import Damage
from convert.records.files import Form, read_dataset
from convert.sequence.checkpoints import trained_model
from convert.sequence.facts import read_facts
from edge_detector.detection.bundle import hop_key
from edge_detector.errors import UsageError
from edge_detector.params import HOPS_PER_PATCH

BATCH_EXAMPLES = 256


@dataclass(frozen=True, slots=True)
class RecordCalibration:
    """Files of the result, number of records and of classes, number of enabled classes, and the number of damaged records.

    `found` is the mean share found of the enabled classes, `false_per_hour` the sum of their false events in an hour.
    """

    output: str
    class_file: str
    records: int
    classes: int
    enabled: int
    found: float
    false_per_hour: float
    skipped: int


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("model", type=Path, metavar="FOLDER", help="folder that train made")
    parser.add_argument("records", type=Path, nargs="+", metavar="RECORDS", help=".tfrecord files that nothing was trained on")
    add_recipe_arguments(parser, "audioset")
    parser.add_argument("--skip-damaged", action="store_true", help="skip damaged records and count them")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file for bundle --calibration")
    parser.add_argument("--class-file", type=Path, required=True, help="JSON file for bundle --classes, with their evidence")


def run(arguments: argparse.Namespace) -> RecordCalibration:
    """Run the model over all records, choose the thresholds, and write both files."""
    recipe = load_recipe(arguments.recipe, arguments.replaced, tables=("thresholds",))
    settings = recipe.section("thresholds", ThresholdSettings)
    folder = trained_model(arguments.model).folder
    require_embedder(folder, arguments.records)
    facts = read_facts(folder)
    if facts.features != "audio":
        raise UsageError(f"{folder} is a model of {facts.features}, which the detector cannot run; train one of audio")
    if facts.audioset:
        raise UsageError(f"{folder} is a fused model, whose thresholds calibrate chooses; name a folder that train made")

    from convert.sequence.models import load_model  # noqa: PLC0415 - TensorFlow takes seconds to load

    model, damage = load_model(folder), Damage(skip=arguments.skip_damaged)
    form = Form(classes=model.classes, frame_level=True, min_frames=1)
    progress, parts, count = Progress("calibrate-records: record"), [], 0
    for part in record_scores(model, batches(read_dataset(arguments.records, form, damage), model.classes, BATCH_EXAMPLES)):
        parts.append(part)
        progress.update(count := count + len(part.labels))
    progress.close()
    if not parts:
        raise UsageError("there is no example to measure; give records that hold some")
    scores = joined(parts)
    chosen = choose_thresholds(scores, settings)
    classes = classes_from_json(facts.labels, facts.classes)
    hours = float(scores.part(for_choice=True).seconds.sum() / 3600.0)
    pairs = list(zip(classes, chosen, strict=True))
    # Records have one embedding for each 0.96 s, so that the threshold is the same at every hop.
    by_hop = {each.slug: dict.fromkeys(map(hop_key, HOPS_PER_PATCH), found.chosen) for each, found in pairs}
    calibration = Calibration(
        classes=by_hop,
        costs=CostWeights(0.0, settings.hour_cost),
        gains_db=(),
        hours={"records": round(hours, 3)},
        clips=len(scores.labels),
        recall_on="the half of the records that the thresholds were not chosen on, in steps of 0.96 s",
    )
    entries = {
        each.slug: ClassEntry(each.label, each.mid, enabled=found.is_enabled(settings), evidence=found.evidence)
        for each, found in pairs
    }
    write_json(arguments.output, to_plain(calibration))
    write_json(arguments.class_file, to_plain(entries))
    return _result(
        arguments.output,
        arguments.class_file,
        records=len(scores.labels),
        chosen=chosen,
        settings=settings,
        skipped=damage.skipped,
    )


def _result(
    output: Path,
    class_file: Path,
    *,
    records: int,
    chosen: list[MeasuredThreshold],
    settings: ThresholdSettings,
    skipped: int,
) -> RecordCalibration:
    enabled = [found for found in chosen if found.is_enabled(settings)]
    return RecordCalibration(
        output=str(output),
        class_file=str(class_file),
        records=records,
        classes=len(chosen),
        enabled=len(enabled),
        found=sum(found.found_share for found in enabled) / max(len(enabled), 1),
        false_per_hour=sum(found.false_per_hour for found in enabled),
        skipped=skipped,
    )


def describe(result: RecordCalibration) -> str:
    """Format the result as text."""
    skipped = f"; {result.skipped} damaged records were skipped" if result.skipped else ""
    return (
        f"{result.output}: thresholds of {result.classes} classes by {result.records} records{skipped}\n"
        f"{result.class_file}: {result.enabled} classes are enabled; on the records that were not used to choose, "
        f"{100.0 * result.found:.0f} % of theirs give an event, and all others together {result.false_per_hour:.1f} an hour"
    )
