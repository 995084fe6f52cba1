"""Ten minutes of the service's journal, as `journalctl -u edge-detector` would show it:

python -m tests.system.journal
"""

import sys
import threading
import time

from edge_detector.demo.soundscape import PROGRAMME
from tests.support.broker import Broker
from tests.support.fake_microphone import FakeMicrophone
from tests.support.journal import JournalledService

ROUNDS_OF_THE_YARD = 9
PLAN = ((5, "plays"), (120, "reloads"), (180, "refuses"), (240, "unplugs"), (330, "plugs"), (360, "plays"), (600, "stop"))
"""Seconds from the start, and what happens then."""


def show(service: JournalledService, began: float, ended: threading.Event) -> None:
    """Print each line with the seconds at which it was written."""
    shown = 0
    last = False
    while not last:
        last = ended.wait(0.1)
        lines = service.log.splitlines()
        for line in lines[shown:]:
            sys.stdout.write(f"{time.monotonic() - began:6.1f} {line}\n")
            sys.stdout.flush()
        shown = len(lines)


def main() -> int:
    with (
        FakeMicrophone() as microphone,
        Broker() as broker,
        JournalledService(broker, microphone, PROGRAMME, rounds=ROUNDS_OF_THE_YARD) as service,
    ):
        began, ended = time.monotonic(), threading.Event()
        shower = threading.Thread(target=show, args=(service, began, ended))
        shower.start()
        for seconds, what in PLAN:
            time.sleep(max(0.0, began + seconds - time.monotonic()))
            getattr(service, what)()
        ended.set()
        shower.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
