"""MODEL_CARD.md: what a user decides by: what a bundle detects, how well, what it was trained on, and its limits."""

from collections.abc import Mapping

from convert.bundling.evaluation_page import MeasuredScores, bullets, evidence_text
from convert.evaluation.score import ScoreResult
from convert.evaluation.tables import card_tables
from convert.plain_data import from_plain
from edge_detector.detection.bundle import Manifest, SoundClass


def model_card(manifest: Manifest) -> str:
    """Format the card as Markdown; every figure comes from the manifest."""
    parts = [
        f"# {manifest.name} {manifest.version}",
        f"A sound event detector for edge-detector, created {manifest.created}. Licence: {manifest.licence}.",
        "## What it detects",
        _about_classes(manifest),
        _enabled_classes(manifest),
        *_disabled_classes(manifest),
        "## How well",
        _accuracy(manifest.evaluation),
        "[EVALUATION.md](EVALUATION.md) has all tables, thresholds and experiments, and the errors of export.",
        "## Trained on",
        bullets(manifest.training.get("credits")),
        "## Limits",
        bullets(manifest.training.get("limits")),
    ]
    return "\n\n".join(parts) + "\n"


def _about_classes(manifest: Manifest) -> str:
    labels = len(manifest.named_outputs.audioset)
    if not labels:
        return f"Each of the {len(manifest.classes)} classes is an output of the sequence model."
    return (
        f"It outputs {labels} AudioSet labels and {len(manifest.named_outputs.sequence)} outputs of a trained sequence model. A "
        "class is such an output, or the maximum of some labels. The configuration can enable the others, and can add classes "
        'made of labels: `[class.kettle]` with `audioset = ["Whistle", "Steam"]`.'
    )


def _enabled_classes(manifest: Manifest) -> str:
    rows = [_row(sound) for sound in manifest.classes if sound.enabled]
    return "\n".join(["| class | name | AudioSet labels | evidence |", "|---|---|---|---|", *rows])


def _row(sound: SoundClass) -> str:
    labels = "; ".join(sound.audioset) or sound.mid or "-"
    return f"| `{sound.slug}` | {sound.label} | {labels} | {evidence_text(sound)} |"


def _disabled_classes(manifest: Manifest) -> list[str]:
    slugs = [f"`{sound.slug}`" for sound in manifest.classes if not sound.enabled]
    return [f"Off until the configuration enables them: {', '.join(slugs)}."] if slugs else []


def _accuracy(evaluation: Mapping[str, object]) -> str:
    scores = from_plain(MeasuredScores, evaluation, "the manifest's evaluation", ignore_unknown=True).scores
    return "\n\n".join(map(_score, scores)) or "Not measured."


def _score(score: ScoreResult) -> str:
    head = "" if score.parts is None else "Bundles of the same recipe, each measured on the part that it was made without.\n\n"
    return f"{head}{card_tables(score)}"
