"""The short forms of the scripts in this folder; each module's docstring says how to run the long one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.chaos import everything, surroundings
from tests.system.chaos.delivery import Chaos, rage

KILLS = 25
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("options", [(), ("--power-cut",)], ids=["killed", "power cut"])
def test_nothing_committed_is_gone_whenever_the_writer_dies(options: tuple[str, ...]) -> None:
    if options and shutil.which("gcc") is None:
        pytest.skip("a cut of power is played with a library that gcc has to build: apt-get install gcc")
    # In a process of its own, since it forks, and since the library is loaded as a process starts.
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    command = [sys.executable, "-m", "tests.system.chaos.kills", "--kills", str(KILLS), *options]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert f"kills={KILLS}" in result.stdout


def test_every_decided_event_arrives_though_broker_and_service_are_killed_and_frozen(tmp_path: Path) -> None:
    def each_misdeed_once(chaos: Chaos) -> bool:
        for misdeed in chaos.misdeeds:
            chaos.pause(0.0)
            chaos.do(misdeed)
        return False

    figures = rage(tmp_path, 1, each_misdeed_once)
    assert set(figures.misdeeds.values()) == {1}
    assert figures.deliveries.received >= figures.deliveries.decided > 0


def test_the_service_loses_nothing_though_broker_microphone_and_its_own_process_are_taken_away() -> None:
    figures = everything.run(1, lambda strikes: strikes < 1, haste=10.0)
    assert set(figures.record.outages.values()) == {1}
    assert figures.deliveries.decided > 0


def test_a_clock_that_is_set_and_a_broker_that_hangs_up_lose_and_silence_nothing() -> None:
    figures = surroundings.run(
        1, lambda strikes: strikes < 2, outage_seconds=(1.0, 2.0), only=("clock set", "accepts and hangs up")
    )
    assert set(figures.record.outages.values()) == {1}
    assert figures.deliveries.received >= figures.deliveries.decided > 0
