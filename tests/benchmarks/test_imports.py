"""The layers of the benchmarks: rows, what measures them, what shows them, the command line."""

import ast
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

MAY_IMPORT = {"rows": set(), "measure": {"rows"}, "tables": {"rows", "measure"}}


def imported_folders(path: Path) -> set[str]:
    """Folders of ``benchmarks`` that a file imports from, at its top or anywhere inside."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("benchmarks.")}


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_point_from_tables_to_measurements_to_rows(folder: str) -> None:
    files = list((BENCHMARKS / folder).rglob("*.py"))
    assert files
    for path in files:
        assert imported_folders(path) <= MAY_IMPORT[folder] | {folder}, path


def test_all_code_lies_in_these_folders_but_for_the_command_line() -> None:
    assert {path.name for path in BENCHMARKS.glob("*.py")} == {"__init__.py", "__main__.py"}
    assert {path.relative_to(BENCHMARKS).parts[0] for path in BENCHMARKS.glob("*/**/*.py")} == set(MAY_IMPORT)
