"""arecord with the fake microphone, and a stand-in for what arecord does only with hardware."""

import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from edge_detector.audio.programs import ArecordMicrophone
from edge_detector.errors import SourceError
from edge_detector.types import Block
from tests.support.fake_microphone import DEVICE_NAME, FakeMicrophone
from tests.support.waiting import wait_until

RATE_HZ = 16_000
READ_SECONDS = 10.0
MOST_READS = 2_000


def lost(source: ArecordMicrophone) -> str:
    def listen() -> None:
        for _ in range(MOST_READS):
            source.read(READ_SECONDS)

    with pytest.raises(SourceError) as caught:
        listen()
    return str(caught.value)


def until(source: ArecordMicrophone, enough: Callable[[list[Block]], bool]) -> list[Block]:
    blocks: list[Block] = []
    for _ in range(MOST_READS):
        block = source.read(READ_SECONDS)
        if block is not None:
            blocks.append(block)
        if enough(blocks):
            return blocks
    raise AssertionError("never enough")


# --- the real arecord ------------------------------------------------------------------------------------------------------


def test_every_sample_played_in_the_room_arrives_exactly_and_in_order(room: FakeMicrophone) -> None:
    ramp = (np.arange(2 * RATE_HZ) % 32_767 + 1).astype("<i2")
    with closing(ArecordMicrophone(stall_seconds=READ_SECONDS)) as source:
        assert (source.rate_hz, source.live) == (RATE_HZ, True)
        room.play(ramp.tobytes(), latency_milliseconds=500)
        blocks = until(source, lambda found: sum(int(np.count_nonzero(block.samples)) for block in found) >= len(ramp))
    samples = np.concatenate([block.samples for block in blocks])
    start = int(np.flatnonzero(samples)[0])
    assert (samples[start : start + len(ramp)] * 32_768).astype(int).tolist() == ramp.tolist()
    assert all(b.first_sample == a.first_sample + len(a.samples) for a, b in pairwise(blocks))


def test_a_source_that_vanishes_is_noticed_and_can_be_opened_again(room: FakeMicrophone) -> None:
    with closing(ArecordMicrophone(DEVICE_NAME, stall_seconds=1.0)) as source:
        until(source, bool)
        room.unplug()
        assert f"the microphone '{DEVICE_NAME}' was lost" in lost(source)
    room.plug()
    with closing(ArecordMicrophone(DEVICE_NAME)) as again:
        assert until(again, bool)[0].first_sample == 0
        assert again.stream_id != source.stream_id


def test_a_sound_system_that_hangs_is_noticed_and_the_program_killed_at_once(room: FakeMicrophone) -> None:
    source = ArecordMicrophone(stall_seconds=1.0)
    until(source, bool)
    room.freeze()
    assert "no sound for 1." in lost(source)
    began = time.monotonic()
    source.close()
    source.close()
    assert time.monotonic() - began < 2.0
    assert source.ended
    assert source.read(0.0) is None
    room.thaw()


def test_a_sound_system_that_crashes_is_noticed_and_then_there_is_no_microphone(room: FakeMicrophone) -> None:
    with closing(ArecordMicrophone(stall_seconds=1.0)) as source:
        until(source, bool)
        room.crash()
        assert "was lost" in lost(source)
    with pytest.raises(SourceError, match=r"'default' cannot be opened: its program ended with exit code 1: .*audio open error"):
        ArecordMicrophone()


@pytest.mark.usefixtures("room")
def test_a_device_there_is_not_is_an_error_in_arecords_own_words() -> None:
    with pytest.raises(SourceError, match=r"'plughw:CARD=Neumann' .*exit code 1: .*audio open error"):
        ArecordMicrophone("plughw:CARD=Neumann")


def test_a_device_is_never_taken_for_an_option() -> None:
    with pytest.raises(SourceError, match="not an ALSA device"):
        ArecordMicrophone("--help")


def test_without_arecord_the_error_says_what_to_install() -> None:
    with pytest.raises(SourceError, match="no-such-arecord is not installed: apt-get install alsa-utils"):
        ArecordMicrophone(program=["no-such-arecord"])


# --- what arecord does only with hardware ----------------------------------------------------------------------------------


def stand_in(script: str) -> list[str]:
    """A program that plays arecord: `sound(samples)` writes, `say(words)` complains."""
    prelude = """
import os, struct, sys, time
def sound(samples):
    data = struct.pack(f"<{len(samples)}h", *samples)
    while data:
        data = data[os.write(1, data):]
def say(words):
    os.write(2, words.encode())
"""
    return [sys.executable, "-S", "-c", prelude + script]


