"""The text of the metrics, as Prometheus' own parser reads it."""

import re
import time
from collections.abc import Mapping
from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from edge_detector.web.metrics import exposition
from tests.support.node_view import FIGURES, PAGE, VIEW

EVENTS = {("cot", "rain"): 3, ("gone", "siren"): 1}
TEXT = exposition(VIEW, FIGURES, EVENTS, {"cot": -41.5}, PAGE)


def samples(text: bytes = TEXT) -> Mapping[str, float]:
    """Value by name and labels, in the order of the labels' names."""
    found = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            name = f"{sample.name.removeprefix('edge_detector_')}{{{labels}}}" if labels else sample.name
            assert name not in found, "no series is there twice"
            found[name.removeprefix("edge_detector_")] = sample.value
    return found


def test_sources_are_told_by_state_signal_level_and_counters() -> None:
    found = samples()
    assert found["source_up{source=cot}"] == 1
    assert found["source_up{source=yard}"] == 0
    of_state = {name: value for name, value in found.items() if name.startswith("source_state{") and "source=yard" in name}
    assert len(of_state) == 5
    assert [name for name, value in of_state.items() if value] == ["source_state{source=yard,state=reconnecting}"]
    assert found["source_signal{signal=ok,source=cot}"] == 1
    assert found["source_signal{signal=silent,source=cot}"] == 0
    assert (found["source_muted{source=cot}"], found["source_muted{source=yard}"]) == (0, 1)
    assert found["source_level_dbfs{source=cot}"] == -41.5
    assert "source_level_dbfs{source=yard}" not in found, "a source that was never heard has no level"
    assert found["source_heard_samples_total{source=yard}"] == 48_000
    assert found["source_lost_samples_total{source=cot}"] == 160
    assert found["source_skipped_hops_total{source=cot}"] == 8
    assert found["source_overflows_total{source=cot}"] == 9
    assert round(found["source_drift_ratio{source=cot}"], 9) == 12.5e-6


def test_events_begin_at_zero_for_each_enabled_class() -> None:
    found = {name: value for name, value in samples().items() if name.startswith("events_total")}
    assert found == {
        "events_total{class=rain,source=cot}": 3,
        "events_total{class=siren,source=cot}": 0,
        "events_total{class=rain,source=yard}": 0,
        "events_total{class=siren,source=gone}": 1,
    }


def test_thresholds_in_force_are_told_by_source_and_class() -> None:
    found = samples()
    assert found["threshold_on_ratio{class=rain,source=cot}"] == 0.6
    assert found["threshold_off_ratio{class=siren,source=cot}"] == 0.125


def test_the_node_is_told_by_its_counters_in_base_units() -> None:
    found = samples()
    assert found["build_info{bundle=default 2,node=nursery,version=0.1.0}"] == 1
    assert {name: found[name] for name in ("troubles", "broker_connected", "outbox_depth", "resident_memory_bytes")} == {
        "troubles": 3,
        "broker_connected": 0,
        "outbox_depth": 1,
        "resident_memory_bytes": 150_000_000,
    }
    totals = (
        *("dropped_messages", "dropped_events", "refused_messages", "refused_commands", "reconnects", "history_lost_events"),
        "history_lost_blocks",
        "clips_lost",
    )
    assert [found[f"{name}_total"] for name in totals] == [2, 3, 4, 5, 6, 7, 13, 8]
    assert round(found["latency_p50_seconds"], 9) == 0.0125
    assert found["latency_p99_seconds"] == 0.25
    assert found["real_time_factor"] == 0.0625
    assert (found["page_browsers"], found["page_lost_frames_total"], found["page_refused_connections_total"]) == (2, 11, 12)


def test_the_cpu_time_is_that_of_this_process_now() -> None:
    before = time.process_time()
    found = samples(exposition(VIEW, FIGURES, {}, {}, PAGE))
    assert before <= found["cpu_seconds_total"] <= time.process_time()


def test_what_is_not_known_has_no_value() -> None:
    found = samples(exposition(replace(VIEW, broker=None, broker_error=None), replace(FIGURES, period=None), {}, {}, PAGE))
    assert not {"broker_connected", "latency_p50_seconds", "latency_p99_seconds", "real_time_factor"} & set(found)


def test_each_metric_has_a_help_text_and_a_type_and_a_conventional_name() -> None:
    families = list(text_string_to_metric_families(TEXT.decode()))
    assert len({family.name for family in families}) == len(families) > 30
    for family in families:
        assert family.documentation.endswith("."), family.name
        assert family.type in {"counter", "gauge"}, family.name
        assert re.fullmatch(r"edge_detector_[a-z][a-z0-9_]*[a-z]", family.name)
        for sample in family.samples:
            assert sample.name.endswith("_total") == (family.type == "counter")
    assert {f"# TYPE {line.split()[2]}" for line in TEXT.decode().splitlines() if line.startswith("# HELP")} == {
        line.rpartition(" ")[0] for line in TEXT.decode().splitlines() if line.startswith("# TYPE")
    }
    assert len(re.findall("^# TYPE", TEXT.decode(), re.MULTILINE)) == len(families)


def test_labels_of_any_text_survive() -> None:
    odd = 'a "quoted" \\ back\nslash, Tür'
    found = samples(exposition(replace(VIEW, bundle=odd), FIGURES, {}, {}, PAGE))
    assert found[f"build_info{{bundle={odd},node=nursery,version=0.1.0}}"] == 1


def test_two_scrapes_share_nothing_and_have_nothing_of_the_library_s_own_registry() -> None:
    assert b"python_info" not in TEXT
    assert exposition(VIEW, FIGURES, {}, {}, PAGE).count(b"\nedge_detector_outbox_depth ") == 1
    assert exposition(VIEW, FIGURES, {}, {}, PAGE).count(b"\nedge_detector_outbox_depth ") == 1
