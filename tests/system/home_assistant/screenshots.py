"""Screenshots of the node in Home Assistant: python -m tests.system.home_assistant.screenshots FOLDER.

Needs root; a box of make_box.sh, named in HOME_ASSISTANT_ROOT; Debian's chromium, chromium-driver and pngquant; and the
recordings of ESC-10 in ../shared/data or EDGE_DETECTOR_DATA. No library beyond the project's. Takes four minutes.
"""

import argparse
import base64
import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import soundfile
import soxr

from edge_detector.demo.soundscape import BACKGROUND_DBFS, INT16_SCALE
from edge_detector.demo.synthesis import RATE_HZ, Signal, at_rms, band, noise, samples, tilted
from tests.conftest import DATA
from tests.support.broker import HOST, Broker, free_port
from tests.support.fake_microphone import FakeMicrophone
from tests.support.rig import Rig
from tests.support.service import Service
from tests.support.waiting import wait_until
from tests.system.home_assistant.box import ROOT_VARIABLE, box_root

CONFIGURATION = """\
homeassistant:
  time_zone: UTC
http:
  server_host: {host}
  server_port: {port}
frontend:
history:
logbook:
"""
ONBOARDING = {
    "version": 4,
    "minor_version": 1,
    "key": "onboarding",
    "data": {"done": ["core_config", "analytics", "integration"]},
}
"""Of the questions to a new user only the first remains: name and password."""
BROKER_FORM = {"other_settings": {"set_client_cert": False, "set_ca_cert": "off"}}
COMPILER = "command -v g++ || { apt-get update -qq; apt-get install -y -qq --no-install-recommends g++ python3-dev; }"
"""Home Assistant installs what its integrations need at the first start, and compiles two of these packages."""
START_SECONDS = 600.0
RELOAD_SECONDS = 35.0
"""How long after an entity is enabled Home Assistant loads its integration again."""
PAGE_SECONDS = 60.0
SETTLE_SECONDS = 3.0

SERVICE_CONFIG = "commands = true\n[detection]\nclass_list = 2"
DEVICE_NAME = "Nursery"
SHOWN = ("baby_cry", "dog_bark", "person_sneeze", "rain", "rooster")
CONTROLS = ("switch.nursery_cot_mute", "number.nursery_cot_threshold_baby_cry", "number.nursery_cot_threshold_dog_bark")
"""Disabled by default, and enabled for the screenshots."""

PAUSE_SECONDS = 10.0
BABY = ("baby_cry/1-211527-C", "baby_cry/1-22694-A", "baby_cry/1-22694-B", "baby_cry/1-211527-A")
EVENING: tuple[tuple[str, ...], ...] = (
    ("dog_bark/1-30344-A", "dog_bark/1-32318-A"),
    ("rain/1-17367-A", "rain/1-21189-A", "rain/1-26222-A", "rain/1-50060-A"),
    ("rooster/1-26806-A",),
    ("person_sneeze/1-47273-A",),
    BABY[:2],
    ("dog_bark/1-59513-A",),
    ("rooster/1-39923-A",),
)
"""Recordings of ESC-10 that follow each other, with a pause before and after each group."""
CRYING = (BABY * 5,)
"""What is heard while the screenshots are taken."""

DESKTOP, PHONE = (1280, 900), (390, 844)
PIXEL_RATIO = 2
MARGIN = 16

Box = tuple[float, float, float, float]
"""Left, top, width and height on the page."""

FIND = """
const found = [];
const walk = root => {
  for (const each of root.querySelectorAll("*")) {
    if (each.matches(arguments[0])) found.push(each);
    if (each.shadowRoot) walk(each.shadowRoot);
  }
};
walk(document);
"""
CALL = "return document.querySelector('home-assistant').hass.callWS(arguments[0])"


