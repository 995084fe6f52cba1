import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from edge_detector.config import (
    Config,
    HomeAssistantConfig,
    OutboxConfig,
    WebConfig,
    default_config,
    load_config,
    parse_config,
    public_url,
    rules,
)
from edge_detector.detection.bundle import SoundClass
from edge_detector.detection.hysteresis import STRICTNESS_LOG_ODDS, Rule, shifted
from edge_detector.errors import UsageError
from edge_detector.params import HOPS_PER_PATCH
from edge_detector.types import Strictness

CLASSES = (SoundClass("rain", "Rain", None, {1: Rule(0.6, 0.3), 2: Rule(0.7, 0.4), 4: Rule(0.8, 0.5)}),)
PLAIN = """
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
[detection]
class_list = 2
strictness = "strict"
[class.rain]
on = 0.9
enabled = true
hold_seconds = 2
"""
SECURE = """
[[source]]
name = "usb"
kind = "arecord"
device = "plughw:1"
[[source]]
name = "camera"
kind = "url"
device = "rtsp://camera.local/sound"
[[source]]
name = "gate"
kind = "url"
device_file = "/etc/edge-detector/secrets/gate-url"
[mqtt]
tls = true
ca_file = "/etc/edge-detector/ca.crt"
cert_file = "/etc/edge-detector/me.crt"
key_file = "/etc/edge-detector/secrets/me.key"
commands = true
[outbox]
path = "/data/outbox.sqlite"
max_messages = 50
max_age_seconds = 3600
[home_assistant]
enabled = false
prefix = "ha"
"""
CONFIGS = (PLAIN, SECURE)
"""Between them every table."""


def parse(text: str, folder: Path) -> Config:
    path = folder / "edge.toml"
    path.write_text(text)
    return load_config(path)


def ruled(strictness: str, of_rain: Mapping[str, object] = MappingProxyType({}), hops_per_patch: int = 1) -> Rule:
    """The rule of rain where [class.rain] says this."""
    data = {"detection": {"strictness": strictness}, "class": {"rain": of_rain}}
    (rule,) = rules(CLASSES, hops_per_patch, parse_config(data, "test"))
    return rule


def test_an_empty_file_means_the_default_microphone_and_a_local_broker(tmp_path: Path) -> None:
    config = parse("", tmp_path)
    assert config == parse_config({}, "defaults")
    assert (config.node, config.mqtt.host, config.mqtt.port, config.mqtt.protocol) == ("edge", "localhost", 1883, "5")
    assert [(source.name, source.kind, source.device, source.hops_per_patch) for source in config.sources] == [
        ("mic", "mic", None, 1)
    ]


