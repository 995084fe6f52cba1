"""What a signal does to the service before it is ready, and when what it waits for hangs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

HANGING = """
import time
from pathlib import Path
from edge_detector.cli import run
from edge_detector.service.logs import start_logging
from edge_detector.service.service import Service

def hang(*_):
    print("serving", flush=True)
    time.sleep(600)

Service.run = hang
run.STOP_SECONDS = 0.2
start_logging()
run.run(None)
"""
STARTING = """
import sys
sys.argv = ["edge-detector", "run"]
import edge_detector.cli
import os, signal
os.kill(os.getpid(), signal.SIGHUP)
print("alive", len([name for name in sys.modules if name.startswith("numpy")]))
"""
STORM = """
from pathlib import Path
from edge_detector.cli import run
from edge_detector.service.service import Service

config = run.default_config()
run.load_config = lambda _path: config  # so quickly that signals meet every moment of a reload

def serve(_service, stop, reload):
    print("serving", flush=True)
    while not stop.is_set():
        reload()
    print("stopped", flush=True)
    return 0

Service.run = serve
run.run(Path("edge.toml"))
"""


def test_a_reload_while_the_program_is_still_being_loaded_does_not_end_it() -> None:
    done = subprocess.run([sys.executable, "-c", STARTING], capture_output=True, text=True, check=True)
    assert done.stdout == "alive 0\n", "before anything big is imported"


def test_a_service_that_hangs_ends_all_the_same_when_it_is_told_to_stop(tmp_path: Path) -> None:
    environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", HANGING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 1
        assert process.stderr is not None
        assert "the stop took longer than 0.2 s" in process.stderr.read()


def test_a_storm_of_reloads_hangs_and_ends_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "STATE_DIRECTORY": str(tmp_path)}
    command = [sys.executable, "-c", STORM]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "serving\n"
        for _ in range(20_000):
            process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "stopped\n"
        assert process.wait(60) == 0
