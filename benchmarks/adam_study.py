"""AdamBNN's and Bop's experiments at a small scale: ``python -m benchmarks.adam_study --data DIR``.

Trains every run of adam_runs.py with the instruments of ``bittern.study``, one process on one thread each, ``--jobs``
side by side; what was interrupted goes on where it stands, what is in results/adam-study.csv is not repeated. Then the
plots and the tables of docs/adam-study.md are made anew; ``report`` does only that.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.adam_runs import RUNS, StudyRun
from benchmarks.optimizers import append
from benchmarks.results import RESULTS, read
from benchmarks.side_by_side import run_side_by_side
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
"""So many of the 301 bins of the histogram "latent_weights" become one."""


@dataclass(frozen=True)
class FigureRow:
    """One figure of one run.

    ``below_rival``: share of the first binary layer's filters that move less than the least of ``RIVAL``'s, after the
    first epoch; ``below_rival_all``: the same of all layers, each filter beside those of its own layer.
    """

    run: str
    seed: int
    figure: str
    value: float
    device: str
    torch: str


@dataclass(frozen=True)
class CurveRow:
    """A point of a curve of one run.

    ``curve``: "pi", Bop's flip rate of the last layer, averaged over the steps since the point before, over the step;
    "saturation" of the first sign over the step; "latent", the share of all latent weights that is within half a bin of
    ``x`` at the end; "update_cam" of the first binary layer after the first epoch, its filters ``x`` in order of size.
    """

    run: str
    seed: int
    curve: str
    x: float
    y: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("run", "one", "report"), default="run")
    parser.add_argument("--data", help="folder of CIFAR-10")
    parser.add_argument("--only", choices=[run.name for run in RUNS], action="append")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.what == "one":
        _one(next(run for run in RUNS if run.name == options.only[0]), options.seed, options.data)
        return
    if options.what == "run":
        if not options.data:
            parser.error("--data DIR is needed: the folder of CIFAR-10")
        done = {(row.run, row.seed) for row in read(FIGURES_FILE, FigureRow)}
        names = options.only or [run.name for run in RUNS]
        todo = [(name, seed) for seed in range(options.seeds) for name in names if (name, seed) not in done]
        run_side_by_side(
            [(f"{name}, seed {seed}", _command(name, seed, options.data)) for name, seed in todo], options.jobs
        )
        _compare(options.seeds)
    from benchmarks import adam_report

    adam_report.write()


def _command(name: str, seed: int, data: str) -> list[str]:
    return ["benchmarks.adam_study", "one", "--only", name, "--seed", str(seed), "--data", data]


def folder(name: str, seed: int) -> Path:
    return FOLDER / name / f"seed{seed}"


def _one(chosen: StudyRun, seed: int, data: str) -> None:
    import torch

    from bittern.study import TrainingObserver
    from bittern.train import run

    torch.set_num_threads(1)
    out = folder(chosen.name, seed)
    run(chosen.recipe, data, out, seed=seed, resume=True, accelerator="cpu", observers=[TrainingObserver()])
    found = measured(out)
    append(
        CURVES_FILE,
        CurveRow,
        [CurveRow(chosen.name, seed, curve, x, y) for curve, points in curves(out).items() for x, y in points],
    )
    _append_figures(chosen.name, seed, found)  # last: a run that has figures is not repeated
    print(json.dumps(found))


def _append_figures(name: str, seed: int, found: Mapping[str, float]) -> None:
    import torch

    device = cpu_name()
    append(FIGURES_FILE, FigureRow, [FigureRow(name, seed, k, v, device, torch.__version__) for k, v in found.items()])


def _compare(seeds: int) -> None:
    """Adds the figures that need the rival's run too, which may end later."""
    done = {(row.run, row.seed) for row in read(FIGURES_FILE, FigureRow) if row.figure == "below_rival"}
    for name, seed in ((run.name, seed) for seed in range(seeds) for run in RUNS):
        out, rival = folder(name, seed), folder(RIVAL, seed)
        if name != RIVAL and (name, seed) not in done and is_finished(out) and is_finished(rival):
            _append_figures(name, seed, beside(out, rival))


def measured(out: Path) -> dict[str, float]:
    """Every figure that the run in ``out`` has by itself."""
    from bittern.study.read import read_study
    from bittern.study.report.published import PUBLISHED

    rows = {row.name: row for row in PUBLISHED}
    study = read_study(out)
    values: Mapping[str, float | None] = {key: rows[name].measured(study, [study]) for key, name in FIGURES.items()}
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

    study = read_study(out)
    ff, saturation, latent = study.ff, study.series("saturation"), study.arrays("latent_weights")
    found = {
        "pi": [(w[-1, 0], flip_rate(w[:, 2]).mean()) for w in np.array_split(ff, _POINTS) if len(w)],
        "saturation": [
            (steps.mean(), values[:, 0].mean())
            for steps, values in zip(
                np.array_split(saturation.steps, _POINTS), np.array_split(saturation.values, _POINTS), strict=True
            )
            if len(steps)
        ],
        "latent": [],
        "update_cam": list(enumerate(np.sort(cams), 1))
        if (cams := first_map_after_first_epoch(study, "update_cam")) is not None
        else [],
    }
    if latent:
        counts = np.sum(list(latent[max(latent)].values()), axis=0)
        coarse = counts.reshape(-1, _LATENT_BIN).sum(1)
        low, high = next(m.edges for m in get_instrument("latent").measures if m.name == "latent_weights" and m.edges)
        middles = low + (np.arange(len(coarse)) + 0.5) * (high - low) / len(coarse)
        found["latent"] = list(zip(middles, coarse / counts.sum(), strict=True))
    return {curve: [(float(x), float(y)) for x, y in points] for curve, points in found.items()}


if __name__ == "__main__":
    main()
