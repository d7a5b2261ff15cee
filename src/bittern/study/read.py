"""Reads a study's folder: whatever is there, and a line on each thing that is not."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bittern._run_files import LOG_FILE, MODEL_INFO_FILE, STUDY_FOLDER
from bittern.study.errors import StudyError
from bittern.study.files import (
    FORMAT,
    INFO_FILE,
    READINGS_FILE,
    SEPARATOR,
    SNAPSHOTS,
    STEPS_FILE,
    parse_steps_row,
    read_arrays,
)
from bittern.study.instruments import INSTRUMENT_OF

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """A measure over the run: ``values`` [steps, layers], NaN where a layer has none."""

    steps: Floats
    layers: tuple[str, ...]
    values: Floats

    def last(self) -> dict[str, float]:
        return {} if not len(self.steps) else dict(zip(self.layers, map(float, self.values[-1]), strict=True))


@dataclass(frozen=True)
class StudyData:
    """One run.

    Attributes:
        info: ``study.json``.
        ff: [steps, 3], of (step, flip-flop ratio, that of the last layer).
        samples: (step, measure -> layer -> value).
        log: the rows of the run's ``log.csv``, numbers as numbers.
        run: its ``model.json``.
        missing: what was expected and is absent or unreadable, in sentences.
    """

    folder: Path
    name: str
    info: dict[str, Any]
    ff: Floats
    samples: list[tuple[int, dict[str, dict[str, float | None]]]]
    epochs: list[dict[str, Any]]
    stages: list[dict[str, Any]]
    log: list[dict[str, Any]]
    run: dict[str, Any]
    missing: list[str] = field(default_factory=list)

    @property
    def reads_signs(self) -> bool:
        """Whether the network, in its last stage, reads the signs of its latent weights and not their values."""
        return bool(self.stages[-1].get("binarized", True)) if self.stages else True

    @property
    def latent_free(self) -> bool:
        """Whether its weights, in the last stage, are -1 and +1 themselves."""
        return bool(self.stages and self.stages[-1].get("latent_free"))

    @cached_property
    def measures(self) -> set[str]:
        return {measure for _, values in self.samples for measure in values}

    @cached_property
    def weights(self) -> dict[str, int]:
        """Number of weights of each layer, in the order of the model."""
        return {layer["name"]: layer["weights"] for layer in self.info.get("layers", [])}

    def series(self, measure: str) -> Series:
        """The measure over time; empty if it was never read."""
        found = [(step, values[measure]) for step, values in self.samples if measure in values]
        layers = tuple(dict.fromkeys(layer for _, row in found for layer in row))
        table = [[np.nan if (v := row.get(layer)) is None else v for layer in layers] for _, row in found]
        steps = np.array([step for step, _ in found], float)
        return Series(steps, layers, np.array(table, float).reshape(len(found), len(layers)))

    def mean(self, measure: str) -> tuple[Floats, Floats]:
        """Steps, and the mean over layers weighted by their size; over sites of activations all count alike."""
        series = self.series(measure)
        sizes = np.array([self.weights.get(layer, 0) for layer in series.layers], float)
        of_activations = measure in INSTRUMENT_OF and INSTRUMENT_OF[measure].observes
        weights = sizes if sizes.all() and not of_activations else np.ones(len(series.layers))
        known = np.isfinite(series.values)
        total = (known * weights).sum(1)
        means = np.where(known, series.values, 0) @ weights / np.where(total > 0, total, np.nan)
        return series.steps, means

    @cached_property
    def snapshots(self) -> dict[int, Path]:
        """Step -> file, in order."""
        paths = sorted((self.folder / SNAPSHOTS).glob("*.npz")) if self.folder.is_dir() else []
        return {int(path.stem): path for path in paths if path.stem.isdigit()}

    def arrays(self, measure: str) -> dict[int, dict[str, npt.NDArray[Any]]]:
        """Step -> layer -> array, for every snapshot that has the measure."""
        prefix = measure + SEPARATOR
        found = {
            step: {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
            for step, arrays in self._loaded.items()
        }
        return {step: layers for step, layers in found.items() if layers}

    @cached_property
    def _loaded(self) -> dict[int, dict[str, npt.NDArray[Any]]]:
        loaded = {step: read_arrays(path) for step, path in self.snapshots.items()}
        damaged = [step for step, arrays in loaded.items() if arrays is None]
        if damaged:
            self.missing.append(f"snapshots of steps {', '.join(map(str, damaged))}: the files are damaged")
        return {step: arrays for step, arrays in loaded.items() if arrays is not None}

    def after_first_epoch(self) -> int | None:
        """The step after which the first epoch had ended; None if it has not."""
        return next((int(row["step"]) for row in self.epochs if row.get("epoch") == 1), None)

    def when(self, step: float) -> str:
        """``"epoch 4"``, or ``"epoch 4 of step2"`` in a run of several stages; the step where epochs are unknown."""
        following = next((row for row in self.epochs if row["step"] >= step), None)
        if following is None:
            return f"step {step:.0f}"
        stages = {row.get("stage") for row in self.epochs}
        return f"epoch {following['epoch']}" + (f" of {following['stage']}" if len(stages) > 1 else "")


def read_study(path: str | Path) -> StudyData:
    """Reads a run folder, or a study's own, whatever is left of it.

    Raises:
        StudyError: there is no such folder, or neither a study nor a log in it.
    """
    given = Path(path)
    if not given.is_dir():
        raise StudyError(f"run folder {given} {'is a file' if given.exists() else 'does not exist'}")
    own = (given / INFO_FILE).is_file() or (given / STEPS_FILE).is_file()
    folder, run_folder = (given, given.parent) if own else (given / STUDY_FOLDER, given)
    name = given.resolve().name
    missing: list[str] = []
    log = _read_log(run_folder / LOG_FILE, missing)
    watched = any((folder / name).is_file() for name in (INFO_FILE, STEPS_FILE, READINGS_FILE))
    if not watched:
        if not log:
            raise StudyError(f"{given} holds neither a study nor a {LOG_FILE}; train with `bittern train --study`")
        missing.append("all instruments: the run was trained without --study")
    info = _read_json(folder / INFO_FILE, missing) if watched else {}
    if info and info.get("format") != FORMAT:
        missing.append(
            f"all instruments: {INFO_FILE} has format {info.get('format')}, this Bittern reads {FORMAT}; "
            "use the version that wrote it"
        )
        info, watched, folder = {}, False, folder / "unreadable"
    samples, epochs, stages = _read_readings(folder / READINGS_FILE, missing) if watched else ([], [], [])
    data = StudyData(
        folder=folder,
        name=f"{given.resolve().parent.name}/{name}" if own and given.name == STUDY_FOLDER else name,
        info=info,
        ff=_read_steps(folder / STEPS_FILE, missing) if watched else np.zeros((0, 3)),
        samples=samples,
        epochs=epochs,
        stages=stages,
        log=log,
        run=_read_json(run_folder / MODEL_INFO_FILE, []),
        missing=missing,
    )
    missing += [*_unwatched(data), *info.get("notes", [])]
    if info and not own and not (run_folder / MODEL_INFO_FILE).is_file():
        missing.append("the end: the run is not finished; this is what there is so far")
    return data


def _unwatched(run: StudyData) -> list[str]:
    """Steps within, before and after those that were watched, except for whole stages without binary weights."""
    if not len(run.ff):
        return []
    found = []
    gaps = int((np.diff(run.ff[:, 0], prepend=run.ff[0, 0] - 1) - 1).sum())
    if gaps:
        found.append(
            f"{gaps} steps of {STEPS_FILE}: the run was killed before they were written, or made them without --study"
        )
    rows = [row for row in run.log if isinstance(row.get("step"), float)]
    ends = {a["step"] for a, b in zip(rows, [*rows[1:], {}], strict=False) if a.get("stage") != b.get("stage")}

    def has_no_binary_weights(edge: int, beyond: list[dict[str, Any]]) -> bool:
        return edge in ends and all(row.get("flip_rate") is None for row in beyond)

    first, last = int(run.ff[0, 0]), int(run.ff[-1, 0])
    before, after = ([row for row in rows if row["step"] < first], [row for row in rows if row["step"] > last])
    if first > 1 and not has_no_binary_weights(first - 1, before):
        found.append(f"steps 1 to {first - 1}: the study started after them, and counts from there")
    if after and not has_no_binary_weights(last, after):
        found.append(f"steps {last + 1} to {after[-1]['step']:.0f}: the run continued without --study")
    return found


def _read_json(path: Path, missing: list[str]) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
        if isinstance(value, dict):
            return value
        missing.append(f"{path.name}: not in the format that Bittern writes")
    except FileNotFoundError:
        missing.append(f"{path.name}: no such file")
    except (OSError, ValueError) as error:
        missing.append(f"{path.name}: damaged ({error})")
    return {}


def _read_lines(path: Path, missing: list[str], parse: Callable[[str], Any]) -> list[Any]:
    """What ``parse`` makes of each line; those that it cannot parse are counted in ``missing``."""
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError:
        missing.append(f"{path.name}: no such file")
        return []
    found, broken = [], 0
    for line in text.splitlines():
        try:
            found.append(parse(line))
        except (ValueError, KeyError, TypeError, AttributeError):
            broken += 1
    if broken:
        missing.append(f"{broken} line{'s' if broken > 1 else ''} of {path.name}: cut short or damaged")
    return found


def _read_steps(path: Path, missing: list[str]) -> Floats:
    rows = [row for row in _read_lines(path, missing, parse_steps_row) if row is not None]
    return np.array(rows, float).reshape(len(rows), 3)


def _read_readings(
    path: Path, missing: list[str]
) -> tuple[list[tuple[int, dict[str, dict[str, float | None]]]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Samples, epochs and stages."""

    def parse(line: str) -> dict[str, Any]:
        row: dict[str, Any] = json.loads(line)
        int(row["step"])
        if row["kind"] == "sample":
            for layers in row["values"].values():
                layers.items()
        return row

    rows = _read_lines(path, missing, parse)
    samples: dict[int, dict[str, dict[str, float | None]]] = {}
    for row in rows:
        if row["kind"] == "sample":
            samples.setdefault(row["step"], {}).update(row["values"])
    epochs = [row for row in rows if row["kind"] == "epoch" and isinstance(row.get("epoch"), int)]
    stages = {str(row.get("stage", "")): row for row in rows if row["kind"] == "stage"}
    return sorted(samples.items()), epochs, list(stages.values())


def _read_log(path: Path, missing: list[str]) -> list[dict[str, Any]]:
    """Rows of log.csv, numbers as numbers, None for empty cells."""
    try:
        with open(path, newline="", encoding="utf-8", errors="replace") as file:
            rows = list(csv.DictReader(file))
    except OSError:
        missing.append(f"curves of loss and accuracy: there is no {LOG_FILE}")
        return []
    return [{key: _number(value) for key, value in row.items() if key is not None} for row in rows]


def _number(text: str | None) -> Any:
    try:
        return float(text) if text else None
    except ValueError:
        return text
