"""What several tests of the recipe begin with."""

from pathlib import Path

import pytest

from tests.support.labelled_embedder import follow
from tests.support.tiny_recipe import follow_recipe


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the recipe has been followed from clips to a bundle."""
    pytest.importorskip("tensorflow")
    folder = tmp_path_factory.mktemp("recipe")
    follow_recipe(folder)
    return folder


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with bundles that compute AudioSet's labels, and all that they were made of."""
    pytest.importorskip("tensorflow")
    folder = tmp_path_factory.mktemp("labelled")
    follow(folder)
    return folder
