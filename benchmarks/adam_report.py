"""The plots of the study, and the tables of docs/adam-study.md, from its results."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

import matplotlib.pyplot as plt

from benchmarks.adam_runs import EXPERIMENTS, RUNS, StudyRun
from benchmarks.adam_study import FIGURES_FILE, FLIPS_FILE, FigureRow, FlipRow
from benchmarks.figure import STYLE, save
from benchmarks.markdown import table
from benchmarks.results import RESULTS, read

PAGE = Path(__file__).parents[1] / "docs" / "adam-study.md"
_MARKERS = ("<!-- tables -->", "<!-- end of tables -->")

Values = Mapping[str, Mapping[str, Sequence[float]]]
"""Run -> figure -> a value for each seed."""

_COLUMNS = {
    "optimizer": ("accuracy", "saturation_first", "saturation_last", "sdam", "below_rival"),
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
    "below_rival": "filters that move less than Adam's least",
    "ff": "flip-flop ratio",
    "c2i": "C2I",
    "pi": "pi of the last layer, end",
}


def write() -> None:
    """Draws the plots and replaces what stands between the markers of the page; without a page it prints the tables."""
    values = gathered(read(FIGURES_FILE, FigureRow))
    if not values:
        return
    draw(values, read(FLIPS_FILE, FlipRow))
    if not PAGE.exists():
        print(tables(values))
        return
    begin, end = _MARKERS
    before, _, rest = PAGE.read_text().partition(begin)
    _, _, after = rest.partition(end)
    PAGE.write_text(f"{before}{begin}\n\n{tables(values)}\n{end}{after}")


def gathered(rows: Sequence[FigureRow]) -> Values:
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows, key=lambda row: row.seed):
        found[row.run][row.figure].append(row.value)
    return found


def tables(values: Values) -> str:
    """A table for each experiment: the mean of the seeds, each seed, and in brackets what the paper has."""
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
    if figure in ("accuracy", "saturation_first", "saturation_last", "below_rival"):
        return lambda value: f"{100 * value:.1f} %"
    return lambda value: f"{value:.2e}" if figure in ("ff", "sdam") else f"{value:.3f}"


def draw(values: Values, flips: Sequence[FlipRow]) -> None:
    with plt.rc_context(STYLE):
        _draw_rates(RESULTS / "adam-study-rates.svg", values)
        _draw_flips(RESULTS / "adam-study-flips.svg", flips)


def _draw_rates(path: Path, values: Values) -> None:
    figure, axes = plt.subplots(figsize=(5.6, 3.6))
    for kind, colour in (("adam", "C0"), ("sgd", "C1")):
        runs = [r for r in RUNS if "rate" in r.experiments and r.name.startswith(kind) and r.name in values]
        runs.sort(key=lambda run: run.stages[0].lr)
        rates, each = [run.stages[0].lr for run in runs], [values[run.name]["accuracy"] for run in runs]
        axes.plot(
            rates,
            [100 * fmean(a) for a in each],
            color=colour,
            marker="o",
            label=kind.upper() if kind == "sgd" else "Adam",
        )
        for rate, accuracies in zip(rates, each, strict=True):
            axes.plot([rate] * len(accuracies), [100 * a for a in accuracies], ".", color=colour, alpha=0.5)
    axes.set(xscale="log", xlabel="learning rate at the start", ylabel="test accuracy, %")
    axes.legend(frameon=False)
    save(figure, path)


def _draw_flips(path: Path, flips: Sequence[FlipRow]) -> None:
    figure, both = plt.subplots(1, 2, figsize=(9.0, 3.6), sharey=True)
    for axes, experiment in zip(both, ("gamma", "tau"), strict=True):
        for index, run in enumerate(run for run in RUNS if experiment in run.experiments):
            for seed in sorted({row.seed for row in flips if row.run == run.name}):
                rows = sorted((r for r in flips if (r.run, r.seed) == (run.name, seed)), key=lambda row: row.step)
                label = run.title if seed == 0 else None
                axes.plot([r.step for r in rows], [r.pi for r in rows], color=f"C{index}", lw=1, label=label)
        axes.set(xlabel="step", title=EXPERIMENTS[experiment])
        axes.legend(frameon=False, fontsize=7)
    both[0].set(ylabel="pi of the last layer")
    save(figure, path)
