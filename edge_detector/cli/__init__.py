"""The commands: one file each; they assemble the other packages and contain no detection logic."""

import os
import signal
import sys

# Before NumPy loads. Its matrices are small here: a second thread waits more than it works, and on a busy machine teaching
# takes five times as long.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

if sys.argv[1:2] == ["run"]:
    # Until the service can answer it, which takes all that is imported after this: a reload must not end what it means.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
