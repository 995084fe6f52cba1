"""`run`: the service, until SIGTERM or the end of all recordings. SIGHUP reloads thresholds and enabled classes."""

import faulthandler
import logging
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from edge_detector.config import Config, default_config, load_config
from edge_detector.errors import SourceError
from edge_detector.mqtt.credentials import broker_of, stable_client_id
from edge_detector.service.factory import load_networks
from edge_detector.service.service import Service
from edge_detector.service.state import open_state, state_folder

LOG = logging.getLogger(__name__)

STOP_SECONDS = 4.5
"""Whoever asks the service to stop waits no longer, whatever hangs: a disk, a broker, a sound device."""


@dataclass(slots=True)
class Flag:
    """Set by a signal handler. An Event has a lock: a handler that interrupts `clear` on its own thread waits for it for ever."""

    is_raised: bool = False


def run(config_path: Path | None) -> int:
    """Load the configuration, or the defaults for None, and serve until SIGTERM."""
    stop, reread = threading.Event(), Flag()

    def on_stop(_number: int, _frame: FrameType | None) -> None:
        if not stop.is_set():
            faulthandler.dump_traceback_later(STOP_SECONDS + 0.3, exit=True)  # even if a log or a lock hangs
            last_resort = threading.Timer(STOP_SECONDS, _end_at_once)
            last_resort.daemon = True
            last_resort.start()
        stop.set()

    def on_hangup(_number: int, _frame: FrameType | None) -> None:
        reread.is_raised = True

    # Before the configuration is read: what changes from then on is reread.
    signal.signal(signal.SIGHUP, on_hangup)
    config = load_config(config_path) if config_path else default_config()
    networks = load_networks(config.bundle, config)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_stop)
    state = open_state(state_folder(), config.outbox)
    if state.persistence_trouble is not None:
        LOG.warning("%s", state.persistence_trouble)
    broker = broker_of(config.mqtt, stable_client_id(config.node, state_folder()))
    service = Service(config, networks, broker, state)
    failed = service.run(stop, _reloader(config_path, reread))
    if failed and not stop.is_set():
        raise SourceError("no source is left to listen to; the log says why")
    return 0


def _end_at_once() -> None:
    """Events that were committed are sent after the next start; of what hangs nothing can be saved by waiting."""
    LOG.error("could not stop in order within %g s, and ends at once; what is in the outbox is kept", STOP_SECONDS)
    os._exit(1)


def _reloader(config_path: Path | None, reread: Flag) -> Callable[[], Config | None]:
    def reload() -> Config | None:
        if not reread.is_raised:
            return None
        reread.is_raised = False
        if config_path is None:
            LOG.warning("there is no configuration file to reread; start the service with --config FILE")
            return None
        return load_config(config_path)

    return reload
