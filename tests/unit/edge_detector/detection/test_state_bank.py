import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_detector.detection.state_bank import StateBank


def count_frames(bank: StateBank) -> StateBank:
    """A model whose state is the number of frames it has seen."""
    ready = bank.with_due_row_zeroed()
    return ready.stepped(tuple(state + 1 for state in ready.states))


@given(rows=st.integers(1, 12), steps=st.integers(1, 60))
def test_the_row_read_has_seen_exactly_the_last_r_frames_or_all_there_were(rows: int, steps: int) -> None:
    bank = StateBank.empty(rows, [(1,)])
    for step in range(1, steps + 1):
        row = bank.next_row
        bank = count_frames(bank)
        assert bank.states[0][row, 0] == min(step, rows) == bank.age_frames


def test_a_step_leaves_the_states_it_was_given_untouched() -> None:
    bank = StateBank((np.ones((2, 3), np.float32),))
    bank.with_due_row_zeroed()
    assert (bank.states[0] == 1).all()
