"""Sequence models of any size for tests, by the recipe that ships."""

from dataclasses import fields, replace
from typing import Any

from convert.plain_data import to_plain
from convert.recipe import load_recipe
from convert.sequence.facts import SequenceFacts
from convert.sequence.options import TRAINED_MODELS, ModelOptions, ReadoutOptions
from convert.sequence.settings import TrainingSettings

YOUTUBE_8M = load_recipe("youtube8m")


def options(kind: str, **sizes: Any) -> ModelOptions:  # noqa: ANN401 - options are of any kind
    """YouTube-8M's options of a model, with those of `sizes` that it has."""
    if kind == "readout":
        return ReadoutOptions(int(sizes.get("readout_labels", 0)))
    its_options = YOUTUBE_8M.section(kind, TRAINED_MODELS[kind])
    names = {field.name for field in fields(its_options)}
    return replace(its_options, **{name: value for name, value in sizes.items() if name in names})


def settings(**changes: Any) -> TrainingSettings:  # noqa: ANN401 - settings are of any kind
    """YouTube-8M's hyper-parameters, with changes."""
    return replace(YOUTUBE_8M.section("training", TrainingSettings), **changes)


def facts_of(model: Any, labels: tuple[str, ...] = (), **changes: Any) -> SequenceFacts:  # noqa: ANN401 - a model
    """The description of a model that was never trained."""
    facts = SequenceFacts(
        model=model.kind,
        options=to_plain(model.options),
        states=model.states,
        parameters=model.parameters,
        macs_per_frame=model.macs_per_frame,
        labels=labels,
        classes={},
        made_of={},
        folds=(),
        context=10,
    )
    return replace(facts, **changes)
