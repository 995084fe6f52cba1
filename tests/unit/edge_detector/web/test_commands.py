import pytest

from edge_detector.detection.hysteresis import Rule
from edge_detector.mqtt.runtime_settings import Accepted, Refusal, RuntimeSettings, Settings, SourceDefaults
from edge_detector.types import Message
from edge_detector.web.commands import MOST_WAITING, TOO_FAST, Commands

BASE = "edge_detector/nursery"


@pytest.fixture
def settings() -> RuntimeSettings:
    rules = {"dog": Rule(on=0.5, off=0.4), "rain": Rule(on=0.6, off=0.5, enabled=False)}
    return RuntimeSettings(BASE, {"cot": SourceDefaults(rules)}, Settings())


def carried_out(commands: Commands, settings: RuntimeSettings) -> list[Accepted | Refusal | None]:
    results = []

    def handle(message: Message) -> Accepted | Refusal | None:
        results.append(settings.handle(message, 0.0))
        return results[-1]

    commands.carry_out(handle)
    return results


def test_a_threshold_and_a_mute_of_the_page_are_those_of_mqtt(settings: RuntimeSettings) -> None:
    commands = Commands(BASE)
    commands.set_threshold("cot", "dog", 0.25)
    commands.set_mute("cot", muted=True)
    answers = carried_out(commands, settings)
    assert [answer.answer.payload for answer in answers if isinstance(answer, Accepted)] == [b"0.25", b"ON"]
    assert (settings.rules("cot")[0].on, settings.muted("cot")) == (0.25, True)
    commands.set_threshold("cot", "dog", None)
    commands.set_mute("cot", muted=None)
    carried_out(commands, settings)
    assert (settings.rules("cot")[0].on, settings.muted("cot")) == (0.5, False)


@pytest.mark.parametrize(
    ("source", "slug"), [("cot/threshold/dog", "x"), ("#", "dog"), ("cot", "a/b"), ("", ""), ("cot", "rain")]
)
def test_a_name_cannot_reach_another_topic(settings: RuntimeSettings, source: str, slug: str) -> None:
    commands = Commands(BASE)
    commands.set_threshold(source, slug, 0.01)
    assert not any(isinstance(answer, Accepted) for answer in carried_out(commands, settings))
    assert settings.rules("cot")[0].on == 0.5


def test_commands_beyond_the_limit_are_not_taken() -> None:
    commands = Commands(BASE)
    assert None not in [commands.set_mute("cot", muted=True) for _ in range(MOST_WAITING)]
    assert commands.set_mute("cot", muted=True) is None
    commands.carry_out(lambda _message: None)
    assert commands.set_mute("cot", muted=True) is not None


def test_each_command_gets_its_answer_and_one_beyond_the_rate_a_refusal(settings: RuntimeSettings) -> None:
    commands = Commands(BASE)
    accepted, unknown, silent = (commands.set_mute(source, muted=True) for source in ("cot", "hall", "cot"))
    assert accepted is not None
    assert unknown is not None
    assert silent is not None
    answers = iter([settings.handle(mute("cot"), 0.0), settings.handle(mute("hall"), 0.0), None])
    commands.carry_out(lambda _message: next(answers))
    assert isinstance(accepted.result(0), Accepted)
    assert isinstance(unknown.result(0), Refusal)
    assert silent.result(0) == TOO_FAST


def test_a_command_whose_sender_has_given_up_is_left_out(settings: RuntimeSettings) -> None:
    commands = Commands(BASE)
    given_up = commands.set_mute("cot", muted=True)
    assert given_up is not None
    assert given_up.cancel()
    assert carried_out(commands, settings) == []
    assert not settings.muted("cot")


def mute(source: str) -> Message:
    return Message(f"{BASE}/{source}/mute/set", b"ON", 1, retained=False)
