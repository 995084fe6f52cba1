"""A room in which known sounds play one after another, whatever becomes of the microphone."""

import subprocess
import threading
import time
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Self

from edge_detector.demo.soundscape import PROGRAMME, make_soundscape
from tests.support.fake_microphone import FakeMicrophone

SOUNDS = tuple(slug for slug, _ in PROGRAMME if slug != "dog_bark")
"""A dog's bark right after rain or a saw is often not recognised; the others nearly always are, whatever came before."""

SOUND_SECONDS = 3.0
QUIET_SECONDS = 0.5
"""Before and after each sound."""

LATENCY_MILLISECONDS = 200
_RETRY_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Played:
    """A sound of class `slug` was played to its end, in Unix time with the quiet around it."""

    slug: str
    began_seconds: float
    ended_seconds: float


class Room:
    """Use it as a context manager, inside the microphone's."""

    def __init__(self, microphone: FakeMicrophone, chance: Random) -> None:
        self.played: list[Played] = []
        self._microphone = microphone
        self._chance = chance
        self._closed = threading.Event()
        self._sounds = {slug: _sound(slug, microphone.rate_hz) for slug in SOUNDS}
        self._thread = threading.Thread(target=self._play, name="room")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._closed.set()
        self._thread.join()

    def _play(self) -> None:
        while not self._closed.is_set():
            for slug in self._chance.sample(list(self._sounds), len(self._sounds)):
                self._play_one(slug)

    def _play_one(self, slug: str) -> None:
        while not self._closed.is_set():
            began_seconds = time.time()
            player = self._microphone.play(self._sounds[slug], latency_milliseconds=LATENCY_MILLISECONDS)
            if self._outlast(player) == 0:
                self.played.append(Played(slug, began_seconds, time.time()))
                return
            # There is nothing to play to: the microphone is away.
            self._closed.wait(_RETRY_SECONDS)

    def _outlast(self, player: subprocess.Popen[bytes]) -> int | None:
        while player.poll() is None:
            if self._closed.wait(_RETRY_SECONDS):
                player.kill()
                player.wait()
        return player.returncode


def _sound(slug: str, rate_hz: int) -> bytes:
    soundscape = make_soundscape(programme=((slug, SOUND_SECONDS),))
    (event,) = soundscape.events
    quiet = round(QUIET_SECONDS * rate_hz)
    return soundscape.samples[event.first_sample - quiet : event.end_sample + quiet].astype("<i2").tobytes()
