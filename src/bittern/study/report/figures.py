"""The figures of the report, in one list: what each shows, and which measures it needs."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bittern.study.instruments.flips import PERIOD, flip_rate
from bittern.study.report import charts, drawing
from bittern.study.report.drawing import Draw, Runs


@dataclass(frozen=True)
class Chart:
    """One row of the list.

    Args:
        each: one figure for every run, instead of one for all.
        optional: not named as missing where it is not there.
    """

    name: str
    section: str
    title: str
    caption: str
    draw: Draw
    each: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Drawn:
    """A figure of the page. ``run``: its number where it is of one run only."""

    name: str
    section: str
    title: str
    caption: str
    svg: Markup
    run: int | None


def draw_all(runs: Runs, wanted: Sequence[Chart] | None = None) -> tuple[list[Drawn], list[str]]:
    """Every figure that the runs have something for, and the titles of the others."""
    drawn: list[Drawn] = []
    missing: list[str] = []
    with charts.styled():
        for chart in CHARTS if wanted is None else wanted:
            groups: list[tuple[int | None, Runs]] = (
                [(i, [run]) for i, run in enumerate(runs)] if chart.each else [(None, runs)]
            )
            before = len(drawn)
            for number, group in groups:
                canvas, axes = charts.figure()
                if chart.draw(canvas, axes, group):
                    label = chart.title if number is None or len(runs) == 1 else f"{chart.title}, {runs[number].name}"
                    svg = charts.svg(canvas, label)
                    drawn.append(Drawn(chart.name, chart.section, chart.title, chart.caption, svg, number))
            if len(drawn) == before and not chart.optional:
                missing.append(chart.title)
    return drawn, missing


SECTIONS = {
    "training": ("How it learned", "Loss and accuracy of every epoch. Dotted: where a stage begins."),
    "flips": ("Which signs flip", "Weights of a binary network change only where a sign does."),
    "activations": (
        "What enters the signs",
        "Beyond 1 ste and approx_sign pass no gradient, and a sign that never changes says nothing.",
    ),
    "latent": ("Latent weights", "How far a weight is from zero is how sure it is of its sign."),
    "maps": (
        "Gradients, moments and update values",
        "Channel-wise absolute means (CAM): fair training moves all filters, not only those with large gradients.",
    ),
    "error": ("Quantization error and gradient mismatch", "What signs leave of the weights, and of the gradients."),
    "landscape": (
        "Loss landscape",
        "Loss around the trained weights, in random directions whose filters are as long as the network's "
        "(Li et al. 2018, arXiv:1712.09913).",
    ),
    "toys": ("Two toy problems", "The same optimizers on problems that can be seen through."),
}
"""Section -> heading and what stands below it, in the order of the page."""

CHARTS = (
    Chart("loss", "training", "Loss", "Bold: test split; thin: training.", drawing.log_curves("test_loss", "loss")),
    Chart("accuracy", "training", "Accuracy", "Bold: test split; thin: training.", drawing.accuracy),
    Chart(
        "ff", "flips", "Flip-flop ratio", "Share of all signs that a step changes, mean over stretches.",
        drawing.per_step(1, lambda y: y, log=True),
    ),
    Chart(
        "pi", "flips", "Flip rate of the last layer", "ln(share + e⁻⁹); -9 where nothing flips.",
        drawing.per_step(2, flip_rate, log=False),
    ),
    Chart(
        "c2i", "flips", "Correlation to initialization",
        "Share of signs that are still those of the stage's start; 0.5 is unrelated. Shaded: range over the layers. "
        "Dashed: counted from the run's start.",
        drawing.over_time("c2i_stage", percent=False, thin="c2i"),
    ),
    Chart(
        "c2i_references", "flips", "Correlation to references",
        "Share of signs that are those of the weights that the watch was given.", drawing.references, optional=True,
    ),
    Chart(
        "oscillating", "flips", "Signs that go back and forth",
        f"Share that flips twice or more in {PERIOD} steps. Shaded: range over the layers.",
        drawing.over_time("oscillating"), optional=True,
    ),
    Chart(
        "silent", "flips", "Silent signs", "Share that has not flipped since the stage began. Shaded: range over the "
        "layers.",
        drawing.over_time("silent"),
    ),
    Chart(
        "saturation", "activations", "Saturated activations", "Share with |a| > 1. Shaded: range over the layers.",
        drawing.over_time("saturation"),
    ),
    Chart(
        "saturation_layers", "activations", "Saturated activations by layer", "Share with |a| > 1.",
        drawing.by_layer("saturation", "%"), each=True,
    ),
    Chart(
        "activation_histogram", "activations", "What enters the first sign",
        "Bold: at the end; thin: at the start. The outermost bars hold all beyond.",
        drawing.last_and_first("activation_histogram", first_layer=True),
    ),
    Chart(
        "dead_channels", "activations", "Dead channels", "Share whose sign is the same for all images and places of a "
        "window. Dashed: of those dead in the window before, the share that came back.",
        drawing.over_time("dead_channels", thin="revived_channels"),
    ),
    Chart(
        "dead_weights", "activations", "Dead weights",
        "Share that no gradient reached in a window. Dashed: share of the window before that came back.",
        drawing.over_time("dead_weights", thin="revived_weights"),
    ),
    Chart(
        "latent_histogram", "latent", "Latent weights", "Of all layers. Bold: at the end; thin: at the start.",
        drawing.last_and_first("latent_weights", log=True), optional=True,
    ),
    Chart(
        "confidence", "latent", "Confidence", "Mean |w|. Shaded: range over the layers.",
        drawing.over_time("confidence", percent=False), optional=True,
    ),
    Chart(
        "inertia", "latent", "Inertia", "Mean |w| over the mean step: how many steps a sign resists.",
        drawing.over_time("inertia", percent=False, log=True), optional=True,
    ),
    Chart(
        "near_zero", "latent", "Near zero", "Share with |w| below a tenth of the layer's mean. Dashed: share beyond 1.",
        drawing.over_time("near_zero", thin="beyond_one"), optional=True,
    ),
    Chart(
        "latent_cam", "latent", "Fairness of the filters", "CAM of the latent weights after the first epoch, sorted. "
        "Dotted: the least.",
        drawing.sorted_filters("latent_cam", "mean |w| of a filter"), optional=True,
    ),
    Chart(
        "update_cam", "maps", "Update value of each filter",
        "CAM of what a step changes, after the first epoch, sorted. Dotted: the least.",
        drawing.sorted_filters("update_cam", "mean |change| of a filter"),
    ),
    Chart(
        "gradient_histogram", "maps", "Gradients", "Of all layers. Bold: at the end; thin: at the start.",
        drawing.last_and_first("gradient_histogram", exponent=True),
    ),
    Chart(
        "first_moment_histogram", "maps", "First moment", "Of all layers. Bold: at the end; thin: at the start.",
        drawing.last_and_first("first_moment_histogram", exponent=True), optional=True,
    ),
    Chart(
        "second_moment_histogram", "maps", "Second moment", "Of all layers. Bold: at the end; thin: at the start.",
        drawing.last_and_first("second_moment_histogram", exponent=True), optional=True,
    ),
    Chart(
        "update_histogram", "maps", "Update values", "Of all layers. Bold: at the end; thin: at the start.",
        drawing.last_and_first("update_histogram", exponent=True),
    ),
    Chart(
        "cam_maps", "maps", "Maps of the first binary layer", "One column a filter, one row a snapshot.", drawing.maps,
        each=True,
    ),
    Chart(
        "quantization_error", "error", "Quantization error",
        "1 - ‖w‖₁² / (n ‖w‖₂²), mean over the filters. Shaded: range over the layers.",
        drawing.over_time("quantization_error", zero=False), optional=True,
    ),
    Chart(
        "quantization_errors", "error", "Quantization error of the filters",
        "Range and quartiles in each layer, at the end. Dotted: of normal weights.",
        drawing.filter_errors, optional=True,
    ),
    Chart(
        "agreement", "error", "Agreement of gradients", "Slope of the smoothed network along a layer's gradient, as a "
        "share of what the gradient promises: 1 is right, 0 says nothing.",
        drawing.over_time("agreement", percent=False), optional=True,
    ),
    Chart("surface", "landscape", "Surface", "Brighter is higher.", drawing.surface, each=True, optional=True),
    Chart(
        "line", "landscape", "Cut", "Through the trained weights, along the first direction.", drawing.cut,
        optional=True,
    ),
)  # fmt: skip

TOYS = (
    Chart(
        "two_nodes", "toys", "Two binary nodes",
        "sign(x) + sign(y) as the estimator sees it, from the square. y gets a gradient only in some batches; Adam "
        "makes the rare ones count. After AdamBNN (arXiv:2106.11309), figure 6.",
        drawing.two_nodes_path,
    ),
    Chart(
        "counterexample", "toys", "Where Adam goes wrong",
        "Losses 3b, -b, -b in turn on b = sign(w): -1 is best. After Reddi et al. 2018, theorem 1.",
        drawing.counterexample_paths,
    ),
)  # fmt: skip
