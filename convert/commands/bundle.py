"""bundle: both networks, PCA, classes and figures in one folder whose checksums the detector verifies."""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from convert.bundling.class_entry import ClassEntry
from convert.bundling.embedder import BundledEmbedder, export_errors, file_content
from convert.bundling.writer import write_bundle
from convert.embedder.arguments import add_embedder_argument
from convert.evaluation.chosen_thresholds import Calibration, read_calibration
from convert.evaluation.score import read_score
from convert.files import read_json
from convert.fingerprint import digest_of_files
from convert.plain_data import from_plain, to_plain
from convert.records.identity import embedder_id, require_same_embedder
from convert.sequence.facts import WEIGHTS, SequenceFacts, read_facts
from edge_detector.class_names import named
from edge_detector.detection import bundle as format_
from edge_detector.detection.bundle_folder import created
from edge_detector.detection.classes import UNTESTED_RULE
from edge_detector.detection.hysteresis import Rule
from edge_detector.errors import UsageError
from edge_detector.params import HOPS_PER_PATCH

DEFAULT_RULE = Rule(on=0.5, off=0.3)
NOT_CALIBRATED = "Thresholds are not calibrated: every class starts an event at the same probability."
LIMITS = ("The absence of an event does not prove the absence of a sound. Do not rely on this for anyone's safety.",)
SHAPE = ("layers", "cells", "head", "clusters", "hidden", "activation", "pooling")
"""Options of sequence models that the manifest lists."""

TRAINING = ("target", "sequences", "best_epoch", "validation_loss", "seed")
"""Facts of their training that it lists."""


@dataclass(frozen=True, slots=True)
class About:
    """Licence of the bundle, and sentences for the model card: attributions, limits, and experiments."""

    licence: str = "Apache-2.0"
    credits: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BundleResult:
    """Folder and size of a bundle."""

    bundle: str
    bytes: int


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("source", type=Path, metavar="FOLDER", help="folder of train or fuse, with the step that export wrote")
    add_embedder_argument(parser)
    parser.add_argument(
        "--classes",
        type=Path,
        help='JSON: {"slug": {"label": "…", "mid": "/m/…" or null, "audioset": ["…"], "class_list": 2, "enabled": false}}; '
        "every key is optional (as named by the records)",
    )
    parser.add_argument(
        "--about",
        type=Path,
        help='JSON: {"licence": "…", "credits": ["…"], "limits": ["…"], "tried": ["…"]}, for the model card',
    )
    parser.add_argument(
        "--scores",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="output of score --json or cross-validate --json for these networks; its tables go into the model card",
    )
    parser.add_argument("--calibration", type=Path, help="thresholds, the output of calibrate")
    parser.add_argument("--name", help="name of the bundle (that of its folder)")
    parser.add_argument("--release", default="1.0.0", help="version of the bundle (1.0.0)")
    parser.add_argument("-o", "--output", type=Path, required=True, help="bundle folder, replaced as a whole")


def run(arguments: argparse.Namespace) -> BundleResult:
    """Assemble and write the bundle, then load it as the detector does."""
    is_bundle = arguments.embedder.is_dir()
    embedder = BundledEmbedder.of_bundle(arguments.embedder) if is_bundle else BundledEmbedder.of_file(arguments.embedder)
    facts = read_facts(arguments.source)
    require_same_embedder(
        embedder_id(facts.made_of),
        f"the sequence model in {arguments.source}",
        embedder.identity,
        str(arguments.embedder),
        "embed the recordings with this embedder and train on them, or name the other embedder",
    )
    sequence = arguments.source / format_.SEQUENCE
    exported = export_errors(sequence)
    if exported.weights_sha256 not in (None, digest_of_files([arguments.source / WEIGHTS])):
        raise UsageError(f"{sequence} was not exported from the weights in {arguments.source}; run export again")
    calibration = read_calibration(arguments.calibration) if arguments.calibration else None
    about = from_plain(About, read_json(arguments.about), str(arguments.about)) if arguments.about else About()
    outputs = format_.Outputs(tuple(format_.AudioSetLabel(name, mid) for name, mid in facts.audioset), facts.labels)
    scores = [to_plain(read_score(path).for_manifest()) for path in arguments.scores]
    manifest = format_.Manifest(
        name=arguments.name or arguments.output.resolve().name,
        version=arguments.release,
        created=created(),
        licence=about.licence,
        sequence=_sequence(facts),
        classes=_classes(_entries(arguments.classes, facts), calibration, outputs),
        training=_training(embedder, facts, about, calibration),
        evaluation={"scores": scores} if scores else {},
        parity={"embedder": embedder.parity, "sequence": exported.errors},
        log_offset=embedder.log_offset,
        embedder=embedder.identity,
        outputs=outputs,
    )
    contents = {format_.EMBEDDER: embedder.content, format_.SEQUENCE: file_content(sequence), format_.PCA: embedder.pca_file}
    return BundleResult(str(arguments.output), write_bundle(arguments.output, manifest, contents))


