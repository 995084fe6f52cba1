"""Clips of one source: of published events alone, across streams and changed rules, and how little they keep in memory."""

import numpy as np
import pytest

from edge_detector.audio.sample_clock import Anchor
from edge_detector.clips.cutter import ClipHead, ClipPiece, ClipTimes
from edge_detector.clips.names import clip_id
from edge_detector.detection.bundle import SoundClass
from edge_detector.detection.hysteresis import Rule
from edge_detector.mqtt import messages
from edge_detector.service.source_clips import SourceClips
from edge_detector.types import Block, EventEnd, EventStart, Message

NAMES = messages.Names("edge_detector/nursery", "nursery", "cot", "5f2a9c01b3de", clips=True)
CLASSES = (SoundClass("rain", "Rain", None, {}), SoundClass("siren", "Siren", None, {}))
ANCHOR = Anchor(0, 1_764_417_600.0, "system")
RULES = (Rule(0.5, 0.25), Rule(0.5, 0.25))
BLOCK_SAMPLES = 4_096


@pytest.fixture
def parts() -> list[ClipHead | ClipPiece]:
    return []


@pytest.fixture
def clips(parts: list[ClipHead | ClipPiece]) -> SourceClips:
    return SourceClips("cot", CLASSES, ClipTimes(5.0, 5.0, 60.0), parts.append)


def hear(clips: SourceClips, seconds: float, rate_hz: int) -> None:
    for number in range(round(seconds * rate_hz / BLOCK_SAMPLES)):
        clips.write(Block(np.zeros(BLOCK_SAMPLES, np.float32), number * BLOCK_SAMPLES))
        clips.cut()


def message_of(detection: EventStart | EventEnd) -> Message:
    return messages.event(NAMES, CLASSES, detection, ANCHOR, 0.0)


def test_only_an_event_that_is_published_has_a_clip(clips: SourceClips, parts: list[ClipHead | ClipPiece]) -> None:
    clips.start_stream(16_000, RULES)
    hear(clips, 10.0, 16_000)
    muted, start, end = EventStart(0, 112_000, 0.5), EventStart(1, 112_000, 0.5), EventEnd(1, 112_000, 128_000, 0.5, "ended")
    clips.report(muted, [], ANCHOR)
    clips.report(start, [message_of(start)], ANCHOR)
    clips.report(end, [message_of(end)], ANCHOR)
    clips.finish()
    head, piece = parts
    assert isinstance(head, ClipHead)
    assert isinstance(piece, ClipPiece)
    assert head.name.id == clip_id(head.event_id)
    assert (head.event_id, head.name.slug, head.label) == ("nursery/cot/5f2a9c01b3de/112000/siren", "siren", "Siren")
    assert (head.name.start_ms, head.rate_hz, head.lead_seconds) == (1_764_417_607_000, 16_000, 5.0)
    assert (piece.event_id, piece.is_last) == (head.event_id, True)


def test_a_stream_that_ends_completes_its_clips_and_the_next_one_begins_anew(
    clips: SourceClips, parts: list[ClipHead | ClipPiece]
) -> None:
    clips.finish()
    clips.start_stream(16_000, RULES)
    hear(clips, 10.0, 16_000)
    clips.finish()
    assert (clips.held_samples, parts) == (0, [])
    clips.start_stream(48_000, RULES)
    start = EventStart(0, 0, 0.5)
    clips.write(Block(np.zeros(48_000, np.float32), 0))
    clips.report(start, [message_of(start)], ANCHOR)
    clips.finish()
    head, piece = parts
    assert isinstance(head, ClipHead)
    assert isinstance(piece, ClipPiece)
    assert (head.rate_hz, head.lead_seconds, sum(map(len, piece.samples))) == (48_000, 0.0, 48_000)


@pytest.mark.parametrize(("rate_hz", "most_kilobytes"), [(16_000, 400), (48_000, 1_100)])
def test_the_sound_that_is_kept_is_bounded(clips: SourceClips, rate_hz: int, most_kilobytes: int) -> None:
    clips.start_stream(rate_hz, RULES)
    hear(clips, 120.0, rate_hz)
    assert 5 * rate_hz < clips.held_samples <= most_kilobytes * 1_000 / 2


def test_rules_that_announce_later_keep_more_and_disabled_ones_do_not_count(clips: SourceClips) -> None:
    clips.start_stream(16_000, RULES)
    hear(clips, 60.0, 16_000)
    before = clips.held_samples
    slow = Rule(0.5, 0.25, min_seconds=10.0)
    for enabled in (False, True):
        clips.use_rules((Rule(0.5, 0.25), Rule(0.5, 0.25, min_seconds=10.0, enabled=enabled)))
        hear(clips, 60.0, 16_000)
        more_seconds = (clips.held_samples - before) / 16_000
        assert abs(more_seconds - slow.min_seconds * enabled) < 1.0
