"""The layers: imports point down, outside libraries have one gate each, and the daemon never meets TensorFlow."""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BASE = "base"
MAY_IMPORT = {
    "edge_detector": {
        BASE: set(),
        "detection": {BASE},
        "audio": {BASE},
        "demo": {BASE},
        "config": {BASE, "detection"},
        "config_changes": {BASE, "detection", "config"},
        "config_schema": {BASE, "config"},
        "clips": {BASE, "audio"},
        "review": {BASE, "audio", "clips"},
        "mqtt": {BASE, "detection", "audio", "config", "clips"},
        "history": {BASE, "detection"},
        "teaching": {BASE, "detection", "audio", "demo", "clips"},
        "web": {BASE, "detection", "audio", "config", "mqtt", "history", "clips", "review", "teaching"},
        "service": {
            *(BASE, "detection", "audio", "config", "config_changes", "mqtt", "history", "clips", "review", "teaching", "web"),
        },
        "cli": {
            *(BASE, "detection", "audio", "config", "config_schema", "mqtt", "history", "clips", "service", "demo"),
            *("teaching", "review", "web"),
        },
        "__main__": {"cli"},
    },
    "convert": {
        BASE: set(),
        "tf": {BASE},
        "metrics": {BASE},
        "records": {BASE},
        "runners": {BASE},
        "download": {BASE},
        "audio": {BASE, "metrics", "records"},
        "embedder": {BASE, "tf", "records", "download", "audio"},
        "sequence": {BASE, "tf", "metrics", "records", "audio", "embedder"},
        "evaluation": {BASE, "metrics", "records", "audio", "embedder", "sequence"},
        "bundling": {BASE, "records", "embedder", "evaluation"},
        "commands": {
            *(
                BASE,
                "tf",
                "metrics",
                "records",
                "runners",
                "download",
                "audio",
                "embedder",
                "sequence",
                "evaluation",
                "bundling",
            ),
        },
        "__main__": {BASE, "commands"},
    },
}
"""What each domain may import beside itself; modules that lie beside the folders are the base, unless they are named."""
CONVERT_MAY_IMPORT = {BASE, "detection", "teaching"}
CONVERT_MAY_ALSO_IMPORT = {
    "edge_detector.audio.activity",
    "edge_detector.audio.clips",
    "edge_detector.audio.file",
    "edge_detector.audio.resampler",
    "edge_detector.audio.samples",
    "edge_detector.cli.taught",
    "edge_detector.cli.teach",
    "edge_detector.demo.soundscape",
    "edge_detector.demo.synthesis",
}
PURE = {
    *(
        "backoff",
        "bounded_files",
        "class_names",
        "config",
        "config_changes",
        "config_schema",
        "errors",
        "executor",
        "files",
        "levels",
        "params",
        "plain_text",
        "repeat_limit",
        "schema",
        "token_bucket",
        "types",
    ),
    *(
        f"audio.{name}"
        for name in (
            "activity",
            "gaps",
            "programs.environment",
            "room_pieces",
            "sample_clock",
            "segmenter",
            "signal_quality",
            "source",
        )
    ),
    *(f"demo.{name}" for name in ("sounds", "soundscape", "synthesis")),
    *(f"detection.{name}" for name in ("bundle", "classes", "detector", "embedding", "event_counter", "hysteresis")),
    *(f"detection.{name}" for name in ("linear_classifier", "load_shedding", "logmel", "networks", "state_bank")),
    *(f"teaching.{name}" for name in ("augment", "calibration", "extension", "intervals", "negatives", "noise", "regression")),
    *(f"clips.{name}" for name in ("cutter", "description", "flac_header", "names", "ring")),
    *(f"history.{name}" for name in ("probabilities", "records", "would_have")),
    "teaching.streams",
    "web.access",
    "web.request",
    "web.health_api",
    "web.views",
    *(f"mqtt.{name}" for name in ("home_assistant", "message_store", "messages", "name_conflict", "outbox")),
    *(f"mqtt.{name}" for name in ("reporter", "runtime_settings", "telemetry", "troubles")),
}
PURE_MAY_NOT = {"threading", "queue", "time", "socket", "logging", "subprocess", "asyncio", "multiprocessing", "random"}
TRAINING = {"tensorflow", "keras", "torch", "librosa", "matplotlib"}
SHARED_BY_ALL = {"numpy"}


