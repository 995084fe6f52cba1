"""The short form of `power_cuts`, and that it finds what is not synced."""

from collections import Counter

import pytest

from tests.support.block_log import missing
from tests.system.chaos.power_cuts import run

reason = missing()
pytestmark = pytest.mark.skipif(reason is not None, reason=reason or "")


def test_a_power_cut_at_any_moment_leaves_no_half_clip_every_review_and_none_that_was_deleted() -> None:
    figures = run(12, seed=1, share=0.05)
    assert figures.problems == Counter()
    assert figures.cuts > 15
    assert figures.clips > 50
    assert figures.removed_parts > 0
    assert figures.promises > 0


@pytest.mark.parametrize(
    ("without", "problem"),
    [
        ("files", "a clip that is listed is empty"),
        ("folders", "though it was answered"),
    ],
)
def test_a_power_cut_finds_what_is_not_synced(without: str, problem: str) -> None:
    assert any(problem in found for found in run(12, seed=1, share=0.05, without=without).problems)
