import logging
import os
import subprocess
import sys

from edge_detector.service.logs import JournalFormatter

LOGGING_CHILD = """
import os, sys, logging
from edge_detector.service.logs import start_logging
status = os.fstat(2)
stream = f"{status.st_dev}:{status.st_ino}"
start_logging({"JOURNAL_STREAM": stream if sys.argv[1] == "journal" else "1:2"})
logging.debug("not said"); logging.info("good"); logging.warning("odd"); logging.error("bad")
"""


def logged(where: str) -> list[str]:
    child = subprocess.run([sys.executable, "-c", LOGGING_CHILD, where], capture_output=True, text=True, check=True)
    return child.stderr.splitlines()


def test_the_level_is_a_word_on_a_terminal() -> None:
    assert logged("terminal") == ["INFO: good", "WARNING: odd", "ERROR: bad"]


def test_the_level_is_a_priority_prefix_for_the_journal() -> None:
    assert logged("journal") == ["<6>good", "<4>odd", "<3>bad"]


def test_every_line_of_an_entry_has_its_level() -> None:
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "two\nlines", None, None)
    assert JournalFormatter().format(record) == f"<3>two{os.linesep}<3>lines"