def modules(package: str) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        yield name, ast.parse(path.read_text())


def imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            base = node.module or ""
            # `from package import module` and `from module import name` look alike: the files decide.
            names |= {f"{base}.{alias.name}" if is_module(f"{base}.{alias.name}") else base for alias in node.names}
    return names


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def domain(module: str) -> str:
    package, _, rest = module.partition(".")
    first = rest.partition(".")[0]
    return first if first in MAY_IMPORT[package] else BASE


def outside(names: set[str]) -> set[str]:
    tops = {name.partition(".")[0] for name in names}
    return {top for top in tops if top not in sys.stdlib_module_names} - {"edge_detector", "convert"} - SHARED_BY_ALL


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_down(package: str) -> None:
    for name, tree in modules(package):
        allowed = {domain(name), *MAY_IMPORT[package][domain(name)]}
        for target in imported(tree):
            assert not (package == "edge_detector" and target.startswith("convert")), f"{name} imports {target}"
            if target.startswith(f"{package}."):
                assert domain(target) in allowed, f"{name} ({domain(name)}) imports {target}"


@pytest.mark.parametrize("package", ["edge_detector", "convert"])
def test_there_are_no_cycles(package: str) -> None:
    graph = {name: {target for target in imported(tree) if is_module(target)} - {name} for name, tree in modules(package)}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"a circle: {' -> '.join((*path, name))}"
        if name not in done:
            for target in graph.get(name, ()):
                visit(target, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_each_outside_library_has_one_file_that_imports_it() -> None:
    gates: dict[str, set[str]] = defaultdict(set)
    for name, tree in modules("edge_detector"):
        for library in outside(imported(tree)):
            gates[library].add(name)
    assert gates, "the walk finds imports"
    assert {library: files for library, files in gates.items() if len(files) > 1} == {}


def test_pure_modules_know_no_thread_clock_socket_logger_or_library() -> None:
    trees = dict(modules("edge_detector"))
    for name in (f"edge_detector.{pure}" for pure in PURE):
        names = imported(trees[name])
        assert not names & PURE_MAY_NOT, name
        assert not outside(names), name


def test_pure_modules_import_only_pure_ones() -> None:
    trees = dict(modules("edge_detector"))
    for name in PURE:
        ours = {target for target in imported(trees[f"edge_detector.{name}"]) if target.startswith("edge_detector.")}
        assert {target.removeprefix("edge_detector.") for target in ours} <= PURE, name


def test_convert_imports_only_what_training_and_serving_share() -> None:
    for name, tree in modules("convert"):
        for target in imported(tree):
            if target.startswith("edge_detector"):
                assert domain(target) in CONVERT_MAY_IMPORT or target in CONVERT_MAY_ALSO_IMPORT, f"{name} imports {target}"


def test_no_command_imports_another() -> None:
    for name, tree in modules("convert/commands"):
        others = {target for target in imported(tree) if target.startswith("convert.commands.")} - {name}
        assert not others, f"{name} imports {others}"


def test_tensorflow_lives_only_where_graphs_are_built() -> None:
    holders = {name for name, tree in modules("convert") if outside(imported(tree)) & (TRAINING - {"matplotlib"})}
    assert {domain(name) for name in holders} == {"embedder", "sequence", "tf"}


def test_commands_load_tensorflow_only_when_they_need_it() -> None:
    names = [name for name, _ in modules("convert/commands")]
    code = f"import sys, convert.__main__, {', '.join(names)}; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {name.partition(".")[0] for name in result.stdout.split()} & TRAINING


@pytest.mark.parametrize("module", ["edge_detector.cli.main", "edge_detector.cli.demo"])
def test_a_fresh_interpreter_that_loads_the_daemon_finds_no_training_library(module: str) -> None:
    code = (
        f"import sys, {module}; from edge_detector.service.factory import load_networks; load_networks(None); print(*sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = {name.partition(".")[0] for name in result.stdout.split()}
    assert loaded & {"numpy", "ai_edge_litert", "tflite_runtime"}, "the daemon was really loaded"
    assert not loaded & (TRAINING | {"scipy", "soundfile", "pyaudio", "convert"})
