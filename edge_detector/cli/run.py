"""`run`: the service, until SIGTERM or until every recording has been heard. SIGHUP rereads thresholds and what is enabled."""

import logging
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from edge_detector.cli.build import load_ears_of
from edge_detector.cli.credentials import broker_of, lasting_client_id
from edge_detector.cli.service import Service
from edge_detector.cli.state import open_state, state_folder
from edge_detector.core.config import Config, default_config, load_config, rules
from edge_detector.errors import EdgeDetectorError, SourceError

LOG = logging.getLogger(__name__)


def run(config_path: Path | None) -> int:
    """Load the configuration, or the defaults for None, and serve until told to stop."""
    config = load_config(config_path) if config_path else default_config()
    ears = load_ears_of(config)
    for source in config.sources:
        rules(ears.classes, source.hops_per_patch, config)
    stop, reread = threading.Event(), threading.Event()

    def on_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    def on_hangup(_number: int, _frame: FrameType | None) -> None:
        reread.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_stop)
    signal.signal(signal.SIGHUP, on_hangup)
    state = open_state(state_folder(), config.outbox)
    broker = broker_of(config.mqtt, lasting_client_id(config.node, state_folder()))
    service = Service(config, ears, broker, state)
    failed = service.run(stop, _reloader(config_path, reread))
    if failed and not stop.is_set():
        raise SourceError("no source is left to listen to; the log says why")
    return 0


def _reloader(config_path: Path | None, reread: threading.Event) -> Callable[[], Config | None]:
    def reload() -> Config | None:
        if not reread.is_set():
            return None
        reread.clear()
        if config_path is None:
            return None
        try:
            return load_config(config_path)
        except EdgeDetectorError as error:
            LOG.error("the configuration was not reread: %s", error)  # noqa: TRY400 - the sentence is for people
            return None

    return reload
