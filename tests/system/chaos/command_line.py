"""The command line of the scripts in this folder that go on for a while: --seconds and --seed."""

import argparse
import time
from collections.abc import Callable


def options(description: str | None, *, seconds: float) -> tuple[int, Callable[[object], bool]]:
    """The seed, and whether to go on, given anything; `seconds` is for how long by default."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=seconds)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    given = parser.parse_args()
    until = time.monotonic() + given.seconds
    return given.seed, lambda _: time.monotonic() < until
