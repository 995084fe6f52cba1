"""bundle: both networks, their PCA, classes and figures in one folder that the detector checks byte by byte."""

import argparse
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from convert.arguments import folds
from convert.card import model_card
from convert.data.clips import find_clips, load_clips
from convert.data.listening import alarms_by_hop, found_by_hop, hear_background, hear_clips
from convert.data.scoring import score_clips
from convert.files import read_json
from convert.serving import detector_model, read_pca
from edge_detector.core import bundle as format_
from edge_detector.core.decision import Rule
from edge_detector.errors import EdgeDetectorError, UsageError
from edge_detector.params import HOPS_PER_PATCH

DEFAULT_RULE = Rule(on=0.5, off=0.3)
PROTOCOL = (
    "Fold {folds}: no clip of it was used for training, for early stopping or for thresholds; measured through the "
    "detector's own streaming path on the very files of this bundle, hop 0.96 s."
)
NOT_CALIBRATED = "Thresholds are not calibrated: every class starts an event at the same probability."
LIMITS = ("A sound that is not heard may still be there. Do not rely on this for anybody's safety.",)
NOT_OF_THE_FILE = ("milliseconds_per_window", "bytes")
"""Measured by an export, but facts of the machine it ran on, or said elsewhere."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("--embedder", type=Path, required=True, help="the .tflite embedder, with FILE.errors.json beside it")
    parser.add_argument("--embedder-source", type=Path, required=True, help="folder that train-embedder made")
    parser.add_argument("--sequence", type=Path, required=True, help="the .tflite step, with FILE.errors.json beside it")
    parser.add_argument("--sequence-source", type=Path, required=True, help="folder that train made")
    parser.add_argument("--classes", type=Path, help='JSON: {"slug": {"label": "…", "mid": "/m/…" or null}}')
    parser.add_argument(
        "--about", type=Path, help='JSON: {"credits": ["…"], "limits": ["…"]}, what the card has to say of the data'
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
    parser.add_argument("--calibration", type=Path, help="thresholds that calibrate chose")
    parser.add_argument("--name", required=True)
    parser.add_argument("--release", default="1.0.0", help="version of the bundle (1.0.0)")
    parser.add_argument("--licence", default="Apache-2.0")
    parser.add_argument("-o", "--output", type=Path, required=True, help="bundle folder, replaced as a whole")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Assemble, measure, describe, write, and load it again as the detector would."""
    embedder_facts = read_json(arguments.embedder_source / "embedder.json")
    sequence_facts = read_json(arguments.sequence_source / "sequence.json")
    labels = [str(label) for label in sequence_facts["labels"]]
    calibration = read_json(arguments.calibration) if arguments.calibration else {}
    _refuse_leaks(arguments, embedder_facts)
    pca_path = arguments.embedder_source / "pca.npz"
    contents = {
        format_.EMBEDDER: _content(arguments.embedder),
        format_.SEQUENCE: _content(arguments.sequence),
        format_.PCA: _content(pca_path),
    }
    manifest = format_.Manifest(
        name=arguments.name,
        version=arguments.release,
        created=_created(),
        licence=arguments.licence,
        sequence=_sequence(sequence_facts),
        classes=_classes(labels, read_json(arguments.classes) if arguments.classes else {}, calibration),
        training=_training(embedder_facts, sequence_facts, read_json(arguments.about) if arguments.about else {}, calibration),
        evaluation={},
        parity={"embedder": _errors(arguments.embedder), "sequence": _errors(arguments.sequence)},
    )
    manifest = _measured(manifest, contents, pca_path, arguments, labels)
    card = model_card(manifest, {name: len(content) for name, content in contents.items()})
    contents[format_.MODEL_CARD] = card.encode()
    contents[format_.MANIFEST] = format_.render_manifest(manifest, contents)
    replace_folder(arguments.output, contents)
    format_.load_bundle(arguments.output)
    return {
        "bundle": str(arguments.output),
        "bytes": sum(len(content) for content in contents.values()),
        "evaluation": dict(manifest.evaluation),
    }


def describe(result: dict[str, Any]) -> str:
    """The result for people."""
    measured = result["evaluation"]
    figure = f", {measured['right']} of {measured['clips']} held-out clips right" if measured else ""
    return f"{result['bundle']}: {result['bytes'] / 1e6:.2f} MB{figure}"


