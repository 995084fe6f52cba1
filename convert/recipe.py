"""Recipes: the hyper-parameters of all stages in one TOML file; single values may be replaced on the command line."""

import argparse
import math
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from convert.plain_data import from_plain
from edge_detector.bounded_files import read_regular
from edge_detector.errors import UsageError

RECIPES = Path(__file__).parent / "recipes"
MAX_RECIPE_BYTES = 1_000_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A parsed recipe: a table of hyper-parameters for each stage.

    Attributes:
        path: file, for errors.
        values: its keys and tables.
        replaced: the keys, and tables with a key, that --set replaced.

    """

    path: Path
    values: Mapping[str, object]
    replaced: frozenset[str] = frozenset()

    def section(self, name: str, kind: type[T]) -> T:
        """Return one table as its dataclass. Raises UsageError for a missing table, and a missing, unknown or wrong key."""
        if name not in self.values:
            raise UsageError(f"{self.path} has no table [{name}]; copy it from {RECIPES / 'default.toml'}")
        return from_plain(kind, self.values[name], f"{self.path} [{name}]")

    def text(self, key: str, choices: Sequence[str]) -> str:
        """Return a key outside the tables. Raises UsageError unless it is one of `choices`."""
        value = self.values.get(key)
        if not isinstance(value, str) or value not in choices:
            raise UsageError(f"{self.path}: {key} must be one of {', '.join(choices)}, not {value!r}")
        return value

    def require_read(self, names: Collection[str]) -> None:
        """Raise UsageError if --set replaced a key or a value of a table that is not among those read."""
        if unread := sorted(self.replaced - set(names)):
            raise UsageError(f"--set {unread[0]}: only {', '.join(names)} are read here; leave it out")


def add_recipe_arguments(parser: argparse.ArgumentParser, default: str) -> None:
    """Add --recipe and --set."""
    parser.add_argument(
        "--recipe",
        default=default,
        metavar="NAME|FILE",
        help=f"recipe that ships ({', '.join(shipped())}), or a file ({default})",
    )
    parser.add_argument(
        "--set",
        dest="replaced",
        action="extend",
        nargs="+",
        default=[],
        metavar="TABLE.KEY=VALUE",
        help="replace values of the recipe: --set lstm.cells=256 training.epochs=3",
    )


def shipped() -> list[str]:
    """Return the names of the recipes that ship."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def load_recipe(name: str, replaced: Sequence[str] = (), *, tables: Sequence[str] = ()) -> Recipe:
    """Read a recipe by name or path, and replace values.

    Args:
        name: a recipe that ships, or a file.
        replaced: TABLE.KEY=VALUE, with VALUE in TOML or a bare word.
        tables: the tables and keys that the command reads; no others may be replaced. Empty: all.

    Raises UsageError for a file that cannot be read, and for a replacement of what is not read.
    """
    path = RECIPES / f"{name}.toml" if name in shipped() else Path(name)
    try:
        values = tomllib.loads(read_regular(path, MAX_RECIPE_BYTES).decode())
    except FileNotFoundError as error:
        raise UsageError(f"{path} does not exist; name a file, or a recipe that ships: {', '.join(shipped())}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a readable TOML file: {getattr(error, 'strerror', None) or error}") from error
    recipe = Recipe(path, values, frozenset(_replace(values, each, path) for each in replaced))
    if tables:
        recipe.require_read(tables)
    return recipe


def require_positive(settings: object, *names: str) -> None:
    """Raise ValueError unless these attributes are finite and above 0."""
    for name in names:
        value = getattr(settings, name)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be above 0, not {value}")


def require_not_negative(settings: object, *names: str) -> None:
    """Raise ValueError unless these attributes are finite and 0 or above."""
    for name in names:
        value = getattr(settings, name)
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be 0 or above, not {value}")


def require_share(settings: object, *names: str, above: float = 0.0, below: float = 1.0) -> None:
    """Raise ValueError unless these attributes are in [`above`, `below`]."""
    for name in names:
        value = getattr(settings, name)
        if not above <= value <= below:
            raise ValueError(f"{name} must be from {above:g} to {below:g}, not {value}")


def _replace(values: dict[str, object], text: str, path: Path) -> str:
    """Replace one value; return the name of its table, or its key outside the tables."""
    name, equals, value = text.partition("=")
    keys = name.strip().split(".")
    if not equals or not all(keys) or len(keys) > 2:  # noqa: PLR2004 - TABLE.KEY
        raise UsageError(f"--set {text} is not TABLE.KEY=VALUE, such as lstm.cells=256")
    table = values if len(keys) == 1 else values.get(keys[0])
    if not isinstance(table, dict):
        raise UsageError(f"--set {text}: {path} has no table [{keys[0]}]; leave it out, or give another --recipe")
    if keys[-1] not in table:
        where = "" if len(keys) == 1 else f" [{keys[0]}]"
        raise UsageError(f"--set {text}: {path}{where} has no key {keys[-1]!r}; it has {', '.join(table)}")
    table[keys[-1]] = _parsed(value)
    return keys[0]


def _parsed(text: str) -> object:
    """Return a TOML value; a bare word is a text."""
    try:
        return tomllib.loads(f"value = {text.strip()}\n")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()
