"""How many sounds of its classes does a bundle detect, and how many other sounds does it take for one of them?

    python -m tests.studies.other_sounds edge_detector/bundles/default --yamnet ../shared/data/peers/yamnet.tflite --folds 4

**Found** is the share of ESC-10's clips that give an event of their class. **False of the ten** is the share of recordings of
other sounds that give an event of one of ESC-10's ten classes which is not in them. A few labels have most of the recordings, so
the mean over the larger labels is given too. Found and false are measured together, at every strictness: all thresholds of a
bundle moved by the same amount in log-odds, and one threshold for all of YAMNet's classes. The decider is the detector's. Each
recording goes through the networks once, and the curve is computed from the probabilities.
"""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import convert
from convert.arguments import folds
from convert.data.audio import read_16khz
from convert.data.classes import ClassName, from_json
from convert.data.clips import Clip, find_clips
from convert.data.contest import Contender
from convert.data.peer import Peer
from convert.files import read_json, write_json
from convert.measures.intervals import wilson_interval
from convert.progress import Progress
from convert.serving import detector_model, stream_probabilities
from edge_detector.core.bundle import hop_key, load_bundle
from edge_detector.core.decision import Rule
from edge_detector.params import FRONT_END, HOPS_PER_PATCH
from edge_detector.types import Float32

TEN = {
    "baby_cry": "/t/dd00002",
    "chainsaw": "/m/01j4z9",
    "clock_tick": "/m/07qjznl",
    "dog_bark": "/m/05tny_",
    "fire_crackling": "/m/07pzfmf",
    "helicopter": "/m/09ct_",
    "person_sneeze": "/m/01hsr_",
    "rain": "/m/06mb1",
    "rooster": "/m/07qn5dc",
    "sea_waves": "/m/034srq",
}
"""ESC-10's classes, with AudioSet's identifiers."""

MAY_HOLD: Mapping[str, frozenset[str]] = {
    **{slug: frozenset({slug}) for slug in TEN},
    "around_dogs": frozenset({"dog_bark"}),
    "chicken": frozenset({"rooster"}),
    "household": frozenset({"rain"}),
    "thunder": frozenset({"rain"}),
}
"""By label of other sound, which of the ten may be in it; of a label that is absent, none.

`household` is a collection of one-second pieces, thirty of which are rain and thunder; no piece of it is a clock or a baby.
"""

ANYTHING = frozenset({"various"})
"""Labels of recordings that may hold any sound. They are reported apart, and are no part of the share."""

LARGE_LABEL_RECORDINGS = 20
"""Labels with fewer are no part of the mean over labels."""

SHIFTS = tuple(step / 4.0 for step in range(-12, 13))
THRESHOLDS = tuple(step / 20.0 for step in range(1, 19))
MARKED_THRESHOLDS = (0.5, 0.2)
FALSE_SHARES = (0.07, 0.10, 0.16)
OFF_SHARE = 0.6
LOWEST_ODDS = 1e-6
DEFAULT_CLASSES = Path(convert.__file__).parent / "recipes" / "default_classes.json"
AS_SHIPPED = "as shipped"

Rules = tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Measured:
    """Somebody who is measured.

    Attributes:
        contender: their probabilities of the ten, and their rules.
        points: rules by strictness, from bold to strict.
        marks: rules that people use, by name.

    """

    contender: Contender
    points: Mapping[float, Rules]
    marks: Mapping[str, Rules]