def replace_folder(folder: Path, contents: dict[str, bytes]) -> None:
    """Write a folder beside its place and exchange the two; what was there stays until the new one is whole."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            fresh.chmod(0o755)
            for name, content in contents.items():
                (fresh / name).write_bytes(content)
            old = fresh.with_name(f"{fresh.name}.old")
            if folder.exists():
                folder.rename(old)
            fresh.rename(folder)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        message = f"the bundle {folder} cannot be written: {error.strerror or error}"
        raise EdgeDetectorError(message) from error


def _refuse_leaks(arguments: argparse.Namespace, embedder_facts: dict[str, Any]) -> None:
    if not arguments.evaluate:
        return
    if not arguments.evaluate_folds:
        raise UsageError("--evaluate needs --evaluate-folds: figures on clips that were trained on would say nothing")
    shared = set(arguments.evaluate_folds) & set(embedder_facts.get("folds", ()))
    if shared:
        message = f"fold {min(shared)} was trained on and cannot be evaluated on; give other --evaluate-folds"
        raise UsageError(message)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}; run the command that makes it first"
        raise UsageError(message) from error


def _errors(path: Path) -> dict[str, Any]:
    errors = read_json(path.with_name(path.name + ".errors.json"))
    return {key: value for key, value in errors.items() if key not in NOT_OF_THE_FILE}


def _created() -> str:
    """Now, or SOURCE_DATE_EPOCH, so that a bundle can be made again to the byte."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime.now(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _sequence(facts: dict[str, Any]) -> format_.SequenceSpec:
    states = [format_.StateTensor(str(state["name"]), tuple(state["shape"])) for state in facts["states"]]
    return format_.SequenceSpec(str(facts["model"]), int(facts["context"]), 1, tuple(states))


def _classes(labels: Sequence[str], names: dict[str, Any], calibration: dict[str, Any]) -> tuple[format_.SoundClass, ...]:
    unknown = sorted(set(labels) - set(names)) if names else []
    if unknown:
        message = f"--classes says nothing about {unknown[0]}; add it"
        raise UsageError(message)
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
    embedder: dict[str, Any], sequence: dict[str, Any], about: dict[str, Any], calibration: dict[str, Any]
) -> dict[str, object]:
    chosen = ("width", "layers", "parameters", "folds", "clips", "background_clips", "teacher", "seed")
    shape = ("model", "layers", "cells", "head", "clusters", "hidden", "activation", "pooling", "parameters")
    learnt = (*shape, "target", "sequences", "best_epoch", "validation_loss", "seed")
    return {
        "credits": list(about.get("credits", ())),
        "limits": [*about.get("limits", ()), *(() if calibration else (NOT_CALIBRATED,)), *LIMITS],
        "embedder": {key: embedder[key] for key in chosen if embedder.get(key) not in (None, "")},
        "sequence": {key: sequence[key] for key in learnt if sequence.get(key) is not None},
        **({"calibration": calibration} if calibration else {}),
    }


def _measured(
    manifest: format_.Manifest, contents: dict[str, bytes], pca: Path, arguments: argparse.Namespace, labels: Sequence[str]
) -> format_.Manifest:
    if not arguments.evaluate and not arguments.evaluate_background:
        return manifest
    bundle = format_.Bundle(manifest, contents[format_.EMBEDDER], contents[format_.SEQUENCE], read_pca(pca))
    model = detector_model(bundle)
    evaluation: dict[str, object] = {}
    if arguments.evaluate:
        clips = load_clips(find_clips(arguments.evaluate, arguments.evaluate_folds), labels)
        protocol = PROTOCOL.format(folds=", ".join(str(fold) for fold in arguments.evaluate_folds))
        evaluation = {"protocol": protocol, **score_clips(model, clips, labels).as_json()}
        evaluation["events"] = found_by_hop(hear_clips(model, clips), manifest.classes)
    if arguments.evaluate_background:
        heard = hear_background(model, arguments.evaluate_background, labels, (0.0,))
        evaluation["false_alarms"] = alarms_by_hop(heard, manifest.classes)
    return replace(manifest, evaluation=evaluation)
