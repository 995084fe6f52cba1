"""`make soak`: sound through the service for hours; nothing may grow and no event be lost.

python -m tests.system.soak --hours 24               as fast as it goes
python -m tests.system.soak --hours 24 --page        the same with a history and its page open in three browsers
python -m tests.system.soak --hours 1 --real-time    through a microphone; ten minutes of it are for warming up
"""

import argparse
import json
import sys
from pathlib import Path

from tests.system.soak import real_time, replayed

ROUNDS_AN_HOUR = 66
WARM_UP_ROUNDS = 11


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--real-time", action="store_true")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--folder", type=Path, help="where to write, on the disk whose writes are of interest")
    options = parser.parse_args()
    if options.real_time:
        rounds = WARM_UP_ROUNDS + max(1, round(options.hours * ROUNDS_AN_HOUR) - WARM_UP_ROUNDS)
        figures, problems = real_time.soak(rounds, warm_up_rounds=WARM_UP_ROUNDS)
    else:
        history = replayed.HistoryLimits(days=400, megabytes=2) if options.page else None
        figures, problems = replayed.soak(options.hours, history=history, where=options.folder)
    sys.stdout.write(json.dumps(figures) + "\n")
    for problem in problems:
        sys.stdout.write(f"PROBLEM: {problem}\n")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
