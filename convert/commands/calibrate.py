"""calibrate: choose each class's thresholds for each hop by the cost of misses and false alarms."""

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from convert.arguments import folds
from convert.evaluation.chosen_thresholds import Calibration, ChosenThreshold, CostWeights
from convert.evaluation.score_streams import Levels, calibration_set, clip_streams, doubts_of, finest_probabilities, labelled_by
from convert.evaluation.thresholds import Costs, lowest_cost
from convert.files import write_json
from convert.plain_data import to_plain
from convert.progress import Progress
from convert.recipe import add_recipe_arguments, load_recipe, require_not_negative, require_positive
from edge_detector.audio.clips import find_clips, load_clips
from edge_detector.detection.bundle import Bundle, SoundClass, hop_key, load_bundle
from edge_detector.detection.networks_of_bundle import networks_of
from edge_detector.errors import UsageError
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.teaching.calibration import Stream, hours


@dataclass(frozen=True, slots=True)
class CalibrationSettings:
    """Table [calibration] of a recipe.

    Attributes:
        recordings_cost: cost of an event in every recording of other sound, where missing all clips of a class costs 1.
        hour_cost: cost of an event in each hour of speech and of music.
        gains_db: levels at which background is given in turn.
        hours: maximum hours of speech and of music, in pieces from all of it.
        noise_minutes: minutes of synthetic noise, hum and room tone.
        seed: of that noise.

    """

    recordings_cost: float
    hour_cost: float
    gains_db: tuple[float, ...]
    hours: float
    noise_minutes: float
    seed: int

    def __post_init__(self) -> None:
        """Check the ranges."""
        require_positive(self, "recordings_cost", "hour_cost", "hours")
        require_not_negative(self, "noise_minutes", "seed")
        if not self.gains_db:
            raise ValueError("gains_db must have a level")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("bundle", type=Path, help="bundle folder whose networks are to be calibrated; it is not changed")
    parser.add_argument(
        "--background",
        type=Path,
        required=True,
        metavar="DIR",
        help="LABEL/1-ORIGIN.wav that nothing was trained on: speech, music, and KIND_LABEL of every kind",
    )
    parser.add_argument("--clips", type=Path, metavar="DIR", help="labelled clips of the classes")
    of_clips = parser.add_mutually_exclusive_group()
    of_clips.add_argument("--folds", type=folds, help="their folds (all)")
    of_clips.add_argument(
        "--held-out",
        type=held_out,
        nargs="+",
        default=[],
        metavar="FOLD=BUNDLE",
        help="run the clips of a fold through another bundle of the same recipe, trained without them"
        " more easily than anything new",
    )
    add_recipe_arguments(parser, "default")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file for bundle --calibration")


def held_out(text: str) -> tuple[int, Path]:
    """Parse FOLD=BUNDLE."""
    fold, _, folder = text.partition("=")
    if not fold.isdigit() or not folder:
        message = f"{text!r} is not FOLD=BUNDLE, such as 3=build/recipe/3/draft"
        raise argparse.ArgumentTypeError(message)
    return int(fold), Path(folder)


def run(arguments: argparse.Namespace) -> Calibration:
    """Run the networks once at the finest hop, choose thresholds for every class and hop, and write them."""
    recipe = load_recipe(arguments.recipe, arguments.replaced, tables=("calibration",))
    settings = recipe.section("calibration", CalibrationSettings)
    bundle = load_bundle(arguments.bundle)
    # Disabled classes get thresholds too: bundle requires them, and a configuration may enable the class.
    classes = bundle.manifest.classes
    slugs = [sound.slug for sound in classes]
    levels = Levels(settings.hours, settings.gains_db, settings.noise_minutes, settings.seed)
    clips, clip_folds = _clips(arguments.bundle, classes, arguments.clips, arguments.folds, arguments.held_out)
    given = calibration_set(labelled_by(bundle, classes), doubts_of(bundle, classes), arguments.background, slugs, levels)
    material = replace(given, clips=[*clips, *given.clips])
    costs = Costs(settings.recordings_cost, settings.hour_cost)
    progress = Progress("calibrate: class", len(slugs))
    chosen: dict[str, dict[str, ChosenThreshold]] = {}
    for index, slug in enumerate(slugs):
        chosen[slug] = {hop_key(hops): lowest_cost(material, index, hops, costs).chosen for hops in HOPS_PER_PATCH}
        progress.update(index + 1)
    progress.close()
    result = Calibration(
        classes=chosen,
        costs=CostWeights(costs.recordings, costs.hour),
        gains_db=settings.gains_db,
        most_hours=settings.hours,
        hours={name: round(hours(found), 3) for name, found in {**material.continuous, **material.recordings}.items()},
        clips=len(clips),
        folds=tuple(clip_folds),
        held_out=bool(arguments.held_out),
    )
    write_json(arguments.output, to_plain(result))
    return result


def _clips(
    bundle: Path,
    classes: Sequence[SoundClass],
    folder: Path | None,
    used: Collection[int] | None,
    held_out: Sequence[tuple[int, Path]],
) -> tuple[list[Stream], list[int]]:
    """Load the clips of the classes, and their folds."""
    if folder is None:
        if held_out:
            raise UsageError("--held-out needs clips; give --clips DIR too")
        return [], []
    slugs = [sound.slug for sound in classes]
    if not held_out:
        labelled = load_clips(find_clips(folder, used), slugs)
        probabilities = finest_probabilities(networks_of(load_bundle(bundle), classes))
        return clip_streams(probabilities, labelled), sorted({clip.clip.fold for clip in labelled})
    streams = []
    for fold, other in [(fold, _trained_without(fold, folder, bundle, slugs)) for fold, folder in held_out]:
        probabilities = finest_probabilities(networks_of(other, other.manifest.classes))
        streams += clip_streams(probabilities, load_clips(find_clips(folder, [fold]), slugs))
    return streams, sorted(fold for fold, _ in held_out)


def _trained_without(fold: int, folder: Path, calibrated: Path, slugs: Sequence[str]) -> Bundle:
    """Load a bundle of the same classes whose networks were trained without the fold."""
    other = load_bundle(folder)
    parts = [other.manifest.training.get(name) for name in ("embedder", "sequence")]
    if any(isinstance(facts, Mapping) and fold in facts.get("folds", ()) for facts in parts):
        raise UsageError(f"{folder} was trained on fold {fold}; name a bundle trained without it, or leave --held-out out")
    if [sound.slug for sound in other.manifest.classes] != list(slugs):
        raise UsageError(f"{folder} has other classes than {calibrated}; make both with the same --classes")
    return other


def describe(result: Calibration) -> str:
    """Format the thresholds as text."""
    width = max(map(len, result.classes))
    lines = [f"{'class':<{width}}  hop    on    off   found      false recordings  an hour"]
    for slug, hops in result.classes.items():
        for hop, found in hops.items():
            rule = found.rule
            share = f"{found.found}/{found.clips}" if found.clips else "-"
            false = f"{100.0 * (found.false_share or 0.0):.1f} %"
            an_hour = ", ".join(f"{name} {rate:.1f}" for name, rate in (found.false_per_hour or {}).items() if rate) or "-"
            lines.append(f"{slug:<{width}}  {hop}  {rule.on:.3f} {rule.off:.3f}  {share:<9}  {false:<16}  {an_hour}")
    return "\n".join(lines)
