"""Where engines live: Bittern and ExecuTorch in .venv, each group of rivals in an environment of its own.

Environments are created on first use under build/bench and kept while their requirements stay the same.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "bench"
MODELS = BUILD / "models"
NATIVE = BUILD / "native" / "tests"
"""The folder of the test binding, optimised and without sanitizers."""

VENV = "venv"
RIVALS = "rivals"
LARQ = "larq"

Say = Callable[[str], None]


class UnavailableError(Exception):
    """An environment cannot be used; the message is the reason in a few words."""


def python(environment: str, say: Say) -> Path:
    """The interpreter of ``environment``, installed if necessary.

    Raises:
        UnavailableError: the installation failed.
    """
    if environment == VENV:
        return Path(sys.executable)
    folder = BUILD / environment
    interpreter, stamp = folder / "bin" / "python", folder / ".installed"
    requirements = ROOT / "benchmarks" / f"requirements-{environment}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if interpreter.exists() and stamp.exists() and stamp.read_text() == digest:
        return interpreter
    say(f"installing {requirements.name} (once; takes minutes)")
    commands = [
        [sys.executable, "-m", "venv", folder],
        [interpreter, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "-r", requirements],
    ]
    for command in commands:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            raise UnavailableError(
                "not installed: " + (errors[-1] if errors else "pip failed").removeprefix("ERROR: ")[:120]
            )
    if environment == RIVALS:  # exports networks from .venv's PyTorch
        (packages,) = folder.glob("lib/python*/site-packages")
        (own,) = Path(sys.prefix).glob("lib/python*/site-packages")
        (packages / "torch_of_venv.pth").write_text(f"{own}\n")
    stamp.write_text(digest)
    return interpreter


def build_native(source: Path = ROOT / "native", folder: Path = NATIVE.parent) -> Path:
    """Builds the test binding of ``source`` in ``folder``, as far as it is out of date; returns its folder."""
    bin_folder = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ.get('PATH', '')}"}
    nanobind = subprocess.check_output([sys.executable, "-m", "nanobind", "--cmake_dir"], text=True).strip()
    configure = ["cmake", "-S", source, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]
    configure += ["-DBITTERN_TESTS=ON", f"-DPython_EXECUTABLE={sys.executable}", f"-Dnanobind_DIR={nanobind}"]
    for command in (configure, ["cmake", "--build", folder]):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, env=environment)
        if done.returncode != 0:
            raise SystemExit(f"{source} does not build in {folder}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return folder / "tests"
