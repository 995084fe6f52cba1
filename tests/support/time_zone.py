"""Local time of another place."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch


@contextmanager
def time_zone(name: str) -> Iterator[None]:
    """Let this process, and what it starts, have the local time of this zone meanwhile."""
    try:
        with patch.dict(os.environ, {"TZ": name}):
            time.tzset()
            yield
    finally:
        time.tzset()
