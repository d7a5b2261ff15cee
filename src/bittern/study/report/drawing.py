"""How each figure of the report is drawn. A function here, or what it returns, draws what the runs have of it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import MaxNLocator

from bittern.study.instruments import INSTRUMENTS
from bittern.study.landscape import Landscape, read_landscape
from bittern.study.read import Floats, Series, StudyData
from bittern.study.report import charts
from bittern.study.report.published import cams_after_first_epoch
from bittern.study.toys import counterexample, two_nodes

Runs = Sequence[StudyData]
Draw = Callable[[Canvas, list[Axes], Runs], bool]
"""Draws what the runs have; False if they have nothing of it."""

_EDGES = {m.name: m.edges for row in INSTRUMENTS.values() for m in row.measures if m.edges}


def _stages(axes: Axes, runs: Runs) -> None:
    charts.stage_lines(axes, [stage["step"] for run in runs[:1] for stage in run.stages if stage["step"] > 0])


def log_curves(*names: str) -> Draw:
    """Columns of log.csv over the epochs of all stages; the first is drawn bold."""

    def draw(canvas: Canvas, axes: list[Axes], runs: Runs) -> bool:
        found = False
        for i, run in enumerate(runs):
            for name, width, alpha in zip(names, (2.0, 1.1), (1.0, 0.65), strict=False):
                points = [(n, row[name]) for n, row in enumerate(run.log, 1) if isinstance(row.get(name), float)]
                if points:
                    x, y = zip(*points, strict=True)
                    axes[0].plot(x, y, color=charts.run_colour(i), linewidth=width, alpha=alpha)
                    found = True
        axes[0].set_xlabel("epoch")
        starts = [
            n + 0.5
            for n, (a, b) in enumerate(zip(runs[0].log, runs[0].log[1:], strict=False), 1)
            if a.get("stage") != b.get("stage")
        ]
        charts.stage_lines(axes[0], starts)
        return found

    return draw


def accuracy(canvas: Canvas, axes: list[Axes], runs: Runs) -> bool:
    found = log_curves("test_accuracy", "accuracy")(canvas, axes, runs)
    charts.percents(axes[0], zero=False)
    return found


def per_step(column: int, convert: Callable[[Any], Any], log: bool) -> Draw:
    def draw(canvas: Canvas, axes: list[Axes], runs: Runs) -> bool:
        found = False
        for i, run in enumerate(runs):
            if len(run.ff):
                x, y = charts.thinned(run.ff[:, 0], run.ff[:, column])
                axes[0].plot(x, convert(y), color=charts.run_colour(i))
                found = True
        if log and found:
            axes[0].set_yscale("log", nonpositive="mask")
        axes[0].set_xlabel("step")
        _stages(axes[0], runs)
        return found

    return draw


def over_time(
    measure: str, *, percent: bool = True, log: bool = False, zero: bool = True, thin: str | None = None
) -> Draw:
    """The mean over the layers, in the range of all of them; ``thin``: another measure's mean beside it."""

    def draw(canvas: Canvas, axes: list[Axes], runs: Runs) -> bool:
        found = False
        for i, run in enumerate(runs):
            steps, means = run.mean(measure)
            if not np.isfinite(means).any():
                continue
            found = True
            series = run.series(measure)
            marker = "o" if len(steps) == 1 else ""
            axes[0].plot(steps, means, color=charts.run_colour(i), marker=marker)
            if len(runs) <= 2 and len(series.layers) > 1:
                known = np.isfinite(series.values).all(1)
                axes[0].fill_between(
                    steps[known],
                    series.values[known].min(1),
                    series.values[known].max(1),
                    color=charts.run_colour(i),
                    alpha=0.13,
                    linewidth=0,
                )
            if thin is not None:
                axes[0].plot(*run.mean(thin), color=charts.run_colour(i), linewidth=1.1, linestyle=(0, (4, 2)))
        if log and found:
            axes[0].set_yscale("log", nonpositive="mask")
        if percent:
            charts.percents(axes[0], zero)
        axes[0].set_xlabel("step")
        _stages(axes[0], runs)
        return found

    return draw


def reference_measures(runs: Runs) -> list[str]:
    """C2I counted from the references that a watch was given."""
    found = {measure for run in runs for measure in run.measures}
    return sorted(measure for measure in found if measure.startswith("c2i_") and measure != "c2i_stage")


def references(canvas: Canvas, axes: list[Axes], runs: Runs) -> bool:
    """A run has a colour, a reference a kind of line."""
    measures = reference_measures(runs)
    for i, run in enumerate(runs):
        for n, measure in enumerate(measures):
            label = measure.removeprefix("c2i_") if i == 0 else None
            axes[0].plot(
                *run.mean(measure), color=charts.run_colour(i), linestyle=("-", "--", "-.", ":")[n % 4], label=label
            )
    if measures:
        axes[0].legend()
    axes[0].set_xlabel("step")
    _stages(axes[0], runs)
    return bool(measures)


