from edge_detector.detection.load_shedding import LoadShedder

SECOND = 16_000


def test_nothing_is_left_out_while_it_keeps_up() -> None:
    shedder = LoadShedder(4)
    for second in range(100):
        shedder.observe(0.3, second * SECOND)
    assert all(map(shedder.runs, range(4)))


def test_phases_are_halved_step_by_step_while_sound_piles_up() -> None:
    shedder = LoadShedder(4)
    seen = []
    for second in range(5):
        shedder.observe(2.0, second * SECOND)
        seen.append([phase for phase in range(4) if shedder.runs(phase)])
    assert seen[0] == [0, 2]
    assert seen[-1] == [0], "the last phase always runs"


def test_phases_come_back_one_step_at_a_time_after_half_a_minute_of_calm() -> None:
    shedder = LoadShedder(4)
    for second in range(5):
        shedder.observe(2.0, second * SECOND)
    levels = []
    for second in range(5, 100):
        shedder.observe(0.0, second * SECOND)
        levels.append(shedder.level)
    assert levels[28] == 2
    assert levels[32] == 1
    assert levels[-1] == 0


def test_with_one_phase_there_is_nothing_to_leave_out() -> None:
    shedder = LoadShedder(1)
    shedder.observe(9.0, 0)
    assert shedder.runs(0)
