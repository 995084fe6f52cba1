from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broker import Broker
from tests.system.home_assistant.box import ROOT_VARIABLE, HomeAssistant, box_root, home_assistant


@pytest.fixture(scope="session")
def root() -> Path:
    folder = box_root()
    if folder is None:
        pytest.skip(f"no Home Assistant here; make home-assistant makes one and names it in {ROOT_VARIABLE}")
    return folder


@pytest.fixture
def home(root: Path, broker: Broker) -> Iterator[HomeAssistant]:
    with home_assistant(root, broker) as running:
        yield running
