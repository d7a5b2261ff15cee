"""The arrows between the package's folders, as docs/architecture.md draws them."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "bittern"

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


def test_the_native_kernels_know_no_host() -> None:
    for path in (SOURCE.parent.parent / "native" / "kernels").rglob("*.*"):
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
