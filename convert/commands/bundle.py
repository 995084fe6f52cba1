"""bundle: both networks, their PCA, classes and figures in one folder that the detector checks byte by byte."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from convert.arguments import folds
from convert.begun import digest_of_files
from convert.bundled_embedder import BundledEmbedder, export_errors, file_content
from convert.bundling import created, write_bundle
from convert.data.clips import find_clips, load_clips
from convert.data.listening import alarms_by_hop, ear_of, found_by_hop, hear_background, hear_clips
from convert.data.scoring import score_clips
from convert.files import read_json
from convert.score_tables import for_manifest, read_score
from convert.serving import DEFAULT_BUNDLE, detector_model, stream_probabilities
from edge_detector.core import bundle as format_
from edge_detector.core.decision import Rule
from edge_detector.core.embedding import Pca
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
    """Say what the command takes."""
    parser.add_argument(
        "--embedder-of",
        type=Path,
        default=DEFAULT_BUNDLE,
        metavar="BUNDLE",
        help="whose embedder and PCA to take (the one that ships)",
    )
    parser.add_argument("--embedder", type=Path, help="or this .tflite embedder, with FILE.errors.json beside it")
    parser.add_argument("--embedder-source", type=Path, help="and the folder that train-embedder made")
    parser.add_argument("--sequence-source", type=Path, required=True, help="folder that train made")
    parser.add_argument(
        "--sequence", type=Path, help="the .tflite step, with FILE.errors.json beside it (sequence.tflite in that folder)"
    )
    parser.add_argument(
        "--classes", type=Path, help='JSON: {"slug": {"label": "…", "mid": "/m/…" or null}} (as the records named them)'
    )
    parser.add_argument(
        "--about", type=Path, help='JSON: {"credits": ["…"], "limits": ["…"], "tried": ["…"]}, what the card has to say'
    )
    parser.add_argument("--evaluate", type=Path, metavar="DIR", help="clips to measure on; the figures go into the bundle")
    parser.add_argument("--evaluate-folds", type=folds, help="their folds; none may have been trained on")
    parser.add_argument(
        "--evaluate-background",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="LABEL/1-ORIGIN.wav to count false alarms on",
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
    """Assemble, measure, describe, write, and load it again as the detector would."""
    if (arguments.embedder is None) != (arguments.embedder_source is None):
        raise UsageError("--embedder and --embedder-source belong together; give both, or --embedder-of")
    embedder = (
        BundledEmbedder.of_bundle(arguments.embedder_of)
        if arguments.embedder is None
        else BundledEmbedder.of_training(arguments.embedder, arguments.embedder_source)
    )
    sequence_facts = read_json(arguments.sequence_source / "sequence.json")
    if sequence_facts.get("made_of", {}) not in ({}, embedder.made_of):
        raise UsageError("the sequence model learnt from records of another embedder; embed with this one, or name that one")
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
        sequence=_sequence(sequence_facts),
        classes=_classes(labels, names, calibration),
        training=_training(embedder, sequence_facts, read_json(arguments.about) if arguments.about else {}, calibration),
        evaluation={},
        parity={"embedder": embedder.parity, "sequence": export_errors(sequence)},
    )
    held_out = HELD_OUT_AS_SAID if sequence_facts.get("folds") is None else HELD_OUT
    manifest = _measured(manifest, contents, embedder.pca, arguments, held_out)
    size = write_bundle(arguments.output, manifest, contents)
    return {"bundle": str(arguments.output), "bytes": size, "evaluation": dict(manifest.evaluation)}


def describe(result: dict[str, Any]) -> str:
    """The result for people."""
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


def _sequence(facts: dict[str, Any]) -> format_.SequenceSpec:
    states = [format_.StateTensor(str(state["name"]), tuple(state["shape"])) for state in facts["states"]]
    return format_.SequenceSpec(str(facts["model"]), int(facts["context"]), 1, tuple(states))


def _classes(labels: Sequence[str], names: dict[str, Any], calibration: dict[str, Any]) -> tuple[format_.SoundClass, ...]:
    unknown = [slug for slug in labels if not isinstance(names.get(slug), dict)] if names else []
    if unknown:
        raise UsageError(f'--classes says nothing about {unknown[0]}; add "{unknown[0]}": {{"label": "…", "mid": null}}')
    return tuple(
        format_.SoundClass(
            slug=slug,
            label=str(names.get(slug, {}).get("label", slug.replace("_", " ").capitalize())),
            mid=names.get(slug, {}).get("mid"),
            rules=_rules(slug, calibration),
        )
        for slug in labels
    )


def _rules(slug: str, calibration: dict[str, Any]) -> dict[int, Rule]:
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
    chosen = ("width", "layers", "parameters", "folds", "clips", "background_clips", "teacher", "seed", "mean_of_seeds")
    shape = ("model", "layers", "cells", "head", "clusters", "hidden", "activation", "pooling", "parameters")
    learnt = (*shape, "prior_of", "prior_share", "target", "sequences", "best_epoch", "validation_loss", "seed")
    return {
        "credits": [*about.get("credits", ()), *embedder.credits],
        **({"tried": list(about["tried"])} if about.get("tried") else {}),
        "limits": [*about.get("limits", ()), *(() if calibration else (NOT_CALIBRATED,)), *LIMITS],
        "embedder": {key: embedder.facts[key] for key in chosen if embedder.facts.get(key) not in (None, "", [])},
        "sequence": {key: sequence[key] for key in learnt if sequence.get(key) is not None},
        **({"calibration": calibration} if calibration else {}),
    }


def _measured(
    manifest: format_.Manifest, contents: dict[str, bytes], pca: Pca, arguments: argparse.Namespace, held_out: str
) -> format_.Manifest:
    labels = [sound.slug for sound in manifest.classes]
    scores = [for_manifest(read_score(path)) for path in arguments.scores]
    manifest = replace(manifest, evaluation={"scores": scores} if scores else {})
    if not arguments.evaluate and not arguments.evaluate_background:
        return manifest
    bundle = format_.Bundle(manifest, contents[format_.EMBEDDER], contents[format_.SEQUENCE], pca)
    model = detector_model(bundle)
    evaluation: dict[str, object] = {}
    if arguments.evaluate:
        clips = load_clips(find_clips(arguments.evaluate, arguments.evaluate_folds), labels)
        protocol = PROTOCOL.format(folds=", ".join(str(fold) for fold in arguments.evaluate_folds), held_out=held_out)
        evaluation = {"protocol": protocol, **score_clips(partial(stream_probabilities, model), clips, labels)}
        evaluation["events"] = found_by_hop(hear_clips(ear_of(model), clips), manifest.classes)
    if arguments.evaluate_background:
        heard = hear_background(ear_of(model), arguments.evaluate_background, labels, (0.0,))
        evaluation["false_alarms"] = alarms_by_hop(heard, manifest.classes)
    return replace(manifest, evaluation={**evaluation, **manifest.evaluation})
