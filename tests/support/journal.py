"""A service with two sources through all that a journal should tell: events, reloads, a refusal, a break and a recovery."""

import signal

import numpy as np

from edge_detector.audio.dump import Dump
from edge_detector.demo.soundscape import make_soundscape
from edge_detector.types import Block
from tests.support.broker import Broker
from tests.support.fake_microphone import FakeMicrophone
from tests.support.service import Service
from tests.support.waiting import wait_until

Programme = tuple[tuple[str, float], ...]
ONE_BARK: Programme = (("dog_bark", 4.0),)
PATIENCE_SECONDS = 60.0


class JournalledService(Service):
    """It listens to the microphone "cot", and to the file "yard", which plays in real time."""

    def __init__(self, broker: Broker, microphone: FakeMicrophone, programme: Programme, *, rounds: int = 1) -> None:
        self._microphone = microphone
        self._sound = make_soundscape(programme=programme)
        super().__init__(broker, microphone.environment)
        tape = self.folder / "yard.wav"
        dump = Dump(tape, 16_000)
        dump.write(Block(np.tile(self._sound.block.samples, rounds), 0))
        dump.close()
        self._right = self._config.read_text() + (
            f'[[source]]\nname = "yard"\nkind = "file"\nreal_time = true\ndevice = "{tape}"\n'
        )
        self._config.write_text(self._right)

    def awaits(self, line: str, times: int = 1) -> None:
        """Wait until a line with these words stands in the log so many times."""
        wait_until(lambda: self.log.count(line) >= times, f"{line!r} in the log", deadline_seconds=PATIENCE_SECONDS)

    def plays(self) -> None:
        """Play the programme to the microphone."""
        self._microphone.play(self._sound.samples.astype("<i2").tobytes(), latency_milliseconds=500)

    def reloads(self) -> None:
        """A threshold changes, and the node's name, which needs a restart."""
        self._reread(self._right.replace('"nursery"', '"kitchen"') + "[class.rain]\non = 0.8\n")
        self.awaits("the configuration was reloaded")
        self.awaits("next restart")

    def refuses(self) -> None:
        """A reload with a misspelt table."""
        self._reread(self._right + '[detecton]\nstrictness = "strict"\n')
        self.awaits("was not reloaded")

    def unplugs(self) -> None:
        """The microphone is gone."""
        self._microphone.unplug()
        self.awaits("cot: reconnecting")

    def plugs(self) -> None:
        """It is back."""
        self._microphone.plug()
        self.awaits("cot: listening again")

    def _reread(self, text: str) -> None:
        self._config.write_text(text)
        self.process.send_signal(signal.SIGHUP)
