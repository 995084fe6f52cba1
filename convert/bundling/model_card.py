"""MODEL_CARD.md: a bundle's contents, accuracy and limits."""

from collections.abc import Mapping
from typing import Any

from convert.evaluation.scoring import confusion_table
from convert.evaluation.tables import card_sections, cross_validation_card
from edge_detector.detection.bundle import Manifest, SoundClass

FLATTERED = "the clips that the networks learnt from, which flatters them"


def model_card(manifest: Manifest, sizes: Mapping[str, int]) -> str:
    """Format the card as Markdown; every figure comes from the manifest."""
    classes = "\n".join(_class_row(sound) for sound in manifest.classes)
    thresholds = _thresholds(manifest.training.get("calibration"))
    parts = [
        f"# {manifest.name} {manifest.version}",
        f"A sound event detector for edge-detector, made {manifest.created}. Licence: {manifest.licence}.",
        "## Classes",
        _about_classes(manifest),
        f"| slug | name | AudioSet labels | trained output | enabled | on, hop 0.96 s | evidence |\n{'|---' * 7}|\n{classes}",
        "## How it is built",
        _build(manifest, sizes),
        "## What it learnt from",
        _training(manifest.training),
        "## How good it is",
        _evaluation(manifest.evaluation),
        *(("## Thresholds", thresholds) if thresholds else ()),
        *(("## What was tried", _list(tried)) if (tried := manifest.training.get("tried")) else ()),
        "## Exported files against their source graphs",
        _table(manifest.parity),
        "## Limits",
        _list(manifest.training.get("limits")),
    ]
    return "\n\n".join(parts) + "\n"


def _about_classes(manifest: Manifest) -> str:
    labels = len(manifest.named_outputs.audioset)
    if not labels:
        return f"Each of the {len(manifest.classes)} classes is an output of the sequence model."
    return (
        f"It computes {labels} AudioSet labels and {len(manifest.named_outputs.sequence)} outputs of a trained sequence model. A "
        "class is such an output, or the highest of some labels. Those that are not enabled are ready to be switched on in the "
        'configuration, and any other can be made of the labels: `[class.kettle]` with `audioset = ["Whistle", "Steam"]`.'
    )


def _class_row(sound: SoundClass) -> str:
    evidence = sound.evidence
    said = "AudioSet read-out, untested here" if sound.sequence_output is None else "see below"
    if evidence is not None:
        said = (
            f"found {evidence.found} of {evidence.clips} clips of {evidence.originals} originals; "
            f"false in {evidence.false} of {evidence.others} other recordings"
        )
    cells = (
        f"`{sound.slug}`",
        sound.label,
        "; ".join(sound.audioset) or sound.mid or "-",
        "no" if sound.sequence_output is None else "yes",
        "yes" if sound.enabled else "no",
        f"{sound.rules[1].on:.2f}",
        said,
    )
    return f"| {' | '.join(cells)} |"


def _build(manifest: Manifest, sizes: Mapping[str, int]) -> str:
    sequence = manifest.sequence
    files = ", ".join(f"{name} {size / 1e6:.2f} MB" for name, size in sizes.items())
    states = ", ".join(f"{state.name} {list(state.shape)}" for state in sequence.states)
    return (
        f"Log-mel patches of 0.975 s (offset {manifest.log_offset:g}), the embedder {_embedder_name(manifest)} to 128 numbers, "
        "PCA and bytes in AudioSet's form, then the "
        f"sequence model ({sequence.kind}; state {states}), read through a sliding bank of {sequence.context_frames} states. "
        f"{_opinions(manifest.training)}Files: {files}."
    )


def _embedder_name(manifest: Manifest) -> str:
    return str(manifest.embedder) if manifest.embedder else "of VGGish's shape"


def _opinions(training: Mapping[str, Any]) -> str:
    facts = training.get("sequence", {})
    if not facts.get("fused"):
        return ""
    return (
        f"The probability of {', '.join(facts['fused'])} is the weighted mean, as log-odds, of the LSTM's and, with a weight of "
        f"{facts['label_share']}, of the highest of the class's AudioSet labels. "
    )


def _training(training: Mapping[str, object]) -> str:
    facts = {key: value for key, value in training.items() if key not in ("credits", "tried", "limits", "calibration")}
    return f"{_list(training.get('credits'))}\n\n{_table(facts)}".strip()


def _list(items: object) -> str:
    return "\n".join(f"- {item}" for item in items) if isinstance(items, (list, tuple)) else ""


def _evaluation(evaluation: Mapping[str, Any]) -> str:
    parts = []
    if "clips" in evaluation:
        parts.append(_accuracy(evaluation))
    if "events" in evaluation:
        parts.append(_events(evaluation["events"]))
    if "false_alarms" in evaluation:
        parts.append(_alarms(evaluation["false_alarms"]))
    parts += [_score(score) for score in evaluation.get("scores", ())]
    if "kept" in evaluation:
        kept = evaluation["kept"]
        parts.append(f"### The classes kept from {kept['of']}")
        parts.append("Their probabilities, bit for bit, and their thresholds are what they were there.")
        parts.append(_evaluation(kept))
    return "\n\n".join(parts) or "Not measured."


