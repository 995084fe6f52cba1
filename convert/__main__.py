"""Entry point of `python -m convert COMMAND`: commands, one-sentence errors and exit codes."""

import argparse
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from convert.plain_data import to_plain
from edge_detector.errors import UsageError
from edge_detector.streams import flush_output, run_guarded

Result = TypeVar("Result")

COMMANDS = {
    "fetch": "download Google's VGGish or YAMNet, or AudioSet's features, with retries and checksums",
    "export-embedder": "convert YAMNet's body or VGGish's checkpoint to TFLite and measure its error",
    "background": "cut background recordings and split them for training, calibration and testing",
    "embed": "embed audio into AudioSet-format TFRecords",
    "compose": "compose training sequences of clips in other sound, with labels for every frame",
    "train": "train a sequence model on embeddings",
    "fuse": "make a sequence model of the AudioSet read-out, alone or fused with a trained LSTM",
    "eval": "compute YouTube-8M's metrics of a model, of each new checkpoint, or of arrays of scores",
    "infer": "write the top classes of each record as YouTube-8M's CSV",
    "compare": "train and evaluate several models on the same data",
    "export": "convert a trained sequence model to a streaming TFLite step and measure its error",
    "calibrate": "choose each class's thresholds for each hop on held-out background",
    "calibrate-records": "choose each class's threshold on labelled records, such as AudioSet's evaluation segments",
    "bundle": "assemble a bundle with its manifest and model card",
    "negatives": "pack records of other sound into the negatives that teach learns beside recordings",
    "teach": "make a bundle that detects new classes from a few recordings of each",
    "verify": "check that TFLite, training graph and detector agree",
    "score": "evaluate a bundle on clips, other sounds, soundscapes and background, beside YAMNet",
    "cross-validate": "add up the scores of bundles, each measured on its held-out clips",
}


def parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of all commands, with the arguments of the one in `argv`."""
    made = argparse.ArgumentParser(prog="python -m convert", description="From labelled sound to a bundle for edge-detector.")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name in argv:
            # Import only the command in use, so that option errors appear without delay.
            module = _with_extra(partial(importlib.import_module, f"convert.commands.{name.replace('-', '_')}"))
            module.configure(command)
            command.add_argument("--json", action="store_true", help="print the result as one line of JSON")
            command.set_defaults(run=module.run, describe=module.describe)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0 done, 1 failed, 2 wrong usage."""
    given = sys.argv[1:] if argv is None else list(argv)
    name = next((word for word in given if word in COMMANDS), "")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notices; its errors are exceptions
    return run_guarded(f"convert {name}".strip(), lambda: _run(given))


def _run(given: Sequence[str]) -> int:
    try:
        arguments = parser(given).parse_args(given)
    except SystemExit:
        # --help exits here; its output is not flushed yet.
        flush_output()
        raise
    try:
        result = _with_extra(lambda: arguments.run(arguments))
    except KeyboardInterrupt:
        sys.stderr.write(f"convert {arguments.command}: interrupted; run the same command again to resume where possible\n")
        return 128 + signal.SIGINT
    plain = to_plain(result)
    text = json.dumps(plain, allow_nan=False) if arguments.json else arguments.describe(result)
    sys.stdout.write(f"{text}\n")
    return 1 if plain.get("passed") is False else 0


def _with_extra(action: Callable[[], Result]) -> Result:
    """Carry out an action; UsageError if a package of an extra is missing."""
    try:
        return action()
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in {"", "convert", "edge_detector"}:
            raise
        if package in {"pyspark", "py4j"}:
            package, needed_by, install = "pyspark", "--runner spark", "pip install -e '.[spark]' (0.5 GB)"
        else:
            needed_by, install = "convert", "pip install -e '.[convert]' (1.6 GB)"
        message = f"{package} is not installed, which {needed_by} needs; run in the project's folder: {install}"
        raise UsageError(message) from error


if __name__ == "__main__":
    sys.exit(main())
