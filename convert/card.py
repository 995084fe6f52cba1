"""MODEL_CARD.md: what a bundle is made of, how good it is, and where it stops being good."""

from collections.abc import Mapping
from typing import Any

from convert.data.scoring import confusion_table
from edge_detector.core.bundle import Manifest


def model_card(manifest: Manifest, sizes: Mapping[str, int]) -> str:
    """The card as Markdown, every figure taken from the manifest."""
    classes = "\n".join(f"| `{sound.slug}` | {sound.label} | {sound.mid or '-'} |" for sound in manifest.classes)
    parts = [
        f"# {manifest.name} {manifest.version}",
        f"A sound event detector for edge-detector, made {manifest.created}. Licence: {manifest.licence}.",
        "## What it hears",
        f"| slug | name | AudioSet |\n|---|---|---|\n{classes}",
        "## How it is built",
        _build(manifest, sizes),
        "## What it learnt from",
        _training(manifest.training),
        "## How good it is",
        _evaluation(manifest.evaluation),
        "## Exported files against their source graphs",
        _table(manifest.parity),
        "## Limits",
        _list(manifest.training.get("limits")),
    ]
    return "\n\n".join(parts) + "\n"


def _build(manifest: Manifest, sizes: Mapping[str, int]) -> str:
    sequence = manifest.sequence
    files = ", ".join(f"{name} {size / 1e6:.2f} MB" for name, size in sizes.items())
    states = ", ".join(f"{state.name} {list(state.shape)}" for state in sequence.states)
    return (
        "Log-mel patches of 0.975 s, a narrow VGGish to 128 numbers, PCA and bytes in AudioSet's form, then the sequence model "
        f"({sequence.kind}; state {states}), read through a sliding bank of {sequence.context_frames} states. Files: {files}."
    )


def _training(training: Mapping[str, object]) -> str:
    facts = {key: value for key, value in training.items() if key not in ("credits", "limits")}
    return f"{_list(training.get('credits'))}\n\n{_table(facts)}".strip()


def _list(items: object) -> str:
    return "\n".join(f"- {item}" for item in items) if isinstance(items, (list, tuple)) else ""


def _evaluation(evaluation: Mapping[str, Any]) -> str:
    if "clips" not in evaluation:
        return "Not measured."
    return (
        f"{evaluation['right']} of {evaluation['clips']} clips ({100 * evaluation['accuracy']:.1f} %) have their class on top by "
        f"mean probability. {evaluation['protocol']}\n\nRows are what it was, columns what was heard:\n\n"
        f"```\n{confusion_table(dict(evaluation))}\n```"
    )


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
