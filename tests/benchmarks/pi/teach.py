"""`teach` on the processor of a Raspberry Pi 4, in emulation: that it works there, and how many instructions it takes.

Half an hour:

    python -m tests.benchmarks.pi.teach FOLDER_OF_RECORDINGS BUNDLE
"""

import sys

from tests.support.pi_box import PROCESSORS, PROJECT, make_box

PI_4 = PROCESSORS[1]


def main() -> int:
    """Teach, and print the count and what teach printed."""
    recordings, bundle = sys.argv[1:]
    count, output = make_box(PROJECT / "build" / "pi").run(PI_4, "edge_detector", "teach", recordings, "-o", bundle)
    sys.stdout.write(f"{output}{count / 1e9:.0f} billion instructions on a {PI_4.board}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