def test_an_overrun_is_a_gap_of_as_many_samples_as_arecord_says() -> None:
    program = stand_in(
        'sound([1, 2]); say("overrun!!! (at least 12.5 ms long)\\n"); time.sleep(.3); sound([3, 4]); time.sleep(60)'
    )
    with closing(ArecordMicrophone(program=program)) as source:
        time.sleep(0.1)
        blocks = until(source, lambda found: sum(len(block.samples) for block in found) == 4)
    assert (blocks[0].first_sample, blocks[0].lost_samples) == (0, 0)
    assert (blocks[-1].first_sample, blocks[-1].lost_samples) == (2 + 200, 200)
    assert source.overflows == 1


def test_a_slow_reader_loses_a_hop_of_the_oldest_sound_whole_frames_of_it_and_is_told() -> None:
    program = stand_in("[sound([i % 1000, -(i % 1000)] * 400) for i in range(1, 501)]; time.sleep(60)")
    kept = 160_000 - 15_360
    with closing(ArecordMicrophone(channel=1, program=program)) as source:
        wait_until(lambda: source.waiting_seconds == 12.5, "all that was recorded to wait")
        blocks = until(source, lambda found: sum(len(block.samples) for block in found) == kept)
    assert (blocks[0].first_sample, blocks[0].lost_samples) == (200_000 - kept, 200_000 - kept)
    samples = np.concatenate([block.samples for block in blocks]) * 32_768
    assert samples[0] == -139, "the second channel, of the frame after those that were lost"
    assert set(samples[: 139 * 400 - (200_000 - kept)].tolist()) == {-139.0}
    assert sum(block.lost_samples for block in blocks) == 200_000 - kept


def test_a_card_that_records_at_another_rate_is_refused_rather_than_misheard() -> None:
    program = stand_in('say("Warning: rate is not accurate (requested = 16000Hz, got = 48000Hz)\\n"); sound([1]); time.sleep(60)')
    with pytest.raises(SourceError, match=r"'hw:1,0' cannot record at 16000 Hz; use plughw:"):
        ArecordMicrophone("hw:1,0", program=program)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("arecord: set_params:1358: Channels count non available", "plughw:"),
        ("arecord: main:831: audio open error: No such file or directory", "plug a microphone in"),
        ("arecord: main:831: audio open error: Permission denied", "group audio"),
        ("arecord: main:831: audio open error: Device or resource busy", "another program uses it"),
    ],
)
def test_what_arecord_refuses_is_told_with_what_helps(words: str, advice: str) -> None:
    with pytest.raises(SourceError) as caught:
        ArecordMicrophone("hw:1,0", program=stand_in(f'say("{words}\\n"); sys.exit(1)'))
    assert words in str(caught.value)
    assert advice in str(caught.value)


def test_samples_cut_in_two_by_the_pipe_are_joined() -> None:
    program = stand_in(
        'os.write(1, b"\\x01"); time.sleep(.2); os.write(1, b"\\x00\\x02"); time.sleep(.2); os.write(1, b"\\x00"); time.sleep(60)'
    )
    with closing(ArecordMicrophone(program=program)) as source:
        blocks = until(source, lambda found: sum(len(block.samples) for block in found) == 2)
    assert (np.concatenate([block.samples for block in blocks]) * 32_768).tolist() == [1.0, 2.0]


def test_a_program_that_ends_is_lost_once_all_it_gave_was_heard() -> None:
    with closing(
        ArecordMicrophone(program=stand_in('sound([1, 2]); say("read error: No such device\\n"); sys.exit(1)'))
    ) as source:
        assert len(until(source, bool)[0].samples) == 2
        assert "ended with exit code 1: read error: No such device" in lost(source)


def test_a_program_that_floods_its_errors_is_still_heard_and_read() -> None:
    program = stand_in("[(say('ALSA lib is unhappy\\n' * 1000), sound([i] * 160)) for i in range(200)]; time.sleep(60)")
    with closing(ArecordMicrophone(program=program)) as source:
        until(source, lambda found: sum(len(block.samples) for block in found) == 32_000)


def test_many_openings_leave_no_process_thread_or_file_behind() -> None:
    def files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before, threads = files(), threading.active_count()
    for _ in range(20):
        ArecordMicrophone(program=stand_in("sound([1]); time.sleep(60)")).close()
        with pytest.raises(SourceError):
            ArecordMicrophone(program=stand_in("sys.exit(1)"))
    assert (files(), threading.active_count()) == (before, threads)
