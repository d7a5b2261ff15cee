"""How each chart of the report is plotted: functions that put onto axes what the runs have, or nothing."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bittern.study.instruments import MEASURES
from bittern.study.landscape import Landscape, read_landscape
from bittern.study.read import Floats, Series, StudyData
from bittern.study.report.published import first_map_after_first_epoch
from bittern.study.report.svg import CARD, DOTTED, QUIET, run_colour
from bittern.study.toys import counterexample, two_nodes

Runs = Sequence[StudyData]
Plot = Callable[[Axes, Runs], None]

_MAX_POINTS = 300
_MIN_SHARE = 1e-4
"""Histograms are shown where a bin holds more than this."""


def with_colours(runs: Runs) -> Iterator[tuple[StudyData, str]]:
    return ((run, run_colour(i)) for i, run in enumerate(runs))


def plot_log(*columns: str) -> Plot:
    """Columns of log.csv over the epochs of all stages; the first one bold."""

    def plot(axes: Axes, runs: Runs) -> None:
        for run, colour in with_colours(runs):
            for column, width, alpha in zip(columns, (2.0, 1.1), (1.0, 0.65), strict=False):
                points = [(n, row[column]) for n, row in enumerate(run.log, 1) if isinstance(row.get(column), float)]
                if points:
                    axes.plot(*zip(*points, strict=True), color=colour, linewidth=width, alpha=alpha)

    return plot


def plot_steps(column: int, convert: Callable[[Floats], Floats] = lambda y: y) -> Plot:
    """A column of ``StudyData.ff`` over the steps, averaged over stretches of equal length."""

    def plot(axes: Axes, runs: Runs) -> None:
        for run, colour in with_colours(runs):
            if len(run.ff):
                parts = np.array_split(run.ff, min(len(run.ff), _MAX_POINTS))
                means = np.array([part.mean(0) for part in parts])
                axes.plot(means[:, 0], convert(means[:, column]), color=colour)

    return plot


def plot_series(measure: str, dashed: str | None = None) -> Plot:
    """The mean over the layers, in the range of all of them; ``dashed``: another measure's mean beside it."""

    def plot(axes: Axes, runs: Runs) -> None:
        for run, colour in with_colours(runs):
            steps, means = run.mean(measure)
            if np.isfinite(means).sum() < 2:  # a lone dot shows nothing
                continue
            axes.plot(steps, means, color=colour)
            series = run.series(measure)
            if len(runs) <= 2 and len(series.layers) > 1:
                known = np.isfinite(series.values).all(1)
                low, high = series.values[known].min(1), series.values[known].max(1)
                axes.fill_between(steps[known], low, high, color=colour, alpha=0.13, linewidth=0)
            if dashed is not None:
                axes.plot(*run.mean(dashed), color=colour, linewidth=1.1, linestyle=(0, (4, 2)))

    return plot


def reference_measures(runs: Runs) -> list[str]:
    """C2I counted from the references that a watch was given."""
    found = {measure for run in runs for measure in run.measures}
    return sorted(measure for measure in found if measure.startswith("c2i_") and measure != "c2i_stage")


def plot_references(axes: Axes, runs: Runs) -> None:
    """A colour per run, a line style per reference."""
    measures = reference_measures(runs)
    for i, (run, colour) in enumerate(with_colours(runs)):
        for measure, style in zip(measures, ("-", "--", "-.", ":") * len(measures), strict=False):
            label = measure.removeprefix("c2i_") if i == 0 else None
            axes.plot(*run.mean(measure), color=colour, linestyle=style, label=label)
    if measures:
        axes.legend()


