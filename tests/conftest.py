import os
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support.broker import Broker
from tests.support.fake_microphone import FakeMicrophone

if "PYTEST_XDIST_WORKER" in os.environ:
    # Set before TensorFlow and NumPy are loaded: several processes with all cores each would hold each other up.
    for variable in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
# A shell ignores SIGINT for what it starts in the background, Python leaves it so, and the programs that tests start inherit it.
signal.signal(signal.SIGINT, signal.default_int_handler)
ROOT = Path(__file__).parent.parent
hypothesis.settings.register_profile("patient", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("patient")
DATA = Path(os.environ.get("EDGE_DETECTOR_DATA") or ROOT / ".." / "shared" / "data")
SLOW_FILES = (
    "test_teach.py",
    "test_disk_trouble.py",
    "test_soak.py",
    "test_spark.py",
    "test_labelled_bundle.py",
    "test_on_a_pi.py",
    "test_score.py",
    "test_audioset_recipe.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slowest files first, so that no process of `make test` ends with one of them while the others are idle."""
    items.sort(key=lambda item: item.path.name not in SLOW_FILES)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real recordings, which only developers and CI have."""
    if not (DATA / "esc10").is_dir():
        pytest.skip(f"no recordings in {DATA}; set EDGE_DETECTOR_DATA")
    return DATA.resolve()


@pytest.fixture
def broker() -> Iterator[Broker]:
    with Broker() as running:
        yield running


@pytest.fixture
def microphone() -> Iterator[FakeMicrophone]:
    with FakeMicrophone() as plugged_in:
        yield plugged_in


@pytest.fixture
def room(microphone: FakeMicrophone, monkeypatch: pytest.MonkeyPatch) -> FakeMicrophone:
    """The only microphone this process, and its children, can see."""
    for name, value in microphone.environment.items():
        monkeypatch.setenv(name, value)
    return microphone
