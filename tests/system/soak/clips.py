"""Clips of the soak: an event a minute, clips of earlier days, and the account of what was stored, deleted and lost."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from edge_detector.clips.names import clip_id
from edge_detector.clips.store import DAY_MS, Clip, ClipStore
from edge_detector.clips.writer import ClipWriter
from edge_detector.config import ClipsConfig
from edge_detector.demo.soundscape import PROGRAMME, make_soundscape
from edge_detector.params import FRONT_END
from edge_detector.types import Float32
from tests.support.clips import noise, stored, write

MINUTE_SAMPLES = 60 * FRONT_END.sample_rate_hz
DAY_SECONDS = DAY_MS / 1e3
WATCH_SECONDS = 0.05
EARLIER_EVERY_SECONDS = 1_800.0
EARLIER_DAYS = 2
SHORTEST_SECONDS, LONGEST_SECONDS = 10.0, 60.0
"""Of a clip: 5 s before and after its event, and the longest by default."""
SLACK_MS = 3_000
"""From the sound's time to that at which a clip of it is complete or deleted, where the sound goes as fast as it can."""


@dataclass(frozen=True, slots=True)
class ClipLimits:
    """Limits of the clips, as in [clips].

    Attributes:
        days, megabytes: as there.
        by_sound: a clip's age is counted by the time of the sound that is replayed, not by the machine's clock.

    """

    days: int
    megabytes: int
    by_sound: bool = False

    def as_config(self) -> ClipsConfig:
        """The table of a configuration."""
        return ClipsConfig(enabled=True, days=self.days, megabytes=self.megabytes)


class Played(Protocol):
    """Sound that is replayed: how many samples of it were given so far."""

    given_samples: int


def one_event_a_minute() -> Float32:
    """As many minutes as the soundscape has events; each begins with one of them, and the rest is its background."""
    minutes = []
    for event in PROGRAMME:
        sound = make_soundscape(programme=(event,)).block.samples
        quiet = make_soundscape(programme=()).block.samples
        rest = MINUTE_SAMPLES - len(sound)
        minutes += [sound, np.tile(quiet, -(-rest // len(quiet)))[:rest]]
    return np.concatenate(minutes)


class ClipKeeper:
    """A store with clips of the last days, its writer, and a thread that looks at the folder all the time."""

    def __init__(self, folder: Path, limits: ClipLimits, played: Played) -> None:
        self._limits = limits
        self._played = played
        self._began_seconds = time.time()
        self.store = ClipStore(folder)
        self._earlier = self._write_earlier()
        self.writer = ClipWriter(
            self.store,
            days=limits.days,
            megabytes=limits.megabytes,
            now_utc_seconds=self._sound_seconds if limits.by_sound else time.time,
        )
        self._seen: set[str] = set()
        self._most_bytes = self._most_folder_bytes = 0
        self._too_old: set[str] = set()
        self._done = threading.Event()
        self._watching = threading.Thread(target=self._watch, daemon=True)
        self._watching.start()

    def _sound_seconds(self) -> float:
        return self._began_seconds + self._played.given_samples / FRONT_END.sample_rate_hz

    def _write_earlier(self) -> dict[str, int]:
        """Clips of two days before the limit and of all days after it; start times by their ids."""
        found = {}
        days = self._limits.days if self._limits.by_sound else 0
        count = round((days + EARLIER_DAYS) * DAY_SECONDS / EARLIER_EVERY_SECONDS)
        first_seconds = self._began_seconds - (self._limits.days + EARLIER_DAYS) * DAY_SECONDS
        for number in range(count):
            start_seconds = first_seconds + number * EARLIER_EVERY_SECONDS
            write(self.store, number, noise(0.1), start_seconds=start_seconds)
        for clip in self.store.newest(count):
            found[clip.name.id] = clip.name.start_ms
        assert len(found) == count
        return found

    def _watch(self) -> None:
        while not self._done.wait(WATCH_SECONDS):
            oldest_ms = self._oldest_ms()
            clips = self.store.newest(1_000_000)
            self._seen |= {clip.name.id for clip in clips}
            self._most_bytes = max(self._most_bytes, sum(clip.size_bytes for clip in clips))
            self._most_folder_bytes = max(self._most_folder_bytes, _folder_bytes(self.store.folder))
            if self._seen - self._earlier.keys():  # the first clip of the soak has been stored, and older ones deleted
                self._too_old |= {clip.name.id for clip in clips if clip.name.start_ms < oldest_ms}

    def _oldest_ms(self) -> int:
        """Start of the oldest clip that there may be: the newest clip was stored up to two minutes ago."""
        now_seconds = self._sound_seconds() if self._limits.by_sound else time.time()
        return round(1e3 * (now_seconds - 120.0)) - self._limits.days * DAY_MS - SLACK_MS

    def account(self, event_ids: set[str]) -> tuple[dict[str, object], list[str]]:
        """Figures and problems, after the service's end, which decided these events."""
        assert self.writer.wait_closed(60.0)
        time.sleep(2 * WATCH_SECONDS)  # the watcher sees the last one
        self._done.set()
        self._watching.join()
        clips = self.store.newest(1_000_000)
        own = {clip_id(event_id) for event_id in event_ids}
        problems = self._problems(clips, own)
        return {
            "clips_stored": len(self._seen & own),
            "clips_lost": self.writer.lost,
            "clips_kept": len(clips),
            "clip_bytes": sum(clip.size_bytes for clip in clips),
            "most_clip_bytes": self._most_bytes,
            "most_folder_bytes": self._most_folder_bytes,
            "oldest_clip_hours_before_the_end": round((self._sound_seconds() - clips[-1].name.start_ms / 1e3) / 3_600, 2),
            "earlier_clips": len(self._earlier),
            "earlier_clips_kept": sum(clip.name.id in self._earlier for clip in clips),
        }, problems

    def _problems(self, clips: tuple[Clip, ...], own: set[str]) -> list[str]:
        found = []
        if lost := own - self._seen:
            found.append(f"{len(lost)} of {len(own)} events have had no clip")
        if self.writer.lost or self.writer.troubles:
            found.append(f"{self.writer.lost} clips were lost; {self.writer.troubles}")
        if self._most_bytes > self._limits.megabytes << 20:
            found.append(f"there were {self._most_bytes} bytes of clips, more than {self._limits.megabytes} MB")
        if self._too_old:
            found.append(f"{len(self._too_old)} clips were kept longer than {self._limits.days} days")
        if left := [path.name for path in self.store.folder.iterdir() if path.suffix != ".flac"]:
            found.append(f"the folder has {left}")
        kept = {clip.name.id for clip in clips}
        newest = sorted(((clip.name.start_ms, clip.name.id) for clip in clips), reverse=True)
        if len(newest) != len(kept):
            found.append("a clip is there twice")
        for clip in clips:
            samples, rate_hz = stored(clip.path)
            seconds = len(samples) / rate_hz
            if seconds != self.store.head(clip).seconds:
                found.append(f"{clip.path.name} has {seconds} s, and says {self.store.head(clip).seconds} s")
            if clip.name.id in own and not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS and clip is not clips[0]:
                found.append(f"{clip.path.name} has {seconds} s")
        return found


def _folder_bytes(folder: Path) -> int:
    """Size of everything in it, incomplete clips too."""
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
