"""bundle: both networks, PCA, classes and figures in one folder whose checksums the detector verifies."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from convert.arguments import folds
from convert.audio.clips import find_clips, load_clips
from convert.bundling.embedder import BundledEmbedder, export_errors, file_content
from convert.bundling.writer import created, write_bundle
from convert.embedder.runtime import DEFAULT_BUNDLE, detector_model, stream_probabilities
from convert.evaluation.score_streams import (
    Levels,
    alarms_by_hop,
    continuous_streams,
    ear_of,
    found_by_hop,
    hear_clips,
    sounds_by_label,
)
from convert.evaluation.scoring import score_clips
from convert.evaluation.tables import for_manifest, read_score
from convert.files import read_json
from convert.fingerprint import digest_of_files
from convert.records.classes import ClassName, from_json
from convert.records.identity import identity_of, require_same
from edge_detector.detection import bundle as format_
from edge_detector.detection.classes import UNTESTED_RULE
from edge_detector.detection.embedding import Pca
from edge_detector.detection.hysteresis import Rule
from edge_detector.errors import UsageError
from edge_detector.params import HOPS_PER_PATCH

DEFAULT_RULE = Rule(on=0.5, off=0.3)
PROTOCOL = (
    "Fold {folds}: {held_out}; measured through the detector's own streaming path on the very files of this bundle, hop 0.96 s."
)
HELD_OUT = "no clip of it was used for training, for early stopping or for thresholds"
HELD_OUT_AS_SAID = "held out, says who made this bundle; what its sequence model learnt from is not on record"
NOT_CALIBRATED = "Thresholds are not calibrated: every class starts an event at the same probability."
LIMITS = ("A sound that is not heard may still be there. Do not rely on this for anybody's safety.",)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--embedder-of",
        type=Path,
        default=DEFAULT_BUNDLE,
        metavar="BUNDLE",
        help="bundle to copy the embedder and PCA from (the default bundle)",
    )
    parser.add_argument("--embedder", type=Path, help="or this .tflite file that export-embedder wrote, VGGish or YAMNet's body")
    parser.add_argument("--sequence-source", type=Path, required=True, help="folder that train or fuse made")
    parser.add_argument(
        "--sequence", type=Path, help="the .tflite step, with FILE.errors.json beside it (sequence.tflite in that folder)"
    )
    parser.add_argument(
        "--classes",
        type=Path,
        help='JSON: {"slug": {"label": "…", "mid": "/m/…" or null, "audioset": ["…"], "class_list": 2, "enabled": false}}; '
        "all but the label may be left out (as the records named them)",
    )
    parser.add_argument(
        "--about", type=Path, help='JSON: {"credits": ["…"], "limits": ["…"], "tried": ["…"]}, what the card has to say'
    )
    parser.add_argument("--evaluate", type=Path, metavar="DIR", help="clips to measure on; the figures go into the bundle")
    parser.add_argument("--evaluate-folds", type=folds, help="their folds; none may have been trained on")
    parser.add_argument(
        "--evaluate-background",
        type=Path,
        metavar="DIR",
        help="LABEL/1-ORIGIN.wav to count false alarms on, in its speech and music",
    )
    parser.add_argument(
        "--scores",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="what score or cross-validate printed with --json, of this very bundle before; its tables go into the card",
    )
    parser.add_argument("--calibration", type=Path, help="thresholds that calibrate chose")
    parser.add_argument("--name", help="of the bundle (as its folder is called)")
    parser.add_argument("--release", default="1.0.0", help="version of the bundle (1.0.0)")
    parser.add_argument("--licence", default="Apache-2.0")
    parser.add_argument("-o", "--output", type=Path, required=True, help="bundle folder, replaced as a whole")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Assemble, measure and write the bundle, then load it as the detector does."""
    embedder = (
        BundledEmbedder.of_bundle(arguments.embedder_of)
        if arguments.embedder is None
        else BundledEmbedder.of_file(arguments.embedder)
    )
    sequence_facts = read_json(arguments.sequence_source / "sequence.json")
    require_same(
        identity_of(sequence_facts.get("made_of", {})),
        f"the sequence model in {arguments.sequence_source}",
        embedder.identity,
        str(arguments.embedder or arguments.embedder_of),
        "embed the recordings with this embedder and train on them, or name the other embedder",
    )
    outputs = _outputs(sequence_facts)
    sequence = arguments.sequence or arguments.sequence_source / format_.SEQUENCE
    labels = [str(label) for label in sequence_facts["labels"]]
    names = read_json(arguments.classes) if arguments.classes else sequence_facts.get("classes", {})
    calibration = read_json(arguments.calibration) if arguments.calibration else {}
    _refuse_leaks(arguments, {"embedder": embedder.facts, "sequence model": sequence_facts, "calibration": calibration})
    exported = read_json(sequence.with_name(sequence.name + ".errors.json")).get("weights")
    if exported not in (None, digest_of_files([arguments.sequence_source / "weights.npz"])):
        raise UsageError(f"{sequence} was not exported from what {arguments.sequence_source} holds now; run export again")
    contents = {format_.EMBEDDER: embedder.content, format_.SEQUENCE: file_content(sequence), format_.PCA: embedder.pca_file}
    manifest = format_.Manifest(
        name=arguments.name or arguments.output.resolve().name,
        version=arguments.release,
        created=created(),
        licence=arguments.licence,
        sequence=_sequence(sequence_facts, identity_of(sequence_facts.get("made_of", {}))),
        classes=_classes(labels, names, calibration, outputs),
        training=_training(embedder, sequence_facts, read_json(arguments.about) if arguments.about else {}, calibration),
        evaluation={},
        parity={"embedder": embedder.parity, "sequence": export_errors(sequence)},
        log_offset=embedder.log_offset,
        embedder=embedder.identity,
        outputs=outputs,
    )
    held_out = HELD_OUT_AS_SAID if sequence_facts.get("folds") is None else HELD_OUT
    manifest = _measured(manifest, contents, embedder.pca, arguments, held_out)
    size = write_bundle(arguments.output, manifest, contents)
    return {"bundle": str(arguments.output), "bytes": size, "evaluation": dict(manifest.evaluation)}


