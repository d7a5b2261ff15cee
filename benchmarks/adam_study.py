"""AdamBNN's and Bop's experiments at a small scale: ``python -m benchmarks.adam_study --data DIR``.

Trains every run of adam_runs.py with the instruments of ``bittern.study``, one process on one thread each, ``--jobs``
side by side; what was interrupted goes on where it stands, what is in results/adam-study.csv is not repeated. Then the
plots and the tables of docs/adam-study.md are made anew; ``report`` does only that.
"""

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.adam_runs import RUNS, StudyRun
from benchmarks.optimizers import append
from benchmarks.results import RESULTS, read
from benchmarks.side_by_side import run_side_by_side
from bittern.cli._machine import cpu_name

FOLDER = Path("build/adam-study")
FIGURES_FILE, FLIPS_FILE = RESULTS / "adam-study.csv", RESULTS / "adam-study-flips.csv"
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
_WINDOWS = 50


@dataclass(frozen=True)
class FigureRow:
    """One figure of one run. ``below_rival``: share of filters that move less than the least of ``RIVAL``'s."""

    run: str
    seed: int
    figure: str
    value: float
    device: str
    torch: str


@dataclass(frozen=True)
class FlipRow:
    """Bop's flip rate pi of the last layer, averaged over a fiftieth of the run that ends with ``step``."""

    run: str
    seed: int
    step: int
    pi: float


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
    found = measured(out, folder(RIVAL, seed))
    device = cpu_name()
    append(
        FIGURES_FILE,
        FigureRow,
        [FigureRow(chosen.name, seed, k, v, device, torch.__version__) for k, v in found.items()],
    )
    append(FLIPS_FILE, FlipRow, flips(chosen.name, seed, out))
    print(json.dumps(found))


def measured(out: Path, rival: Path) -> dict[str, float]:
    """Every figure that the run in ``out`` has."""
    from bittern.study.read import read_study
    from bittern.study.report.published import PUBLISHED, share_below_rival

    rows = {row.name: row for row in PUBLISHED}
    study = read_study(out)
    values: Mapping[str, float | None] = {key: rows[name].measured(study, [study]) for key, name in FIGURES.items()}
    found = {key: value for key, value in values.items() if value is not None}
    if rival != out and rival.is_dir():
        share = share_below_rival(study, read_study(rival))
        if share is not None:
            found["below_rival"] = share
    return found


def flips(name: str, seed: int, out: Path) -> Iterable[FlipRow]:
    from bittern.study import flip_rate
    from bittern.study.read import read_study

    ff = read_study(out).ff
    for window in np.array_split(ff, min(_WINDOWS, len(ff)) or 1):
        if len(window):
            yield FlipRow(name, seed, int(window[-1, 0]), float(flip_rate(window[:, 2]).mean()))


if __name__ == "__main__":
    main()