def test_every_setting_arrives_where_it_belongs(tmp_path: Path) -> None:
    config = parse(PLAIN, tmp_path)
    assert config.node == "nursery"
    assert config.bundle == Path("/opt/bundle")
    assert (config.sources[0].hops_per_patch, config.sources[0].channel) == (4, 1)
    assert config.sources[1].real_time
    assert (config.mqtt.port, config.mqtt.protocol, config.mqtt.probabilities) == (8883, "3.1.1", "second")
    assert (config.class_list, config.strictness) == (2, "strict")
    balanced = replace(config, strictness="balanced")
    assert rules(CLASSES, 1, balanced) == (Rule(0.9, 0.3, hold_seconds=2.0),), "what is not overridden is the bundle's"
    assert rules(CLASSES, 4, parse_config({}, "test")) == (Rule(0.8, 0.5),)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("nonsense", "is not TOML"),
        ("surprise = 1", "unknown key 'surprise'"),
        ("[mqtt]\nprot = 1", "unknown key 'prot'; did you mean 'protocol'\\? Known here:.*port"),
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
        ('[mqtt]\nbase_topic = "a\\u0007b"', "printable"),
        (f'[mqtt]\nbase_topic = "{"a" * 201}"', "of 200 characters at most"),
        ('[mqtt]\nhost = "mqtt://broker"', "must be a name or an address"),
        ('[mqtt]\nca_file = "ca.crt"', "is only used with tls = true"),
        ('[mqtt]\ncert_file = "me.crt"', "is only used with tls = true"),
        ('[mqtt]\ntls = true\nkey_file = "me.key"', "needs cert_file"),
        ('[mqtt]\ntls = "no"', "must be true or false"),
        ("[mqtt]\ntls = true\ntls_insecure = true", "unknown key 'tls_insecure'"),
        ('[mqtt]\npassword_file = "secret"', "needs username"),
        ("[outbox]\nmax_messages = 0", "must be a whole number between 1 and"),
        ("[outbox]\nmax_age_seconds = inf", "finite"),
        ("[outbox]\nmax_age = 1", "unknown key 'max_age'; did you mean 'max_age_seconds'\\?"),
        ('[home_assistant]\nprefix = "home/#"', r"must have neither \+ nor #"),
        ("[home_assistant]\nenabled = 1", "must be true or false"),
        ('[web]\nlisten = "0.0.0.0:8080"', r"0\.0\.0\.0:8080' can be .* needs a password; .*install -m 600.* password_file = "),
        ('[web]\nlisten = "192.168.1.7:80"', "needs a password"),
        ('[web]\nlisten = "[::]:80"', "needs a password"),
        ('[web]\npassword_file = "secret"', "needs listen"),
        ('[web]\nurl = "http://nursery.local"', "needs listen"),
        ('[web]\nlisten = "127.0.0.1:1"\nuser = "me"', "unknown key 'user'"),
        ('[[source]]\nname = "a"\nkind = "radio"', "must be one of mic, arecord, file, url"),
        ('[[source]]\nname = "a"\nkind = "url"', "needs either device"),
        ('[[source]]\nname = "a"\nkind = "url"\ndevice = "http://x/y"\ndevice_file = "f"', "needs either device"),
        ('[[source]]\nname = "a"\ndevice_file = "f"', 'only for kind = "url"'),
        ('[[source]]\nname = "mute"', "choose another name"),
        ('[detection]\nstrictness = "lax"', r"\[detection\]: strictness = 'lax' must be one of sensitive, balanced, strict"),
        ("[detection]\nstrictness = 1", "strictness = 1 must be a non-empty text, one of sensitive, balanced, strict"),
        ("source = 3", "must be a list of tables"),
        ('[source]\nname = "cot"', r"source is a list of tables; write \[\[source\]\] in place of \[source\]"),
        ('[[source]]\nname = "cot"\ndevise = "USB"', "unknown key 'devise'; did you mean 'device'\\? Known here: "),
        ("[sources]", "unknown key 'sources'; did you mean 'source'\\?"),
        ('[mqtt]\nhost = "localhost:1883"', 'has a port in it; write host = "localhost" and port = 1883'),
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
        rules(CLASSES, 1, parse_config({"class": override}, "test"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[class.rain]\non = 1.5", r"edge.toml \[class.rain\]: on = 1.5 must be between 0 and 1"),
        ("[class.rain]\non = 0.5\noff = 0.7", r"edge.toml \[class.rain\]: off = 0.7 must not be above on = 0.5$"),
        ('[class.rain]\naudioset = "Rain"', r"edge.toml \[class.rain\]: audioset = 'Rain' must be a list"),
    ],
)
def test_a_wrong_rule_is_refused_with_its_file_before_a_bundle_is_loaded(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse(text, tmp_path)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[class.thunder]", r"edge.toml \[class.thunder\]: the bundle has no such class; it has rain"),
        ("[class.rain]\noff = 0.7", r"edge.toml \[class.rain\]: off = 0.7 must not be above on = 0.6.*give on as well"),
    ],
)
def test_a_rule_that_does_not_fit_the_bundle_is_refused_with_its_file(tmp_path: Path, text: str, sentence: str) -> None:
    config = parse(text, tmp_path)
    with pytest.raises(UsageError, match=sentence):
        rules(CLASSES, 1, config)


def test_what_is_not_said_is_plain_local_and_told_to_home_assistant(tmp_path: Path) -> None:
    config = parse("", tmp_path)
    assert config.strictness == "balanced"
    assert not config.mqtt.tls
    assert not config.mqtt.commands, "nobody sets thresholds from outside unless asked to"
    assert config.outbox == OutboxConfig(None, 10_000, 2_592_000.0)
    assert config.home_assistant == HomeAssistantConfig(enabled=True, prefix="homeassistant")
    assert config.web.address is None, "no page unless it is asked for"


