"""Tables of a score or of a cross-validation: the same Markdown in a terminal and in a model card."""

from collections.abc import Callable, Mapping, Sequence

from convert.evaluation.figures import Accuracy, AlarmFigures, EventFigures, FoundClips, SoundscapeFigures
from convert.evaluation.markdown import table
from convert.evaluation.other_figures import OtherSounds
from convert.evaluation.other_sounds_tables import found_and_false, other_sounds_section, other_sounds_text
from convert.evaluation.score import ALL, PartScore, ScoreResult
from convert.evaluation.scoring import confusion_table

FEW = 0.85
"""Classes with a lower share of found clips are listed."""

EVENTS_HEAD = (
    "Events on soundscapes: the clips in sequence, with pauses and overlaps, some with reverberation, before silence, synthetic "
    "noise and real background. F1 with onsets within 1 s, over all events. Found: true events that overlap a detected one, "
    "however late. A false alarm overlaps no true event of its class; in brackets the 95 % upper bound for an hour. Latency is "
    "from the true onset to the announcement."
)
BACKGROUND_HEAD = (
    "False alarms in sound without the classes, except the class of its own name; in brackets the 95 % upper bound for an hour "
    "(Poisson)."
)
SIGNALS_HEAD = "Events in synthetic signals without any class."


def score_text(result: ScoreResult) -> str:
    """Format all tables."""
    return "\n\n".join([*_accuracy_parts(result), *_other_sounds(result, other_sounds_text), *_event_parts(result)])


def card_tables(result: ScoreResult) -> str:
    """Format what a model card shows of a score: found and false, and false alarms an hour."""
    background = {each.title: each.background for each in result.detectors.values() if each.background is not None}
    parts = [
        *_other_sounds(result, found_and_false),
        *([] if result.other_sounds else [found_table(result)]),
        *([f"{BACKGROUND_HEAD}\n\n{_alarms(background, keep_quiet=True)}"] if background else []),
    ]
    return "\n\n".join(parts)


def cross_validation_sections(result: ScoreResult) -> str:
    """Format a cross-validation for a page of figures: all tables but those of other sounds by strictness, label and class."""
    return "\n\n".join([*_accuracy_parts(result), *_other_sounds(result, other_sounds_section), *_event_parts(result)])


def score_sections(result: ScoreResult) -> str:
    """Format a score for a page of figures: the same without accuracy."""
    return "\n\n".join([*_other_sounds(result, other_sounds_section), *_event_parts(result)])


def _accuracy_parts(result: ScoreResult) -> list[str]:
    return [accuracy_text(result), *([parts_table(result.parts)] if result.parts else [])]


def _event_parts(result: ScoreResult) -> list[str]:
    detectors = list(result.detectors.values())
    conditions = {each.title: each.conditions for each in detectors if each.conditions is not None}
    soundscapes = {each.title: each.soundscapes for each in detectors if each.soundscapes is not None}
    background = {each.title: each.background for each in detectors if each.background is not None}
    signals = {each.title: each.signals for each in detectors if each.signals is not None}
    return [
        found_table(result),
        *([conditions_table(conditions)] if conditions else []),
        *([events_tables(soundscapes)] if soundscapes else []),
        *([f"{BACKGROUND_HEAD}\n\n{_alarms(background, keep_quiet=True)}"] if background else []),
        *([signals_table(signals)] if signals else []),
    ]


def _other_sounds(result: ScoreResult, make: Callable[[OtherSounds], str]) -> list[str]:
    return [] if result.other_sounds is None else [make(result.other_sounds)]


def accuracy_text(result: ScoreResult) -> str:
    """Format the accuracies and the confusion."""
    lines = [_accuracy("", result)]
    if result.among_classes_of_clips:
        lines.append(_accuracy("Among the classes of the clips alone: ", result.among_classes_of_clips))
    if result.peer:
        lines.append(_accuracy("YAMNet, a window every 0.48 s, among the classes of the clips alone: ", result.peer))
    return "\n".join([*lines, "", "Rows are true classes, columns classes on top:", "", "```", confusion_table(result), "```"])


def _accuracy(head: str, figures: Accuracy) -> str:
    low, high = figures.error_share_95
    return (
        f"{head}{figures.right} of {figures.clips} clips have their class on top by mean probability: "
        f"{100 * figures.accuracy:.1f} %, {figures.errors} wrong (95 % interval {100 * low:.1f} to {100 * high:.1f} %)."
    )


