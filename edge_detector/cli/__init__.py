"""The commands: one file each; they assemble the other packages and contain no detection logic."""

import signal
import sys

if sys.argv[1:2] == ["run"]:
    # Until the service can answer it, which takes all that is imported after this: a reload must not end what it means.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
