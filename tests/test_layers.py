"""The structure of the code, as docs/architecture.md draws it: arrows one way, one idea a file, one name a thing."""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "bittern"

MAY_IMPORT = {
    "ops": set(),
    "nn": {"ops"},
    "optim": set(),
    "models": {"nn", "ops"},
    "data": set(),
    "train": {"data", "models", "nn", "ops", "optim"},
    "importers": {"data", "models", "nn", "train"},
    "study": {"data", "models", "nn", "ops", "optim", "train"},
    "runtime": set(),
    "export": {"ops", "runtime"},
    "cli": {"data", "export", "importers", "models", "runtime", "study", "train"},
}
"""Folder -> the folders that it may import, itself aside. What is not listed here may not exist."""

FORBIDDEN = {
    "runtime": {"torch", "executorch", "typer", "rich"},
    "ops": {"executorch", "numpy"},
    "nn": {"executorch"},
    "models": {"executorch"},
    "train": {"executorch"},
    "importers": {"executorch"},
    "study": {"executorch"},
}
"""Folder -> third-party packages that it must not import, not even inside a function."""

MAX_LINES = 400
CODE = ("src", "benchmarks", "tests", "native", "examples", "scripts")
SUFFIXES = {".py", ".cc", ".h", ".inc", ".sh", ".cmake", ".css", ".j2", ".js", ".c"}


def imports(path: Path) -> set[str]:
    """Dotted names of all modules that a file imports, at its top or anywhere inside."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def folders() -> list[str]:
    return sorted(path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__")


def modules(package: Path) -> dict[str, Path]:
    """Dotted name -> file of every module of ``package``, its extensions by their stubs."""
    found = {}
    for path in (*package.rglob("*.py"), *package.rglob("*.pyi")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def import_graph(package: Path) -> dict[str, set[str]]:
    """Module -> the modules of the same package that it imports, under whatever condition."""
    known = modules(package)
    return {
        name: {target for each in imports(path) if (target := _module_of(each, known)) and target != name}
        for name, path in known.items()
    }


def _module_of(name: str, known: dict[str, Path]) -> str | None:
    """The module that an import of ``name`` reads: itself, or the one that it is a name of."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Strongly connected components of more than one module, each sorted (Tarjan 1972)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for target in graph[name]:
            if target not in order:
                visit(target)
            if target in stack:
                low[name] = min(low[name], low[target])
        if low[name] == order[name]:
            component = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(component) > 1:
                found.append(sorted(component))

    for name in graph:
        if name not in order:
            visit(name)
    return found


def code_files() -> Iterator[Path]:
    for folder in CODE:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in SUFFIXES and "__pycache__" not in path.parts:
                yield path


def test_every_folder_has_its_place() -> None:
    assert set(folders()) <= set(MAY_IMPORT)


@pytest.mark.parametrize("folder", folders())
def test_arrows_point_one_way(folder: str) -> None:
    for path in (SOURCE / folder).rglob("*.py"):
        for name in imports(path):
            package, _, rest = name.partition(".")
            assert package not in FORBIDDEN.get(folder, set()), f"{path} imports {name}"
            target = rest.split(".")[0]
            if package == "bittern" and target in MAY_IMPORT and target != folder:
                assert target in MAY_IMPORT[folder], f"{path} imports {name}"


def test_modules_at_the_root_of_the_package_import_none_of_its_folders() -> None:
    for path in SOURCE.glob("_*.py"):
        if path.name != "__init__.py":
            for name in imports(path):
                assert name.split(".")[:2][-1] not in MAY_IMPORT or not name.startswith("bittern."), f"{path}: {name}"


@pytest.mark.parametrize("package", [SOURCE, ROOT / "benchmarks"], ids=["bittern", "benchmarks"])
def test_no_module_imports_itself_by_a_detour(package: Path) -> None:
    assert circles(import_graph(package)) == []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


def test_no_file_holds_more_than_one_idea() -> None:
    long = {str(path.relative_to(ROOT)): lines for path in code_files() if (lines := _lines(path)) > MAX_LINES}
    assert long == {}


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_no_public_class_name_stands_for_two_things() -> None:
    places = defaultdict(list)
    for path in (*SOURCE.rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


def test_the_walks_of_the_architecture_page_name_files_that_exist_and_each_once() -> None:
    section = (ROOT / "docs" / "architecture.md").read_text().partition("## Three walks")[2].partition("\n## ")[0]
    walks = section.split("\n### ")[1:]
    assert len(walks) == 3
    for walk in walks:
        files = [line.split("`")[1] for line in walk.splitlines() if line.startswith("| `")]
        assert len(files) >= 5
        assert len(files) == len(set(files))
        for file in files:
            assert (ROOT / file).is_file(), f"{walk.splitlines()[0]}: {file}"


def test_the_native_kernels_know_no_host() -> None:
    for path in (ROOT / "native" / "kernels").rglob("*.*"):
        text = path.read_text()
        for host in ("executorch", "torch", "Python.h", "nanobind"):
            assert f"#include <{host}" not in text, f"{path} includes {host}"
            assert f'#include "{host}' not in text, f"{path} includes {host}"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("bittern", {"torch", "numpy", "executorch"}),
        ("bittern.runtime", {"torch", "executorch", "typer", "rich"}),
        ("bittern.nn", {"executorch", "bittern.runtime"}),
        ("bittern.train", {"executorch", "bittern.runtime", "bittern.study"}),
        ("bittern.study", {"executorch", "bittern.runtime", "bittern.train", "matplotlib"}),
        ("bittern.cli", {"torch", "executorch"}),
    ],
)
def test_importing_a_package_does_not_load_what_it_must_do_without(module: str, absent: set[str]) -> None:
    code = f"import {module}, sys; loaded = {absent!r} & set(sys.modules); assert not loaded, loaded"
    subprocess.run([sys.executable, "-c", code], check=True)
