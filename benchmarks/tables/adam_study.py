"""The study of AdamBNN and Bop: its plots, and the tables of docs/adam-study.md."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.measure.adam_runs import EXPERIMENTS, RUNS, StudyRun
from benchmarks.rows import CurveRow, FigureRow, read
from benchmarks.tables.figure import STYLE, save
from benchmarks.tables.markdown import replace_part, table

PAGE = Path(__file__).parents[2] / "docs" / "adam-study.md"
MARKER = "tables"

Values = Mapping[str, Mapping[str, Sequence[float]]]
"""Run -> figure -> a value for each seed."""

_COLUMNS = {
    "optimizer": (
        "accuracy",
        "saturation_first",
        "saturation_last",
        "least_cam",
        "sdam",
        "below_rival",
        "below_rival_all",
    ),
    "decay": ("accuracy", "ff", "c2i"),
    "rate": ("accuracy",),
    "gamma": ("accuracy", "pi"),
    "tau": ("accuracy", "pi"),
}
_TITLES = {
    "accuracy": "test accuracy",
    "saturation_first": "saturated, first epoch",
    "saturation_last": "saturated, end",
    "sdam": "SDAM, first epoch",
    "least_cam": "least CAM, first epoch",
    "below_rival": "filters of the first layer that move less than Adam's least",
    "below_rival_all": "of all layers",
    "ff": "flip-flop ratio",
    "c2i": "C2I",
    "pi": "pi of the last layer, end",
}


def write(folder: Path, page: Path = PAGE) -> None:
    """Draws the plots of the rows in ``folder`` and replaces the tables of ``page``; nothing without rows."""
    values = gathered(read(folder / "adam-study.csv", FigureRow))
    if values:
        draw(folder, values, read(folder / "adam-study-curves.csv", CurveRow))
        replace_part(page, MARKER, tables(values))


def gathered(rows: Sequence[FigureRow]) -> Values:
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows, key=lambda row: row.seed):
        found[row.run][row.figure].append(row.value)
    return found


def tables(values: Values) -> str:
    """A table for each experiment: the mean of the seeds, each seed, and the paper's value in brackets."""
    parts = []
    for experiment, title in EXPERIMENTS.items():
        runs = [run for run in RUNS if experiment in run.experiments and run.name in values]
        if runs:
            columns = _COLUMNS[experiment]
            lines = [[run.title, *(_cell(run, figure, values) for figure in columns)] for run in runs]
            parts.append(f"### {title}\n\n{table(['', *(_TITLES[c] for c in columns)], lines)}")
    return "\n".join(parts)


def _cell(run: StudyRun, figure: str, values: Values) -> str:
    text, own = _text(figure), values[run.name].get(figure)
    published = f" [{text(run.published[figure])}]" if figure in run.published else ""
    if not own:
        return f"-{published}"
    each = f" ({', '.join(map(text, own))})" if len(own) > 1 else ""
    return f"{text(fmean(own))}{each}{published}"


def _text(figure: str) -> Callable[[float], str]:
    if figure in ("accuracy", "saturation_first", "saturation_last", "below_rival", "below_rival_all"):
        return lambda value: f"{100 * value:.1f} %"
    return lambda value: f"{value:.2e}" if figure in ("ff", "sdam") else f"{value:.3f}"


def draw(folder: Path, values: Values, rows: Sequence[CurveRow]) -> None:
    with plt.rc_context(STYLE):
        _draw_optimizers(folder / "adam-study-optimizers.svg", rows)
        _draw_rates(folder / "adam-study-rates.svg", values)
        _draw_flips(folder / "adam-study-flips.svg", rows)


def _draw_optimizers(path: Path, rows: Sequence[CurveRow]) -> None:
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11.0, 3.6))
    for index, run in enumerate(run for run in RUNS if "optimizer" in run.experiments):
        _draw_curve(left, rows, run, "saturation", f"C{index}", scale=100)
        _draw_curve(middle, rows, run, "update_cam", f"C{index}")
        _draw_curve(right, rows, run, "latent", f"C{index}", scale=100)
    left.set(xlabel="step", ylabel="saturated in front of the first sign, %")
    middle.set(xlabel="filter, by size", ylabel="CAM of a step, first binary layer, first epoch", yscale="log")
    right.set(xlabel="latent weight at the end", ylabel="share of the weights, %", yscale="log")
    left.legend(frameon=False, fontsize=7)
    save(figure, path)


def _draw_curve(
    axes: Axes, rows: Sequence[CurveRow], run: StudyRun, curve: str, colour: str, *, scale: float = 1.0
) -> None:
    """A line for each seed."""
    mine = [row for row in rows if (row.run, row.curve) == (run.name, curve)]
    for seed in sorted({row.seed for row in mine}):
        points = sorted((row.x, row.y * scale) for row in mine if row.seed == seed)
        axes.plot(*zip(*points, strict=True), color=colour, lw=1, label=run.title if seed == 0 else None)


def _draw_rates(path: Path, values: Values) -> None:
    figure, axes = plt.subplots(figsize=(5.6, 3.6))
    for kind, title, colour in (("adam", "Adam", "C0"), ("sgd", "SGD", "C1")):
        runs = [r for r in RUNS if "rate" in r.experiments and r.name.startswith(kind) and r.name in values]
        runs.sort(key=lambda run: run.stages[0].lr)
        rates, each = [run.stages[0].lr for run in runs], [values[run.name]["accuracy"] for run in runs]
        axes.plot(rates, [100 * fmean(a) for a in each], color=colour, marker="o", label=title)
        for rate, accuracies in zip(rates, each, strict=True):
            axes.plot([rate] * len(accuracies), [100 * a for a in accuracies], ".", color=colour, alpha=0.5)
    axes.set(xscale="log", xlabel="learning rate at the start", ylabel="test accuracy, %")
    axes.legend(frameon=False)
    save(figure, path)


def _draw_flips(path: Path, rows: Sequence[CurveRow]) -> None:
    figure, both = plt.subplots(1, 2, figsize=(9.0, 3.6), sharey=True)
    for axes, experiment in zip(both, ("gamma", "tau"), strict=True):
        for index, run in enumerate(run for run in RUNS if experiment in run.experiments):
            _draw_curve(axes, rows, run, "pi", f"C{index}")
        axes.set(xlabel="step", title=EXPERIMENTS[experiment])
        axes.legend(frameon=False, fontsize=7)
    both[0].set(ylabel="pi of the last layer")
    save(figure, path)