def ask(port: int, method: str, path: str, body: object = None, *, token: str = "") -> Any:  # noqa: ANN401 - any JSON
    """Send a request with JSON, or with a form as text, to a server on this machine; the JSON that it answers."""
    kind, content = ("x-www-form-urlencoded", body) if isinstance(body, str) else ("json", json.dumps(body))
    headers = {"Content-Type": f"application/{kind}"} | ({"Authorization": f"Bearer {token}"} if token else {})
    connection = http.client.HTTPConnection(HOST, port, timeout=PAGE_SECONDS)
    try:
        connection.request(method, path, None if body is None else content, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise RuntimeError(f"{method} {path}: {answer.status} {text}")
    return json.loads(text)


def answers(port: int, path: str) -> bool:
    try:
        ask(port, "GET", path)
    except OSError:
        return False
    return True


class Home(Rig):
    """Home Assistant as its own program starts it, with its web pages and one user."""

    def __init__(self, root: Path) -> None:
        super().__init__("home-assistant", stop_seconds=120.0)
        self._root = root
        self._port = free_port()
        self._config = Path(tempfile.mkdtemp(prefix="config-", dir=root))
        self.url = f"http://{HOST}:{self._port}"
        self.tokens: dict[str, Any] = {}
        (self._config / "configuration.yaml").write_text(CONFIGURATION.format(host=HOST, port=self._port))
        (self._config / ".storage").mkdir()
        (self._config / ".storage" / "onboarding").write_text(json.dumps(ONBOARDING))

    def start(self) -> None:
        subprocess.run(["chroot", str(self._root), "sh", "-c", COMPILER], check=True, stdout=subprocess.DEVNULL)
        self.launch(["chroot", str(self._root), "/v/bin/hass", "--config", f"/{self._config.name}"])
        wait_until(self._answers, "Home Assistant to answer", deadline_seconds=START_SECONDS)
        self._log_in()
        wait_until(self._runs, "Home Assistant to have started", deadline_seconds=START_SECONDS)

    def _answers(self) -> bool:
        self.check_alive()
        return answers(self._port, "/api/onboarding")

    def _log_in(self) -> None:
        client = f"{self.url}/"
        user = {"name": "Ada", "username": "ada", "password": "lovelace", "client_id": client, "language": "en"}
        code = ask(self._port, "POST", "/api/onboarding/users", user)["auth_code"]
        form = urlencode({"grant_type": "authorization_code", "code": code, "client_id": client})
        tokens = ask(self._port, "POST", "/auth/token", form)
        expires = int((time.time() + tokens["expires_in"]) * 1_000)
        self.tokens = {**tokens, "hassUrl": self.url, "clientId": client, "expires": expires}

    def _runs(self) -> bool:
        return bool(self._ask("GET", "/api/config")["state"] == "RUNNING")

    def _ask(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - any JSON
        return ask(self._port, method, path, body, token=self.tokens["access_token"])

    def connect(self, broker: Broker) -> None:
        """Fill in the form of the MQTT integration."""
        flows = "/api/config/config_entries/flow"
        form = self._ask("POST", flows, {"handler": "mqtt"})
        done = self._ask("POST", f"{flows}/{form['flow_id']}", {"broker": broker.host, "port": broker.port, **BROKER_FORM})
        if done["type"] != "create_entry":
            raise RuntimeError(f"the MQTT integration refused the broker: {done}")

    def shows(self, entity: str, state: str | None = None) -> bool:
        """Whether the entity is in this state, or available if none is named."""
        found = [each["state"] for each in self._ask("GET", "/api/states") if each["entity_id"] == entity]
        return found == [state] if state else found not in ([], ["unavailable"])

    def close(self) -> None:
        super().close()
        shutil.rmtree(self._config, ignore_errors=True)


class Browser(Rig):
    """A headless Chromium, driven through chromedriver."""

    def __init__(self) -> None:
        super().__init__("chromium")
        self._port = free_port()
        self._session = ""

    def start(self) -> None:
        self.launch(["chromedriver", f"--port={self._port}"])
        wait_until(lambda: answers(self._port, "/status"), "chromedriver to answer")
        switches = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars", "--lang=en"]
        options = {"args": [*switches, f"--user-data-dir={self.folder / 'profile'}"]}
        wanted = {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}}
        self._session = ask(self._port, "POST", "/session", wanted)["value"]["sessionId"]

    def end(self) -> None:
        if self._session:
            ask(self._port, "DELETE", f"/session/{self._session}")
            self._session = ""
        super().end()

    def _ask(self, leaf: str, body: object) -> Any:  # noqa: ANN401 - any JSON
        return ask(self._port, "POST", f"/session/{self._session}/{leaf}", body)["value"]

    def run(self, script: str, *arguments: object) -> Any:  # noqa: ANN401 - any JSON
        """Run the body of a JavaScript function in the page; what it returns, or what its promise brings."""
        return self._ask("execute/sync", {"script": script, "args": arguments})

    def resize(self, size: tuple[int, int], *, mobile: bool = False) -> None:
        parameters = {"width": size[0], "height": size[1], "deviceScaleFactor": PIXEL_RATIO, "mobile": mobile}
        self._ask("goog/cdp/execute", {"cmd": "Emulation.setDeviceMetricsOverride", "params": parameters})

    def open(self, url: str, *selectors: str) -> None:
        """Open the page, again and again until it shows all that is selected; its parts are in nested shadow roots."""

        def shown() -> bool:
            return all(self.boxes(selector) for selector in selectors)

        give_up_at = time.monotonic() + 3 * PAGE_SECONDS
        while True:
            self._ask("url", {"url": url})
            try:
                wait_until(shown, f"{selectors} on {url}")
            except TimeoutError:
                if time.monotonic() >= give_up_at:
                    raise
            else:
                return

    def boxes(self, selector: str) -> list[Box]:
        """Where the selected elements are, of those that have a size."""
        found = self.run(f"{FIND} return found.map(each => each.getBoundingClientRect().toJSON())", selector)
        boxes = [(each["x"], each["y"], each["width"], each["height"]) for each in found]
        return [box for box in boxes if box[2] and box[3]]

    def scroll_to(self, selector: str, number: int) -> None:
        self.run(f"{FIND} found[arguments[1]].scrollIntoView()", selector, number)

    def capture(self, path: Path, box: Box | None = None) -> None:
        """Save the page, or a part of it, once it no longer moves; as a PNG with a palette."""
        time.sleep(SETTLE_SECONDS)
        parameters: dict[str, Any] = {"format": "png"}
        if box:
            parameters["clip"] = {**dict(zip(("x", "y", "width", "height"), box, strict=True)), "scale": 1}
        image = self._ask("goog/cdp/execute", {"cmd": "Page.captureScreenshot", "params": parameters})["data"]
        command = ["pngquant", "--speed=1", "--strip", "64", "-"]
        small = subprocess.run(command, input=base64.b64decode(image), stdout=subprocess.PIPE, check=True).stdout
        path.write_bytes(small)
        sys.stdout.write(f"{path} {len(small)} bytes\n")


def around(boxes: Iterable[Box]) -> Box:
    """The box around all boxes, with a margin."""
    lefts, tops, widths, heights = np.array(list(boxes)).T
    left, top = lefts.min() - MARGIN, tops.min() - MARGIN
    return float(left), float(top), float((lefts + widths).max() + MARGIN - left), float((tops + heights).max() + MARGIN - top)


def sound(groups: Sequence[Sequence[str]]) -> bytes:
    """Raw samples of the recordings in a quiet room."""
    pause = np.zeros(samples(PAUSE_SECONDS))
    mix = np.concatenate([pause, *(part for group in groups for part in (*map(recording, group), pause))])
    mix += at_rms(noise(np.random.default_rng(0), len(mix), tilted(band(20, 8_000), -3.0)), BACKGROUND_DBFS)
    return np.round(mix * INT16_SCALE).clip(-INT16_SCALE, INT16_SCALE - 1).astype("<i2").tobytes()


def recording(name: str) -> Signal:
    channels, rate_hz = soundfile.read(DATA / "esc10" / f"{name}.ogg", always_2d=True)
    resampled: Signal = soxr.resample(channels.mean(axis=1), rate_hz, RATE_HZ)
    return resampled


def log_in(browser: Browser, home: Home) -> None:
    """Log in, without the menu at the side, and enable the controls."""
    browser.resize(DESKTOP)
    browser.open(f"{home.url}/manifest.json")
    browser.run("localStorage.setItem('hassTokens', arguments[0])", json.dumps(home.tokens))
    browser.run("localStorage.setItem('dockedSidebar', '\"always_hidden\"')")
    browser.open(f"{home.url}/config/devices/dashboard", "home-assistant-main")
    # Home Assistant asks whether this port is meant.
    browser.run(CALL, {"type": "http/config/promote"})
    for entity in CONTROLS:
        browser.run(CALL, {"type": "config/entity_registry/update", "entity_id": entity, "disabled_by": None})


def wait_for(what: str, holds: Callable[[], bool]) -> None:
    wait_until(holds, what, deadline_seconds=2 * PAGE_SECONDS)


def take(folder: Path, home: Home, browser: Browser, microphone: FakeMicrophone) -> None:
    """Play an evening, and take the screenshots while the baby cries."""
    devices = browser.run(CALL, {"type": "config/device_registry/list"})
    identifier = next(each["id"] for each in devices if each["name"] == DEVICE_NAME)
    device = f"{home.url}/config/devices/device/{identifier}"
    began = datetime.now(UTC)
    microphone.play(sound(EVENING), latency_milliseconds=200).wait()
    browser.open(device, "ha-logbook", "ha-device-entities-card")
    microphone.play(sound(CRYING), latency_milliseconds=200)
    wait_for("the baby crying", lambda: home.shows("binary_sensor.nursery_cot_baby_cry", "on"))
    cards = [*browser.boxes("ha-device-info-card"), *browser.boxes("ha-card:has(ha-logbook)")]
    browser.capture(folder / "home-assistant-device.png", around(cards))

    browser.resize(PHONE, mobile=True)
    browser.scroll_to("ha-device-entities-card", 1)
    browser.capture(folder / "home-assistant-controls.png")

    time.sleep(PAUSE_SECONDS)
    browser.resize(DESKTOP)
    span = {"start_date": began.isoformat(), "end_date": datetime.now(UTC).isoformat()}
    entities = ",".join(f"binary_sensor.nursery_cot_{slug}" for slug in SHOWN)
    chart = "state-history-chart-timeline"
    browser.open(f"{home.url}/history?{urlencode({'entity_id': entities, **span})}", chart, "canvas")
    browser.capture(folder / "home-assistant-history.png", around(browser.boxes(chart)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    root = box_root()
    if root is None:
        sys.exit(f"name a box that tests/system/home_assistant/make_box.sh has made in {ROOT_VARIABLE}")
    folder.mkdir(parents=True, exist_ok=True)
    with (
        Broker() as broker,
        FakeMicrophone() as microphone,
        Home(root) as home,
        Service(broker, microphone.environment, mqtt=SERVICE_CONFIG),
        Browser() as browser,
    ):
        home.connect(broker)
        wait_for("the node", lambda: home.shows("binary_sensor.nursery_cot_baby_cry", "off"))
        log_in(browser, home)
        time.sleep(RELOAD_SECONDS)
        wait_for("the controls", lambda: all(home.shows(entity) for entity in CONTROLS))
        take(folder, home, browser, microphone)
    return 0


if __name__ == "__main__":
    sys.exit(main())
