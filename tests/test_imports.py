"""The layers: imports point down, outside libraries have one gate each, and the daemon never meets TensorFlow."""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = ("base", "core", "edges", "pipeline", "cli")
MAY_IMPORT = {
    "base": {"base"},
    "core": {"base", "core"},
    "edges": {"base", "core"},
    "pipeline": {"base", "core", "pipeline"},
    "cli": set(LAYERS),
}
CONVERT_MAY_IMPORT = {"base", "core", "pipeline"}
CONVERT_EDGES = {"edge_detector.edges.audio_file", "edge_detector.edges.resampler", "edge_detector.edges.tflite"}
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


def layer(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 2 or (len(parts) == 2 and parts[1] in LAYERS) else "base"


def module_or_its_package(module: str) -> str:
    """Files of one package below a layer, such as edges.microphone, are one module to the rules."""
    return ".".join(module.split(".")[:3])


def outside(names: set[str]) -> set[str]:
    tops = {name.partition(".")[0] for name in names}
    return {top for top in tops if top not in sys.stdlib_module_names} - {"edge_detector", "convert"} - SHARED_BY_ALL


def test_imports_point_down() -> None:
    for name, tree in modules("edge_detector"):
        here = layer(name)
        if name == "edge_detector.__main__":
            continue
        for target in imported(tree):
            assert not target.startswith("convert"), f"{name} imports {target}"
            if target.startswith("edge_detector"):
                same = module_or_its_package(target) == module_or_its_package(name)
                assert same or layer(target) in MAY_IMPORT[here], f"{name} ({here}) imports {target}"


def test_there_are_no_cycles() -> None:
    graph = {name: {target for target in imported(tree) if is_module(target)} - {name} for name, tree in modules("edge_detector")}
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
    for library, files in gates.items():
        assert all(layer(name) == "edges" for name in files), f"{library} is imported outside edges: {files}"


def test_the_pure_core_knows_no_thread_clock_socket_or_logger() -> None:
    for name, tree in modules("edge_detector"):
        if layer(name) in {"base", "core"} and name != "edge_detector.__main__":
            assert not imported(tree) & PURE_MAY_NOT, name


def test_convert_imports_only_what_training_and_serving_share() -> None:
    for name, tree in modules("convert"):
        for target in imported(tree):
            if target.startswith("edge_detector"):
                assert layer(target) in CONVERT_MAY_IMPORT or target in CONVERT_EDGES, f"{name} imports {target}"


def test_tensorflow_lives_only_where_graphs_are_built() -> None:
    holders = {name for name, tree in modules("convert") if outside(imported(tree)) & TRAINING}
    assert holders, "something trains"
    assert {name for name in holders if not name.startswith("convert.graphs.")} == set()


@pytest.mark.parametrize("module", ["edge_detector.cli.main", "edge_detector.cli.demo"])
def test_a_fresh_interpreter_that_loads_the_daemon_finds_no_training_library(module: str) -> None:
    code = f"import sys, {module}; from edge_detector.cli.build import load_ears; load_ears(None); print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = {name.partition(".")[0] for name in result.stdout.split()}
    assert loaded & {"numpy", "ai_edge_litert", "tflite_runtime"}, "the daemon was really loaded"
    assert not loaded & (TRAINING | {"scipy", "soundfile", "pyaudio", "convert"})