def test_a_broker_with_mutual_tls_an_outbox_and_every_kind_of_source(tmp_path: Path) -> None:
    config = parse(SECURE, tmp_path)
    assert [(source.kind, source.device) for source in config.sources] == [
        ("arecord", "plughw:1"),
        ("url", "rtsp://camera.local/sound"),
        ("url", None),
    ]
    assert config.sources[2].device_file == Path("/etc/edge-detector/secrets/gate-url")
    assert config.mqtt.port == 8883, "the port follows TLS unless it is given"
    assert config.mqtt.ca_file == Path("/etc/edge-detector/ca.crt")
    assert config.mqtt.key_file == Path("/etc/edge-detector/secrets/me.key")
    assert config.mqtt.commands
    assert config.outbox == OutboxConfig(Path("/data/outbox.sqlite"), 50, 3_600.0)
    assert config.home_assistant == HomeAssistantConfig(enabled=False, prefix="ha")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[mqtt]\npassword = "hunter2"', "password_file"),
        ('[web]\npassword = "hunter2"', "password_file"),
        ('[web]\nlisten = "[::1]:80"\nurl = "http://ear:hunter2@nursery"', "leave out path and user"),
        ('[[source]]\nname = "a"\nkind = "url"\ndevice = "file://ear:hunter2@camera/"', "must begin with one of http://"),
        ('[[source]]\nname = "a"\nkind = "url"\ndevice = "rtsp://ear:hunter2@camera/ x"', "no spaces"),
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_repeated(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        parse(text, tmp_path)
    assert "hunter2" not in str(caught.value)


def test_the_configuration_that_is_installed_is_right_also_with_everything_it_offers_switched_on(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "systemd/edge.toml").read_text()
    parse(text, tmp_path)
    offers = "\n".join(re.sub(r"^# (?=[a-z_]+ = |\[)", "", line) for line in text.splitlines())
    config = parse(offers, tmp_path)
    assert config.mqtt.tls
    assert config.mqtt.username
    assert config.overrides, "the offers were really switched on"


@pytest.mark.parametrize(
    "listen",
    [
        *("8080", ":8080", "*:8080", "nursery.local:8080", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:http"),
        *("::1:8080", "[127.0.0.1]:8080", "[::1]", "[fe80::1%eth0]:80", "127.0.0.1:8080/", "http://127.0.0.1:80", "127.1:80"),
        *(" 127.0.0.1:80", "127.0.0.1:80\n", "127.0.0.1:\u0661", "0x7f000001:80", "localhost.:80"),
    ],
)
def test_an_address_of_the_page_that_is_not_one_is_refused(listen: str) -> None:
    with pytest.raises(UsageError, match=r"listen = .* must be an IP address, or localhost, and a port from 1 to 65535"):
        parse_config({"web": {"listen": listen, "password_file": "secret"}}, "edge.toml")


@pytest.mark.parametrize(
    "url",
    [
        *("nursery.local", "ftp://nursery", "http://", "http://nursery/page", "http://nursery?a", "http://nursery#a", "HTTP://a"),
        *("http://me@nursery", "http://nursery:0", "http://nursery:65536", "http://nursery:", "http://nur sery", "http://a\\b"),
        *("http://::1", "javascript:alert(1)"),
    ],
)
def test_a_url_of_the_page_with_more_than_host_and_port_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="url must be http or https, a host and at most a port"):
        parse_config({"web": {"listen": "127.0.0.1:80", "url": url}}, "edge.toml")


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8_080)),
        ("127.9.9.9:1", ("127.9.9.9", 1)),
        ("localhost:65535", ("localhost", 65_535)),
        ("[::1]:80", ("::1", 80)),
    ],
)
def test_a_page_for_this_machine_alone_needs_no_password_and_has_no_link(listen: str, address: tuple[str, int]) -> None:
    web = parse_config({"web": {"listen": listen}}, "edge.toml").web
    assert web.address == address
    assert web.is_loopback
    assert public_url(web, "nursery") is None