def describe(result: dict[str, Any]) -> str:
    """Format the result as text."""
    measured = result["evaluation"]
    figure = f", {measured['right']} of {measured['clips']} held-out clips right" if "right" in measured else ""
    return f"{result['bundle']}: {result['bytes'] / 1e6:.2f} MB{figure}"


def _refuse_leaks(arguments: argparse.Namespace, facts_by_part: Mapping[str, Mapping[str, Any]]) -> None:
    if not arguments.evaluate:
        return
    if not arguments.evaluate_folds:
        raise UsageError("--evaluate needs --evaluate-folds: figures on clips that were trained on would say nothing")
    for name, facts in facts_by_part.items():
        if shared := set(arguments.evaluate_folds) & set(facts.get("folds") or ()):
            raise UsageError(f"the {name} has met fold {min(shared)}, which cannot be evaluated on; give other --evaluate-folds")


def _sequence(facts: dict[str, Any], embedder: format_.EmbedderId | None) -> format_.SequenceSpec:
    states = [format_.StateTensor(str(state["name"]), tuple(state["shape"])) for state in facts["states"]]
    return format_.SequenceSpec(str(facts["model"]), int(facts["context"]), 1, tuple(states), embedder)


def _outputs(facts: dict[str, Any]) -> format_.Outputs:
    labels = tuple(format_.AudioSetLabel(str(name), mid) for name, mid in facts.get("audioset", ()))
    return format_.Outputs(labels, tuple(str(label) for label in facts["labels"]))


def _classes(
    labels: Sequence[str], names: dict[str, Any], calibration: dict[str, Any], outputs: format_.Outputs
) -> tuple[format_.SoundClass, ...]:
    """Return the classes of a class file, or of the sequence model; classes in both use the model's output."""
    unknown = [slug for slug in labels if not isinstance(names.get(slug), dict)] if names else []
    if unknown:
        raise UsageError(f'--classes says nothing about {unknown[0]}; add "{unknown[0]}": {{"label": "…", "mid": null}}')
    slugs = [*labels, *(slug for slug in names if slug not in labels)] if outputs.audioset else list(labels)
    if not slugs:
        raise UsageError("there is no class to detect; name some, with the AudioSet labels of each, in --classes FILE")
    return tuple(_class(each, names.get(each.slug, {}), calibration, outputs) for each in from_json(slugs, names))


