"""The tables of a score, or of several added up: the same Markdown in a terminal and in a model card."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from convert.evaluation.markdown import table
from convert.evaluation.other_figures import OtherSounds
from convert.evaluation.other_sounds_tables import other_sounds_section, other_sounds_text
from convert.evaluation.scoring import confusion_table
from convert.files import read_json
from edge_detector.errors import UsageError

Json = Mapping[str, Any]
ALL = "all"
OTHER_SOUNDS = "other_sounds"
AMONG = "among_classes_of_clips"
FEW = 0.85
"""Classes of which fewer clips were found are named."""

EVENTS_HEAD = (
    "Events on soundscapes: the clips one after the other, with pauses and overlaps, some with a room's echo, before silence, "
    "made noise and real background. F1 with onsets within 1 s, over all events. Found: what was heard while it sounded, however "
    "late. A false alarm overlaps no true event of its class; in brackets the 95 % upper bound for an hour. Latency is from the "
    "true onset to the announcement."
)
BACKGROUND_HEAD = (
    "False alarms in sound that holds none of the classes, but the one it is named after; in brackets the 95 % upper bound for "
    "an hour (Poisson)."
)
SIGNALS_HEAD = "Events in signals in which there is nothing to hear, all of them made."


def score_text(result: Json) -> str:
    """All of it, for people."""
    return "\n\n".join([*_accuracy_parts(result), *_other_sounds(result, other_sounds_text), *_event_parts(result)])


def cross_validation_card(result: Json) -> str:
    """What a model card says of a cross-validation: all but what is found and false at every strictness and by label."""
    return "\n\n".join([*_accuracy_parts(result), *_other_sounds(result, other_sounds_section), *_event_parts(result)])


def card_sections(result: Json) -> str:
    """What a model card says of events: everything but accuracy and confusion, which it has of its own."""
    return "\n\n".join([*_other_sounds(result, other_sounds_section), *_event_parts(result)])


def _accuracy_parts(result: Json) -> list[str]:
    return [accuracy_text(result), *([parts_table(result["parts"])] if "parts" in result else [])]


def _event_parts(result: Json) -> list[str]:
    return [found_table(result), *(make(result["detectors"]) for name, make in SECTIONS if _has(result, name))]


def _other_sounds(result: Json, make: Callable[[OtherSounds], str]) -> list[str]:
    return [make(OtherSounds.from_json(result[OTHER_SOUNDS]))] if OTHER_SOUNDS in result else []


def read_score(path: Path) -> dict[str, Any]:
    """What score or cross-validate printed with --json."""
    result = read_json(path)
    if not {"detectors", "confusion", "folds"} <= set(result):
        raise UsageError(f"{path} is not what score --json prints; make it with that")
    return result


def for_manifest(result: Json) -> dict[str, Any]:
    """A result without what only adding up needs, and by class only over all ratios: what a bundle has to carry."""
    kept = {**result, "detectors": {key: dict(detector) for key, detector in result["detectors"].items()}}
    for detector in kept["detectors"].values():
        if "soundscapes" in detector:
            detector["soundscapes"] = {ratio: _lean(ratio, found) for ratio, found in detector["soundscapes"].items()}
    return kept


def _lean(ratio: str, found: Json) -> dict[str, Any]:
    classes = found["classes"].items() if ratio == ALL else ()
    lean = {slug: {name: value for name, value in each.items() if name != "latencies_seconds"} for slug, each in classes}
    return {**found, "classes": lean}


def _has(result: Json, name: str) -> bool:
    return any(name in detector for detector in result["detectors"].values())


def accuracy_text(result: Json) -> str:
    """By the top class of mean probability, and the confusion."""
    lines = [_accuracy("", result)]
    if AMONG in result:
        lines.append(_accuracy("Among the classes of the clips alone: ", result[AMONG]))
    if "peer" in result:
        lines.append(_accuracy("YAMNet, a window every 0.48 s, among the classes of the clips alone: ", result["peer"]))
    return "\n".join(
        [*lines, "", "Rows are what it was, columns what was heard:", "", "```", confusion_table(dict(result)), "```"]
    )


def _accuracy(who: str, figures: Json) -> str:
    low, high = figures["error_share_95"]
    return (
        f"{who}{figures['right']} of {figures['clips']} clips have their class on top by mean probability: "
        f"{100 * figures['accuracy']:.1f} %, {figures['errors']} wrong (95 % interval {100 * low:.1f} to {100 * high:.1f} %)."
    )


def parts_table(parts: Sequence[Json]) -> str:
    """Of a cross-validation: what each bundle did on the folds that it was made without."""
    rows = [
        [
            f"{part['bundle']} {part['version']}",
            _folds(part["folds"]),
            f"{part['errors']} of {part['clips']}",
            *([f"{part[AMONG]} of {part['clips']}"] if AMONG in part else []),
            "–" if part["peer_errors"] is None else f"{part['peer_errors']} of {part['clips']}",
        ]
        for part in parts
    ]
    among = ["wrong among the clips' classes"] if parts and AMONG in parts[0] else []
    return table(["bundle", "folds", "wrong", *among, "YAMNet wrong"], rows)


def _folds(folds: Sequence[int] | None) -> str:
    return ", ".join(map(str, folds)) if folds else "all"


def found_table(result: Json) -> str:
    """Clips that give an event of their class."""
    rows = [_found(each["title"], each["found"]) for each in result["detectors"].values()]
    for threshold, found in result.get("peer", {}).get("found_at", {}).items():
        rows.append(_found(f"YAMNet, one window of 0.48 s steps at {threshold} or more", found))
    return table(["as a detector", "clips found", f"classes below {100 * FEW:.0f} %"], rows)


def _found(title: str, found: Json) -> list[str]:
    few = ", ".join(f"{slug} {100 * share:.0f} %" for slug, share in found["recall"].items() if share < FEW)
    return [title, f"{found['found']} of {found['clips']} ({100 * found['share']:.1f} %)", few or "none"]


def events_tables(detectors: Json) -> str:
    """By signal-to-noise ratio, and by class over all ratios."""
    scored = {each["title"]: each["soundscapes"] for each in detectors.values() if "soundscapes" in each}
    first = next(iter(scored.values()))
    by_ratio = [[_ratio(ratio), title, *_events(found[ratio])] for ratio in first for title, found in scored.items()]
    classes = first[ALL]["classes"]
    by_class = [[f"`{slug}`", *(_class(found[ALL]["classes"].get(slug)) for found in scored.values())] for slug in classes]
    parts = [
        f"{EVENTS_HEAD} {first[ALL]['hours']:.2f} h in all.",
        table(
            ["signal to noise", "detector", "true", "heard", "found", "F1", "class mean", "false alarms/h", "latency"],
            by_ratio,
        ),
        "By class, all ratios together: F1, false alarms, median latency.",
        table(["class", *scored], by_class),
    ]
    return "\n\n".join(parts)


def _ratio(key: str) -> str:
    return key if key == ALL else f"{key} dB"


def _events(found: Json) -> list[str]:
    rate, bound = found["false_alarms_per_hour"], found["false_alarms_at_most_per_hour"]
    alarms = f"{_number(rate)} (at most {_number(bound)})"
    latency = f"{_seconds(found['latency_median_seconds'])}, p90 {_seconds(found['latency_p90_seconds'])}"
    touched = f"{100 * found['touched'] / max(found['true'], 1):.0f} %"
    return [str(found["true"]), str(found["heard"]), touched, _share(found["f1"]), _share(found["mean_f1"]), alarms, latency]


def _class(found: Json | None) -> str:
    if found is None:
        return "–"
    return f"{_share(found['f1'])}, {found['false_alarms']}, {_seconds(found['latency_median_seconds'])}"


def conditions_table(detectors: Json) -> str:
    """Found, by condition."""
    shown = [each for each in detectors.values() if "conditions" in each]
    rows = [[name, *(f"{100 * each['conditions'][name]['share']:.1f} %" for each in shown)] for name in shown[0]["conditions"]]
    head = "Clips found that were made quiet, noisy (the noise so far below the clip), reverberant, or narrow."
    return f"{head}\n\n{table(['condition', *(each['title'] for each in shown)], rows)}"


def background_table(detectors: Json) -> str:
    """Real sound."""
    return f"{BACKGROUND_HEAD}\n\n{_alarms(detectors, 'background', quiet=True)}"


def signals_table(detectors: Json) -> str:
    """Made sound; detectors that heard nothing in a signal are not listed for it."""
    signals = next(each["signals"] for each in detectors.values() if "signals" in each)
    by_length: dict[str, list[str]] = {}
    for name, found in signals.items():
        by_length.setdefault(f"{60 * found['hours']:.0f} min", []).append(name)
    heard = "; ".join(f"{length} each of {', '.join(names)}" for length, names in by_length.items())
    return f"{SIGNALS_HEAD} Those without a row gave none. Heard were {heard}.\n\n{_alarms(detectors, 'signals', quiet=False)}"


def _alarms(detectors: Json, what: str, *, quiet: bool) -> str:
    rows = []
    for each in detectors.values():
        for label, found in each.get(what, {}).items():
            if quiet or found["events"]:
                heard = ", ".join(f"{slug} {count}" for slug, count in found["classes"].items()) or "-"
                rate = f"{_number(found['per_hour'])} (at most {_number(found['at_most_per_hour'])})"
                rows.append([each["title"], label, f"{found['hours']:.2f}", str(found["events"]), rate, heard])
    return table(["detector", "sound", "hours", "events", "per hour", "which"], rows)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"


SECTIONS: tuple[tuple[str, Callable[[Json], str]], ...] = (
    ("conditions", conditions_table),
    ("soundscapes", events_tables),
    ("background", background_table),
    ("signals", signals_table),
)
