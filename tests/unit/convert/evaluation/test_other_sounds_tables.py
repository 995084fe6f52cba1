"""Tables of other sounds show each figure in its place, with its interval."""

from convert.evaluation.other_figures import Curve, Mark, Material, OtherLabel, OtherSounds, Point
from convert.evaluation.other_sounds_tables import other_sounds_section, other_sounds_text

OTHERS = {"cough": OtherLabel(20, ()), "siren": OtherLabel(80, ()), "various": OtherLabel(5, ())}
MATERIAL = Material(clips={"rain": 10}, others=OTHERS, anything=("various",))


def point(found: int, ten: tuple[int, float], enabled: tuple[int, float]) -> Point:
    return Point(MATERIAL.found(found), MATERIAL.with_mean(*ten), MATERIAL.with_mean(*enabled))


FOUND = OtherSounds(
    clips=MATERIAL.clips,
    others=MATERIAL.others,
    anything=MATERIAL.anything,
    hop_seconds=0.96,
    enabled=("rain", "speech"),
    curves={
        "bundle": Curve(
            "one",
            {"-1": point(10, (20, 0.4), (30, 0.5)), "0": point(8, (4, 0.1), (10, 0.2))},
            {
                "balanced": Mark(
                    "0", {"rain": 8}, {"cough": 3, "siren": 1, "various": 1}, {"cough": 5, "siren": 5}, {"rain": 4, "speech": 9}
                )
            },
        )
    },
)


def rows(text: str) -> list[list[str]]:
    """The cells of every row of every table."""
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")]


def test_a_mark_has_found_false_of_the_ten_and_false_of_all_enabled_with_intervals() -> None:
    assert ["one", "balanced", "80.0 % (49 to 94)", "4.0 % (2 to 10)", "10.0 % (6 to 17)"] in rows(other_sounds_section(FOUND))


def test_found_is_read_off_the_curve_by_each_of_the_three_shares() -> None:
    table = {row[0]: row[1] for row in rows(other_sounds_section(FOUND)) if row[0][0].isdigit()}
    assert table["16 % of the ten"] == "95.0 % (72 to 100)"
    assert table["16 % of all enabled"] == "86.0 % (60 to 98)"
    assert table["7 % of all enabled"] == "beyond the curve"
    assert table["16 % of the ten, mean over labels"] == "84.0 % (49 to 94)"


def test_labels_and_classes_have_their_shares_and_what_may_hold_anything_comes_last() -> None:
    found = rows(other_sounds_text(FOUND))
    labels = [row for row in found if row[0].partition(" ")[0] in {"cough", "siren", "various"}]
    of_ten, of_enabled = labels[:3], labels[3:]
    assert of_ten == [["siren (80)", "1.2"], ["cough (20)", "15.0"], ["various (5)", "20.0"]]
    assert of_enabled == [["siren (80)", "6.2"], ["cough (20)", "25.0"], ["various (5)", "0.0"]]
    assert ["`rain` (10)", "80.0"] in found
    assert ["`rain`", "4.0"] in found
    assert ["`speech`", "9.0"] in found
    assert ["-1", "100.0 % (72 to 100)", "20.0 % (13 to 29)", "30.0 % (22 to 40)", "40.0 %"] in found
