import json
import logging
import os
import re
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


def test_json_lines_have_time_level_message_and_traceback() -> None:
    code = (
        "import logging; from edge_detector.service.logs import start_logging\n"
        "start_logging({}, level='warning', as_json=True)\n"
        "logging.info('not written'); logging.warning('Régen\\n2')\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: logging.exception('bad')"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    warning, error = (json.loads(line) for line in child.stderr.splitlines())
    assert (warning["level"], warning["message"]) == ("warning", "Régen\n2")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", warning["time"])
    assert (error["message"], error["traceback"].splitlines()[-1]) == ("bad", "ZeroDivisionError: division by zero")


def test_repeated_entries_are_limited_and_events_are_not() -> None:
    code = (
        "import logging; from edge_detector.service.logs import EACH, start_logging\n"
        "start_logging({})\n"
        "for number in range(20): logging.info('cot: opened %d', number); logging.info('cot: Rain started, 0.9', extra=EACH)"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stderr.count("Rain started") == 20
    assert child.stderr.count("opened") == 5
