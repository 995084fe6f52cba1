"""EVALUATION.md: every figure of a bundle: networks, accuracy, thresholds, experiments, errors of export."""

from collections.abc import Mapping
from dataclasses import dataclass

from convert.evaluation.chosen_thresholds import Calibration, ChosenRule, calibration_of
from convert.evaluation.score import ScoreResult
from convert.evaluation.tables import cross_validation_sections, score_sections
from convert.plain_data import from_plain
from edge_detector.detection.bundle import Manifest, SoundClass

_PROSE = ("credits", "tried", "limits", "calibration")
TRAINED_ON = "the clips that the networks were trained on, which overestimates it"


@dataclass(frozen=True, slots=True)
class MeasuredScores:
    """Scores in the evaluation of a manifest."""

    scores: tuple[ScoreResult, ...] = ()


@dataclass(frozen=True, slots=True)
class _Fusion:
    """Classes that are fused with AudioSet labels, and the weight of the labels."""

    fused: tuple[str, ...] = ()
    label_share: float | None = None


def evaluation_page(manifest: Manifest, sizes: Mapping[str, int]) -> str:
    """Format all figures as Markdown; every one comes from the manifest."""
    classes = "\n".join(_class_row(sound) for sound in manifest.classes)
    calibration = calibration_of(manifest)
    parts = [
        f"# {manifest.name} {manifest.version}: figures",
        "[MODEL_CARD.md](MODEL_CARD.md) has what to decide by.",
        "## Classes",
        f"| slug | name | AudioSet labels | trained output | enabled | on, hop 0.96 s | evidence |\n{'|---' * 7}|\n{classes}",
        "## Networks",
        _build(manifest, sizes),
        "## Training",
        _table({key: value for key, value in manifest.training.items() if key not in _PROSE}),
        "## Accuracy",
        _accuracy(manifest.evaluation),
        *(("## Thresholds", _thresholds(calibration)) if calibration else ()),
        *(("## Experiments", bullets(tried)) if (tried := manifest.training.get("tried")) else ()),
        "## Exported files against their source graphs",
        _table(manifest.parity),
    ]
    return "\n\n".join(parts) + "\n"


def evidence_text(sound: SoundClass) -> str:
    """Format how a class was tested."""
    if sound.evidence is None:
        return "AudioSet read-out, not tested" if sound.sequence_output is None else "see below"
    found = sound.evidence
    return (
        f"found {found.found} of {found.clips} clips of {found.originals} originals; "
        f"false in {found.false} of {found.others} other recordings"
    )


def _class_row(sound: SoundClass) -> str:
    cells = (
        f"`{sound.slug}`",
        sound.label,
        "; ".join(sound.audioset) or sound.mid or "-",
        "no" if sound.sequence_output is None else "yes",
        "yes" if sound.enabled else "no",
        f"{sound.rules[1].on:.2f}",
        evidence_text(sound),
    )
    return f"| {' | '.join(cells)} |"


def _build(manifest: Manifest, sizes: Mapping[str, int]) -> str:
    sequence = manifest.sequence
    files = ", ".join(f"{name} {size / 1e6:.2f} MB" for name, size in sizes.items())
    states = ", ".join(f"{state.name} {list(state.shape)}" for state in sequence.states)
    return (
        f"Log-mel patches of 0.975 s (offset {manifest.log_offset:g}), the embedder {_embedder_name(manifest)} to 128 numbers, "
        "PCA and 8-bit quantisation as in AudioSet, then the "
        f"sequence model ({sequence.kind}; state {states}) in a sliding bank of {sequence.context_frames} states. "
        f"{_fusion(manifest)}Files: {files}."
    )


def _embedder_name(manifest: Manifest) -> str:
    return str(manifest.embedder) if manifest.embedder else "of VGGish's shape"


def _fusion(manifest: Manifest) -> str:
    facts = from_plain(_Fusion, manifest.training.get("sequence", {}), "the manifest's training", ignore_unknown=True)
    if not facts.fused:
        return ""
    return (
        f"The probability of {', '.join(facts.fused)} is the weighted mean in log-odds of the LSTM's and, with weight "
        f"{facts.label_share}, of the maximum of the class's AudioSet labels. "
    )


def bullets(items: object) -> str:
    """Format a list of the manifest."""
    return "\n".join(f"- {item}" for item in items) if isinstance(items, (list, tuple)) else ""


def _accuracy(evaluation: Mapping[str, object]) -> str:
    """Format everything that was measured."""
    scores = from_plain(MeasuredScores, evaluation, "the manifest's evaluation", ignore_unknown=True).scores
    return "\n\n".join(map(_score, scores)) or "Not measured."


def _score(score: ScoreResult) -> str:
    if score.parts is None:
        return score_sections(score)
    head = "Bundles of the same recipe, each made without one part of the recordings and measured on that part."
    return f"### Cross-validation\n\n{head}\n\n{cross_validation_sections(score)}"


def _missed(recall: Mapping[str, float]) -> str:
    return ", ".join(f"{slug} {100 * share:.0f} %" for slug, share in recall.items() if share < 1.0) or "none"


def _thresholds(calibration: Calibration) -> str:
    background = ", ".join(f"{label} {length:.2f} h" for label, length in calibration.hours.items())
    rows = []
    for slug, hops in calibration.classes.items():
        cells = [f"{found.rule.on:.2f}{_duration(found.rule)} ({_percent(found.recall)})" for found in hops.values()]
        rows.append(f"| `{slug}` | {' | '.join(cells)} |")
    names = list(next(iter(calibration.classes.values())))
    titles = " | ".join(f"on, hop {hop} s" for hop in names)
    head = f"{_criteria(calibration, background)} on {_recall_on(calibration)}. A time is the minimum duration of an event.\n"
    return "\n".join([head, f"| class | {titles} |", "|---|" + "---|" * len(names), *rows])


def _criteria(calibration: Calibration, background: str) -> str:
    costs, levels = calibration.costs, _text(calibration.gains_db)
    if costs is None:
        lowest = "" if calibration.lowest_on is None else f", none below {calibration.lowest_on:g}"
        return (
            f"Chosen for at most {calibration.false_alarms_per_hour or 0.0:g} false alarms per hour and class on {background} "
            f"(each sound at levels {levels} dB), plus a margin of {calibration.margin or 0.0:g} in log-odds{lowest}. In "
            "brackets the recall"
        )
    return (
        f"Chosen for the lowest cost, where missing all clips of a class costs 1, an event in every recording of other sound "
        f"(mean over kinds) {costs.recordings:g}, and one in each hour of speech and of music {costs.hour:g}, on {background} "
        f"(at levels {levels} dB). In brackets the recall"
    )


def _recall_on(calibration: Calibration) -> str:
    if calibration.held_out:
        return "the clips, each with a sequence model of the same recipe that was trained without its fold"
    return calibration.recall_on or TRAINED_ON


def _duration(rule: ChosenRule) -> str:
    return f", {rule.min_seconds:g} s" if rule.min_seconds else ""


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def _table(facts: Mapping[str, object]) -> str:
    rows = []
    for name, value in facts.items():
        nested = value.items() if isinstance(value, Mapping) else [("", value)]
        rows += [f"| {f'{name} {key}'.strip().replace('_', ' ')} | {_text(item)} |" for key, item in nested]
    return "\n".join(["| fact | value |", "|---|---|", *rows])


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(item) for item in value)
    return str(value)
