"""`events`: what it prints of a history, for people and for programs."""

import csv
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from edge_detector.cli.events import line_of, moment_ms, table
from edge_detector.cli.live_panel import width_of
from edge_detector.cli.main import main
from edge_detector.history.store import FILE_NAME, HOUR_MS
from tests.support.history import NOON_MS, fill, open_store, recorded
from tests.support.terminal import run_on_terminal
from tests.support.time_zone import time_zone

WIDTHS = (40, 80, 120, 200)


@pytest.fixture(autouse=True)
def _berlin() -> Iterator[None]:
    with time_zone("Europe/Berlin"):
        yield


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory with four events, one an hour, the newest at 13:00 in Berlin."""
    with closing(open_store(tmp_path / FILE_NAME)) as store:
        store.apply(
            [
                recorded(1, start_ms=NOON_MS - 3 * HOUR_MS),
                replace(recorded(2, start_ms=NOON_MS - 2 * HOUR_MS, slug="siren", ended=False), end_reason="interrupted"),
                recorded(3, start_ms=NOON_MS - HOUR_MS, source="kitchen"),
                recorded(4, ended=False),
            ]
        )
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["events", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 1) -> str:
    assert main(["events", *arguments]) == code
    output = capsys.readouterr()
    assert output.out == ""
    return output.err.removeprefix("edge-detector: ").removesuffix("\n")


@pytest.mark.usefixtures("folder")
def test_the_newest_event_is_last_with_its_local_time(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        "2026-11-29 10:00:00     4.8 s  0.88  cot  Rain",
        "2026-11-29 11:00:00         ?  0.88  cot  Siren (interrupted)",
        "2026-11-29 12:00:00     4.8 s  0.88  kitchen  Rain",
        "2026-11-29 13:00:00     lasts  0.88  cot  Rain",
    ]
    assert said(capsys) == lines
    assert said(capsys, "--limit", "2") == lines[2:]
    assert said(capsys, "--class", "siren", "--class", "rain", "--source", "cot") == [lines[0], lines[1], lines[3]]
    assert said(capsys, "--since", "2026-11-29T11:00", "--until", "2026-11-29 12:00") == [lines[1]]
    assert said(capsys, "--since", "2026-11-29", "--until", "2026-11-30") == lines


@pytest.mark.parametrize(("seconds", "shown"), [(0.96, "1.0 s"), (59.9, "59.9 s"), (90.0, "2 min"), (7_500.0, "2 h 05")])
def test_a_duration_is_short(seconds: float, shown: str) -> None:
    assert f"  {shown:>8}  " in line_of(replace(recorded(1), end_ms=NOON_MS + round(1e3 * seconds)))


@pytest.mark.usefixtures("folder")
def test_csv_and_json_have_the_keys_and_times_of_the_mqtt_messages(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO("\n".join(said(capsys, "--csv")))))
    objects = [json.loads(line) for line in said(capsys, "--json")]
    assert [row["start"] for row in rows] == [f"2026-11-29T{hour:02}:00:00.000Z" for hour in (9, 10, 11, 12)]
    assert objects[0] == {
        "start": "2026-11-29T09:00:00.000Z",
        "end": "2026-11-29T09:00:04.800Z",
        "duration_seconds": 4.8,
        "peak_probability": 0.875,
        "source": "cot",
        "slug": "rain",
        "label": "Rain",
        "end_reason": "ended",
        "clock": "system",
        "id": "nursery/cot/0123456789ab/1/rain",
    }
    assert rows == [{key: "" if value is None else str(value) for key, value in each.items()} for each in objects]
    assert (objects[3]["end"], objects[3]["end_reason"]) == (None, None)


@pytest.mark.usefixtures("folder")
def test_hours_of_the_day_are_local_and_the_most_frequent_class_comes_first(capsys: pytest.CaptureFixture[str]) -> None:
    head, rain, siren = said(capsys, "--by-hour")
    assert head.split() == [f"{hour:02}" for hour in range(24)]
    assert rain.split() == ["Rain", *("1" if hour in (10, 12, 13) else "." for hour in range(24))]
    assert siren.split() == ["Siren", *("1" if hour == 11 else "." for hour in range(24))]
    assert len({len(line) for line in (head, rain, siren)}) == 1
    assert json.loads(said(capsys, "--by-hour", "--json")[1]) == {
        "slug": "siren",
        "label": "Siren",
        "hours": [int(hour == 11) for hour in range(24)],
    }
    (row,) = csv.DictReader(io.StringIO("\n".join(said(capsys, "--by-hour", "--csv", "--source", "kitchen"))))
    assert (row["slug"], row["12"], row["13"]) == ("rain", "1", "0")


@pytest.mark.parametrize("columns", [20, 40, 80, 100, 200, None])
def test_a_table_fits_any_width_and_has_each_count_once(columns: int | None) -> None:
    counts = {"Rain": list(range(24)), "Vacuum cleaner, upstairs": [12_345] * 24}
    lines = list(table(counts, columns))
    assert all(width_of(line) < (columns or 10_000) for line in lines)
    words = " ".join(lines).split()
    assert words.count("12345") == 24
    assert [hour for hour in words if len(hour) == 2 and hour.startswith("0")] == [f"{hour:02}" for hour in range(10)]


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("view", ["", "--by-hour"])
def test_lines_fit_the_terminal(tmp_path: Path, columns: int, view: str) -> None:
    with closing(open_store(tmp_path / FILE_NAME)) as store:
        fill(store, 2_000)
    command = [sys.executable, "-m", "edge_detector", "events", "--database", str(tmp_path / FILE_NAME), *view.split()]
    code, shown, _ = run_on_terminal(command, columns)
    assert code == 0
    assert shown
    assert all(len(line) < columns for line in shown)


def test_what_cannot_be_shown_is_one_sentence(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refused(capsys, "--since", "2026-11-30").startswith("the history has no such event; leave out --since")
    assert refused(capsys, "--by-hour", "--until", "2026-11-28").startswith("the history has no such event")
    assert refused(capsys, "--class", "sirene", code=2) == (
        "the history has no event of the class sirene; did you mean 'siren'? Leave it out to see all"
    )
    absent = folder / "elsewhere" / FILE_NAME
    assert refused(capsys, "--database", str(absent)).startswith(f"there is no history {absent}; the service makes it")
    (folder / "edge.toml").write_text("[history]\nenabled = false\n")
    assert refused(capsys, "--config", str(folder / "edge.toml")) == (
        f"the history is off in {folder}/edge.toml; set enabled = true in its table [history]"
    )
    monkeypatch.delenv("STATE_DIRECTORY")
    assert refused(capsys).startswith("there is no history /var/lib/edge-detector/history.sqlite")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_history_of_another_user_asks_for_sudo(folder: Path) -> None:
    code = "import os, sys; from edge_detector.cli.main import main; os.setuid(65534); sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "events", "--database", str(folder / FILE_NAME)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == f"edge-detector: {folder / FILE_NAME} may not be read by you; run the command with sudo\n"


@pytest.mark.parametrize("text", ["", "yesterday", "2d ", "-2d", "2026-13-01", "999999w", "0001-01-01", "12"])
def test_a_time_that_is_none_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["events", f"--since={text}"])
    assert "is no time; write 90m, 12h, 2d, 1w" in capsys.readouterr().err


def test_a_time_ago_counts_from_now() -> None:
    now_ms = 1e3 * time.time()
    assert moment_ms("2d") == pytest.approx(now_ms - 48 * HOUR_MS, abs=5_000)
    assert moment_ms("90m") == pytest.approx(now_ms - 1.5 * HOUR_MS, abs=5_000)
    assert moment_ms("2026-11-29T13:00") == moment_ms("2026-11-29T12:00Z") == NOON_MS
