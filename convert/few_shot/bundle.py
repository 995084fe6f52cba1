"""Description of a bundle with few-shot classes: its manifest, with training facts, limits and figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from convert.bundling.embedder import BundledEmbedder
from convert.bundling.writer import created
from convert.few_shot.evaluation import FewShotEvaluation
from convert.few_shot.extended_bundle import ExtendedBundle
from convert.few_shot.learn import FewShotResult
from convert.plain_data import KEY, to_plain
from edge_detector.detection import bundle as format_

FEW = 10
"""Classes with fewer recordings get a warning."""

RECORD_THE_ROOM = "Ten minutes of the room without the new sounds, given as --background, reduce false alarms."


@dataclass(frozen=True, slots=True)
class FewShotFacts:
    """Training facts of the new classes.

    Attributes:
        base: name and version of the extended bundle.
        recordings: number of recordings by slug.
        background_minutes: of the user's background.
        negative_sequences: number of negative records used in training.
        model: kind of the network.
        cells, sequences, epochs, seed: hyper-parameters.

    """

    base: str = field(metadata={KEY: "from"})
    recordings: Mapping[str, int]
    background_minutes: float
    negative_sequences: int
    model: str
    cells: int
    sequences: int
    epochs: int
    seed: int


def extended_bundle(
    extended: ExtendedBundle, result: FewShotResult, embedder: BundledEmbedder, facts: FewShotFacts, *, name: str, release: str
) -> format_.Bundle:
    """Return the bundle of the kept and the new classes.

    Args:
        extended: the kept and the new classes.
        result: model, rules and figures.
        embedder: of the extended bundle, with its facts.
        facts: of the training.
        name: of the new bundle.
        release: its version.

    """
    bundle = extended.bundle(result.merged, result.model.kind, extended.classes(result.calibration.rules))
    base = extended.base.manifest
    recordings = ", ".join(f"{slug} {count}" for slug, count in facts.recordings.items())
    errors = to_plain(result.model.errors)
    parity: Mapping[str, object] = {"embedder": embedder.parity, "sequence": errors}
    evaluation: Mapping[str, object] = to_plain(result.evaluation)
    if extended.kept:
        kept = {"classes_of": extended.base_name, "probabilities": "equal to its own, bit for bit"}
        parity = {**base.parity, "taught": errors, "kept": kept}
        evaluation = {**evaluation, "kept": {"of": extended.base_name, **base.evaluation}}
    manifest = replace(
        bundle.manifest,
        name=name,
        version=release,
        created=created(),
        training={
            "credits": [*embedder.credits, f"Recordings of the new classes, made by the user: {recordings}."],
            "limits": [*_limits(facts, result.evaluation), *_texts(base.training.get("limits"))],
            "embedder": embedder.facts,
            "taught": {**to_plain(facts), "recordings": recordings},
            "calibration": to_plain(result.calibration),
        },
        evaluation=evaluation,
        parity=parity,
    )
    return replace(bundle, manifest=manifest)


def _limits(facts: FewShotFacts, evaluation: FewShotEvaluation) -> list[str]:
    few = [f"{slug} ({count})" for slug, count in facts.recordings.items() if count < FEW]
    found = [f"Trained on few recordings: {', '.join(few)}; their figures are uncertain."] if few else []
    for slug, others in (evaluation.also_detected or {}).items():
        also = ", ".join(f"{other} {count}" for other, count in others.items())
        found.append(f"Recordings of {slug} also give events of kept classes: {also} of {facts.recordings[slug]}.")
    negatives = ["synthetic noise", "synthetic sounds"]
    if facts.negative_sequences:
        negatives.append("sound that the embedder was fitted to, speech and music included")
    if facts.background_minutes:
        negatives.append(f"{facts.background_minutes:.0f} minutes of the user's background")
    advice = "" if facts.background_minutes else f" {RECORD_THE_ROOM}"
    found.append(f"The negatives of the new classes are {', '.join(negatives)}. Other sounds may cause false alarms.{advice}")
    return found


def _texts(items: object) -> list[str]:
    return [str(item) for item in items] if isinstance(items, list | tuple) else []
