"""A standalone Spark cluster on the loopback address: a master, and workers of one core each."""

import os
import shutil
import socket
import subprocess
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.support.waiting import wait_until

START_SECONDS = 120.0
ROOT = Path(__file__).parents[2]


def missing() -> str | None:
    """What a cluster needs and this machine has not."""
    if find_spec("pyspark") is None:
        return "pyspark"
    return None if shutil.which("java") else "Java"


class SparkCluster:
    """Begins at entry and ends at exit, with all that its workers have started.

    Attributes:
        master: its address.
        environment: of a program that uses it.
        workers: processes of the workers.

    """

    def __init__(self, folder: Path, workers: int = 2) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self._folder, self._count = folder, workers
        self.master = f"spark://127.0.0.1:{port}"
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        # These programs of seconds end before a better compiler or collector of garbage would pay.
        java = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
        python_path = os.pathsep.join(paths)
        self.environment = {**os.environ, "SPARK_LOCAL_IP": "127.0.0.1", "PYTHONPATH": python_path, "JAVA_TOOL_OPTIONS": java}
        self._master_words = ("Master", "--host", "127.0.0.1", "--port", str(port), "--webui-port", "0")
        self.workers: list[subprocess.Popen[bytes]] = []
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._start("master", *self._master_words)
        self._wait_for("master", "I have been elected leader")
        for number in range(self._count):
            self.start_worker(f"worker{number}")
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        everything = self.processes()
        for process in everything:
            process.kill()
        psutil.wait_procs(everything, timeout=60)
        for popen in self._started:
            popen.wait()

    def start_worker(self, name: str) -> None:
        """Start one more worker, and wait for the master to know it."""
        words = ("--host", "127.0.0.1", "--cores", "1", "--memory", "1g", "--webui-port", "0")
        self.workers.append(self._start(name, "Worker", *words, "--work-dir", str(self._folder / name), self.master))
        self._wait_for(name, "Successfully registered with master")

    def processes(self) -> list[psutil.Process]:
        """Master, workers, executors and their Python processes, those included whose parent is gone."""
        mark = ("EDGE_DETECTOR_TEST_CLUSTER", self.master)
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(mark[0]) == mark[1]:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found

    def with_open(self, path: Path) -> list[psutil.Process]:
        """Processes of the cluster that have a file open."""
        found = []
        for process in self.processes():
            try:
                if str(path) in {each.path for each in process.open_files()}:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found

    def _start(self, name: str, role: str, *words: str) -> subprocess.Popen[bytes]:
        import pyspark  # noqa: PLC0415 - only where it is installed

        program = Path(pyspark.__file__).parent / "bin" / "spark-class"
        self._folder.mkdir(exist_ok=True)
        environment = {**self.environment, "EDGE_DETECTOR_TEST_CLUSTER": self.master, "SPARK_DAEMON_MEMORY": "256m"}
        with self._log(name).open("wb") as log:
            process = subprocess.Popen(
                [program, f"org.apache.spark.deploy.{role.lower()}.{role}", *words],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )
        self._started.append(process)
        return process

    def _wait_for(self, name: str, text: str) -> None:
        wait_until(lambda: text in self._log(name).read_text(), f"{name}: {text}", deadline_seconds=START_SECONDS)

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"