@dataclass(frozen=True, slots=True)
class Kept:
    """The probabilities of the ten in one recording: float32 (windows, 10)."""

    label: str
    probabilities: Float32


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was detected at one strictness.

    Attributes:
        found: clips that gave an event of their class, by class.
        clips: clips, by class.
        false: recordings of other sounds that gave an event of a class that is not in them, by label.
        others: recordings of other sounds, by label.
        false_of: the same recordings as in `false`, by the class of their false events; one may count for several classes.

    """

    found: Counter[str]
    clips: Counter[str]
    false: Counter[str]
    others: Counter[str]
    false_of: Counter[str]

    @property
    def found_share(self) -> float:
        """Of all clips."""
        return self.found.total() / self.clips.total()

    @property
    def false_share(self) -> float:
        """Of the recordings whose label says what is in them."""
        return self.false_pair[0] / self.false_pair[1]

    @property
    def mean_false_share(self) -> float:
        """The mean over the labels with enough recordings, each counting alike; not a number where there is none."""
        large = [label for label, count in self.others.items() if count >= LARGE_LABEL_RECORDINGS and label not in ANYTHING]
        return float(np.mean([self.false[label] / self.others[label] for label in large])) if large else math.nan

    @property
    def false_pair(self) -> tuple[int, int]:
        """How many of how many."""
        return _without_anything(self.false), _without_anything(self.others)


def measured_bundle(folder: Path, hops: int) -> Measured:
    """A bundle, through its own streaming path. It must have all of the ten; classes that are off are measured all the same."""
    bundle = load_bundle(folder)
    ten = [sound for sound in bundle.manifest.classes if sound.slug in TEN]
    if missing := sorted(TEN.keys() - {sound.slug for sound in ten}):
        sys.exit(f"{folder} has no class {', '.join(missing)}; give a bundle with ESC-10's ten classes")
    shipped = tuple(sound.rules[hops] for sound in ten)
    contender = Contender(
        title=f"{folder} ({bundle.manifest.name} {bundle.manifest.version})",
        slugs=tuple(sound.slug for sound in ten),
        hear=partial(stream_probabilities, detector_model(bundle, ten), hops_per_patch=hops),
        step_samples=FRONT_END.patch_step_samples // hops,
        rules=shipped,
    )
    points = {shift: tuple(shifted(rule, shift) for rule in shipped) for shift in SHIFTS}
    return Measured(contender, points, {AS_SHIPPED: shipped})


def measured_peer(path: Path, classes: Sequence[ClassName], title: str, hops: int) -> Measured:
    """YAMNet's labels, one threshold for all of them."""
    step_samples = FRONT_END.patch_step_samples // hops
    contender = Contender(
        title=title,
        slugs=tuple(each.slug for each in classes),
        hear=partial(Peer(path, classes).probabilities, step_samples=step_samples),
        step_samples=step_samples,
        rules=(Rule(1.0, 1.0),) * len(classes),
    )
    rules = {on: (Rule(on, OFF_SHARE * on),) * len(classes) for on in THRESHOLDS}
    return Measured(contender, rules, {f"at {on:g}": rules[on] for on in MARKED_THRESHOLDS})


def shifted(rule: Rule, shift: float) -> Rule:
    """A rule that is stricter by so much in log-odds."""
    share = min(max(rule.on, LOWEST_ODDS), 1.0 - LOWEST_ODDS)
    on = 1.0 / (1.0 + (1.0 - share) / share * math.exp(-shift))
    return replace(rule, on=on, off=OFF_SHARE * on, enabled=True)


def kept(clips: Sequence[Clip], contenders: Sequence[Contender], what: str) -> list[list[Kept]]:
    """The probabilities of every recording, by contender."""
    found: list[list[Kept]] = [[] for _ in contenders]
    progress = Progress(what, len(clips))
    for number, clip in enumerate(clips, 1):
        samples = read_16khz(clip.path)
        for own, contender in zip(found, contenders, strict=True):
            own.append(Kept(clip.label, contender.hear(samples)))
        progress.update(number)
    progress.close()
    return found


def outcome(contender: Contender, rules: Rules, clips: Sequence[Kept], others: Sequence[Kept]) -> Outcome:
    """What these rules make of what was kept."""
    # The contender is given probabilities in place of samples, and so has nothing left to compute.
    replayed = replace(contender, hear=_as_they_are, rules=rules)
    found, false, false_of = Counter[str](), Counter[str](), Counter[str]()
    for each in clips:
        found[each.label] += each.label in {event.label for event in replayed.events(each.probabilities)}
    for each in others:
        wrong = {event.label for event in replayed.events(each.probabilities)} - MAY_HOLD.get(each.label, frozenset())
        false[each.label] += bool(wrong)
        if each.label not in ANYTHING:
            false_of.update(wrong)
    return Outcome(found, Counter(each.label for each in clips), false, Counter(each.label for each in others), false_of)


def found_where_false(points: Sequence[tuple[float, float]], share: float) -> float | None:
    """What is found where this share is false, between two points (false, found) of a curve; None beyond them."""
    best: dict[float, float] = {}
    for false, found in points:
        best[false] = max(found, best.get(false, 0.0))
    shares = sorted(best)
    if not shares[0] <= share <= shares[-1]:
        return None
    return float(np.interp(share, shares, [best[each] for each in shares]))