def describe(result: BundleResult) -> str:
    """Format the result as text."""
    return f"{result.bundle}: {result.bytes / 1e6:.2f} MB"


def _sequence(facts: SequenceFacts) -> format_.SequenceSpec:
    states = tuple(format_.StateTensor(state.name, state.shape) for state in facts.states)
    return format_.SequenceSpec(facts.model, facts.context, 1, states, embedder_id(facts.made_of))


def _entries(path: Path | None, facts: SequenceFacts) -> Mapping[str, ClassEntry]:
    """Return the classes of the class file, or of the sequence model."""
    given = read_json(path) if path else facts.classes
    where = str(path or "the classes of the sequence model")
    return {slug: from_plain(ClassEntry, about, f"{where}: {slug}") for slug, about in given.items()}


def _classes(
    entries: Mapping[str, ClassEntry], calibration: Calibration | None, outputs: format_.Outputs
) -> tuple[format_.SoundClass, ...]:
    """Return the classes of the sequence model's outputs, then those made of labels alone."""
    unknown = [slug for slug in outputs.sequence if slug not in entries] if entries else []
    if unknown:
        raise UsageError(f'--classes lacks {unknown[0]}; add "{unknown[0]}": {{"label": "…", "mid": null}}')
    of_labels = [slug for slug in entries if slug not in outputs.sequence] if outputs.audioset else []
    slugs = [*outputs.sequence, *of_labels]
    if not slugs:
        raise UsageError("there is no class to detect; name some, with the AudioSet labels of each, in --classes FILE")
    return tuple(_class(slug, entries.get(slug, ClassEntry()), calibration, outputs) for slug in slugs)


def _class(slug: str, entry: ClassEntry, calibration: Calibration | None, outputs: format_.Outputs) -> format_.SoundClass:
    labels = {label.name for label in outputs.audioset}
    if unknown := [name for name in entry.audioset if name not in labels] if labels else []:
        raise UsageError(f"--classes: {slug} is made of {unknown[0]!r}, which is no AudioSet label; check its spelling")
    is_trained = slug in outputs.sequence
    if not is_trained and not entry.audioset:
        raise UsageError(f'--classes: {slug} has neither an output of the sequence model nor labels; give it "audioset"')
    rules = _rules(slug, calibration, is_trained=is_trained)
    return format_.SoundClass(
        slug=slug,
        label=named(slug).label if entry.label is None else entry.label,
        mid=entry.mid,
        rules={hops: replace(rule, enabled=entry.enabled) for hops, rule in rules.items()},
        audioset=entry.audioset if labels else (),
        output=slug if is_trained and labels else None,
        class_list=entry.class_list,
        evidence=entry.evidence,
    )


def _rules(slug: str, calibration: Calibration | None, *, is_trained: bool) -> dict[int, Rule]:
    if not is_trained and (calibration is None or slug not in calibration.classes):
        return dict.fromkeys(HOPS_PER_PATCH, UNTESTED_RULE)
    return dict.fromkeys(HOPS_PER_PATCH, DEFAULT_RULE) if calibration is None else calibration.rules(slug)


def _training(
    embedder: BundledEmbedder, facts: SequenceFacts, about: About, calibration: Calibration | None
) -> Mapping[str, object]:
    """Return the manifest's training facts: credits, limits, experiments, networks and calibration."""
    training = to_plain(facts.training) if facts.training else {}
    sequence = {
        "model": facts.model,
        **{key: facts.options[key] for key in SHAPE if key in facts.options},
        "parameters": facts.parameters,
        "fused": list(facts.fused),
        "label_share": facts.label_share,
        "folds": list(facts.folds or ()),
        **{key: value for key, value in training.items() if key in TRAINING},
    }
    return {
        "credits": [*about.credits, *embedder.credits],
        **({"tried": list(about.tried)} if about.tried else {}),
        "limits": [*about.limits, *(() if calibration else (NOT_CALIBRATED,)), *LIMITS],
        "embedder": embedder.facts,
        "sequence": {key: value for key, value in sequence.items() if value not in (None, [])},
        **({"calibration": to_plain(calibration)} if calibration else {}),
    }
