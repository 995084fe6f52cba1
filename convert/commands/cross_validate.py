"""cross-validate: add up the scores of several bundles, each measured on its held-out clips.

Reads outputs of `score --json` made with the same options. The result has the same keys, summed over all clips and sounds, and
`parts`: each bundle's own figures. Latencies are those of all events. Background and recordings of other sounds count once per
bundle: false shares are of bundles x recordings.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from convert.evaluation.figures import added_accuracy, added_alarms, added_events, added_found
from convert.evaluation.other_figures import OtherSounds, added_other_sounds
from convert.evaluation.other_sounds_tables import draw_other_sounds
from convert.evaluation.tables import AMONG, OTHER_SOUNDS, read_score, score_text
from convert.files import write_bytes
from edge_detector.errors import UsageError

Json = dict[str, Any]
BY_NAME: dict[str, Callable[[Sequence[Json]], Json]] = {
    "conditions": added_found,
    "soundscapes": added_events,
    "background": added_alarms,
    "signals": added_alarms,
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("scores", type=Path, nargs="+", metavar="FILE", help="what score --json printed, one of each bundle")
    parser.add_argument(
        "--picture", type=Path, metavar="FILE.svg", help="draw found over false of other sounds, at every strictness"
    )


def run(arguments: argparse.Namespace) -> Json:
    """Add up the scores."""
    results = [read_score(path) for path in arguments.scores]
    try:
        _require_alike(arguments.scores, results)
        others = added_other_sounds(_other_sounds(results)) if OTHER_SOUNDS in results[0] else None
        result = {**_added(results), **({OTHER_SOUNDS: others.as_json()} if others else {})}
    except (KeyError, TypeError, ValueError) as error:
        names = ", ".join(map(str, arguments.scores))
        raise UsageError(f"not all of {names} are what score --json prints ({error}); score again") from error
    if arguments.picture:
        if others is None:
            raise UsageError("--picture draws what is false on other sounds; score with --others, or leave it out")
        write_bytes(arguments.picture, draw_other_sounds(others).encode())
    return result


def describe(result: Json) -> str:
    """Format the result as text."""
    return score_text(result)


def _added(results: Sequence[Json]) -> Json:
    first = results[0]
    every = sorted(fold for result in results for fold in result["folds"])
    peers = [result["peer"] for result in results if "peer" in result]
    return {
        "bundle": f"{len(results)} bundles, each without the folds it is scored on",
        "folds": every,
        "learnt_from_folds": [],
        "seed": first["seed"],
        **added_accuracy(results),
        **({AMONG: added_accuracy([result[AMONG] for result in results])} if AMONG in first else {}),
        "parts": [_part(result) for result in results],
        **({"peer": _peer(peers)} if peers else {}),
        "detectors": {key: _detector([result["detectors"][key] for result in results]) for key in first["detectors"]},
    }


def _other_sounds(results: Sequence[Json]) -> list[OtherSounds]:
    return [OtherSounds.from_json(result[OTHER_SOUNDS]) for result in results if OTHER_SOUNDS in result]


def _require_alike(paths: Sequence[Path], results: Sequence[Json]) -> None:
    seen: dict[int, Path] = {}
    for path, result in zip(paths, results, strict=True):
        if not result["folds"]:
            raise UsageError(f"{path} is a score of all clips; give score --folds, those that its bundle was made without")
        for fold in result["folds"]:
            if fold in result["learnt_from_folds"]:
                raise UsageError(f"{path} scores a bundle on fold {fold}, which it learnt from; score it on others")
            if fold in seen:
                raise UsageError(f"{seen[fold]} and {path} are both of fold {fold}; give each fold once")
            seen[fold] = path
        if _shape(result) != _shape(results[0]):
            raise UsageError(f"{path} was scored by other classes or options than {paths[0]}; score both alike")


def _shape(result: Json) -> list[Any]:
    """Return the settings that results must share to be added up."""
    detectors = {key: {name: list(each[name]) for name in BY_NAME if name in each} for key, each in result["detectors"].items()}
    others = [found.shape() for found in _other_sounds([result])]
    return [result["labels"], result["seed"], "peer" in result, AMONG in result, detectors, others]


def _part(result: Json) -> Json:
    peer = result["peer"]["errors"] if "peer" in result else None
    among = {AMONG: result[AMONG]["errors"]} if AMONG in result else {}
    return {**{key: result[key] for key in ("bundle", "version", "folds", "clips", "errors")}, **among, "peer_errors": peer}


def _peer(parts: Sequence[Json]) -> Json:
    thresholds = parts[0]["found_at"]
    return {
        "file": parts[0]["file"],
        **added_accuracy(parts),
        "found_at": {threshold: added_found([part["found_at"][threshold] for part in parts]) for threshold in thresholds},
        "deaf_to": parts[0]["deaf_to"],
    }


def _detector(parts: Sequence[Json]) -> Json:
    named = {
        name: {key: add([part[name][key] for part in parts]) for key in parts[0][name]}
        for name, add in BY_NAME.items()
        if name in parts[0]
    }
    return {"title": parts[0]["title"], "found": added_found([part["found"] for part in parts]), **named}