@dataclass(frozen=True, slots=True)
class Result:
    """One contender's outcomes."""

    title: str
    points: Mapping[float, Outcome]
    marks: Mapping[str, Outcome]

    def found_where_false(self, share: float) -> float | None:
        """What is found where this share of the recordings is false."""
        return found_where_false([(point.false_share, point.found_share) for point in self.points.values()], share)

    def found_where_mean_false(self, share: float) -> float | None:
        """What is found where the mean over labels is this share."""
        return found_where_false([(point.mean_false_share, point.found_share) for point in self.points.values()], share)

    def as_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "points": {f"{strictness:g}": _as_json(point) for strictness, point in self.points.items()},
            "marks": {name: _as_json(point) for name, point in self.marks.items()},
            "found_where_false": {f"{share:g}": self.found_where_false(share) for share in FALSE_SHARES},
            "found_where_mean_false": {f"{share:g}": self.found_where_mean_false(share) for share in FALSE_SHARES},
        }


def results(measured: Sequence[Measured], clips: Sequence[Clip], others: Sequence[Clip]) -> Iterator[Result]:
    """Every contender on the same recordings."""
    contenders = [each.contender for each in measured]
    all_clips, all_others = kept(clips, contenders, "clip"), kept(others, contenders, "other sound")
    for each, own_clips, own_others in zip(measured, all_clips, all_others, strict=True):
        at = partial(outcome, each.contender, clips=own_clips, others=own_others)
        points = {strictness: at(rules) for strictness, rules in each.points.items()}
        yield Result(each.contender.title, points, {name: at(rules) for name, rules in each.marks.items()})


def curve_table(result: Result) -> str:
    """Found and false at each strictness, and found at given shares of false."""
    signed = "+" if min(result.points) < 0 else ""
    rows = [(f"{strictness:{signed}.2f}", point) for strictness, point in result.points.items()]
    rows += [(f"**{name}**", point) for name, point in result.marks.items()]
    lines = ["| strictness | found | false of the ten | mean over labels |", "|---:|---|---|---:|"]
    for name, point in rows:
        found, false = _share(point.found.total(), point.clips.total()), _share(*point.false_pair)
        lines.append(f"| {name} | {found} | {false} | {100 * point.mean_false_share:.1f} % |")
    clips = next(iter(result.points.values())).clips.total()
    lines += ["", "| where so many are false | found | found, by the mean over labels |", "|---:|---|---|"]
    for share in FALSE_SHARES:
        cells = [_interpolated(found, clips) for found in (result.found_where_false(share), result.found_where_mean_false(share))]
        lines.append(f"| {100 * share:.0f} % | " + " | ".join(cells) + " |")
    return "\n".join([f"## {result.title}", "", *lines])


def kinds_table(all_results: Sequence[Result]) -> str:
    """False events by label of other sound, the largest first."""
    columns = _columns(all_results)
    others = columns[0][1].others
    labels = sorted(others, key=lambda label: (label in ANYTHING, -others[label], label))
    rows = [
        (f"all but {', '.join(sorted(ANYTHING))}", [point.false_share for _, point in columns]),
        (f"mean over labels with {LARGE_LABEL_RECORDINGS} or more", [point.mean_false_share for _, point in columns]),
        *((f"{label} ({others[label]})", [point.false[label] / others[label] for _, point in columns]) for label in labels),
    ]
    return _table("Recordings of other sounds with a false event of the ten, by label", columns, rows, "label (recordings)")


def classes_table(all_results: Sequence[Result]) -> str:
    """Found, and false events, by class."""
    columns = _columns(all_results)
    found = [(slug, [point.found[slug] / point.clips[slug] for _, point in columns]) for slug in sorted(columns[0][1].clips)]
    false = [(slug, [point.false_of[slug] / point.false_pair[1] for _, point in columns]) for slug in sorted(TEN)]
    return "\n\n".join(
        [
            _table("Clips found, by class", columns, found, "class"),
            _table("Recordings of other sounds with a false event of each class", columns, false, "class"),
        ]
    )


