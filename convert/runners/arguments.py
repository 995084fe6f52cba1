"""Options that choose how many processes, or which machines, carry out the work."""

import argparse
from functools import partial

from convert.arguments import positive_int
from convert.runners.pool import run_in_pool
from convert.tasks import Runner
from edge_detector.errors import UsageError


def add_runner_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --jobs, --runner and --master."""
    parser.add_argument("--jobs", type=positive_int, default=1, metavar="N", help="number of processes on this machine (1)")
    parser.add_argument("--runner", choices=("spark",), help="spark: the machines of a Spark cluster")
    parser.add_argument("--master", metavar="URL", help="the cluster: spark://HOST:7077, yarn, k8s://…, or local[2]")


def chosen_runner(arguments: argparse.Namespace) -> Runner | None:
    """Return the runner that the options name; None for this process. Raises UsageError for options that exclude each other."""
    if (arguments.runner is None) != (arguments.master is None):
        raise UsageError("--runner spark and --master URL belong together; give both, or --jobs for this machine's cores")
    if arguments.runner is None:
        return None if arguments.jobs == 1 else partial(run_in_pool, jobs=arguments.jobs)
    if arguments.jobs > 1:
        raise UsageError("--jobs is for this machine's cores, and --runner spark for a cluster; leave one out")
    from convert.runners.spark import run_on_spark  # noqa: PLC0415 - pyspark is an extra of its own

    return partial(run_on_spark, master=arguments.master)
