"""Uncertain classes of unlabelled recordings, and the recordings most easily confused with a class."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from convert.embedder.pseudo_labels import GENERAL, LIKELY, RIVAL_FROM, RIVALS, Doubts
from convert.embedder.runtime import DEFAULT_BUNDLE
from edge_detector.detection.bundle import load_bundle
from edge_detector.errors import UsageError
from edge_detector.types import Float32

LABELS = ("Cough", "Sneeze", "Dog", "Bark", "Rain", "Noise")
SNEEZE, BARK, KETTLE = range(3)
DOUBTS = Doubts.of(LABELS, [("Sneeze",), ("Dog", "Bark"), ()])
"""A class of one label (sneeze), of two (barks), and of none (kettle)."""

HOPS = arrays(np.float32, (3, len(LABELS)), elements=st.sampled_from([0.0, 0.05, 0.09, 0.1, 0.3, 0.5, 0.6, 0.8, 1.0]))


def hop(**probabilities: float) -> Float32:
    """One hop in which labels have these probabilities, and all others none."""
    return np.array([[probabilities.get(label.lower(), 0.0) for label in LABELS]], np.float32)


def doubtful(**probabilities: float) -> list[bool]:
    return [bool(doubt) for doubt in DOUBTS.doubtful(hop(**probabilities))[0]]


@pytest.mark.parametrize(("sneeze", "doubt"), [(0.3, False), (0.47, False), (0.49, True), (0.6, True), (0.8, True)])
def test_beside_a_cough_at_0_8_a_sneeze_is_uncertain_from_0_48(sneeze: float, doubt: bool) -> None:  # noqa: FBT001 - a parameter of the test
    assert doubtful(cough=0.8, sneeze=sneeze) == [doubt, False, False]


def test_an_unlikely_class_is_not_uncertain_even_if_it_is_the_likeliest() -> None:
    assert doubtful(sneeze=0.99 * LIKELY) == [False, False, False]
    assert doubtful(sneeze=1.01 * LIKELY) == [True, False, False]


def test_a_class_has_the_probability_of_its_likeliest_label_and_its_labels_are_no_rivals() -> None:
    assert DOUBTS.likeliest(hop(dog=0.2, bark=0.7, sneeze=0.1))[0].tolist() == pytest.approx([0.1, 0.7, 0.0])
    assert doubtful(dog=0.9, bark=0.15) == [False, True, False]


def test_a_general_label_is_no_rival() -> None:
    assert "Noise" in GENERAL
    assert doubtful(noise=1.0, sneeze=0.15) == [True, False, False]
    assert doubtful(rain=1.0, sneeze=0.15) == [False, False, False]


def test_every_general_label_is_one_of_audiosets() -> None:
    assert {label.name for label in load_bundle(DEFAULT_BUNDLE).manifest.named_outputs.audioset} >= GENERAL


@given(HOPS, st.integers(0, len(LABELS) - 1), st.sampled_from([0.1, 0.4, 0.6, 1.0]))
def test_a_higher_class_probability_never_removes_uncertainty_and_a_rival_s_never_adds_it(
    hops: Float32, label: int, more: float
) -> None:
    changed = hops.copy()
    changed[:, label] = np.maximum(changed[:, label], np.float32(more))
    before, after = DOUBTS.doubtful(hops), DOUBTS.doubtful(changed)
    for index, own in enumerate(DOUBTS.own):
        assert (after[:, index] >= before[:, index] if label in own else after[:, index] <= before[:, index]).all()
    assert not after[:, KETTLE].any(), "a class without labels is never uncertain"


def test_classes_besides_the_labels_are_unknown_only_in_frames_with_unlabelled_sound() -> None:
    both = np.concatenate([hop(sneeze=0.6, bark=0.6)] * 4)
    labels = [(), (SNEEZE,), (SNEEZE, BARK), ()]
    assert DOUBTS.unknown(both, labels, [True, True, True, False]) == ((SNEEZE, BARK), (BARK,), (), ())


def test_a_recording_that_may_hold_the_class_is_no_rival_and_the_others_are_in_order_of_probability() -> None:
    recordings = [
        hop(cough=0.8, sneeze=0.3),
        np.concatenate([hop(cough=0.9, sneeze=0.4), hop(sneeze=0.6)]),
        hop(cough=0.9, sneeze=0.5),
        hop(sneeze=0.99 * RIVAL_FROM),
        hop(sneeze=1.01 * RIVAL_FROM, dog=0.05),
        np.zeros((0, len(LABELS)), np.float32),
    ]
    assert DOUBTS.rivals_of_classes(recordings) == ((2, 0, 4), (4,), ())


def test_the_likeliest_rivals_of_a_class_are_kept_up_to_the_limit() -> None:
    recordings = [hop(cough=1.0, sneeze=0.03 + 0.001 * number) for number in range(2 * RIVALS)]
    of_sneeze, *_ = DOUBTS.rivals_of_classes(recordings)
    assert of_sneeze == tuple(range(2 * RIVALS - 1, RIVALS - 1, -1))
    assert DOUBTS.rivals_of_classes([]) == ((), (), ())


def test_a_class_with_an_unknown_label_is_rejected() -> None:
    with pytest.raises(UsageError, match="'Sneze', which a class is made of, is no AudioSet label; see to its spelling"):
        Doubts.of(LABELS, [("Cough",), ("Sneze",)])
