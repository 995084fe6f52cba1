"""`run`: the service, until SIGTERM or the end of all recordings. SIGHUP reloads thresholds and enabled classes."""

import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from edge_detector import __version__
from edge_detector.config import Config, default_config, load_config
from edge_detector.detection.classes import enabled_indices
from edge_detector.errors import EdgeDetectorError, SourceError
from edge_detector.files import SOUNDS_FOLDER
from edge_detector.history.store import FILE_NAME
from edge_detector.mqtt.credentials import broker_of, stable_client_id
from edge_detector.service.chosen_bundle import load_chosen, require_usable
from edge_detector.service.factory import DEFAULT_BUNDLE
from edge_detector.service.service import Service
from edge_detector.service.state import State, open_state, reviewable, state_folder
from edge_detector.service.systemd import notify
from edge_detector.teaching.job import TeachingJob
from edge_detector.teaching.taught_bundles import FOLDER_NAME as BUNDLES_FOLDER
from edge_detector.teaching.taught_bundles import TaughtBundles
from edge_detector.web.page import Page, configured_page
from edge_detector.web.teaching_api import Teaching

LOG = logging.getLogger(__name__)

STOP_SECONDS = 4.5
"""Time limit of a stop, even if a disk, a broker or a sound device hangs."""


@dataclass(slots=True)
class Flag:
    """Flag for a signal handler. An Event would deadlock if the handler interrupts `clear` on its own thread."""

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

    # Before the configuration is read, so that a later change is reread.
    signal.signal(signal.SIGHUP, on_hangup)
    config = load_config(config_path) if config_path else default_config()
    folder = state_folder()
    bundles = TaughtBundles(folder / BUNDLES_FOLDER) if folder is not None else None
    chosen = load_chosen(config, bundles)
    networks = chosen.networks
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, on_stop)
    enabled = len({index for rules in networks.rules.values() for index in enabled_indices(rules)})
    bundle = f"{networks.manifest.name} {networks.manifest.version}"
    LOG.info(
        "edge-detector %s: bundle %s, %d classes enabled, %s", __version__, bundle, enabled, config_path or "no configuration"
    )
    state = open_state(state_folder(), config.outbox, config.history, config.clips)
    if state.persistence_trouble is not None:
        LOG.warning("%s", state.persistence_trouble)
    broker = broker_of(config.mqtt, stable_client_id(config.node, state_folder()))
    teaching = None
    if folder is not None and bundles is not None:
        teaching = Teaching(
            TeachingJob(bundles, chosen.taught),
            bundles,
            folder / SOUNDS_FOLDER,
            config.bundle or DEFAULT_BUNDLE,
            chosen.taught,
            lambda bundle: _require_start(bundle, config_path, config),
        )
    page = _page(config, state, teaching)
    service = Service(config, networks, broker, state, page=page, bundle_trouble=chosen.trouble)
    try:
        failed = service.run(stop, _reloader(config_path, reread))
    finally:
        if teaching is not None:
            teaching.job.close()
    if service.restarting:
        _start_again(stop)
    LOG.info("stopped")
    if failed and not stop.is_set():
        raise SourceError("every source has failed; see the log for the reasons")
    return 0


def _start_again(stop: threading.Event) -> None:
    """Replace this process by a new one of the same program, which loads the chosen bundle; return if it shall stop instead."""
    # From here on a signal to stop ends it at once: all is closed, and what a handler notes would be lost with this program.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    if stop.is_set():
        return
    LOG.info("starting again with the chosen bundle")
    # Until the new one has its own handlers, a reload would end it; it reads the configuration anyway.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    notify("WATCHDOG=1")
    try:
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this program itself
    except OSError as error:
        raise EdgeDetectorError(f"{sys.executable} cannot be started again ({error.strerror}); start the service") from error


def _require_start(bundle: Path | None, config_path: Path | None, config: Config) -> None:
    """Raise EdgeDetectorError where the next start would fail: with a bundle (None: the configured one), or for lack of a secret.

    The configuration is read again, since it may have changed; `config` is in its place where there is no file.
    """
    now = config if config_path is None else load_config(config_path)
    require_usable(bundle, now)
    broker_of(now.mqtt, "")
    # Built, and not served.
    configured_page(now.web, "", None)


def _page(config: Config, state: State, teaching: Teaching | None) -> Page | None:
    """Begin to serve the page, if the configuration has one."""
    folder = state_folder()
    history = folder / FILE_NAME if folder is not None and config.history.enabled else None
    clips, sounds = reviewable(folder, state.clips) or (None, None)
    base = f"{config.mqtt.base_topic}/{config.node}"
    opened = configured_page(config.web, base, history, clips=clips, sounds=sounds, teaching=teaching)
    if opened is None:
        return None
    page, secret = opened
    if secret is not None and secret.warning is not None:
        LOG.warning("%s", secret.warning)
    page.server.start()
    return page


def _end_at_once() -> None:
    """End the process after the time limit; committed events are sent after the next start."""
    LOG.error("the stop took longer than %g s and is forced; events in the outbox are kept", STOP_SECONDS)
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
