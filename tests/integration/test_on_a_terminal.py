"""`listen`, `record`, of clips and of a room, and `teach` on terminals of several widths."""

import re
import sys
from pathlib import Path

import pytest
import soundfile

from edge_detector.demo.soundscape import make_soundscape
from tests.support.soundscape_file import write_soundscape
from tests.support.synthetic import RATE_HZ, sound
from tests.support.terminal import run_on_terminal

LISTEN = (sys.executable, "-m", "edge_detector", "listen", "recording.wav")
WIDTHS = (40, 80, 120, 200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("terminal")
    write_soundscape(made / "recording.wav")
    return made


@pytest.mark.parametrize("columns", WIDTHS)
def test_events_and_the_summary_stay_and_the_panel_goes(folder: Path, columns: int) -> None:
    code, shown, output = run_on_terminal(LISTEN, columns, folder=folder)
    assert code == 0
    assert all(len(line) < columns for line in shown)
    # A line that did not fit goes on with an indent.
    *events, summary = re.sub(r"\n {4}(?! |\d+\.\d\d s)", " ", "\n".join(shown)).splitlines()
    assert len(events) == 2 * len(make_soundscape().events)
    assert all(re.fullmatch(r" *\d+\.\d\d s  (start  .*, [01]\.\d\d|end    .*, peak [01]\.\d\d)", line) for line in events)
    assert re.fullmatch(r"processed 54\.5 s in 57 windows; 6 events; on average: .*", summary)
    assert "dBFS" in output, "a panel was drawn meanwhile"


def test_a_dumb_terminal_gets_lines_alone(folder: Path) -> None:
    _, shown, output = run_on_terminal(LISTEN, 80, environment={"TERM": "dumb"}, folder=folder)
    assert "\x1b" not in output
    assert any(line.startswith("processed 54.5 s") for line in shown[-2:])


def test_colour_is_off_on_request(folder: Path) -> None:
    assert "\x1b[32m" in run_on_terminal(LISTEN, 80, folder=folder)[2]
    assert "\x1b[32m" not in run_on_terminal(LISTEN, 80, environment={"NO_COLOR": "1"}, folder=folder)[2]


@pytest.mark.parametrize("columns", WIDTHS)
def test_record_shows_each_clip_and_what_to_do_next(folder: Path, tmp_path: Path, columns: int) -> None:
    command = (*LISTEN[:3], "record", "Door bell", str(folder / "recording.wav"), "-o", str(tmp_path), "--seconds", "4")
    code, shown, output = run_on_terminal(command, columns)
    assert code == 0
    text = " ".join(" ".join(shown).split())
    assert "to learn the sounds in" in text
    assert "Door bell_001.wav" in text
    assert "clip 1 of 10: waiting" in output
    assert "waiting" not in text, "the panel is gone"


@pytest.mark.parametrize("columns", WIDTHS)
def test_the_recording_of_a_room_shows_the_time_that_is_left(folder: Path, columns: int) -> None:
    options = ("--background", "0.75", "recording.wav", "-o", f"on_{columns}")
    code, shown, output = run_on_terminal((*LISTEN[:3], "record", *options), columns, folder=folder)
    assert code == 0
    assert all(len(line) < columns for line in shown)
    text = " ".join(" ".join(shown).split())
    assert "background_001.wav 45 s, loudest" in text
    assert ": 0:45 of 0:45" in text
    drawn = re.findall(r"(\d:\d\d) of 0:45, (\d:\d\d) left +[█·]* +-?\d+\.\d dBFS", output)
    assert drawn[0] == ("0:00", "0:45")
    assert drawn[-1] == ("0:45", "0:00")
    assert "left" not in text, "the panel is gone"


@pytest.mark.parametrize("columns", WIDTHS)
def test_teach_shows_its_stages_and_then_what_it_measured(tmp_path: Path, columns: int) -> None:
    for take in range(3):
        path = tmp_path / "sounds" / "Door bell" / f"{take}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound("beep", take), RATE_HZ)
    code, shown, output = run_on_terminal((*LISTEN[:3], "teach", "sounds", "-o", "bundle"), columns, folder=tmp_path)
    assert code == 0
    assert all(len(line) < columns for line in shown)
    stages = dict.fromkeys(re.findall(r"teach (\d)/5  ([a-z ]+)", output))
    assert [number for number, _ in stages] == ["1", "2", "3", "4", "5"]
    assert re.search(r"\d s left", output)
    text = " ".join(" ".join(shown).split())
    assert text.startswith("door_bell: 3 recordings, ")
    assert "Try it: edge-detector listen RECORDING --bundle bundle" in text
    assert "/5 " not in text, "the panel is gone"
