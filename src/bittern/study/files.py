"""The files of a study, as they are written while the training runs.

    study.json              format, layers, measures, schedule, cost of watching         replaced as a whole
    steps.csv               a line per step: flip-flop ratios                            appended
    readings.jsonl          a line per sample, epoch and stage                           appended
    snapshots/STEP.npz      maps and histograms, "measure|layer" -> [n]                  one by one, as a whole
    state.npz               what a resumed run needs                                     replaced as a whole

A run that is killed leaves whole files, and at most one broken last line in those that are appended to. Steps are
counted from 1: number n is the state after n steps of the optimizer.
"""

import io
import json
import math
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from bittern._files import write_atomically
from bittern.study.errors import StudyError

FORMAT = 1
INFO_FILE, STEPS_FILE, READINGS_FILE, STATE_FILE = "study.json", "steps.csv", "readings.jsonl", "state.npz"
SNAPSHOTS = "snapshots"
STEPS_HEADER = "step,ff,ff_last"
SEPARATOR = "|"
"""Between measure and layer in the names of arrays."""

Arrays = Mapping[str, npt.NDArray[Any]]


class StudyWriter:
    """Writes into ``folder``, after removing what lies beyond step ``step``: 0 to start, more to resume.

    Raises:
        StudyError: the folder holds data of another format, or an earlier study although ``step`` is 0.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.folder = folder
        self.info = self._open(step)
        self._steps = open(folder / STEPS_FILE, "a", encoding="utf-8")  # noqa: SIM115 - closed by close()
        self._readings = open(folder / READINGS_FILE, "a", encoding="utf-8")  # noqa: SIM115
        if not self._steps.tell():
            self._steps.write(STEPS_HEADER + "\n")

    def _open(self, step: int) -> dict[str, Any]:
        path = self.folder / INFO_FILE
        if self.folder.exists() and not self.folder.is_dir():
            raise StudyError(f"{self.folder} is a file; give the study a folder of its own")
        (self.folder / SNAPSHOTS).mkdir(parents=True, exist_ok=True)
        if not path.exists():
            return {}
        if step == 0 and _has_steps(self.folder / STEPS_FILE):
            raise StudyError(f"{self.folder} already holds a study; choose another folder, or remove it")
        try:
            info = json.loads(path.read_bytes())
            version = info["format"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StudyError(f"{path} is damaged ({error!r}); remove {self.folder} to start a new study") from error
        if version != FORMAT:
            raise StudyError(f"{path} has format {version}, this Bittern writes {FORMAT}; remove {self.folder}")
        self._cut(step)
        return dict(info)

    def _cut(self, step: int) -> None:
        for name, step_of in ((STEPS_FILE, _step_of_row), (READINGS_FILE, _step_of_reading)):
            path = self.folder / name
            if not path.exists():
                continue
            lines = path.read_text("utf-8", errors="replace").split("\n")[:-1]  # a line without line break is broken
            kept = [line for line in lines if (at := step_of(line)) is not None and at <= step]
            write_atomically(path, "".join(line + "\n" for line in kept).encode())
        for path in (self.folder / SNAPSHOTS).glob("*.npz"):
            if int(path.stem) > step:
                path.unlink()

    def describe(self, info: Mapping[str, Any]) -> None:
        """Rewrites ``study.json`` with the entries of ``info``; its other entries stay."""
        self.info |= info
        content = json.dumps({"format": FORMAT, **make_finite(self.info)}, indent=1, allow_nan=False)
        write_atomically(self.folder / INFO_FILE, content.encode())

    def write_steps(self, first: int, rows: npt.NDArray[np.float64]) -> None:
        """FF of steps ``first``, ``first + 1`` ...: [n, 2]."""
        self._steps.write("".join(f"{first + i},{ff:.6g},{last:.6g}\n" for i, (ff, last) in enumerate(rows)))
        self._steps.flush()

    def write_reading(self, kind: str, step: int, **what: Any) -> None:
        line = json.dumps(make_finite({"kind": kind, "step": step, **what}), allow_nan=False)
        self._readings.write(line + "\n")
        self._readings.flush()

    def write_snapshot(self, step: int, arrays: Arrays) -> None:
        write_arrays(self.folder / SNAPSHOTS / f"{step:08d}.npz", arrays)

    def save_state(self, arrays: Arrays) -> None:
        write_arrays(self.folder / STATE_FILE, arrays)

    def load_state(self) -> dict[str, npt.NDArray[Any]]:
        """What ``save_state`` wrote; empty if it is missing or damaged: then all counting starts afresh."""
        return read_arrays(self.folder / STATE_FILE) or {}

    def close(self) -> None:
        try:
            self._steps.close()
        finally:
            self._readings.close()


def write_arrays(path: Path, arrays: Arrays) -> None:
    """Atomically replaces ``path`` by an ``.npz`` of ``arrays``."""
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **dict(arrays))
    write_atomically(path, file.getvalue())


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]] | None:
    """Every array of an ``.npz``; None if it is missing, damaged or something else."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, BadZipFile, zlib.error):
        return None


def make_finite(value: Any) -> Any:
    """``value`` for JSON: floats in six digits, NaN and infinity as None."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): make_finite(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [make_finite(item) for item in value]
    return value


def parse_steps_row(line: str) -> tuple[int, float, float] | None:
    """Step and flip-flop ratios of a line of ``steps.csv``; None for the header, ValueError for a broken line."""
    if line == STEPS_HEADER:
        return None
    step, ff, last = line.split(",")
    return int(step), float(ff), float(last)


def _step_of_row(line: str) -> int | None:
    """The header counts as step 0, a broken line has none."""
    try:
        row = parse_steps_row(line)
    except ValueError:
        return None
    return row[0] if row else 0


def _step_of_reading(line: str) -> int | None:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return None


def _has_steps(path: Path) -> bool:
    return path.exists() and any(_step_of_row(line) for line in path.read_text("utf-8", errors="replace").splitlines())
