"""What the doctor says of this machine's speed, and of what the running service has left at the broker."""

import json

import pytest

from edge_detector.cli.doctor.broker import judge_service
from edge_detector.cli.doctor.finding import Finding
from edge_detector.cli.doctor.speed import judge_speed, measure
from edge_detector.config import SourceConfig
from edge_detector.service.factory import load_networks

MICROPHONE = SourceConfig("cot")
BASE = "edge_detector/nursery"


def test_speed_is_measured_at_every_hop_with_a_clock_that_may_be_slow() -> None:
    shares = measure(load_networks(None))
    assert set(shares) == {1, 2, 4}
    assert all(share > 0 for share in shares.values())

    ticks = iter(range(10_000))
    slow = measure(load_networks(None), lambda: 3.0 * next(ticks))
    assert slow[1] == pytest.approx(3.0 / 0.96), "three seconds a step"
    assert next(ticks) < 100, "and not for ever"


def test_speed_says_how_many_sources_at_which_hop_and_whether_ours_fit() -> None:
    shares = {1: 0.1, 2: 0.18, 4: 0.34}
    one = judge_speed(shares, [MICROPHONE])
    assert one.verdict == "good"
    assert one.figures["sources_by_hop"] == {"0.96": 5, "0.48": 2, "0.24": 1}
    fast = SourceConfig("fast", hops_per_patch=4)
    assert judge_speed(shares, [fast, MICROPHONE]).verdict == "good"
    tight = judge_speed(shares, [fast, fast])
    assert (tight.verdict, tight.advice) == ("warning", "set hop = 0.96 for each source")
    assert judge_speed(shares, [fast] * 3).verdict == "bad"
    assert "smaller bundle" in str(judge_speed({1: 1.2, 2: 2.3, 4: 4.5}, [MICROPHONE]).advice)


def test_what_the_running_service_says_is_passed_on() -> None:
    health = {"v": 1, "state": "healthy", "signal": "ok"}

    def said(**retained: bytes | dict[str, object]) -> list[Finding]:
        named = {
            f"{BASE}/{topic.replace('_', '/')}": payload if isinstance(payload, bytes) else json.dumps(payload).encode()
            for topic, payload in retained.items()
        }
        return list(judge_service(BASE, ["cot"], named))

    assert [finding.verdict for finding in said(status=b"online", cot_health=health)] == ["good", "good"]
    assert said()[0].said == "no service publishes as this node"
    assert said(status=b"offline", cot_health=health)[0].said == "the service of this node is not running"
    muted = said(status=b"online", cot_health=health, cot_mute=b"ON")[-1]
    assert (muted.verdict, "cot/mute/set" in str(muted.advice)) == ("warning", True)
    lost = said(status=b"online", cot_health={**health, "state": "reconnecting"})[-1]
    assert (lost.verdict, lost.said) == ("warning", "its source cot is reconnecting, signal ok")
    full = said(status=b"online", cot_health={**health, "troubles": ["the disk is full"]})[-1]
    assert (full.verdict, full.said) == ("warning", "the disk is full")
    for nonsense in (b"", b"\xff", b"[]", b"{"):
        assert said(status=b"online", cot_health=nonsense)[-1].said == "it has no source cot"
