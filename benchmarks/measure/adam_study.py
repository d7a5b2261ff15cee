"""AdamBNN's and Bop's experiments at a small scale: ``python -m benchmarks study --data DIR``.

Trains every run of adam_runs.py with the instruments of `bittern.study`, on one thread each, ``--jobs`` side by side.
An interrupted study resumes its runs; what is in results/adam-study.csv is not repeated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.measure.adam_runs import RUNS
from benchmarks.measure.side_by_side import run_side_by_side
from benchmarks.measure.stamp import this_stamp
from benchmarks.rows import RESULTS, CurveRow, FigureRow, read, write
from bittern.cli._machine import cpu_name
from bittern.train.runs import is_finished

FOLDER = Path("build/adam-study")
FIGURES_FILE, CURVES_FILE = RESULTS / "adam-study.csv", RESULTS / "adam-study-curves.csv"
FIGURES = {
    "accuracy": "Test accuracy",
    "saturation_first": "Saturated activations, after the first epoch",
    "saturation_last": "Saturated activations, at the end",
    "sdam": "SDAM of latent weights, after the first epoch",
    "least_cam": "Least CAM of latent weights, after the first epoch",
    "ff": "Flip-flop ratio, mean over all steps",
    "c2i": "C2I, at the end",
    "pi": "Flip rate of the last layer, last twentieth",
}
"""Our name -> the row of the study's table of published figures (``bittern.study.report.published``)."""
RIVAL = "adam"
_POINTS = 50
_LATENT_BIN = 7
"""Number of the histogram "latent_weights"' 301 bins that become one."""


@dataclass(frozen=True)
class SeededRun:
    """A run of `RUNS` with a seed. ``data``: folder of CIFAR-10."""

    name: str
    seed: int
    data: str

    @property
    def folder(self) -> Path:
        return FOLDER / self.name / f"seed{self.seed}"


def study(data: str, names: Sequence[str], seeds: int, processes: int) -> None:
    """Trains what is missing in results/adam-study.csv, then adds what compares runs with the rival's."""
    done = {(row.run, row.seed) for row in read(FIGURES_FILE, FigureRow)}
    runs = [SeededRun(name, seed, data) for seed in range(seeds) for name in names if (name, seed) not in done]
    for finished, (figures, points) in run_side_by_side(train, runs, processes):
        write(CURVES_FILE, [*read(CURVES_FILE, CurveRow), *points])
        write(FIGURES_FILE, [*read(FIGURES_FILE, FigureRow), *figures])  # last: a run that has figures is not repeated
        print(f"{finished.name}, seed {finished.seed}: {figures[0].figure} {figures[0].value:.3f}", flush=True)
    _compare_with_rival(data, seeds)


def train(run: SeededRun) -> tuple[list[FigureRow], list[CurveRow]]:
    """In a process of its own."""
    import torch

    from bittern.study import TrainingObserver
    from bittern.train import run as train_recipe

    torch.set_num_threads(1)
    recipe = next(each.recipe for each in RUNS if each.name == run.name)
    observers = [TrainingObserver()]
    train_recipe(recipe, run.data, run.folder, seed=run.seed, resume=True, accelerator="cpu", observers=observers)
    stamp = this_stamp(cpu_name())
    points = [
        CurveRow(run.name, run.seed, curve, x, y, **stamp)
        for curve, points in curves(run.folder).items()
        for x, y in points
    ]
    return _figure_rows(run, measured(run.folder)), points


def _figure_rows(run: SeededRun, figures: Mapping[str, float]) -> list[FigureRow]:
    import torch

    stamp = this_stamp(cpu_name())
    return [FigureRow(run.name, run.seed, k, float(v), torch.__version__, **stamp) for k, v in figures.items()]


def _compare_with_rival(data: str, seeds: int) -> None:
    """Adds the figures that need the rival's run too, which may finish later."""
    rows = read(FIGURES_FILE, FigureRow)
    done = {(row.run, row.seed) for row in rows if row.figure == "below_rival"}
    found = []
    for run in (SeededRun(each.name, seed, data) for seed in range(seeds) for each in RUNS):
        rival = SeededRun(RIVAL, run.seed, data)
        missing = run.name != RIVAL and (run.name, run.seed) not in done
        if missing and is_finished(run.folder) and is_finished(rival.folder):
            found += _figure_rows(run, beside(run.folder, rival.folder))
    if found:
        write(FIGURES_FILE, [*rows, *found])


def measured(out: Path) -> dict[str, float]:
    """Every figure that the run in ``out`` has by itself."""
    from bittern.study.read import read_study
    from bittern.study.report.published import PUBLISHED

    rows = {row.name: row for row in PUBLISHED}
    found = read_study(out)
    values: Mapping[str, float | None] = {key: rows[name].measured(found, [found]) for key, name in FIGURES.items()}
    return {key: value for key, value in values.items() if value is not None}


def beside(out: Path, rival: Path) -> dict[str, float]:
    """The figures of the run in ``out`` that compare it with ``rival``; none where one of them has no maps."""
    from bittern.study.read import read_study
    from bittern.study.report.published import maps_after_first_epoch

    own, other = (maps_after_first_epoch(read_study(run), "update_cam") for run in (out, rival))
    below = [cams < other[layer].min() for layer, cams in own.items() if layer in other]
    return {"below_rival": below[0].mean(), "below_rival_all": np.concatenate(below).mean()} if below else {}


def curves(out: Path) -> dict[str, list[tuple[float, float]]]:
    """The points (x, y) of every curve of the run in ``out``."""
    from bittern.study import flip_rate
    from bittern.study.instruments import get_instrument
    from bittern.study.read import read_study
    from bittern.study.report.published import first_map_after_first_epoch

    found = read_study(out)
    saturation, latent = found.series("saturation"), found.arrays("latent_weights")
    first_cams = first_map_after_first_epoch(found, "update_cam")
    windows = zip(np.array_split(saturation.steps, _POINTS), np.array_split(saturation.values, _POINTS), strict=True)
    points = {
        "pi": [(w[-1, 0], flip_rate(w[:, 2]).mean()) for w in np.array_split(found.ff, _POINTS) if len(w)],
        "saturation": [(steps.mean(), values[:, 0].mean()) for steps, values in windows if len(steps)],
        "latent": [],
        "update_cam": list(enumerate(np.sort(first_cams), 1)) if first_cams is not None else [],
    }
    if latent:
        counts = np.sum(list(latent[max(latent)].values()), axis=0)
        coarse = counts.reshape(-1, _LATENT_BIN).sum(1)
        low, high = next(m.edges for m in get_instrument("latent").measures if m.name == "latent_weights" and m.edges)
        middles = low + (np.arange(len(coarse)) + 0.5) * (high - low) / len(coarse)
        points["latent"] = list(zip(middles, coarse / counts.sum(), strict=True))
    return {curve: [(float(x), float(y)) for x, y in each] for curve, each in points.items()}
