import pytest

from edge_detector.cli.setup.sounds import find
from edge_detector.detection.bundle import load_bundle
from edge_detector.errors import UsageError
from edge_detector.service.factory import DEFAULT_BUNDLE

CLASSES = load_bundle(DEFAULT_BUNDLE).manifest.classes


@pytest.mark.parametrize("name", ["dog_bark", "Dog barking", "dog barking", "DOG BARK"])
def test_a_class_is_found_by_slug_or_label(name: str) -> None:
    assert find(name, CLASSES) == "dog_bark"


@pytest.mark.parametrize(("name", "meant"), [("kat", "cat"), ("smoke_alrm", "smoke_alarm"), ("dog barkin", "Dog barking")])
def test_a_misspelt_name_gets_a_suggestion(name: str, meant: str) -> None:
    with pytest.raises(UsageError, match=f"there is no class {name!r}; did you mean {meant!r}[?] Find its name"):
        find(name, CLASSES)
