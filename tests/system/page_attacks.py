"""Detection without and under attacks on the page, round by round: latency, windows, events, memory, files.

Run `python -m tests.system.page_attacks`. A window or an event that an attack has cost ends it with an error.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.support.attacked_service import Attacked, Phase, require_unharmed
from tests.support.broker import Broker
from tests.support.fake_microphone import FakeMicrophone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    quiet: list[Phase] = []
    attacks: list[Phase] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        Broker() as broker,
        FakeMicrophone() as microphone,
        Attacked(Path(folder), broker, microphone) as node,
    ):
        for _ in range(options.rounds):
            quiet.append(node.quiet())
            attacks.append(node.attack())
            require_unharmed(node, quiet[-1], attacks[-1])
    for name, phases in (("without", quiet), ("attacked", attacks)):
        for phase in [*phases, Phase.together(phases)]:
            sys.stdout.write(f"{name}: {phase}\n")


if __name__ == "__main__":
    main()
