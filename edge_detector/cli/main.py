"""The command line of edge-detector."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from edge_detector import __version__
from edge_detector.cli import (
    check_config,
    classes,
    clips,
    demo,
    devices,
    doctor,
    events,
    forget,
    install_service,
    listen,
    record,
    run,
    setup,
    teach,
)
from edge_detector.cli.argument_types import above_0, count, port
from edge_detector.detection.bundle import hop_key
from edge_detector.files import BACKGROUND_FOLDER
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.service.logs import LEVELS, start_logging
from edge_detector.streams import flush_output, run_guarded


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(
        prog="edge-detector", description="Sound event detection on small machines: sound in, MQTT out."
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    service = commands.add_parser("run", help="the service: detect on the configured sources and publish over MQTT")
    service.add_argument("--config", type=Path, metavar="FILE", help="TOML; without it: default microphone, localhost:1883")
    service.add_argument("--log-level", choices=LEVELS, default="info", help="least level that is logged (default info)")
    service.add_argument("--log-format", choices=("text", "json"), default="text", help="text (default), or lines of JSON")
    service.set_defaults(action=lambda options: run.run(options.config))

    on_one_source = commands.add_parser("listen", help="detect on one source, without a broker, and print")
    on_one_source.add_argument(
        "source", nargs="?", default="mic", metavar="SOURCE",
        help="mic (default), mic:NAME-or-index, arecord:PCM, a URL, a file, or - for raw 16-bit 16 kHz mono on standard input",
    )  # fmt: skip
    on_one_source.add_argument("--bundle", type=Path, metavar="DIR", help="bundle of networks (default: the one that ships)")
    on_one_source.add_argument(
        "--config", type=Path, metavar="FILE", help="bundle, classes and thresholds to use; not its sources or hop"
    )
    on_one_source.add_argument(
        "--hop", choices=[hop_key(hops) for hops in HOPS_PER_PATCH], default=hop_key(1),
        help="seconds between decisions (default 0.96)",
    )  # fmt: skip
    on_one_source.add_argument("--json", action="store_true", help="JSON lines with the payloads of the MQTT messages")
    on_one_source.add_argument("--dump", type=Path, metavar="FILE.wav", help="write the received sound, for replay")
    on_one_source.add_argument("--real-time", action="store_true", help="read a file in real time (default: as fast as possible)")
    on_one_source.add_argument("--seconds", type=above_0, metavar="S", help="seconds of sound to process (default: all)")
    on_one_source.add_argument("--block-samples", type=int, metavar="N", help="block size for files, in samples (default 4096)")
    on_one_source.add_argument(
        "--web", action="store_true", help="show it on a page too, on this machine alone; a file is then read in real time"
    )
    on_one_source.add_argument(
        "--web-port",
        type=port,
        default=listen.WEB_PORT,
        metavar="PORT",
        help=f"port of the page (default {listen.WEB_PORT}; 0: any)",
    )
    on_one_source.set_defaults(action=listen.run)

    _add_record(commands)

    _add_teach(commands)

    found = commands.add_parser("devices", help="list microphones, their rates and levels")
    found.add_argument("--json", action="store_true", help="JSON output")
    found.set_defaults(action=lambda options: devices.run(as_json=options.json))

    begin = commands.add_parser("setup", help="ask for microphone, broker and sounds, try each, and write the configuration")
    begin.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="file to write, or to begin with (default: /etc/edge-detector/edge.toml, if you may write it, else ./edge.toml)",
    )
    begin.set_defaults(action=lambda options: setup.run(options.config), log_level="error")

    look = commands.add_parser("doctor", help="check bundle, sources, broker and speed, and name remedies")
    look.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration (default: /etc/edge-detector/edge.toml, if present)"
    )
    look.add_argument("--seconds", type=above_0, default=4.0, metavar="S", help="seconds to measure each source (default 4)")
    look.add_argument("--json", action="store_true", help="JSON output")
    look.set_defaults(action=lambda options: doctor.run(options.config, as_json=options.json, seconds=options.seconds))

    _add_past(commands)

    known = commands.add_parser("classes", help="list classes: labels, thresholds, evidence, whether enabled")
    known.add_argument("--search", metavar="WORD", help="only names with WORD, AudioSet labels without a class included")
    known.add_argument("--json", action="store_true", help="JSON lines")
    known.add_argument("--config", type=Path, metavar="FILE", help="configuration whose classes and thresholds apply")
    known.add_argument(
        "--bundle", type=Path, metavar="DIR", help="bundle (default: that of the configuration, or the one that ships)"
    )
    known.set_defaults(action=classes.run)

    _add_check_config(commands)
    _add_forget(commands)
    _add_install_service(commands)

    show = commands.add_parser("demo", help="run the service on a synthetic soundscape with an embedded broker")
    show.add_argument("--real-time", action="store_true", help="run in real time (default: as fast as possible)")
    show.set_defaults(action=lambda options: demo.run(real_time=options.real_time))
    return top


def _add_past(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    past = commands.add_parser("events", help="show the history: the events of the past, or a table of them by hour of the day")
    events.configure(past)
    past.set_defaults(action=events.run)

    stored = commands.add_parser("clips", help="list the stored clips of sound, or delete them")
    clips.configure(stored)
    stored.set_defaults(action=clips.run)


def _add_teach(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    learn = commands.add_parser("teach", help="make a bundle that detects new classes from a few recordings of each")
    teach.configure(learn)
    learn.add_argument("--json", action="store_true", help="JSON output")
    learn.set_defaults(action=teach.run)


def _add_record(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    collect = commands.add_parser(
        "record",
        help="record clips of your own sound, or the room, for teach",
        usage="%(prog)s LABEL [SOURCE] -o DIR [options]\n       %(prog)s --background MINUTES [SOURCE] -o DIR [--json]",
    )
    collect.add_argument("label", nargs="?", metavar="LABEL", help='name of the sound: washing_machine_beep, "Door bell"')
    collect.add_argument("source", nargs="?", metavar="SOURCE", help="source as for listen (default mic)")
    collect.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for DIR/LABEL/LABEL_001.wav, …")
    collect.add_argument(
        "--background",
        type=above_0,
        metavar="MINUTES",
        help=f"record so long the room without your sounds, into DIR/{BACKGROUND_FOLDER}; without LABEL",
    )
    collect.add_argument("--seconds", type=above_0, metavar="S", help=f"length of a clip (default {record.SECONDS:g})")
    collect.add_argument("--count", type=count, metavar="N", help=f"number of clips (default {record.COUNT})")
    collect.add_argument(
        "--louder-by",
        type=above_0,
        metavar="DB",
        help=f"level above the room that starts a clip, in dB (default {record.LOUDER_BY_DB:g})",
    )
    collect.add_argument(
        "--press-enter",
        action="store_true",
        help="start clips by Enter alone, for continuous sounds or loud rooms",
    )
    collect.add_argument("--json", action="store_true", help="JSON line per clip")
    collect.set_defaults(action=record.run)


def _add_check_config(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    check = commands.add_parser("check-config", help="validate a configuration and summarise it")
    what = check.add_mutually_exclusive_group(required=True)
    what.add_argument("file", type=Path, metavar="FILE", nargs="?")
    what.add_argument("--schema", action="store_true", help="print the configuration's JSON Schema, for editors")
    check.add_argument("--quiet", action="store_true", help="print nothing for a valid file")
    check.set_defaults(
        action=lambda options: (
            check_config.run(options.file, quiet=options.quiet) if options.file else check_config.print_schema()
        )
    )


def _add_forget(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    leave = commands.add_parser("forget", help="empty the retained topics of this node and its Home Assistant discovery")
    leave.add_argument(
        "--config",
        type=Path,
        required=True,
        metavar="FILE",
        help="configuration with the node and broker; stop the service first",
    )
    leave.set_defaults(action=lambda options: forget.run(options.config))


def _add_install_service(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    service = commands.add_parser(
        "install-service", help="install or upgrade the systemd service, as root; go back to the version before; remove it"
    )
    what = service.add_mutually_exclusive_group()
    what.add_argument(
        "--rollback", action="store_const", dest="verb", const="rollback", help="go back to the version before the last upgrade"
    )
    what.add_argument(
        "--uninstall",
        action="store_const",
        dest="verb",
        const="uninstall",
        help="remove the service and its retained topics; configuration, secrets and state stay",
    )
    what.add_argument("--pack", type=Path, metavar="DIR", help="write this program as a wheel into DIR, and install nothing")
    service.add_argument("--purge", action="store_true", help="with --uninstall: remove configuration, secrets and state too")
    service.set_defaults(
        verb="install",
        action=lambda options: (
            install_service.pack(options.pack) if options.pack else install_service.run(options.verb, purge=options.purge)
        ),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0 done, 1 failed, 2 wrong usage or configuration."""
    return run_guarded("edge-detector", lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    try:
        options = parser().parse_args(arguments)
    except SystemExit:
        # From --help and --version: flush their output here, where errors become sentences.
        flush_output()
        raise
    start_logging(level=getattr(options, "log_level", "info"), as_json=getattr(options, "log_format", "text") == "json")
    result: int = options.action(options)
    return result
