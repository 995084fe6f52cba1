"""calibrate: each class's thresholds for each hop, on background that nothing was trained on."""

import argparse
from pathlib import Path
from typing import Any

from convert.arguments import folds, positive_float, share
from convert.data.calibration import Choice, Limits, choose, hours
from convert.data.clips import find_clips, load_clips
from convert.data.listening import NOISE, ear_of, hear_background, hear_clips, hear_noise
from convert.files import write_json
from convert.progress import Progress
from convert.serving import detector_model
from edge_detector.core.bundle import hop_key, load_bundle
from edge_detector.errors import UsageError
from edge_detector.params import HOPS_PER_PATCH

MARGIN = 0.5
LIKELIER_THAN_NOT = 0.5
"""What an event is to be, however quiet the background was."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("bundle", type=Path, help="bundle folder whose networks are to be calibrated; it is not changed")
    parser.add_argument(
        "--background", type=Path, nargs="+", required=True, metavar="DIR", help="LABEL/1-ORIGIN.wav that nothing was trained on"
    )
    parser.add_argument(
        "--clips",
        type=Path,
        metavar="DIR",
        help="labelled clips to report the recall of; by it a duration is preferred to a high threshold, so none to evaluate on",
    )
    parser.add_argument("--folds", type=folds, help="their folds (all)")
    parser.add_argument("--false-alarms-per-hour", type=positive_float, default=0.1, help="allowed for each class (0.1)")
    parser.add_argument("--margin", type=float, default=MARGIN, help=f"log odds added to each threshold ({MARGIN})")
    parser.add_argument("--lowest-on", type=share, default=LIKELIER_THAN_NOT, help=f"no threshold is lower ({LIKELIER_THAN_NOT})")
    parser.add_argument(
        "--gains-db", type=float, nargs="+", default=[0.0, -15.0], help="levels the background is heard at (0 -15)"
    )
    parser.add_argument(
        "--hours", type=positive_float, help="hours of each kind of background at most, in pieces from all of it (all)"
    )
    parser.add_argument("--noise-minutes", type=float, default=15.0, help="minutes of made noise and hum beside it (15)")
    parser.add_argument("--seed", type=int, default=0, help="of that noise")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file for bundle --calibration")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Listen once at the finest hop, choose for every class and hop, write."""
    bundle = load_bundle(arguments.bundle)
    # A class of AudioSet labels alone may sound anywhere in background that nobody labelled: it keeps the rule it has.
    # One that is off gets thresholds all the same: bundle needs them, and a configuration may switch it on.
    chosen = [sound for sound in bundle.manifest.classes if sound.sequence_output is not None]
    if not chosen:
        raise UsageError(f"{arguments.bundle} has no class with an output of its sequence model; there is nothing to calibrate")
    slugs = [sound.slug for sound in chosen]
    ear = ear_of(detector_model(bundle, chosen))
    background = hear_background(ear, arguments.background, slugs, arguments.gains_db, arguments.hours)
    background[NOISE] = hear_noise(ear, arguments.noise_minutes, arguments.seed)
    streams = [stream for found in background.values() for stream in found]
    labelled = load_clips(find_clips(arguments.clips, arguments.folds), slugs) if arguments.clips else []
    clips = hear_clips(ear, labelled)
    limits = Limits(arguments.false_alarms_per_hour, arguments.margin, arguments.lowest_on)
    progress = Progress("calibrate: class", len(slugs))
    classes: dict[str, dict[str, Any]] = {}
    for index, slug in enumerate(slugs):
        classes[slug] = {hop_key(hops): choice_as_json(choose(streams, clips, index, hops, limits)) for hops in HOPS_PER_PATCH}
        progress.update(index + 1)
    progress.close()
    result = {
        "false_alarms_per_hour": arguments.false_alarms_per_hour,
        "margin": arguments.margin,
        "lowest_on": arguments.lowest_on,
        "gains_db": list(arguments.gains_db),
        "hours": {label: round(hours(found), 3) for label, found in background.items()},
        "clips": len(clips),
        "folds": sorted({clip.clip.fold for clip in labelled}),
        "classes": classes,
    }
    write_json(arguments.output, result)
    return result


def describe(result: dict[str, Any]) -> str:
    """The thresholds for people."""
    width = max(map(len, result["classes"]))
    lines = [f"{'class':<{width}}  hop    on    off   at least  false alarms  recall"]
    for slug, hops in result["classes"].items():
        for hop, found in hops.items():
            recall = "-" if found["recall"] is None else f"{100 * found['recall']:.0f} %"
            rule = found["rule"]
            alarms = f"{found['false_alarms']} in {found['hours']:.2f} h"
            times = f"{rule['min_seconds']:.1f} s"
            lines.append(f"{slug:<{width}}  {hop}  {rule['on']:.3f} {rule['off']:.3f}  {times:<8}  {alarms:<12}  {recall}")
    return "\n".join(lines)


def choice_as_json(choice: Choice) -> dict[str, Any]:
    """A choice as the file of a calibration holds it."""
    rule = choice.rule
    return {
        "rule": {"on": rule.on, "off": rule.off, "min_seconds": rule.min_seconds},
        "false_alarms": choice.false_alarms,
        "hours": round(choice.hours, 3),
        "recall": choice.recall,
    }
