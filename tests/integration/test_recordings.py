"""Real recordings through the command line, and what the shipped bundle says of recordings that it never met.

Its sequence model learnt from all the clips there are, so nearly all of them must come out right: fewer, and the bundle or the
path is broken. How it does on others, only its cross-validation can tell.
"""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edge_detector.cli.main import main
from edge_detector.detection.bundle import load_bundle
from edge_detector.service.factory import DEFAULT_BUNDLE

GOAL = 0.95
GOAL_UNSEEN = 0.93


CLASSES = tuple(sound.slug for sound in load_bundle(DEFAULT_BUNDLE).manifest.classes if sound.class_list == 1)
"""Those that it was trained to tell apart. Of the others one may be a kind of them, as a rooster is a bird."""


def top_class(clip: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Of these classes, the one with the highest mean probability over the clip."""
    assert main(["listen", str(clip), "--json"]) == 0
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    probabilities = [line["probabilities"] for line in lines if line["type"] == "probabilities"]
    means = {str(slug): float(np.mean([each[slug] for each in probabilities])) for slug in CLASSES}
    return max(means, key=lambda slug: means[slug])


def table(confusion: Counter[tuple[str, str]], slugs: list[str]) -> str:
    rows = [
        "rows: what it was; columns: what had the highest mean probability",
        " " * 16 + "".join(f"{slug[:6]:>7}" for slug in slugs),
    ]
    rows += [f"{true:<16}" + "".join(f"{confusion[true, heard] or '.':>7}" for heard in slugs) for true in slugs]
    return "\n".join(rows)


def test_nearly_all_clips_it_learnt_from_have_their_class_on_top(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips = sorted((data / "esc10").glob("*/4-*.ogg"))
    assert len(clips) == 80
    confusion = Counter((clip.parent.name, top_class(clip, capsys)) for clip in clips)
    right = sum(count for (true, heard), count in confusion.items() if true == heard)
    report = f"{right} of {len(clips)} clips right\n{table(confusion, sorted({clip.parent.name for clip in clips}))}"
    print(report)  # noqa: T201 - the figure is the point of this test; pytest -s shows it
    assert right >= GOAL * len(clips), report


def test_the_shipped_bundle_says_how_its_recipe_does_on_clips_that_no_network_had_met() -> None:
    manifest = json.loads((DEFAULT_BUNDLE / "manifest.json").read_text(encoding="utf-8"))
    (crossed,) = manifest["evaluation"]["scores"]
    assert crossed["clips"] == 320
    assert [part["folds"] for part in crossed["parts"]] == [[1], [2], [3], [4]]
    assert {part["version"] for part in crossed["parts"]} == {manifest["version"]}, "measured on another recipe's bundles"
    assert crossed["right"] >= GOAL_UNSEEN * crossed["clips"]
    assert "right" not in manifest["evaluation"], "there are no clips left to measure this very bundle on"
