"""The charts of the report, in one list: what each shows, and how it is plotted."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.axes import Axes

from bittern.study.instruments.flips import PERIOD, flip_rate
from bittern.study.report import plots, svg
from bittern.study.report.plots import Plot, Runs


@dataclass(frozen=True)
class Chart:
    """One row of the list.

    Args:
        x: label of the x axis; over "step" and "epoch" dotted lines show where stages begin.
        percent: y is a share, from 0 on.
        zoomed: but not from 0.
        log: y is logarithmic.
        each: one figure for every run, instead of one for all.
        optional: not reported as missing where there is nothing to draw.
    """

    name: str
    section: str
    title: str
    caption: str
    plot: Plot
    x: str = ""
    percent: bool = False
    zoomed: bool = False
    log: bool = False
    each: bool = False
    optional: bool = False

    def draw(self, runs: Runs, label: str) -> Markup | None:
        """The figure as SVG; None if the runs have nothing for it. Call it inside ``svg.page_style``."""
        figure, axes = svg.new_figure()
        self.plot(axes, runs)
        if not any(part.has_data() for part in figure.axes):
            return None
        if self.log:
            axes.set_yscale("log", nonpositive="mask")
        if self.percent:
            axes.yaxis.set_major_formatter(lambda value, position: f"{100 * value:g} %")
            if not self.zoomed and not self.log:
                axes.set_ylim(0, max(axes.get_ylim()[1], 0.01))
        axes.set_xlabel(self.x)
        _mark_stages(axes, runs, self.x)
        return svg.to_svg(figure, label)


def _mark_stages(axes: Axes, runs: Runs, x: str) -> None:
    """Those of the first run, but not on heat maps."""
    starts: list[float] = []
    if x == "step" and runs and not axes.images:
        starts = [stage["step"] for stage in runs[0].stages if stage["step"] > 0]
    if x == "epoch":
        names = [row.get("stage") for row in runs[0].log]
        starts = [n + 0.5 for n in range(1, len(names)) if names[n - 1] != names[n]]
    for start in starts:
        axes.axvline(start, **svg.DOTTED)


@dataclass(frozen=True)
class DrawnChart:
    """A chart on the page. ``run``: its number where it is of one run only."""

    chart: Chart
    svg: Markup
    run: int | None


def draw_all(runs: Runs, charts: Sequence[Chart]) -> tuple[list[DrawnChart], list[str]]:
    """Every one of ``charts`` that the runs have something for, and the titles of the others."""
    drawn: list[DrawnChart] = []
    missing: list[str] = []
    with svg.page_style():
        for chart in charts:
            numbers: Sequence[int | None] = range(len(runs)) if chart.each else [None]
            found = []
            for number in numbers:
                group = runs if number is None else [runs[number]]
                label = chart.title if number is None or len(runs) == 1 else f"{chart.title}, {runs[number].name}"
                if (figure := chart.draw(group, label)) is not None:
                    found.append(DrawnChart(chart, figure, number))
            if not found and not chart.optional:
                missing.append(chart.title)
            drawn += found
    return drawn, missing


SECTIONS = {
    "training": ("How it learned", "Loss and accuracy of every epoch. Dotted: where a stage begins."),
    "flips": ("Which signs flip", "The weights of a binary network change only where a sign does."),
    "activations": (
        "What enters the signs",
        "Beyond 1, ste and approx_sign pass no gradient; a sign that never changes carries no information.",
    ),
    "latent": ("Latent weights", "The farther a weight is from zero, the surer it is of its sign."),
    "maps": (
        "Gradients, moments and update values",
        "Channel-wise absolute means (CAM): fair training moves all filters, not only those with large gradients.",
    ),
    "error": ("Quantization error and gradient mismatch", "What signs lose of the weights, and of the gradients."),
    "landscape": (
        "Loss landscape",
        "Loss around the trained weights, in random directions whose filters are as long as the network's "
        "(Li et al. 2018, arXiv:1712.09913).",
    ),
    "toys": ("Two toy problems", "The same optimizers on problems small enough to understand."),
}
"""Section -> heading and the text below it, in the order of the page."""

_RANGE = "Shaded: range over the layers."
_LAST_AND_FIRST = "Of all layers. Bold: at the end; thin: at the start."

CHARTS = (
    Chart(
        "loss", "training", "Loss", "Bold: test split; thin: training.", plots.plot_log("test_loss", "loss"), "epoch",
    ),
    Chart(
        "accuracy", "training", "Accuracy", "Bold: test split; thin: training.",
        plots.plot_log("test_accuracy", "accuracy"), "epoch", percent=True, zoomed=True,
    ),
    Chart(
        "ff", "flips", "Flip-flop ratio", "Share of all signs that a step changes, averaged over stretches.",
        plots.plot_steps(1), "step", log=True,
    ),
    Chart(
        "pi", "flips", "Flip rate of the last layer", "ln(share + e⁻⁹); -9 where nothing flips.",
        plots.plot_steps(2, flip_rate), "step",
    ),
    Chart(
        "c2i", "flips", "Correlation to initialization",
        f"Share of signs that are still those of the stage's start; 0.5 is unrelated. {_RANGE} Dashed: since the run's "
        "start.",
        plots.plot_series("c2i_stage", dashed="c2i"), "step",
    ),
    Chart(
        "c2i_references", "flips", "Correlation to references",
        "Share of signs that equal those of the reference weights given to the watch.",
        plots.plot_references, "step", optional=True,
    ),
    Chart(
        "oscillating", "flips", "Oscillating signs", f"Share that flips twice or more in {PERIOD} steps. {_RANGE}",
        plots.plot_series("oscillating"), "step", percent=True, optional=True,
    ),
    Chart(
        "silent", "flips", "Silent signs", f"Share that has not flipped since the stage began. {_RANGE}",
        plots.plot_series("silent"), "step", percent=True,
    ),
    Chart(
        "saturation", "activations", "Saturated activations", f"Share with |a| > 1. {_RANGE}",
        plots.plot_series("saturation"), "step", percent=True,
    ),
    Chart(
        "saturation_layers", "activations", "Saturated activations by layer", "Share with |a| > 1.",
        plots.plot_layers("saturation", "%"), "step", each=True,
    ),
    Chart(
        "activation_histogram", "activations", "What enters the first sign",
        "Bold: at the end; thin: at the start. The outermost bars hold everything beyond.",
        plots.plot_histograms("activation_histogram", first_layer=True), percent=True,
    ),
    Chart(
        "dead_channels", "activations", "Dead channels",
        "Share whose sign is the same for all images and positions of a window. Dashed: share of those dead in the "
        "window before that came back.",
        plots.plot_series("dead_channels", dashed="revived_channels"), "step", percent=True,
    ),
    Chart(
        "dead_weights", "activations", "Dead weights",
        "Share that no gradient reached in a window. Dashed: share of those dead in the window before that came back.",
        plots.plot_series("dead_weights", dashed="revived_weights"), "step", percent=True,
    ),
    Chart(
        "latent_histogram", "latent", "Latent weights", _LAST_AND_FIRST,
        plots.plot_histograms("latent_weights"), percent=True, log=True, optional=True,
    ),
    Chart(
        "confidence", "latent", "Confidence", f"Mean |w|. {_RANGE}",
        plots.plot_series("confidence"), "step", optional=True,
    ),
    Chart(
        "inertia", "latent", "Inertia", "Mean |w| over the mean step: how many steps a sign resists.",
        plots.plot_series("inertia"), "step", log=True, optional=True,
    ),
    Chart(
        "near_zero", "latent", "Near zero", "Share with |w| below a tenth of the layer's mean. Dashed: share beyond 1.",
        plots.plot_series("near_zero", dashed="beyond_one"), "step", percent=True, optional=True,
    ),
    Chart(
        "latent_cam", "latent", "Fairness of the filters",
        "CAM of the latent weights after the first epoch, sorted. Dotted: the smallest.",
        plots.plot_sorted_filters("latent_cam", "mean |w| of a filter"), "filters of the first binary layer, %",
        optional=True,
    ),
    Chart(
        "update_cam", "maps", "Update value of each filter",
        "CAM of what a step changes, after the first epoch, sorted. Dotted: the smallest.",
        plots.plot_sorted_filters("update_cam", "mean |change| of a filter"), "filters of the first binary layer, %",
    ),
    *(
        Chart(
            f"{kind}_histogram", "maps", title, _LAST_AND_FIRST, plots.plot_histograms(f"{kind}_histogram"),
            percent=True, optional="moment" in kind,
        )
        for kind, title in (
            ("gradient", "Gradients"),
            ("first_moment", "First moment"),
            ("second_moment", "Second moment"),
            ("update", "Update values"),
        )
    ),
    Chart(
        "cam_maps", "maps", "Maps of the first binary layer", "One column per filter, one row per snapshot.",
        plots.plot_maps, each=True,
    ),
    Chart(
        "quantization_error", "error", "Quantization error", f"1 - ‖w‖₁² / (n ‖w‖₂²), mean over the filters. {_RANGE}",
        plots.plot_series("quantization_error"), "step", percent=True, zoomed=True, optional=True,
    ),
    Chart(
        "quantization_errors", "error", "Quantization error of the filters",
        "Range and quartiles in each layer, at the end. Dotted: of normal weights.",
        plots.plot_filter_errors, percent=True, zoomed=True, optional=True,
    ),
    Chart(
        "agreement", "error", "Agreement of gradients",
        "Slope of the smoothed network along a layer's gradient, as a share of what the gradient predicts: 1 is right, "
        "0 says nothing.",
        plots.plot_series("agreement"), "step", optional=True,
    ),
    Chart(
        "surface", "landscape", "Surface", "Brighter is higher.",
        plots.plot_surface, "direction 1, in filter lengths", each=True, optional=True,
    ),
    Chart(
        "line", "landscape", "Cross-section", "Through the trained weights, along the first direction.",
        plots.plot_cut, "along direction 1, in filter lengths", optional=True,
    ),
)  # fmt: skip

TOYS = (
    Chart(
        "two_nodes", "toys", "Two binary nodes",
        "sign(x) + sign(y) as the estimator sees it, starting at the square. y gets a gradient only in some batches; "
        "Adam makes the rare ones count. After AdamBNN (arXiv:2106.11309), figure 6.",
        plots.plot_two_nodes, "x",
    ),
    Chart(
        "counterexample", "toys", "Where Adam fails",
        "Losses 3b, -b, -b in turn on b = sign(w): -1 is best. After Reddi et al. 2018, theorem 1.",
        plots.plot_counterexample, "step",
    ),
)  # fmt: skip