def _score(score: Mapping[str, Any]) -> str:
    if "parts" not in score:
        return card_sections(score)
    head = "Bundles of the same recipe, each made without one part of the recordings and measured on that part."
    return f"### Cross-validation\n\n{head}\n\n{cross_validation_card(score)}"


def _accuracy(evaluation: Mapping[str, Any]) -> str:
    return (
        f"{evaluation['right']} of {evaluation['clips']} clips ({100 * evaluation['accuracy']:.1f} %) have their class on top by "
        f"mean probability. {evaluation['protocol']}\n\nRows are what it was, columns what was heard:\n\n"
        f"```\n{confusion_table(dict(evaluation))}\n```"
    )


def _events(events: Mapping[str, Any]) -> str:
    rows = [
        f"| {hop} s | {found['found']} of {found['clips']} ({100 * found['share']:.1f} %) | {_missed(found['recall'])} |"
        for hop, found in events.items()
    ]
    head = "As a detector, the same clips: those that give an event of their class at the thresholds of this bundle.\n"
    return "\n".join([head, "| hop | found | classes below 100 % |", "|---|---|---|", *rows])


def _missed(recall: Mapping[str, float]) -> str:
    return ", ".join(f"{slug} {100 * share:.0f} %" for slug, share in recall.items() if share < 1.0) or "none"


def _alarms(kinds: Mapping[str, Any]) -> str:
    rows = []
    for label, kind in kinds.items():
        for hop, found in kind.items():
            if hop == "hours":
                continue
            heard = ", ".join(f"{slug} {count}" for slug, count in found["classes"].items()) or "-"
            bound = f"{found['per_hour']:.1f} (at most {found['at_most_per_hour']:.1f})"
            rows.append(f"| {label} | {kind['hours']:.2f} | {hop} s | {found['events']} | {bound} | {heard} |")
    head = (
        "False alarms on sound that was used neither for training nor for choosing thresholds; in brackets the 95 % upper "
        "bound. The class `speech` is no false alarm in speech, nor `music` in music.\n"
    )
    return "\n".join([head, "| sound | hours | hop | events | per hour | which |", "|---|---|---|---|---|---|", *rows])


def _thresholds(calibration: object) -> str:
    if not isinstance(calibration, Mapping):
        return ""
    heard = ", ".join(f"{label} {length:.2f} h" for label, length in calibration["hours"].items())
    rows = []
    for slug, hops in calibration["classes"].items():
        cells = [f"{found['rule']['on']:.2f}{_lasting(found['rule'])} ({_percent(found['recall'])})" for found in hops.values()]
        rows.append(f"| `{slug}` | {' | '.join(cells)} |")
    hops_named = list(next(iter(calibration["classes"].values())))
    titles = " | ".join(f"on, hop {hop} s" for hop in hops_named)
    head = f"{_chosen_by(calibration, heard)} they leave on {_recall_on(calibration)}. With a time: so long must it last.\n"
    return "\n".join([head, f"| class | {titles} |", "|---|" + "---|" * len(hops_named), *rows])


def _chosen_by(calibration: Mapping[str, Any], heard: str) -> str:
    costs, levels = calibration.get("costs"), _text(calibration["gains_db"])
    if costs is None:
        lowest = f", none below {calibration['lowest_on']:g}" if "lowest_on" in calibration else ""
        return (
            f"Chosen for at most {calibration['false_alarms_per_hour']:g} false alarms per hour and class on {heard} (each sound "
            f"at levels {levels} dB), plus a margin of {calibration['margin']:g} log odds{lowest}. In brackets the recall"
        )
    return (
        f"Chosen to cost least, where missing all clips of a class costs 1, an event in every recording of other sound (the mean "
        f"over kinds) {costs['recordings']:g}, and one in each hour of speech and of music {costs['hour']:g}, on {heard} (at "
        f"levels {levels} dB). In brackets the recall"
    )


def _recall_on(calibration: Mapping[str, Any]) -> str:
    if calibration.get("held_out"):
        return "the clips, each given to a sequence model of the same recipe that has not met its fold"
    return str(calibration.get("recall_on", FLATTERED))


def _lasting(rule: Mapping[str, float]) -> str:
    return f", {rule['min_seconds']:g} s" if rule["min_seconds"] else ""


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def _table(facts: Mapping[str, object]) -> str:
    rows = []
    for name, value in facts.items():
        nested = value.items() if isinstance(value, Mapping) else [("", value)]
        rows += [f"| {f'{name} {key}'.strip().replace('_', ' ')} | {_text(item)} |" for key, item in nested]
    return "\n".join(["| what | value |", "|---|---|", *rows])


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(item) for item in value)
    return str(value)
