from edge_detector.detection.hysteresis import Rule
from edge_detector.mqtt.runtime_settings import (
    LEAST_BURST,
    MAX_PAST_ENTITIES,
    Accepted,
    MuteCommand,
    Refusal,
    RuntimeSettings,
    Settings,
    SourceDefaults,
    ThresholdCommand,
)
from edge_detector.types import Message

BASE = "edge_detector/nursery"
RAIN, DOG = Rule(0.5, 0.3, hold_seconds=2.0), Rule(0.6, 0.4)
SOURCES = {
    "cot": SourceDefaults({"rain": RAIN, "dog_bark": DOG}),
    "door": SourceDefaults({"rain": RAIN, "dog_bark": DOG}, muted=True),
}


def controls(settings: Settings | None = None) -> RuntimeSettings:
    return RuntimeSettings(BASE, SOURCES, settings or Settings())


def send(to: RuntimeSettings, leaf: str, payload: str, now_seconds: float = 0.0) -> Accepted | Refusal | None:
    return to.handle(Message(f"{BASE}/{leaf}/set", payload.encode(), 1, retained=False), now_seconds)


def retained(leaf: str, payload: str) -> Message:
    return Message(f"{BASE}/{leaf}", payload.encode(), 1, retained=True)


def test_an_accepted_value_is_in_force_and_answered_on_its_state_topic() -> None:
    here = controls()
    answer = send(here, "cot/threshold/rain", "0.7")
    assert answer == Accepted(ThresholdCommand("cot", "rain", 0.7), retained("cot/threshold/rain", "0.7"))
    assert here.rules("cot") == (Rule(0.7, 0.3, hold_seconds=2.0), DOG)
    assert here.rules("door") == (RAIN, DOG), "the other source is left alone"


def test_a_threshold_below_off_lowers_off() -> None:
    here = controls()
    send(here, "cot/threshold/rain", "0.1")
    assert here.rules("cot")[0] == Rule(0.1, 0.1, hold_seconds=2.0)


def test_an_empty_command_restores_and_answers_the_configured_value() -> None:
    here = controls()
    send(here, "cot/threshold/rain", "0.7")
    send(here, "door/mute", "OFF")
    assert not here.muted("door")
    assert send(here, "cot/threshold/rain", "") == Accepted(
        ThresholdCommand("cot", "rain", None), retained("cot/threshold/rain", "0.5")
    )
    assert send(here, "door/mute", "") == Accepted(MuteCommand("door", None), retained("door/mute", "ON"))
    assert here.settings == Settings(), "nothing is left to remember"


def test_settings_are_in_force_after_a_restart() -> None:
    here = controls()
    send(here, "cot/threshold/rain", "0.7")
    send(here, "cot/mute", "ON")
    later = controls(here.settings)
    assert later.rules("cot")[0].on == 0.7
    assert later.muted("cot")
    assert list(later.answers()) == [
        retained("cot/mute", "ON"),
        retained("cot/threshold/rain", "0.7"),
        retained("cot/threshold/dog_bark", "0.6"),
        retained("door/mute", "ON"),
        retained("door/threshold/rain", "0.5"),
        retained("door/threshold/dog_bark", "0.6"),
    ]


def test_a_reload_changes_what_was_not_set_over_mqtt() -> None:
    here = controls()
    send(here, "cot/threshold/rain", "0.7")
    here.reload({"cot": SourceDefaults({"rain": Rule(0.2, 0.1), "dog_bark": Rule(0.3, 0.2)}, muted=True)})
    assert here.rules("cot") == (Rule(0.7, 0.1), Rule(0.3, 0.2))
    assert here.muted("cot")


def test_settings_of_a_removed_source_or_class_are_kept_without_effect() -> None:
    settings = Settings(thresholds={"attic": {"rain": 0.9}, "cot": {"owl": 0.9}}, muted={"attic": True})
    here = controls(settings)
    assert here.rules("cot") == (RAIN, DOG)
    send(here, "cot/threshold/rain", "0.7")
    assert here.settings.thresholds == {"attic": {"rain": 0.9}, "cot": {"owl": 0.9, "rain": 0.7}}


def test_without_commands_earlier_settings_are_kept_without_effect() -> None:
    settings = Settings(thresholds={"cot": {"rain": 0.9}}, muted={"cot": True, "door": False})
    deaf = RuntimeSettings(BASE, SOURCES, settings, commands=False)
    assert deaf.rules("cot") == (RAIN, DOG)
    assert (deaf.muted("cot"), deaf.muted("door")) == (False, True)
    assert retained("cot/threshold/rain", "0.5") in list(deaf.answers()), "what is told is what holds"
    assert retained("cot/mute", "OFF") in list(deaf.answers())
    deaf.remember_entities({"cot-event": "event"}, ["cot"])
    assert (deaf.settings.thresholds, deaf.settings.muted) == (settings.thresholds, settings.muted)
    assert controls(deaf.settings).rules("cot")[0].on == 0.9


def test_topics_of_a_removed_source_or_class_are_stale_until_the_broker_has_deleted_them() -> None:
    here = controls()
    assert here.remember_announced()
    assert not here.remember_announced(), "no news need be saved"
    assert list(here.stale_topics()) == []
    later = RuntimeSettings(BASE, {"cot": SourceDefaults({"rain": RAIN})}, here.settings)
    for _ in range(2):
        later.remember_announced()
        stale_topics = {topic.removeprefix(f"{BASE}/") for topic in later.stale_topics()}
        assert {
            "cot/class/dog_bark",
            "cot/threshold/dog_bark",
            "door/availability",
            "door/health",
            "door/class/rain",
        } <= stale_topics
        assert not {"cot/availability", "cot/health", "cot/mute", "cot/class/rain", "cot/threshold/rain"} & stale_topics
    assert later.forget_stale_topics()
    assert not later.forget_stale_topics()
    assert list(later.stale_topics()) == []