def parts_table(parts: Sequence[PartScore]) -> str:
    """Format the errors of each bundle of a cross-validation."""
    among = [part.among_classes_of_clips for part in parts]
    rows = [
        [
            f"{part.bundle} {part.version}",
            ", ".join(map(str, part.folds)) or "all",
            f"{part.errors} of {part.clips}",
            *([] if None in among else [f"{part.among_classes_of_clips} of {part.clips}"]),
            "–" if part.peer_errors is None else f"{part.peer_errors} of {part.clips}",
        ]
        for part in parts
    ]
    head = [] if None in among else ["wrong among the clips' classes"]
    return table(["bundle", "folds", "wrong", *head, "YAMNet wrong"], rows)


def found_table(result: ScoreResult) -> str:
    """Format the clips that give an event of their class."""
    rows = [_found(each.title, each.found) for each in result.detectors.values()]
    if result.peer:
        for threshold, found in result.peer.found_at.items():
            rows.append(_found(f"YAMNet, one window of 0.48 s steps at {threshold} or more", found))
    return table(["as a detector", "clips found", f"classes below {100 * FEW:.0f} %"], rows)


def _found(title: str, found: FoundClips) -> list[str]:
    few = ", ".join(f"{slug} {100 * share:.0f} %" for slug, share in found.recall.items() if share < FEW)
    return [title, f"{found.found} of {found.clips} ({100 * found.share:.1f} %)", few or "none"]


def events_tables(scored: Mapping[str, Mapping[str, SoundscapeFigures]]) -> str:
    """Format events on soundscapes by signal-to-noise ratio, and by class over all ratios; `scored` is by title and ratio."""
    first = next(iter(scored.values()))
    by_ratio = [
        [ratio if ratio == ALL else f"{ratio} dB", title, *_events(found[ratio])]
        for ratio in first
        for title, found in scored.items()
    ]
    by_class = [
        [f"`{slug}`", *(_class(found[ALL].classes.get(slug)) for found in scored.values())] for slug in first[ALL].classes
    ]
    parts = [
        f"{EVENTS_HEAD} {first[ALL].hours:.2f} h in all.",
        table(
            ["signal to noise", "detector", "true", "detected", "found", "F1", "class mean", "false alarms/h", "latency"],
            by_ratio,
        ),
        "By class, all ratios together: F1, false alarms, median latency.",
        table(["class", *scored], by_class),
    ]
    return "\n\n".join(parts)


def _events(found: SoundscapeFigures) -> list[str]:
    alarms = f"{_number(found.false_alarms_per_hour)} (at most {_number(found.false_alarms_at_most_per_hour)})"
    latency = f"{_seconds(found.latency_median_seconds)}, p90 {_seconds(found.latency_p90_seconds)}"
    overlapped = f"{100 * found.overlapped / max(found.true, 1):.0f} %"
    return [str(found.true), str(found.detected), overlapped, _share(found.f1), _share(found.mean_f1), alarms, latency]


def _class(found: EventFigures | None) -> str:
    if found is None:
        return "–"
    return f"{_share(found.f1)}, {found.false_alarms}, {_seconds(found.latency_median_seconds)}"


def conditions_table(shown: Mapping[str, Mapping[str, FoundClips]]) -> str:
    """Format the clips found by condition; `shown` is by title and condition."""
    names = next(iter(shown.values()))
    rows = [[name, *(f"{100 * found[name].share:.1f} %" for found in shown.values())] for name in names]
    head = "Clips found after attenuation, with added noise (the ratio is given), with reverberation, and in a narrow band."
    return f"{head}\n\n{table(['condition', *shown], rows)}"


def signals_table(shown: Mapping[str, Mapping[str, AlarmFigures]]) -> str:
    """Format events in synthetic signals; a detector without events in a signal has no row for it."""
    by_length: dict[str, list[str]] = {}
    for name, found in next(iter(shown.values())).items():
        by_length.setdefault(f"{60 * found.hours:.0f} min", []).append(name)
    signals = "; ".join(f"{length} each of {', '.join(names)}" for length, names in by_length.items())
    return f"{SIGNALS_HEAD} Signals without events have no row. Signals: {signals}.\n\n{_alarms(shown, keep_quiet=False)}"


def _alarms(shown: Mapping[str, Mapping[str, AlarmFigures]], *, keep_quiet: bool) -> str:
    rows = []
    for title, by_sound in shown.items():
        for label, found in by_sound.items():
            if keep_quiet or found.events:
                classes = ", ".join(f"{slug} {count}" for slug, count in found.classes.items()) or "-"
                rate = f"{_number(found.per_hour)} (at most {_number(found.at_most_per_hour)})"
                rows.append([title, label, f"{found.hours:.2f}", str(found.events), rate, classes])
    return table(["detector", "sound", "hours", "events", "per hour", "classes"], rows)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f} s"
