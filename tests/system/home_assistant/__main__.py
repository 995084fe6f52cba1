"""Captures what the everyday tests compare with, from Home Assistant in its box: python -m tests.system.home_assistant."""

import json
import sys

from edge_detector.mqtt.home_assistant import removal
from tests.system.home_assistant.box import ROOT_VARIABLE, box_root, judge
from tests.system.home_assistant.nursery import CAPTURED, DEVICE, NODE, RULES, announcements, captured

ABBREVIATIONS = ("abbreviations", "device_abbreviations", "origin_abbreviations")


def main() -> int:
    root = box_root()
    if root is None:
        sys.exit(f"name a box that tests/system/home_assistant/make_box.sh has made in {ROOT_VARIABLE}")
    verdict = judge(root, [*announcements(), *removal(NODE, (None, *DEVICE.sources))])
    if verdict["problems"]:
        sys.exit("\n".join(verdict["problems"]))
    rules = verdict["rules"]
    used = b"".join(message.payload for message in announcements()).decode()
    for table in ABBREVIATIONS:
        rules[table] = {short: full for short, full in rules[table].items() if f'"{short}":' in used}
    RULES.write_text(json.dumps({"version": verdict["version"], **rules}, indent=1, sort_keys=True) + "\n")
    CAPTURED.write_text(json.dumps(captured(announcements()), indent=1, ensure_ascii=False) + "\n")
    print(f"accepted by Home Assistant {verdict['version']} and captured")  # noqa: T201 - a program for a terminal
    return 0


if __name__ == "__main__":
    sys.exit(main())