def by_layer(measure: str, label: str, scale: float = 100.0) -> Draw:
    """Layers from top to bottom, time from left to right."""

    def draw(canvas: Canvas, axes: list[Axes], runs: Runs) -> bool:
        series = runs[0].series(measure)
        if not len(series.steps):
            return False
        canvas.set_figheight(min(6.0, 0.9 + 0.19 * max(6, len(series.layers))))
        steps, values = _evenly(series)
        extent = (steps[0], steps[-1], len(series.layers) - 0.5, -0.5)
        charts.heatmap(canvas, axes[0], scale * values.T, extent=extent, low=0 if scale == 100 else None, label=label)
        every = max(1, len(series.layers) // 24)
        axes[0].set_yticks(range(0, len(series.layers), every), charts.short(series.layers[::every]))
        axes[0].set_xlabel("step")
        return True

    return draw


def _evenly(series: Series, columns: int = 120) -> tuple[Floats, Floats]:
    """Values at evenly spaced steps: those of the last sample before."""
    steps = np.linspace(series.steps[0], max(series.steps[-1], series.steps[0] + 1), columns)
    rows = np.searchsorted(series.steps, steps, side="right") - 1
    return steps, series.values[rows]


def last_and_first(measure: str, *, first_layer: bool = False, log: bool = False, exponent: bool = False) -> Draw:
    """The last snapshot's, in bold, and the first one's."""

    def draw(canvas: Canvas, axes: list[Axes], runs: Runs) -> bool:
        low, high = _EDGES[measure]
        histograms: list[tuple[Floats, Floats]] = []
        for i, run in enumerate(runs):
            snapshots = run.arrays(measure)
            for step, width, alpha in ((min(snapshots, default=0), 1.0, 0.55), (max(snapshots, default=0), 2.0, 1.0)):
                if step not in snapshots:
                    continue
                layers = list(snapshots[step].values())
                counts = layers[0] if first_layer else np.sum(layers, axis=0)
                edges = np.linspace(low, high, len(counts) + 1)
                if exponent:
                    edges, counts = edges[2:], counts[2:]  # exact zeros count in the first bin
                shares = counts / max(1, counts.sum())
                histograms.append((edges, shares))
                axes[0].stairs(shares, edges, color=charts.run_colour(i), linewidth=width, alpha=alpha)
        if not histograms:
            return False
        charts.zoom(axes[0], histograms, 1e-4)
        if log:
            axes[0].set_yscale("log", nonpositive="mask")
        if exponent:
            axes[0].xaxis.set_major_locator(MaxNLocator(6, integer=True))
            axes[0].xaxis.set_major_formatter(lambda value, position: f"$10^{{{value:g}}}$")
        charts.percents(axes[0])
        return True

    return draw


def sorted_filters(measure: str, label: str) -> Draw:
    """CAM of the first binary layer's filters after the first epoch, from the least to the largest."""

    def draw(canvas: Canvas, axes: list[Axes], runs: Runs) -> bool:
        found: list[Floats] = []
        for i, run in enumerate(runs):
            cams = cams_after_first_epoch(run, measure)
            if cams is None:
                continue
            values = np.sort(cams[1])
            found.append(values)
            axes[0].plot(np.linspace(0, 100, len(values)), values, color=charts.run_colour(i))
            axes[0].axhline(values[0], color=charts.run_colour(i), linewidth=0.9, linestyle=(0, (2, 3)))
        medians = [np.median(values) for values in found]
        if found and max(medians) > 20 * min(medians) > 0:
            axes[0].set_yscale("log", nonpositive="mask")
        axes[0].set_xlabel("filters of the first binary layer, % of them")
        axes[0].set_ylabel(label)
        return bool(found)

    return draw


_MAPS = (
    ("gradient_cam", "gradient"),
    ("first_moment_cam", "first moment"),
    ("second_moment_cam", "second moment"),
    ("update_cam", "update value"),
)


def maps(canvas: Canvas, axes: list[Axes], runs: Runs) -> bool:
    """Filters of the first binary layer from left to right, snapshots from top to bottom."""
    found = [(title, maps) for measure, title in _MAPS if (maps := runs[0].arrays(measure))]
    if not found:
        return False
    canvas.clear()
    canvas.set_figheight(0.5 + 1.5 * len(found))
    axes = list(canvas.subplots(len(found), 1, squeeze=False).flat)
    for axis, (title, snapshots) in zip(axes, found, strict=True):
        layer = next(iter(next(iter(snapshots.values()))))
        rows = np.array([snapshots[step][layer] for step in sorted(snapshots) if layer in snapshots[step]], float)
        charts.heatmap(canvas, axis, np.log10(np.where(rows > 0, rows, np.nan)), label="log₁₀ CAM")
        axis.set_title(f"{title}, {layer}", loc="left")
        steps = sorted(snapshots)
        shown = sorted({0, len(steps) - 1})
        axis.set_yticks(shown, [f"step {steps[i]}" for i in shown])
    axes[-1].set_xlabel("filter")
    return True


def filter_errors(canvas: Canvas, axes: list[Axes], runs: Runs) -> bool:
    """Per layer the range of its filters' errors in the last snapshot, with their quartiles."""
    found = False
    for i, run in enumerate(runs):
        snapshots = run.arrays("quantization_errors")
        if not snapshots:
            continue
        layers = snapshots[max(snapshots)]
        positions = np.arange(len(layers)) + (i - (len(runs) - 1) / 2) * 0.8 / len(runs)
        low, first, middle, third, high = (
            np.array([np.quantile(errors, q) for errors in layers.values()]) for q in (0, 0.25, 0.5, 0.75, 1)
        )
        colour = charts.run_colour(i)
        axes[0].vlines(positions, low, high, color=colour, linewidth=1)
        axes[0].vlines(positions, first, third, color=colour, linewidth=4)
        axes[0].plot(positions, middle, "o", color=charts.CARD, markersize=2.5)
        if not found:
            every = max(1, len(layers) // 12)
            names = charts.short(list(layers), 12)
            axes[0].set_xticks(range(0, len(layers), every), names[::every], rotation=40, ha="right")
        found = True
    if found:
        axes[0].axhline(1 - 2 / np.pi, color=charts.QUIET, linewidth=0.9, linestyle=(0, (2, 3)))
        charts.percents(axes[0], zero=False)
    return found


def _found_landscapes(runs: Runs) -> list[tuple[int, Landscape]]:
    return [(i, found) for i, run in enumerate(runs) if (found := read_landscape(run.folder)) is not None]


def surface(canvas: Canvas, axes: list[Axes], runs: Runs) -> bool:
    found = _found_landscapes(runs)
    if not found or len(found[0][1].beta) < 2:
        return False
    surface = found[0][1]
    canvas.set_figheight(3.9)
    loss = np.log10(np.maximum(surface.loss, 1e-6))
    ends = (surface.alpha[0], surface.alpha[-1], surface.beta[-1], surface.beta[0])
    charts.heatmap(canvas, axes[0], loss, extent=ends, label="log₁₀ loss")
    axes[0].contour(surface.alpha, surface.beta, loss, levels=12, colors="white", linewidths=0.6, alpha=0.7)
    axes[0].invert_yaxis()
    for axis in (axes[0].xaxis, axes[0].yaxis):
        axis.set_major_locator(MaxNLocator(5))
    axes[0].set_xlabel("direction 1, filters' lengths")
    axes[0].set_ylabel("direction 2")
    return True


def cut(canvas: Canvas, axes: list[Axes], runs: Runs) -> bool:
    found = _found_landscapes(runs)
    for i, surface in found:
        middle = int(np.abs(surface.beta).argmin())
        axes[0].plot(surface.alpha, surface.loss[middle], color=charts.run_colour(i))
    axes[0].set_xlabel("along direction 1, filters' lengths")
    axes[0].set_ylabel("loss")
    return bool(found)


def two_nodes_path(canvas: Canvas, axes: list[Axes], runs: Runs) -> bool:
    toy = two_nodes()
    canvas.set_figheight(4.0)
    ends = (toy.x[0], toy.x[-1], toy.y[-1], toy.y[0])
    charts.heatmap(canvas, axes[0], toy.surface, extent=ends, label="clip(x) + clip(y)", colours="cividis")
    axes[0].invert_yaxis()
    for name, colour in (("SGD", "#ff9f43"), ("Adam", "#ffffff")):
        path = toy.paths[name]
        axes[0].plot(path[:, 0], path[:, 1], color=colour, linewidth=2)
        axes[0].plot(*path[-1], "o", color=colour)
        axes[0].annotate(name, path[-1], xytext=(0, -14), textcoords="offset points", color=colour, fontweight="bold")
    axes[0].plot(*toy.paths["SGD"][0], "s", color="#ffffff")
    axes[0].set_xlabel("x")
    axes[0].set_ylabel("y")
    return True


def counterexample_paths(canvas: Canvas, axes: list[Axes], runs: Runs) -> bool:
    toy = counterexample()
    for i, (name, path) in enumerate(toy.weights.items()):
        x = np.unique(np.geomspace(1, len(path), 200).astype(int)) - 1
        axes[0].plot(x + 1, path[x], color=charts.run_colour(i), label=f"{name}, regret {toy.regret[name]:.3f}")
    axes[0].set_xscale("log")
    axes[0].set_xlabel("step")
    axes[0].set_ylabel("latent weight; best is -1")
    axes[0].legend(loc="center right")
    return True
