"""Calling the command line from a test."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bittern.cli import main

TINY = ("--epochs", "1", "--set", "model.widths=8,8", "--set", "model.depths=1,1", "--set", "batch_size=128")
"""Options that make an epoch of `digits` a fraction of a second."""


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The only line on standard error of a command that failed and printed no result."""
        assert self.out == ""
        (line,) = self.err.splitlines()
        assert line.startswith("bittern: ")
        return line.removeprefix("bittern: ")


def bittern(*arguments: object) -> Outcome:
    """``bittern ARGUMENTS`` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Outcome(code, out.getvalue(), err.getvalue())


def bittern_process(*arguments: object, before: str = "", folder: Path | None = None, **variables: str) -> Outcome:
    """``bittern ARGUMENTS`` in a process of its own, after the Python statements ``before``."""
    code = f"import sys\n{before}\nfrom bittern.cli import main\nsys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def without(*packages: str) -> str:
    """Statements after which importing any of ``packages`` fails as if they were not installed."""
    return f"""
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {packages!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""
