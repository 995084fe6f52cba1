"""The options of train: which model, how to train it, and the defaults that go with what is learnt."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from convert.arguments import positive_float, positive_int
from convert.records.training_set import Target
from edge_detector.errors import UsageError

MODELS = ("lstm", "dbof", "frame-logistic", "moe", "logistic")
HEADS = ("moe", "logistic")


def not_negative(text: str) -> float:
    """A finite number that is 0 or above."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        message = f"{text!r} is not 0 or a number above"
        raise argparse.ArgumentTypeError(message)
    return value


def share(text: str) -> float:
    """A number from 0 to 1."""
    value = not_negative(text)
    if value > 1.0:
        message = f"{text!r} is not a number from 0 to 1"
        raise argparse.ArgumentTypeError(message)
    return value


@dataclass(frozen=True, slots=True)
class Setting:
    """One option: its default for a model trained on the last frame's target, and for one trained on every frame's."""

    help: str
    last: Any
    frame: Any
    kind: Callable[[str], Any] = str
    choices: tuple[str, ...] | None = None
    models: tuple[str, ...] = MODELS


def _same(text: str, value: Any, **more: Any) -> Setting:  # noqa: ANN401 - options are of any kind
    return Setting(text, value, value, **more)


_DBOF = {"models": ("dbof",)}
MODEL_SETTINGS: Mapping[str, Setting] = {
    "layers": Setting("LSTM layers", 2, 1, positive_int, models=("lstm",)),
    "cells": Setting("cells in each", 1_024, 128, positive_int, models=("lstm",)),
    "head": Setting(
        "classifier on top: a mixture of experts per class, or one logistic",
        "moe",
        "logistic",
        choices=HEADS,
        models=("lstm", "dbof"),
    ),
    "mixtures": _same("experts per class", 2, kind=positive_int, models=("lstm", "dbof", "moe")),
    "clusters": _same("DBoF's clusters", 8_192, kind=positive_int, **_DBOF),
    "hidden": _same("size of DBoF's hidden layer", 1_024, kind=positive_int, **_DBOF),
    "activation": _same(
        "DBoF's: sigmoid as in YouTube-8M's last version, or relu6 as in that of 2018",
        "sigmoid",
        choices=("sigmoid", "relu6"),
        **_DBOF,
    ),
    "pooling": _same("of DBoF's frames", "max", choices=("max", "average"), **_DBOF),
    "iterations": _same("frames that DBoF draws from each example in training", 30, kind=positive_int, **_DBOF),
    "sampling": _same(
        "how: each by itself with replacement, or a run of them", "random", choices=("random", "sequence"), **_DBOF
    ),
}
PLAN_SETTINGS: Mapping[str, Setting] = {
    "loss": _same("what is minimised", "cross-entropy", choices=("cross-entropy", "hinge", "softmax")),
    "epochs": Setting("passes over the records, at most", 5, 40, positive_int),
    "max_steps": _same("batches, at most (no limit)", None, kind=positive_int),
    "patience": _same("epochs without a better validation before it stops", 8, kind=positive_int),
    "stop_by": _same("what better means: a lower loss, or a higher GAP", "loss", choices=("loss", "gap")),
    "batch": Setting("examples in a batch", 1_024, 128, positive_int),
    "learning_rate": Setting("the first, or the cosine's highest", 0.01, 3e-3, positive_float),
    "schedule": Setting("of the learning rate", "staircase", "cosine", choices=("staircase", "cosine")),
    "decay": _same("the staircase's factor", 0.95, kind=positive_float),
    "decay_examples": _same("examples between its steps", 4_000_000, kind=positive_int),
    "clip": Setting("clip each variable's gradient, or all together", "each", "together", choices=("each", "together")),
    "clip_norm": _same("to this length, 0 for not at all", 1.0, kind=not_negative),
    "l2": Setting("penalty on the classifier's weights", 1e-8, 0.0, not_negative),
    "weight_decay": Setting("decoupled weight decay", 0.0, 0.01, not_negative),
    "weight_average": Setting("decay of averaged weights, 0 for the newest weights", 0.0, 0.998, share),
    "keep": Setting("share of LSTM outputs kept in training", 1.0, 0.7, positive_float, models=("lstm",)),
    "keep_inputs": _same("share of an embedding's components kept in training", 1.0, kind=positive_float),
    "batch_norm_decay": _same("of DBoF's statistics", 0.999, kind=share, **_DBOF),
    "checkpoint_seconds": _same("between checkpoints", 60.0, kind=positive_float),
    "checkpoints": _same("how many are kept for eval", 5, kind=positive_int),
}
LSTM_LEARNING_RATE = 1e-3
"""YouTube-8M's README: its usual 0.01 is too much for an LSTM."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Every setting's value, for Options and Plan."""

    model: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add every setting as an option; its default is said, not set, since it depends on the target."""
    groups = {"the model": MODEL_SETTINGS, "the training": PLAN_SETTINGS}
    for title, settings in groups.items():
        group = parser.add_argument_group(title, "(default with --target last; with --target frame where it is another)")
        for name, setting in settings.items():
            last = (
                ""
                if setting.last is None
                else f" ({setting.last}{'' if setting.last == setting.frame else f'; {setting.frame}'})"
            )
            note = ", 0.001 for an LSTM" if name == "learning_rate" else ""
            text = f"{setting.help}{last}{note}".replace("%", "%%")
            group.add_argument(f"--{name.replace('_', '-')}", type=setting.kind, choices=setting.choices, help=text)
    parser.add_argument("--batch-norm", action=argparse.BooleanOptionalAction, default=None, help="DBoF's (yes)")


def chosen(arguments: argparse.Namespace, target: Target) -> Choices:
    """The values for this model and target. Raises UsageError for an option that the model does not have."""
    kind = str(arguments.model)
    if target == "frame" and kind != "lstm":
        message = f"--target frame is for lstm: {kind} cannot say what sounds in a single frame; leave it out"
        raise UsageError(message)
    if arguments.stop_by == "gap" and target == "frame":
        raise UsageError("--stop-by gap needs --target last: GAP ranks whole examples")
    choices = Choices()
    for settings, values in ((MODEL_SETTINGS, choices.model), (PLAN_SETTINGS, choices.plan)):
        for name, setting in settings.items():
            given = getattr(arguments, name)
            if given is not None and kind not in setting.models:
                raise UsageError(f"--{name.replace('_', '-')} is not an option of {kind}, but of {', '.join(setting.models)}")
            values[name] = given if given is not None else (setting.frame if target == "frame" else setting.last)
    if arguments.batch_norm is not None and kind != "dbof":
        raise UsageError(f"--batch-norm is not an option of {kind}, but of dbof")
    choices.model["batch_norm"] = arguments.batch_norm is not False
    choices.plan["keep"] = min(choices.plan["keep"], 1.0)
    if arguments.learning_rate is None and target == "last" and kind == "lstm":
        choices.plan["learning_rate"] = LSTM_LEARNING_RATE
    return choices