def _class(
    each: ClassName, about: Mapping[str, Any], calibration: dict[str, Any], outputs: format_.Outputs
) -> format_.SoundClass:
    read_out = {label.name for label in outputs.audioset}
    if unknown := [name for name in each.audioset if name not in read_out] if read_out else []:
        raise UsageError(f"--classes: {each.slug} is made of {unknown[0]!r}, which is no AudioSet label; see to its spelling")
    trained = each.slug in outputs.sequence
    if not trained and not each.audioset:
        raise UsageError(f'--classes: {each.slug} has neither an output of the sequence model nor labels; give it "audioset"')
    enabled = bool(about.get("enabled", True))
    class_list = about.get("class_list", format_.FIRST_CLASS_LIST)
    if not isinstance(class_list, int):
        raise UsageError(f'--classes: {each.slug} has a "class_list" that is no whole number; give 1, 2 or a higher one')
    return format_.SoundClass(
        slug=each.slug,
        label=each.label,
        mid=each.mid,
        rules={hops: replace(rule, enabled=enabled) for hops, rule in _rules(each.slug, calibration, trained=trained).items()},
        audioset=each.audioset if read_out else (),
        output=each.slug if trained and read_out else None,
        class_list=class_list,
        evidence=_evidence(each.slug, about.get("evidence")),
    )


def _evidence(slug: str, given: object) -> format_.Evidence | None:
    if given is None:
        return None
    names = [field.name for field in fields(format_.Evidence)]
    if not isinstance(given, dict) or sorted(given) != sorted(names):
        raise UsageError(f'--classes: {slug} has an "evidence" of another form; give the numbers {", ".join(names)}')
    return format_.Evidence(**given)


def _rules(slug: str, calibration: dict[str, Any], *, trained: bool) -> dict[int, Rule]:
    if not trained and slug not in calibration.get("classes", {}):
        return dict.fromkeys(HOPS_PER_PATCH, UNTESTED_RULE)
    if not calibration:
        return dict.fromkeys(HOPS_PER_PATCH, DEFAULT_RULE)
    try:
        chosen = calibration["classes"][slug]
        return {hops: Rule(**chosen[format_.hop_key(hops)]["rule"]) for hops in HOPS_PER_PATCH}
    except (KeyError, TypeError) as error:
        message = f"--calibration has no rule for {slug} at each hop; run calibrate on a bundle of these classes"
        raise UsageError(message) from error


def _training(
    embedder: BundledEmbedder, sequence: dict[str, Any], about: dict[str, Any], calibration: dict[str, Any]
) -> dict[str, object]:
    made = ("name", "parameters", "folds", "seed", "source_sha256", "fitted_windows", "clip", "shrinkage")
    shape = ("model", "layers", "cells", "head", "clusters", "hidden", "activation", "pooling", "parameters")
    learnt = (*shape, "fused", "label_share", "target", "folds", "sequences", "best_epoch", "validation_loss", "seed")
    return {
        "credits": [*about.get("credits", ()), *embedder.credits],
        **({"tried": list(about["tried"])} if about.get("tried") else {}),
        "limits": [*about.get("limits", ()), *(() if calibration else (NOT_CALIBRATED,)), *LIMITS],
        "embedder": {key: embedder.facts[key] for key in made if embedder.facts.get(key) not in (None, "", [])},
        "sequence": {key: sequence[key] for key in learnt if sequence.get(key) not in (None, [])},
        **({"calibration": calibration} if calibration else {}),
    }


def _measured(
    manifest: format_.Manifest, contents: dict[str, bytes], pca: Pca, arguments: argparse.Namespace, held_out: str
) -> format_.Manifest:
    classes = [sound for sound in manifest.classes if sound.enabled]
    labels = [sound.slug for sound in classes]
    scores = [for_manifest(read_score(path)) for path in arguments.scores]
    manifest = replace(manifest, evaluation={"scores": scores} if scores else {})
    if not arguments.evaluate and not arguments.evaluate_background:
        return manifest
    bundle = format_.Bundle(manifest, contents[format_.EMBEDDER], contents[format_.SEQUENCE], pca)
    model = detector_model(bundle, classes)
    evaluation: dict[str, object] = {}
    if arguments.evaluate:
        clips = load_clips(find_clips(arguments.evaluate, arguments.evaluate_folds), labels)
        protocol = PROTOCOL.format(folds=", ".join(str(fold) for fold in arguments.evaluate_folds), held_out=held_out)
        evaluation = {"protocol": protocol, **score_clips(partial(stream_probabilities, model), clips, labels)}
        evaluation["events"] = found_by_hop(hear_clips(ear_of(model), clips), classes)
    if arguments.evaluate_background:
        heard = continuous_streams(ear_of(model), sounds_by_label(arguments.evaluate_background), labels, Levels())
        evaluation["false_alarms"] = alarms_by_hop(heard, classes)
    return replace(manifest, evaluation={**evaluation, **manifest.evaluation})
