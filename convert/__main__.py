"""python -m convert COMMAND: the commands, their errors as one sentence, and the exit code."""

import argparse
import importlib
import json
import signal
import sys
from collections.abc import Sequence

from edge_detector.streams import flush_output, run_guarded

COMMANDS = {
    "fetch": "get Google's VGGish or YAMNet, resumed and checked",
    "export-embedder": "YAMNet's body or VGGish's checkpoint to TFLite, measured against its source",
    "background": "real speech, music and other sound, cut and split for training, choosing thresholds and testing",
    "embed": "audio to AudioSet-format TFRecords, or training sequences composed from clips",
    "train": "train a sequence model on embeddings",
    "fuse": "the read-out of AudioSet's labels, alone or weighed with a trained LSTM, as one sequence model",
    "eval": "YouTube-8M's metrics of a trained model, once or for each new checkpoint, or of arrays of scores",
    "infer": "the best classes of each record, as YouTube-8M's CSV",
    "compare": "train and measure several models on the same data: one table",
    "export": "trained sequence model to a streaming TFLite step, measured against its offline graph",
    "calibrate": "each class's thresholds for each hop, on background that nothing was trained on",
    "bundle": "put a bundle together and describe it",
    "teach": "from a folder of recordings of one's own sounds to a bundle that hears them",
    "verify": "check that TFLite, training graph and detector agree",
    "score": "a bundle against labelled clips, on other sounds, on soundscapes and where there is nothing to hear, beside YAMNet",
    "cross-validate": "add up the scores of bundles that were each made without the clips they were scored on",
}


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m convert", description="From labelled sound to a bundle for edge-detector.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        if name in argv:
            # Only the command in use is imported, so that a wrong option is answered at once.
            module = importlib.import_module(f"convert.commands.{name.replace('-', '_')}")
            module.configure(command)
            command.add_argument("--json", action="store_true", help="print the result as one line of JSON")
            command.set_defaults(run=module.run, describe=getattr(module, "describe", None))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0 done, 1 failed, 2 wrong usage."""
    given = sys.argv[1:] if argv is None else list(argv)
    name = next((word for word in given if word in COMMANDS), "")
    return run_guarded(f"convert {name}".strip(), lambda: _run(given))


def _run(given: Sequence[str]) -> int:
    try:
        arguments = _parser(given).parse_args(given)
    except SystemExit:
        # Of --help: what it wrote is still to be flushed, where an error has its sentence.
        flush_output()
        raise
    try:
        result = arguments.run(arguments)
    except KeyboardInterrupt:
        sys.stderr.write(f"convert {arguments.command}: interrupted; the same command goes on where it can\n")
        return 128 + signal.SIGINT
    if arguments.json:
        text = json.dumps(result, allow_nan=False)
    elif arguments.describe is not None:
        text = arguments.describe(result)
    else:
        text = "\n".join(f"{key}: {value}" for key, value in result.items())
    sys.stdout.write(f"{text}\n")
    return 1 if result.get("passed") is False else 0


if __name__ == "__main__":
    sys.exit(main())