def with_owl(*, enabled: bool) -> dict[str, SourceDefaults]:
    return {"cot": SourceDefaults({"rain": RAIN, "owl": Rule(0.5, 0.3, enabled=enabled)})}


def test_a_disabled_class_has_no_threshold_to_publish_or_to_set() -> None:
    here = RuntimeSettings(BASE, with_owl(enabled=False), Settings())
    assert list(here.answers()) == [retained("cot/mute", "OFF"), retained("cot/threshold/rain", "0.5")]
    refusal = send(here, "cot/threshold/owl", "0.7")
    assert isinstance(refusal, Refusal)
    assert "the class is off; the configuration switches it on: [class.owl] enabled = true" in refusal.sentence
    assert isinstance(send(here, "cot/threshold/owl", ""), Refusal)
    assert here.settings == Settings()
    assert here.rules("cot") == (RAIN, Rule(0.5, 0.3, enabled=False)), "it is there all the same, in its place"


def test_the_setting_of_a_disabled_class_is_in_force_once_it_is_enabled() -> None:
    here = RuntimeSettings(BASE, with_owl(enabled=True), Settings())
    send(here, "cot/threshold/owl", "0.7")
    here.reload(with_owl(enabled=False))
    send(here, "cot/threshold/rain", "0.8")
    assert not here.rules("cot")[1].enabled
    assert retained("cot/threshold/owl", "0.7") not in list(here.answers())
    here.reload(with_owl(enabled=True))
    assert here.rules("cot")[1] == Rule(0.7, 0.3)
    assert retained("cot/threshold/owl", "0.7") in list(here.answers())


def test_topics_of_a_class_that_a_reload_disables_are_stale_until_it_is_enabled() -> None:
    here = RuntimeSettings(BASE, with_owl(enabled=True), Settings())
    here.remember_announced()
    here.reload(with_owl(enabled=False))
    assert not here.remember_announced(), "what was told is remembered until the broker has forgotten it"
    assert list(here.stale_topics()) == [f"{BASE}/cot/class/owl", f"{BASE}/cot/threshold/owl"]
    here.reload(with_owl(enabled=True))
    assert list(here.stale_topics()) == []
    here.reload(with_owl(enabled=False))
    assert here.forget_stale_topics()
    assert list(here.stale_topics()) == []
    here.reload(with_owl(enabled=True))
    assert here.remember_announced(), "a class that is switched on is news"


def test_topics_of_a_source_that_returns_are_not_stale() -> None:
    alone = RuntimeSettings(BASE, {"cot": SOURCES["cot"]}, Settings(announced={"cot": ("rain",), "door": ("rain",)}))
    alone.remember_announced()
    both = controls(alone.settings)
    assert list(both.stale_topics()) == []


def test_a_refused_command_changes_nothing_and_is_counted() -> None:
    here = controls()
    assert isinstance(send(here, "cot/threshold/rain", "2"), Refusal)
    assert here.settings == Settings()
    assert here.refused_commands == 1


def test_a_message_that_is_no_command_is_ignored() -> None:
    here = controls()
    assert here.handle(Message("homeassistant/status", b"online", 0, retained=False), 0.0) is None
    assert here.refused_commands == 0


def test_a_flood_is_refused_once_and_the_other_source_accepts_commands() -> None:
    here = controls()
    answers = [send(here, "cot/mute", "ON") for _ in range(1_000)]
    assert [type(answer) for answer in answers] == [Accepted] * LEAST_BURST + [Refusal] + [type(None)] * (999 - LEAST_BURST)
    assert here.refused_commands == 1_000 - LEAST_BURST
    assert isinstance(send(here, "door/mute", "ON"), Accepted)
    assert isinstance(send(here, "cot/mute", "OFF", now_seconds=1.0), Accepted), "after a second there is room for one"
    assert send(here, "cot/mute", "OFF", now_seconds=1.0) is None
    assert isinstance(send(here, "cot/mute", "OFF", now_seconds=1_000.0), Accepted)


def test_unknown_source_names_share_one_small_limit() -> None:
    here = controls()
    answers = [send(here, f"stranger{number}/mute", "ON") for number in range(1_000)]
    assert sum(isinstance(answer, Refusal) for answer in answers) == LEAST_BURST + 1


def test_every_value_may_be_set_at_once() -> None:
    slugs = [f"class_{number}" for number in range(500)]
    here = RuntimeSettings(BASE, {"cot": SourceDefaults(dict.fromkeys(slugs, RAIN))}, Settings())
    assert all(isinstance(send(here, f"cot/threshold/{slug}", "0.7"), Accepted) for slug in slugs)


def test_entities_are_remembered_until_the_device_is_removed() -> None:
    here = controls()
    assert here.remember_entities({"cot-event": "event"}, ["cot"])
    assert not here.remember_entities({"cot-event": "event"}, ["cot"]), "no news need be saved"
    assert here.remember_entities({"door-event": "event"}, ["door"])
    assert here.discovered == ("door",)
    assert here.settings.entities == {"cot-event": "event", "door-event": "event"}
    here.forget_entities()
    assert here.settings == Settings()


def test_entities_of_an_earlier_version_belong_to_its_one_message() -> None:
    assert controls(Settings(entities={"cot-event": "event"})).discovered == (None,)
    assert controls(Settings()).discovered == ()


def test_the_number_of_former_entities_is_limited() -> None:
    here = controls(Settings(entities={f"old-{number}": "sensor" for number in range(2 * MAX_PAST_ENTITIES)}))
    here.remember_entities({"cot-event": "event"}, ["cot"])
    assert len(here.settings.entities) == MAX_PAST_ENTITIES + 1
