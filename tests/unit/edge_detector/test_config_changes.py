"""What the log says of a reload: each change with both values, and no secret."""

from edge_detector.config import Config, parse_config
from edge_detector.config_changes import applied_changes, postponed_changes
from edge_detector.detection.hysteresis import Rule


def config(**tables: object) -> Config:
    return parse_config(tables, "edge.toml")


def test_thresholds_are_told_with_both_values_and_with_the_hop_where_sources_differ() -> None:
    before, after = config(), config(**{"class": {"rain": {"on": 0.8}, "siren": {}}, "detection": {"strictness": "strict"}})
    old = {"rain": Rule(0.32, 0.2), "siren": Rule(0.3, 0.2, enabled=False)}
    new = {"rain": Rule(0.8, 0.2), "siren": Rule(0.3, 0.2)}
    said = ["strictness balanced -> strict", "rain on 0.32 -> 0.80", "siren enabled"]
    assert list(applied_changes(before, after, {1: old}, {1: new})) == said
    finer = {**old, "rain": Rule(0.798, 0.2)}
    assert list(applied_changes(before, after, {1: old, 2: finer}, {1: new, 2: new}))[1:3] == [
        "rain on 0.32 -> 0.80 at hop 0.96",
        "rain on 0.798 -> 0.8 at hop 0.48",
    ]


def test_what_waits_for_a_restart_is_named_by_key_and_a_url_is_not_shown() -> None:
    url = {"name": "garden", "kind": "url", "device": "rtsp://me:hunter2@camera/stream"}
    before = config(node={"name": "nursery"}, source=[url, {"name": "cot"}])
    after = config(
        node={"name": "kitchen"},
        source=[{**url, "device": "rtsp://me:hunter3@camera/stream", "hop": 0.48}, {"name": "yard"}],
        mqtt={"port": 8_883},
        history={"days": 30, "enabled": False},
        clips={"enabled": True, "after_seconds": 2},
        home_assistant={"enabled": False},
        web={"listen": "[::]:80", "password_file": "/run/secret"},
    )
    assert list(postponed_changes(before, after)) == [
        "[node] name nursery -> kitchen",
        "[[source]] garden device",
        "[[source]] garden hop 0.96 -> 0.48",
        "[[source]] cot removed",
        "[[source]] yard added",
        "[mqtt] port 1883 -> 8883",
        "[history] enabled true -> false",
        "[history] days 400 -> 30",
        "[clips] enabled false -> true",
        "[clips] after_seconds 5.0 -> 2.0",
        "[home_assistant] enabled true -> false",
        "[web] listen none -> [::]:80",
        "[web] password_file none -> /run/secret",
    ]
    assert not list(postponed_changes(before, before))