def main() -> int:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", type=Path, nargs="+", metavar="BUNDLE", help="folders of bundles with ESC-10's ten classes")
    parser.add_argument("--yamnet", type=Path, metavar="FILE", help="YAMNet's .tflite file, to be measured beside them")
    parser.add_argument("--classes", type=Path, default=DEFAULT_CLASSES, metavar="FILE", help="what YAMNet's classes are made of")
    parser.add_argument(
        "--clips", type=Path, default=Path("../shared/data/esc10"), metavar="DIR", help="clips of the ten classes"
    )
    parser.add_argument("--folds", type=folds, help="folds of the clips, such as 1,4 (all)")
    parser.add_argument("--others", type=Path, default=Path("../shared/data/check"), metavar="DIR", help="a folder per label")
    parser.add_argument("--hop", choices=[hop_key(hops) for hops in HOPS_PER_PATCH], default=hop_key(1), help="seconds (0.96)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write every figure")
    arguments = parser.parse_args()
    hops = next(hops for hops in HOPS_PER_PATCH if hop_key(hops) == arguments.hop)
    measured = [measured_bundle(folder, hops) for folder in arguments.bundles]
    if arguments.yamnet:
        measured += peers(arguments.yamnet, arguments.classes, hops)
    clips = [clip for clip in find_clips(arguments.clips, arguments.folds) if clip.label in TEN]
    if not clips:
        sys.exit(f"{arguments.clips} has no clips of the ten classes; give a folder with a folder for each class")
    found = list(results(measured, clips, find_clips(arguments.others)))
    head = f"Found of {len(clips)} clips of {arguments.clips}, hop {arguments.hop} s. In brackets: 95 % intervals (Wilson)."
    say("\n\n".join([head, *(curve_table(each) for each in found), kinds_table(found), classes_table(found)]))
    if arguments.json:
        about = {"hop_seconds": float(arguments.hop), "folds": arguments.folds, "clips": len(clips)}
        write_json(arguments.json, {**about, "contenders": {each.title: each.as_json() for each in found}})
    return 0


def peers(path: Path, classes: Path, hops: int) -> list[Measured]:
    """YAMNet with its classes by AudioSet's identifier, and made of the labels that a file of classes names, if it names any."""
    by_identifier = [ClassName(slug, slug, mid) for slug, mid in TEN.items()]
    found = [measured_peer(path, by_identifier, "YAMNet, classes by identifier", hops)]
    made_of = from_json(tuple(TEN), read_json(classes))
    if all(each.audioset for each in made_of):
        found.append(measured_peer(path, made_of, "YAMNet, classes by labels", hops))
    return found


def say(text: str) -> None:
    """A line on stdout, at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _as_they_are(probabilities: Float32) -> Float32:
    return probabilities


def _without_anything(counts: Counter[str]) -> int:
    return sum(count for label, count in counts.items() if label not in ANYTHING)


def _columns(all_results: Sequence[Result]) -> list[tuple[str, Outcome]]:
    return [(f"{result.title}, {name}", point) for result in all_results for name, point in result.marks.items()]


def _share(count: int, total: int) -> str:
    return _in_brackets(count / total, wilson_interval(count, total))


def _interpolated(share: float | None, total: int) -> str:
    return "beyond the curve" if share is None else _in_brackets(share, wilson_interval(round(share * total), total))


def _in_brackets(share: float, interval: tuple[float, float]) -> str:
    return f"{100 * share:.1f} % ({100 * interval[0]:.0f} to {100 * interval[1]:.0f})"


def _table(title: str, columns: Sequence[tuple[str, Outcome]], rows: Sequence[tuple[str, Sequence[float]]], first: str) -> str:
    lines = [f"## {title}, in %", "", f"| {first} | " + " | ".join(name for name, _ in columns) + " |"]
    lines.append("|---|" + "---:|" * len(columns))
    lines += [f"| {name} | " + " | ".join(f"{100 * share:.1f}" for share in shares) + " |" for name, shares in rows]
    return "\n".join(lines)


def _as_json(point: Outcome) -> dict[str, Any]:
    false, others = point.false_pair
    clips = point.clips.total()
    return {
        "found": point.found_share,
        "found_interval": wilson_interval(point.found.total(), clips),
        "false": point.false_share,
        "false_interval": wilson_interval(false, others),
        "others": others,
        "mean_false": point.mean_false_share,
        "found_by_class": {slug: [point.found[slug], point.clips[slug]] for slug in sorted(point.clips)},
        "false_by_label": {label: [point.false[label], point.others[label]] for label in sorted(point.others)},
        "false_by_class": {slug: point.false_of[slug] for slug in sorted(TEN)},
    }


if __name__ == "__main__":
    sys.exit(main())
