"""The command line of edge-detector: one function of one module for each command."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from edge_detector import __version__
from edge_detector.cli import check_config, classes, demo, devices, doctor, forget, listen, record, run
from edge_detector.detection.bundle import hop_key
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.service.logs import start_logging
from edge_detector.streams import flush_output, run_guarded


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="edge-detector", description="Hears sounds and says so over MQTT.")
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    service = commands.add_parser("run", help="the service: listen to the configured sources and publish over MQTT")
    service.add_argument("--config", type=Path, metavar="FILE", help="TOML; without it: default microphone, localhost:1883")
    service.set_defaults(action=lambda options: run.run(options.config))

    hear = commands.add_parser("listen", help="one source, no broker: see what is heard")
    hear.add_argument(
        "source", nargs="?", default="mic", metavar="SOURCE",
        help="mic (default), mic:NAME-or-index, arecord:PCM, a URL, a file, or - for raw 16-bit 16 kHz mono on standard input",
    )  # fmt: skip
    hear.add_argument("--bundle", type=Path, metavar="DIR", help="models to hear with (default: the one that ships)")
    hear.add_argument(
        "--config", type=Path, metavar="FILE", help="its bundle, classes and thresholds; SOURCE and --hop are those given here"
    )
    hear.add_argument(
        "--hop", choices=[hop_key(hops) for hops in HOPS_PER_PATCH], default=hop_key(1),
        help="seconds from one decision to the next (default 0.96)",
    )  # fmt: skip
    hear.add_argument("--json", action="store_true", help="one JSON object a line, the payloads of the MQTT messages")
    hear.add_argument("--dump", type=Path, metavar="FILE.wav", help="keep the sound as heard, for replay")
    hear.add_argument("--real-time", action="store_true", help="play a file at its own speed instead of as fast as it goes")
    hear.add_argument("--seconds", type=_above_0, metavar="S", help="stop after so many seconds of sound")
    hear.add_argument("--block-samples", type=int, metavar="N", help="read a file in blocks of N samples (default 4096)")
    hear.set_defaults(action=listen.run)

    collect = commands.add_parser("record", help="collect clips of a sound of your own, for convert teach")
    collect.add_argument("label", metavar="LABEL", help="what it is, as a word for topics: washing_machine_beep")
    collect.add_argument(
        "source", nargs="?", default="mic", metavar="SOURCE", help="as for listen: mic (default), mic:NAME-or-index, a file, …"
    )
    collect.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="clips go to DIR/LABEL/LABEL_001.wav, …")
    collect.add_argument("--seconds", type=_above_0, default=5.0, metavar="S", help="length of a clip (default 5)")
    collect.add_argument("--count", type=_count, default=10, metavar="N", help="stop after so many clips (default 10)")
    collect.add_argument(
        "--louder-by", type=_above_0, default=12.0, metavar="DB", help="how far above the room a sound begins a clip (default 12)"
    )
    collect.add_argument(
        "--press-enter",
        action="store_true",
        help="only Enter begins a clip: for a sound that is there all the time, or a loud room",
    )
    collect.add_argument("--json", action="store_true", help="one JSON object for each clip")
    collect.set_defaults(action=record.run)

    found = commands.add_parser("devices", help="the microphones there are, their rates and levels")
    found.add_argument("--json", action="store_true", help="for machines")
    found.set_defaults(action=lambda options: devices.run(as_json=options.json))

    look = commands.add_parser("doctor", help="what will work here, and why does it hear nothing?")
    look.add_argument("--config", type=Path, metavar="FILE", help="default: /etc/edge-detector/edge.toml if it is there")
    look.add_argument("--seconds", type=_above_0, default=4.0, metavar="S", help="how long to listen to each source (default 4)")
    look.add_argument("--json", action="store_true", help="for machines")
    look.set_defaults(action=lambda options: doctor.run(options.config, as_json=options.json, seconds=options.seconds))

    known = commands.add_parser("classes", help="the classes there are: what each is made of, its thresholds, whether it is on")
    known.add_argument("--search", metavar="WORD", help="only what has it in its name; AudioSet labels that are in no class, too")
    known.add_argument("--json", action="store_true", help="one JSON object a line")
    known.add_argument("--config", type=Path, metavar="FILE", help="with the classes and thresholds of this configuration")
    known.add_argument(
        "--bundle", type=Path, metavar="DIR", help="of these models (default: the configuration's, or those that ship)"
    )
    known.set_defaults(action=classes.run)

    check = commands.add_parser("check-config", help="say whether a configuration is right, and what it amounts to")
    check.add_argument("file", type=Path, metavar="FILE")
    check.set_defaults(action=lambda options: check_config.run(options.file))

    _add_forget(commands)

    show = commands.add_parser(
        "demo", help="the whole path with nothing else installed: an embedded broker, a made-up soundscape"
    )
    show.add_argument("--real-time", action="store_true", help="at the speed of sound instead of as fast as it goes")
    show.set_defaults(action=lambda options: demo.run(real_time=options.real_time))
    return top


def _add_forget(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    leave = commands.add_parser(
        "forget", help="empty what the broker has kept of this node: states, and Home Assistant's discovery"
    )
    leave.add_argument("--config", type=Path, required=True, metavar="FILE", help="whose node and broker; stop the service first")
    leave.set_defaults(action=lambda options: forget.run(options.config))


def _above_0(text: str) -> float:
    number = float(text)
    if not 0.0 < number < float("inf"):
        message = f"{text} is not a number above 0"
        raise argparse.ArgumentTypeError(message)
    return number


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        message = f"{text} is not a whole number above 0"
        raise argparse.ArgumentTypeError(message)
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0 done, 1 failed, 2 wrong usage or configuration."""
    return run_guarded("edge-detector", lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        options = parser().parse_args(arguments)
    except SystemExit:
        # Of --help and --version: what they wrote is still to be flushed, where an error has its sentence.
        flush_output()
        raise
    start_logging()
    result: int = options.action(options)
    return result