@pytest.mark.parametrize(
    ("keys", "hostname", "link"),
    [
        ({"listen": "0.0.0.0:8080"}, "nursery", "http://nursery.local:8080"),
        ({"listen": "[::]:80"}, "nursery.lan", "http://nursery.lan:80"),
        ({"listen": "0.0.0.0:8080"}, "localhost", None),
        ({"listen": "0.0.0.0:8080"}, "localhost.localdomain", None),
        ({"listen": "0.0.0.0:8080"}, "", None),
        ({"listen": "192.168.1.7:8080"}, "nursery", "http://192.168.1.7:8080"),
        ({"listen": "[fd00::7]:8080"}, "nursery", "http://[fd00::7]:8080"),
        ({"listen": "127.0.0.1:8080", "url": "https://ears.example/"}, "nursery", "https://ears.example"),
        ({"listen": "0.0.0.0:8080", "url": "http://[fd00::7]:90"}, "nursery", "http://[fd00::7]:90"),
    ],
)
def test_links_to_the_page_have_its_url_or_else_the_address_or_name_of_the_machine(
    keys: dict[str, str], hostname: str, link: str | None
) -> None:
    web = parse_config({"web": {"password_file": "secret", **keys}}, "edge.toml").web
    assert public_url(web, hostname) == link
    assert public_url(WebConfig(), hostname) is None


def test_lowering_on_below_the_bundle_s_off_lowers_off_too() -> None:
    assert ruled("balanced", {"on": 0.2}) == Rule(0.2, 0.2)


@pytest.mark.parametrize("strictness", STRICTNESS_LOG_ODDS)
@pytest.mark.parametrize("hops_per_patch", HOPS_PER_PATCH)
def test_strictness_shifts_what_the_bundle_gives_and_nothing_that_the_class_s_table_gives(
    strictness: Strictness, hops_per_patch: int
) -> None:
    shipped = CLASSES[0].rules[hops_per_patch]
    shift = shifted(shipped, STRICTNESS_LOG_ODDS[strictness])
    assert (shift == shipped) is (strictness == "balanced")
    assert ruled(strictness, {}, hops_per_patch) == shift
    assert ruled(strictness, {"hold_seconds": 2.0}, hops_per_patch) == replace(shift, hold_seconds=2.0)
    assert ruled(strictness, {"on": 0.95}, hops_per_patch) == replace(shift, on=0.95), "off is the shifted one"
    assert ruled(strictness, {"on": 0.02}, hops_per_patch) == Rule(0.02, 0.02), "off is never above on"
    assert ruled(strictness, {"off": 0.01}, hops_per_patch) == replace(shift, off=0.01), "on is the shifted one"
    assert ruled(strictness, {"on": 0.31, "off": 0.23}, hops_per_patch) == Rule(0.31, 0.23)


def test_off_above_the_on_that_strictness_leaves_is_refused_with_a_way_out() -> None:
    off = 0.59
    assert ruled("balanced", {"off": off}) == Rule(0.6, off)
    on = shifted(CLASSES[0].rules[1], STRICTNESS_LOG_ODDS["sensitive"]).on
    with pytest.raises(UsageError, match=rf"off = {off} must not be above on = {on:g}; give on as well$"):
        ruled("sensitive", {"off": off})
    with pytest.raises(UsageError, match=r"must not be above on = 0.3$"):
        ruled("sensitive", {"on": 0.3, "off": off})


def test_no_file_is_one_sentence() -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load_config(Path("/no/such.toml"))


def test_a_byte_order_mark_is_none_of_the_configuration_and_utf_16_is_named(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_text('[node]\nname = "shed"\n', encoding="utf-8-sig")
    assert load_config(path).node == "shed"
    path.write_text('[node]\nname = "shed"\n', encoding="utf-16")
    with pytest.raises(UsageError, match="is UTF-16, and TOML is UTF-8; save it as UTF-8"):
        load_config(path)


def test_the_digest_of_a_configuration_is_the_one_that_sha256sum_prints_for_its_file(tmp_path: Path) -> None:
    path = tmp_path / "edge.toml"
    path.write_bytes(b'\xef\xbb\xbf[node]\r\nname = "shed" # a comment\r\n')
    printed = subprocess.run(["sha256sum", path], check=True, capture_output=True, text=True).stdout.split()[0]
    assert load_config(path).sha256 == printed
    assert default_config().sha256 is None


def test_a_pipe_in_place_of_the_configuration_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "edge.toml"
    os.mkfifo(pipe)
    with pytest.raises(UsageError, match="cannot be read: it is not a regular file"):
        load_config(pipe)
