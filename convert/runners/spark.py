"""Tasks on the machines of a Spark cluster."""

import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial

from py4j.protocol import Py4JError
from pyspark import Accumulator, Broadcast, SparkConf, SparkContext
from pyspark.accumulators import AddingAccumulatorParam
from pyspark.errors import PySparkException

from convert.tasks import Outcome, Report, Task
from edge_detector.errors import EdgeDetectorError, UsageError

LOOK_EVERY_SECONDS = 0.5


def run_on_spark(task: Task, numbers: Sequence[int], report: Report, *, master: str) -> None:
    """Carry out each task in an executor; Spark repeats those of lost executors.

    Raises UsageError without Java, EdgeDetectorError if Spark gives up.
    """
    if "JAVA_HOME" not in os.environ and shutil.which("java") is None:
        raise UsageError("Spark needs Java, which is not installed; run: sudo apt install default-jre-headless")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    configuration = SparkConf().setMaster(master).setAppName("edge-detector").set("spark.ui.showConsoleProgress", "false")
    try:
        with SparkContext(conf=configuration) as context, ThreadPoolExecutor(1) as thread:
            outcomes = context.accumulator((), AddingAccumulatorParam(()))
            each = partial(_carry_out, context.broadcast(task), outcomes)
            job = thread.submit(context.parallelize(numbers, len(numbers)).foreach, each)
            seen, ended = 0, False
            try:
                while not ended:
                    ended = bool(wait([job], LOOK_EVERY_SECONDS).done)
                    for outcome in outcomes.value[seen:]:
                        seen += 1
                        report(outcome)
                        if outcome.state == "failed":
                            return
            finally:
                context.cancelAllJobs()
            job.result()
    except (Py4JError, PySparkException) as error:
        reason = next((line.strip() for line in str(error).splitlines() if "xception: " in line), str(error))
        raise EdgeDetectorError(f"Spark gave up ({reason}); see its messages above, then run the same command again") from error


def _carry_out(task: Broadcast[Task], outcomes: Accumulator[tuple[Outcome, ...]], number: int) -> None:
    outcomes.add((task.value(number),))
