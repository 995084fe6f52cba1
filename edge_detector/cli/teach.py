"""`teach`: makes a bundle that detects new classes from a few recordings of each."""

import argparse
from pathlib import Path

from edge_detector.cli.argument_types import above_0
from edge_detector.service.factory import DEFAULT_BUNDLE


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "recordings", type=Path, metavar="DIR",
        help="folder of recordings, a subfolder for each class: LABEL/anything.wav; DIR/background is the room",
    )  # fmt: skip
    parser.add_argument(
        "--from", dest="base", type=Path, default=DEFAULT_BUNDLE, metavar="BUNDLE", help="bundle to extend (the default bundle)"
    )
    parser.add_argument(
        "--classes",
        nargs="+",
        metavar="NAME",
        help="folders to teach; recordings of the others are then sound without them (all)",
    )
    parser.add_argument("--only", action="store_true", help="detect the new classes alone, without the bundle's classes")
    parser.add_argument(
        "--background", type=Path, nargs="+", default=[], metavar="DIR",
        help="more recordings of the room without the sounds: half for training, half for thresholds",
    )  # fmt: skip
    parser.add_argument(
        "--negatives", type=Path, metavar="FILE.npz", help="embeddings of other sound, for a bundle with another embedder"
    )
    parser.add_argument(
        "--false-alarms-per-hour", type=above_0, default=0.1, metavar="N", help="limit for each class in the room (0.1)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of all random draws (0)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="BUNDLE", help="bundle folder, replaced as a whole")


def run(options: argparse.Namespace) -> int:
    """Teach, and print what was measured."""
    from edge_detector.cli import taught  # noqa: PLC0415 - the service does not load what reads recordings

    return taught.run(options)
