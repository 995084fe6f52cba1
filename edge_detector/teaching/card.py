"""MODEL_CARD.md of a bundle with taught classes: the new classes, then the card of the extended bundle."""

from collections.abc import Iterator, Mapping, Sequence

from edge_detector.detection.bundle import Manifest, hop_key
from edge_detector.teaching.figures import TaughtFigures
from edge_detector.teaching.thresholds import WRONG, Thresholds


def taught_card(
    manifest: Manifest, figures: TaughtFigures, thresholds: Thresholds, limits: Sequence[str], *, base_name: str, base_card: str
) -> str:
    """Format the card as Markdown.

    Args:
        manifest: of the new bundle.
        figures: of the taught classes.
        thresholds: of the taught classes.
        limits: sentences for users.
        base_name: name and version of the extended bundle.
        base_card: card of the extended bundle.

    """
    labels = {sound.slug: sound.label for sound in manifest.classes}
    head = "| class | name | recordings | on top | give an event | threshold | events without the class |"
    rows = [_row(slug, labels[slug], figures, thresholds) for slug in figures.classes]
    hours = ", ".join(f"{length:.1f} h of {kind}" for kind, length in thresholds.hours.items())
    return "\n\n".join(
        [
            f"# {manifest.name} {manifest.version}",
            f"{base_name} with taught classes, created {manifest.created}. Licence: {manifest.licence}.",
            "## Taught classes",
            "\n".join([head, "|---" * 7 + "|", *rows]),
            f"{figures.protocol} Events at a hop of {hop_key(1)} s. Sound without the classes: {hours}.",
            "## Limits",
            "\n".join(f"- {limit}" for limit in limits),
            f"The networks and all other classes are those of {base_name}, unchanged. Its card follows.",
            base_card,
        ]
    )


def _row(slug: str, label: str, figures: TaughtFigures, thresholds: Thresholds) -> str:
    found, chosen = figures.classes[slug], thresholds.chosen[slug][1]
    alarms = ", ".join(f"{count} in {kind}" for kind, count in chosen.false_alarms.items() if count) or "none"
    cells = (f"`{slug}`", label, found.recordings, found.on_top, found.events[hop_key(1)], f"{chosen.rule.on:.2f}", alarms)
    return f"| {' | '.join(map(str, cells))} |"


def limits_of(
    recordings: Mapping[str, int],
    figures: TaughtFigures,
    wrong: Mapping[str, int],
    thresholds: Thresholds,
    *,
    few: int,
    negatives: bool,
    background_minutes: float,
) -> tuple[str, ...]:
    """Return the limits of taught classes, as sentences for users.

    Args:
        recordings: number by slug.
        figures: of the left-out recordings.
        wrong: number of recordings that are not the class, by slug.
        thresholds: of the taught classes.
        few: classes with fewer recordings get a sentence.
        negatives: negatives of the bundle's embedder were used.
        background_minutes: of the user's room.

    """
    uncertain = [f"{slug} ({count})" for slug, count in recordings.items() if count < few]
    found = [f"Few recordings: {', '.join(uncertain)}; their figures are uncertain."] if uncertain else []
    for slug, of_class in figures.classes.items():
        if of_class.also_detected:
            also = ", ".join(f"{other} {count}" for other, count in of_class.also_detected.items())
            most = max(of_class.also_detected, key=lambda other: of_class.also_detected[other])
            found.append(
                f"Recordings of {slug} also give events of other classes: {also} of {of_class.recordings}. If {most} is the same "
                "sound, name the folder so: it then takes the place of that class."
            )
    found += _still_wrong(wrong, thresholds)
    if not negatives:
        found.append(
            "No negatives of this bundle's embedder were used: expect false alarms on speech, music and other sound, until "
            "--negatives names some, made by python -m convert negatives."
        )
    if not background_minutes:
        found.append("Ten minutes of the room without the sounds (record --background) reduce false alarms.")
    return tuple(found) or ("None beyond those of the card below.",)


def _still_wrong(wrong: Mapping[str, int], thresholds: Thresholds) -> Iterator[str]:
    for slug, count in wrong.items():
        events = thresholds.chosen[slug][1].false_alarms[WRONG]
        if events:
            yield (
                f"Recordings that are not {slug} still give events of it: {events} in {count}, each scored by a model that was "
                "trained without it. More recordings make that rarer."
            )
