import pytest

from edge_detector.mqtt.troubles import MOST_CHARACTERS, NO_TROUBLES, Troubles


def test_without_troubles_there_is_no_sentence() -> None:
    assert NO_TROUBLES.sentences == ()


def test_each_trouble_is_one_sentence() -> None:
    troubles = Troubles(
        "events wait in memory", ("they were damaged", "they cannot be saved"), {"node/cot/event": "Not authorized"}
    )
    assert troubles.sentences == (
        "events wait in memory",
        "they were damaged",
        "they cannot be saved",
        "the broker refuses node/cot/event (Not authorized); check its access rules",
    )


def test_refused_topics_are_one_sentence_for_each_reason_in_any_order() -> None:
    refused = {f"node/class/{number}": "Not authorized" for number in range(9, 0, -1)} | {"node/a": "Quota exceeded"}
    assert Troubles(refused_topics=refused).sentences == (
        "the broker refuses node/a (Quota exceeded); raise its quota",
        "the broker refuses node/class/1, node/class/2, node/class/3 and 6 more (Not authorized); check its access rules",
    )


@pytest.mark.parametrize("text", ["two\nlines\r\nand\ttabs", "x" * 10_000])
def test_a_sentence_is_one_line_of_bounded_length(text: str) -> None:
    (sentence,) = Troubles(outbox=text).sentences
    assert sentence.isprintable()
    assert len(sentence) <= MOST_CHARACTERS
