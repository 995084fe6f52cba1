"""A headless Chromium as a user's browser, which reaches this machine alone.

Needs the Debian packages chromium and chromium-driver. The only file that imports selenium.
"""

import os
import shutil
import tempfile
from base64 import b64decode
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import ActionChains, Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

T = TypeVar("T")

BROWSER, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
DEADLINE_SECONDS = 20.0
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # CI runs as root, for whom there is none
    "--disable-dev-shm-usage",  # a container's /dev/shm has 64 MB
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    # Any other host has no address: a page that asks for one has an error in its console.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]",
)


def chromium_is_installed() -> bool:
    """Whether both of Debian's packages are there."""
    return Path(BROWSER).exists() and Path(DRIVER).exists()


needs_chromium = pytest.mark.skipif(
    not chromium_is_installed() and "CI" not in os.environ, reason="needs the Debian packages chromium and chromium-driver"
)
"""Mark of tests with a browser, which may lack on a developer's machine but not in CI."""


class Chromium:
    """A browser with an empty profile while it is entered.

    Args:
        width, height: of the page's area, in CSS pixels.
        arguments: further arguments of Chromium.

    Attributes:
        pixel_ratio: pixels of the screen for one CSS pixel, from the next `resize` on.

    """

    def __init__(self, width: int = 1280, height: int = 900, *, arguments: Sequence[str] = ()) -> None:
        self._width, self._height = width, height
        self.pixel_ratio = 1
        self._arguments = (*_ARGUMENTS, *arguments)
        self._media: dict[str, str] = {}
        self._exits = ExitStack()

    def __enter__(self) -> Self:
        """Start the browser."""
        with ExitStack() as exits:
            profile = tempfile.mkdtemp(prefix="chromium-")
            # Chromium's last process may still write into it.
            exits.callback(shutil.rmtree, profile, ignore_errors=True)
            options = ChromeOptions()
            options.binary_location = BROWSER
            for argument in (*self._arguments, f"--user-data-dir={profile}"):
                options.add_argument(argument)
            options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
            # With a path Selenium looks for no driver, and downloads none.
            self.driver = Chrome(options=options, service=Service(DRIVER))
            exits.callback(self.driver.quit)
            self.driver.set_page_load_timeout(DEADLINE_SECONDS)
            self.driver.set_script_timeout(DEADLINE_SECONDS)
            self.resize(self._width, self._height)
            self._exits = exits.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """End the browser, and remove its profile."""
        self._exits.close()

    def open(self, url: str) -> None:
        """Load a page, and wait for its load event."""
        self.driver.get(url)

    def resize(self, width: int, height: int) -> None:
        """Set the page's area in CSS pixels, also below the least width of a window; below 600 it is a phone's."""
        self._command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=self.pixel_ratio,
            mobile=width < 600,
        )

    def prefer(
        self, *, colours: Literal["dark", "light"] | None = None, motion: Literal["reduce", "no-preference"] | None = None
    ) -> None:
        """Emulate what the user prefers; None leaves a preference as it is."""
        chosen = {"prefers-color-scheme": colours, "prefers-reduced-motion": motion}
        self._media |= {name: value for name, value in chosen.items() if value is not None}
        self._command("Emulation.setEmulatedMedia", features=[{"name": name, "value": self._media[name]} for name in self._media])

    def touch(self, *, enabled: bool) -> None:
        """Be a screen for fingers, without a mouse, or a screen with one."""
        self._command("Emulation.setTouchEmulationEnabled", enabled=enabled)

    def find(self, selector: str) -> WebElement:
        """Wait for the first element that a CSS selector finds and that can be seen."""
        return self.wait(
            lambda: next((element for element in self.all(selector) if element.is_displayed()), None), f"{selector} to be seen"
        )

    def all(self, selector: str) -> list[WebElement]:
        """Return what a CSS selector finds now."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def run(self, script: str, *arguments: object) -> Any:  # noqa: ANN401 -- whatever JavaScript returns
        """Run JavaScript and return what it returns."""
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys: str) -> None:
        """Press keys one after the other: a character, or a name such as "TAB" or "ARROW_RIGHT"."""
        actions = ActionChains(self.driver)
        for key in keys:
            actions.send_keys(key if len(key) == 1 else getattr(Keys, key))
        actions.perform()

    def wait(self, value: Callable[[], T | None], what: str, *, deadline_seconds: float = DEADLINE_SECONDS) -> T:
        """Return `value()` as soon as it is true; what vanished while it was looked at is looked for again."""
        waiting = WebDriverWait(self.driver, deadline_seconds, 0.05, ignored_exceptions=[StaleElementReferenceException])
        return waiting.until(lambda _: value() or False, f"waited {deadline_seconds} s in vain for {what}")

    def errors(self) -> list[str]:
        """Return the console's errors and warnings since the last call."""
        return [
            entry["message"]
            for entry in self.driver.execute("getLog", {"type": "browser"})["value"]
            if entry["level"] in {"SEVERE", "WARNING"}
        ]

    def screenshot(self, file: Path, *, whole_page: bool = False) -> None:
        """Write a PNG of what is seen, or of the whole page."""
        if whole_page:
            size = self._command("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
            data = self._command("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
            file.write_bytes(b64decode(data))
        else:
            self.driver.save_screenshot(str(file))

    def _command(self, command: str, **arguments: object) -> dict[str, Any]:
        result: dict[str, Any] = self.driver.execute_cdp_cmd(command, arguments)
        return result
