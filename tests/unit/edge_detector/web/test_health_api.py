"""JSON of health and classes."""

import json
from dataclasses import replace

from edge_detector.web.health_api import classes, health
from tests.support.node_view import FIGURES, PAGE, VIEW


def test_health_has_every_sentence_and_every_figure() -> None:
    answer = json.loads(json.dumps(health(VIEW, FIGURES, PAGE), allow_nan=False))
    assert answer == {
        "ok": False,
        "sentences": [
            "yard is reconnecting: the microphone is not there; plug it in",
            "broker.local:1883 cannot be reached; start it",
            "the disk is full; make room",
        ],
        "node": "nursery",
        "version": "0.1.0",
        "bundle": "default 2",
        "broker": "broker.local:1883",
        "broker_error": "broker.local:1883 cannot be reached; start it",
        "sources": [
            {
                "name": "cot",
                "state": "healthy",
                "reason": None,
                "signal": "ok",
                "muted": False,
                "heard_samples": 16_000,
                "lost_samples": 160,
                "skipped_phases": 8,
                "overflows": 9,
                "clock": "system",
                "drift_ppm": 12.5,
            },
            {
                "name": "yard",
                "state": "reconnecting",
                "reason": "the microphone is not there; plug it in",
                "signal": "ok",
                "muted": True,
                "heard_samples": 48_000,
                "lost_samples": 0,
                "skipped_phases": 0,
                "overflows": 0,
                "clock": "stepped",
                "drift_ppm": -4.0,
            },
        ],
        "figures": {
            "rss_bytes": 150_000_000,
            "outbox_depth": 1,
            "dropped_messages": 2,
            "dropped_events": 3,
            "refused_messages": 4,
            "refused_commands": 5,
            "reconnects": 6,
            "history_lost": 7,
            "lost_blocks": 13,
            "clips_lost": 8,
            "uptime_seconds": 120.5,
            "cpu_percent": 6.25,
            "latency_ms_p50": 12.5,
            "latency_ms_p99": 250.0,
            "real_time_factor": 0.0625,
        },
        "page": {"browsers": 2, "lost_frames": 11, "refused_connections": 12},
    }


def test_figures_that_are_not_there_yet_are_null() -> None:
    answer = health(VIEW, replace(FIGURES, period=None, sources={}), PAGE)
    assert isinstance(answer["figures"], dict)
    assert {name for name, value in answer["figures"].items() if value is None} == {
        *("uptime_seconds", "cpu_percent", "latency_ms_p50", "latency_ms_p99", "real_time_factor")
    }
    assert isinstance(answer["sources"], list)
    assert [source["heard_samples"] for source in answer["sources"]] == [None, None]


def test_a_node_without_trouble_is_ok() -> None:
    view = replace(VIEW, sources=VIEW.sources[:1], broker_error=None, troubles=())
    assert health(view, FIGURES, PAGE)["ok"] is True
    silent = replace(view, sources=(replace(view.sources[0], signal="silent"),))
    assert health(silent, FIGURES, PAGE)["ok"] is False


def test_classes_are_told_with_their_thresholds() -> None:
    rain = {"slug": "rain", "label": "Rain", "on": 0.6, "off": 0.3, "default_on": 0.5}
    siren = {"slug": "siren", "label": "Siren", "on": 0.25, "off": 0.125, "default_on": 0.25}
    assert json.loads(json.dumps(classes(VIEW))) == {
        "sources": [{"name": "cot", "classes": [rain, siren]}, {"name": "yard", "classes": [rain]}]
    }
