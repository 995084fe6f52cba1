"""`python -m edge_detector` is `edge-detector`."""

import sys

from edge_detector.cli.main import main

sys.exit(main())