def plot_layers(measure: str, label: str) -> Plot:
    """Shares in percent: layers from top to bottom, time from left to right."""

    def plot(axes: Axes, runs: Runs) -> None:
        series = runs[0].series(measure)
        if not len(series.steps):
            return
        figure_of(axes).set_figheight(min(6.0, 0.9 + 0.19 * max(6, len(series.layers))))
        steps, values = _resample(series)
        extent = (steps[0], steps[-1], len(series.layers) - 0.5, -0.5)
        plot_heatmap(axes, 100 * values.T, extent=extent, low=0, label=label)
        every = max(1, len(series.layers) // 24)
        axes.set_yticks(range(0, len(series.layers), every), _shorten(series.layers[::every], 16))

    return plot


def _resample(series: Series, columns: int = 120) -> tuple[Floats, Floats]:
    """Values at evenly spaced steps: those of the last sample before."""
    steps = np.linspace(series.steps[0], max(series.steps[-1], series.steps[0] + 1), columns)
    rows = np.searchsorted(series.steps, steps, side="right") - 1
    return steps, series.values[rows]


def plot_histograms(measure: str, *, first_layer: bool = False) -> Plot:
    """Of all layers or the first: the last snapshot's, bold, and the first one's."""

    def plot(axes: Axes, runs: Runs) -> None:
        low, high = MEASURES[measure].edges or (0.0, 1.0)
        seen: list[Floats] = []
        for run, colour in with_colours(runs):
            snapshots = run.arrays(measure)
            for step, width, alpha in zip((min, max), (1.0, 2.0), (0.55, 1.0), strict=True):
                if not snapshots:
                    continue
                layers = list(snapshots[step(snapshots)].values())
                counts = layers[0] if first_layer else np.sum(layers, axis=0)
                edges = np.linspace(low, high, len(counts) + 1)
                if MEASURES[measure].log:
                    edges, counts = edges[2:], counts[2:]  # exact zeros count in the first bin
                shares = counts / max(1, counts.sum())
                seen += [edges[:-1][shares > _MIN_SHARE], edges[1:][shares > _MIN_SHARE]]
                axes.stairs(shares, edges, color=colour, linewidth=width, alpha=alpha)
        ends = np.concatenate([*seen, []])
        if len(ends):
            margin = 0.05 * (ends.max() - ends.min())
            axes.set_xlim(ends.min() - margin, ends.max() + margin)
        if MEASURES[measure].log:
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
            axes.xaxis.set_major_formatter(lambda value, position: f"$10^{{{value:g}}}$")

    return plot


def plot_sorted_filters(measure: str, label: str) -> Plot:
    """CAM of the first binary layer's filters after the first epoch, from the smallest to the largest."""

    def plot(axes: Axes, runs: Runs) -> None:
        medians = []
        for run, colour in with_colours(runs):
            cams = first_map_after_first_epoch(run, measure)
            if cams is not None:
                values = np.sort(cams)
                medians.append(np.median(values))
                axes.plot(np.linspace(0, 100, len(values)), values, color=colour)
                axes.axhline(values[0], **{**DOTTED, "color": colour})
        if medians and max(medians) > 20 * min(medians) > 0:
            axes.set_yscale("log", nonpositive="mask")
        axes.set_ylabel(label)

    return plot


_MAPS = {
    "gradient_cam": "gradient",
    "first_moment_cam": "first moment",
    "second_moment_cam": "second moment",
    "update_cam": "update value",
}


def plot_maps(axes: Axes, runs: Runs) -> None:
    """Filters of the first binary layer from left to right, snapshots from top to bottom."""
    found = {title: maps for measure, title in _MAPS.items() if (maps := runs[0].arrays(measure))}
    if not found:
        return
    figure = figure_of(axes)
    figure.clear()
    figure.set_figheight(0.5 + 1.5 * len(found))
    for part, (title, snapshots) in zip(figure.subplots(len(found), 1, squeeze=False).flat, found.items(), strict=True):
        layer = next(iter(next(iter(snapshots.values()))))
        steps = sorted(step for step in snapshots if layer in snapshots[step])
        rows = np.array([snapshots[step][layer] for step in steps], float)
        plot_heatmap(part, np.log10(np.where(rows > 0, rows, np.nan)), label="log₁₀ CAM")
        part.set_title(f"{title}, {layer}", loc="left")
        shown = sorted({0, len(steps) - 1})
        part.set_yticks(shown, [f"step {steps[i]}" for i in shown])
    part.set_xlabel("filter")


def plot_filter_errors(axes: Axes, runs: Runs) -> None:
    """Per layer the range of its filters' errors in the last snapshot, with their quartiles."""
    for i, (run, colour) in enumerate(with_colours(runs)):
        snapshots = run.arrays("quantization_errors")
        if not snapshots:
            continue
        layers = snapshots[max(snapshots)]
        positions = np.arange(len(layers)) + (i - (len(runs) - 1) / 2) * 0.8 / len(runs)
        low, first, middle, third, high = np.transpose(
            [np.quantile(errors, (0, 0.25, 0.5, 0.75, 1)) for errors in layers.values()]
        )
        if not axes.has_data():
            every = max(1, len(layers) // 12)
            names = _shorten(list(layers), 12)
            axes.set_xticks(range(0, len(layers), every), names[::every], rotation=40, ha="right")
            axes.axhline(1 - 2 / np.pi, **DOTTED)
        axes.vlines(positions, low, high, color=colour, linewidth=1)
        axes.vlines(positions, first, third, color=colour, linewidth=4)
        axes.plot(positions, middle, "o", color=CARD, markersize=2.5)


def _shorten(names: Sequence[str], longest: int) -> list[str]:
    """Layers' names as labels: without the modules that all of them are in, and cut to ``longest`` characters."""
    parts = [name.split(".") for name in names]
    common = 0
    while len(names) > 1 and all(len(p) > common + 1 and p[common] == parts[0][common] for p in parts):
        common += 1
    names = [".".join(p[common:]) for p in parts]
    return [name if len(name) <= longest else "…" + name[-longest + 1 :] for name in names]


def _landscapes(runs: Runs) -> list[tuple[Landscape, str]]:
    return [(found, colour) for run, colour in with_colours(runs) if (found := read_landscape(run.folder)) is not None]


def plot_surface(axes: Axes, runs: Runs) -> None:
    for surface, _ in _landscapes(runs):
        if len(surface.beta) < 2:
            continue
        figure_of(axes).set_figheight(3.9)
        loss = np.log10(np.maximum(surface.loss, 1e-6))
        ends = (surface.alpha[0], surface.alpha[-1], surface.beta[-1], surface.beta[0])
        plot_heatmap(axes, loss, extent=ends, label="log₁₀ loss")
        axes.contour(surface.alpha, surface.beta, loss, levels=12, colors="white", linewidths=0.6, alpha=0.7)
        axes.invert_yaxis()
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(5))
        axes.set_ylabel("direction 2")


def plot_cut(axes: Axes, runs: Runs) -> None:
    for surface, colour in _landscapes(runs):
        axes.plot(surface.alpha, surface.loss[np.abs(surface.beta).argmin()], color=colour)
    axes.set_ylabel("loss")


def plot_two_nodes(axes: Axes, runs: Runs) -> None:
    toy = two_nodes()
    figure_of(axes).set_figheight(4.0)
    ends = (toy.x[0], toy.x[-1], toy.y[-1], toy.y[0])
    plot_heatmap(axes, toy.surface, extent=ends, label="clip(x) + clip(y)", colours="cividis")
    axes.invert_yaxis()
    for name, colour in (("SGD", "#ff9f43"), ("Adam", "#ffffff")):
        path = toy.paths[name]
        axes.plot(path[:, 0], path[:, 1], color=colour, linewidth=2)
        axes.plot(*path[-1], "o", color=colour)
        axes.annotate(name, path[-1], xytext=(0, -14), textcoords="offset points", color=colour, fontweight="bold")
    axes.plot(*toy.paths["SGD"][0], "s", color="#ffffff")
    axes.set_ylabel("y")


def plot_counterexample(axes: Axes, runs: Runs) -> None:
    toy = counterexample()
    for i, (name, path) in enumerate(toy.weights.items()):
        x = np.unique(np.geomspace(1, len(path), 200).astype(int)) - 1
        axes.plot(x + 1, path[x], color=run_colour(i), label=f"{name}, regret {toy.regret[name]:.3f}")
    axes.set_xscale("log")
    axes.set_ylabel("latent weight; best is -1")
    axes.legend(loc="center right")


def figure_of(axes: Axes) -> Figure:
    return cast(Figure, axes.figure)


def plot_heatmap(
    axes: Axes,
    values: Floats,
    *,
    extent: tuple[float, float, float, float] | None = None,
    low: float | None = None,
    label: str = "",
    colours: str = "viridis",
) -> None:
    """``values`` [rows, columns], the first row on top, with a colour bar; NaN shows the page."""
    axes.grid(False)
    shown: Any = np.ma.masked_invalid(values)
    image = axes.imshow(shown, aspect="auto", interpolation="nearest", vmin=low, cmap=colours, extent=extent)
    bar = figure_of(axes).colorbar(image, ax=axes, pad=0.02, aspect=14)
    bar.outline.set_visible(False)
    bar.set_label(label, color=QUIET)
