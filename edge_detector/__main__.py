"""Entry point of `python -m edge_detector`, the same as `edge-detector`."""

import sys

from edge_detector.cli.main import main

sys.exit(main())
