from pathlib import Path

import pytest

from edge_detector.core.bundle import SoundClass
from edge_detector.core.config import Config, load_config, parse_config, rules
from edge_detector.core.decision import Rule
from edge_detector.errors import UsageError

CLASSES = (SoundClass("rain", "Rain", None, {1: Rule(0.6, 0.3), 2: Rule(0.7, 0.4), 4: Rule(0.8, 0.5)}),)


def parse(text: str, folder: Path) -> Config:
    path = folder / "edge.toml"
    path.write_text(text)
    return load_config(path)


def test_an_empty_file_means_the_default_microphone_and_a_local_broker(tmp_path: Path) -> None:
    config = parse("", tmp_path)
    assert config == parse_config({}, "defaults")
    assert (config.node, config.mqtt.host, config.mqtt.port, config.mqtt.protocol) == ("edge", "localhost", 1883, "5")
    assert [(source.name, source.kind, source.device, source.hops_per_patch) for source in config.sources] == [
        ("mic", "mic", None, 1)
    ]


def test_every_setting_arrives_where_it_belongs(tmp_path: Path) -> None:
    config = parse(
        """
        [node]
        name = "nursery"
        [bundle]
        path = "/opt/bundle"
        [[source]]
        name = "cot"
        device = "USB"
        channel = 1
        hop = 0.24
        [[source]]
        name = "tape"
        kind = "file"
        device = "tape.wav"
        real_time = true
        [mqtt]
        host = "broker"
        port = 8883
        protocol = "3.1.1"
        username = "ear"
        password_file = "/run/secret"
        base_topic = "home/ears"
        probabilities = "second"
        [class.rain]
        on = 0.9
        """,
        tmp_path,
    )
    assert config.node == "nursery"
    assert config.bundle == Path("/opt/bundle")
    assert (config.sources[0].hops_per_patch, config.sources[0].channel) == (4, 1)
    assert config.sources[1].real_time
    assert (config.mqtt.port, config.mqtt.protocol, config.mqtt.probabilities) == (8883, "3.1.1", "second")
    assert rules(CLASSES, 1, config.overrides) == (Rule(0.9, 0.3),), "what is not overridden is the bundle's"
    assert rules(CLASSES, 4, {}) == (Rule(0.8, 0.5),)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nonsense", "is not TOML"),
        ("surprise = 1", "unknown key 'surprise'"),
        ("[mqtt]\nprot = 1", "unknown key 'prot'; known here:.*port"),
        ("[mqtt]\nport = 0", "port = 0 must be a whole number between 1 and 65535"),
        ("[mqtt]\nport = true", "port = True must be a whole number"),
        ('[mqtt]\nprotocol = "4"', "must be one of 5, 3.1.1"),
        ('[mqtt]\nprobabilities = "often"', "must be one of hop, second, off"),
        ('[mqtt]\nbase_topic = "a/#"', r"must have neither \+ nor #"),
        ('[node]\nname = "Kid\'s room"', "lower-case"),
        ("[node]\nname = 3", "non-empty text"),
        ('[[source]]\nname = "status"', "choose another name"),
        ('[[source]]\nname = "a"\nhop = 0.5', "must be one of 0.96, 0.48, 0.24"),
        ('[[source]]\nname = "a"\nhop = nan', "finite"),
        ('[[source]]\nname = "a"\ncontext = "free"', "must be one of sliding"),
        ('[[source]]\nname = "a"\nkind = "file"', "path of an audio file"),
        ('[[source]]\nname = "a"\n[[source]]\nname = "a"', "the same name"),
        ("source = 3", "must be a list of tables"),
        ("mqtt = 3", "must be a table"),
    ],
)
def test_a_wrong_setting_names_the_key_the_value_and_what_is_allowed(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        parse(text, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ({"thunder": {}}, "no such class; it has rain"),
        ({"rain": {"on": 1.5}}, "between 0 and 1"),
        ({"rain": {"on": 0.5, "off": 0.7}}, "must not be above on"),
        ({"rain": {"loud": 1}}, "unknown key 'loud'"),
    ],
)
def test_a_wrong_class_override_is_refused(override: dict[str, dict[str, object]], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        rules(CLASSES, 1, override)


def test_lowering_on_below_the_bundle_s_off_lowers_off_too() -> None:
    assert rules(CLASSES, 1, {"rain": {"on": 0.2}}) == (Rule(0.2, 0.2),)


def test_no_file_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_config(Path("/no/such.toml"))
