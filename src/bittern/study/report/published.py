"""The figures of a run that papers have published for theirs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bittern.study.instruments.flips import flip_rate
from bittern.study.read import StudyData

_ADAMBNN = "Liu et al. 2021, AdamBNN, arXiv:2106.11309"
_BOP = "Helwegen et al. 2019, Bop, arXiv:1906.02107"

Map = npt.NDArray[Any]
"""One value per filter: [O]."""


@dataclass(frozen=True)
class RunFigure:
    """A row of the table.

    Args:
        note: what exactly is measured.
        measured: the run's figure, given all runs as well; None if it was not measured.
        text: formats it.
        source: where ``published`` is from.
        published: condition -> figure, as printed.
    """

    name: str
    note: str
    measured: Callable[[StudyData, list[StudyData]], float | None]
    text: Callable[[float], str]
    source: str = ""
    published: Mapping[str, str] = field(default_factory=dict)


def maps_after_first_epoch(run: StudyData, measure: str) -> dict[str, Map]:
    """Every binary layer's map in the snapshot nearest to the end of the first epoch, else in the last one."""
    maps = run.arrays(measure)
    if not maps:
        return {}
    step = run.after_first_epoch()
    return maps[max(maps) if step is None else min(maps, key=lambda at: abs(at - step))]


def first_map_after_first_epoch(run: StudyData, measure: str) -> Map | None:
    """That of the first binary layer."""
    return next(iter(maps_after_first_epoch(run, measure).values()), None)


def share_below_rival(run: StudyData, rival: StudyData) -> float | None:
    """Share of the first binary layer's filters whose update value lies below the smallest of ``rival``'s."""
    own, other = (first_map_after_first_epoch(one, "update_cam") for one in (run, rival))
    return None if own is None or other is None else float((own < other.min()).mean())


def _share_below_best(run: StudyData, runs: list[StudyData]) -> float | None:
    """Against the other run whose slowest filter moves most. Flips of +-1 are no small steps: latent or not, alike."""
    rivals = [
        (float(cams.min()), i)
        for i, other in enumerate(runs)
        if other is not run and other.latent_free == run.latent_free
        if (cams := first_map_after_first_epoch(other, "update_cam")) is not None
    ]
    return share_below_rival(run, runs[max(rivals, key=lambda rival: rival[0])[1]]) if rivals else None


def _in_first_layer(measure: str, *, after_first_epoch: bool) -> Callable[[StudyData, list[StudyData]], float | None]:
    """The measure at the sample nearest to the end of the first epoch, else at the last one."""

    def measured(run: StudyData, runs: list[StudyData]) -> float | None:
        series, step = run.series(measure), run.after_first_epoch()
        if not len(series.steps) or (after_first_epoch and step is None):
            return None
        row = int(np.abs(series.steps - step).argmin()) if after_first_epoch and step is not None else -1
        value = series.values[row, 0]
        return float(value) if np.isfinite(value) else None

    return measured


def _smallest_cam(run: StudyData, runs: list[StudyData]) -> float | None:
    cams = first_map_after_first_epoch(run, "latent_cam")
    return None if cams is None or run.after_first_epoch() is None else float(cams.min())


def _mean_ff(run: StudyData, runs: list[StudyData]) -> float | None:
    last = run.ff[run.ff[:, 0] > run.stages[-1]["step"], 1] if run.stages else run.ff[:, 1]
    return float(last.mean()) if len(last) else None


def _final_c2i(run: StudyData, runs: list[StudyData]) -> float | None:
    _, means = run.mean("c2i_stage")
    return float(means[-1]) if len(means) else None


def _final_pi(run: StudyData, runs: list[StudyData]) -> float | None:
    if not len(run.ff):
        return None
    return float(flip_rate(run.ff[-max(1, len(run.ff) // 20) :, 2]).mean())


def final_accuracy(run: StudyData, runs: list[StudyData]) -> float | None:
    known = [row["test_accuracy"] for row in run.log if isinstance(row.get("test_accuracy"), float)]
    return known[-1] if known else None


def format_percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def format_plain(value: float) -> str:
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e4 or not value else f"{value:.2e}"


PUBLISHED = (
    RunFigure("Test accuracy", "at the last evaluation on the test split", final_accuracy, format_percent),
    RunFigure(
        "Saturated activations, after the first epoch", "share of |a| > 1 in front of the first sign",
        _in_first_layer("saturation", after_first_epoch=True), format_percent,
        f"{_ADAMBNN}, figure 3", {"SGD": "42.54 %", "Adam": "35.45 %"},
    ),
    RunFigure(
        "Saturated activations, at the end", "share of |a| > 1 in front of the first sign",
        _in_first_layer("saturation", after_first_epoch=False), format_percent,
        f"{_ADAMBNN}, figure 3", {"SGD": "38.61 %", "Adam": "23.81 %"},
    ),
    RunFigure(
        "SDAM of latent weights, after the first epoch", "first binary layer; grows with the scale of the weights",
        _in_first_layer("latent_sdam", after_first_epoch=True), format_plain,
        f"{_ADAMBNN}, figure 4", {"SGD": "6.227e-3", "Adam": "5.558e-3"},
    ),
    RunFigure(
        "Least CAM of latent weights, after the first epoch", "first binary layer",
        _smallest_cam, format_plain,
        f"{_ADAMBNN}, figure 4", {"Adam": "0.0306"},
    ),
    RunFigure(
        "Filters that move less than the rival's least",
        "CAM of the update value, first binary layer, after the first epoch",
        _share_below_best, format_percent,
        f"{_ADAMBNN}, figure 5", {"SGD against Adam": "34.3 %"},
    ),
    RunFigure(
        "Flip-flop ratio, mean over all steps", "counted in the last stage",
        _mean_ff, format_plain,
        f"{_ADAMBNN}, table 1", {
            "one step, decay 1e-5": "2.33e-3",
            "one step, 5e-6": "1.62e-3",
            "one step, 0": "2.86e-4",
            "one step, -1e-4": "1.07e-7",
            "two steps, 1e-5 then 0": "4.89e-4",
            "two steps, 5e-6 then 0": "4.50e-4",
        },
    ),
    RunFigure(
        "C2I, at the end", "counted from the start of the last stage",
        _final_c2i, format_plain,
        f"{_ADAMBNN}, table 1", {
            "one step, decay 1e-5": "0.481",
            "one step, 5e-6": "0.496",
            "one step, 0": "0.524",
            "one step, -1e-4": "0.974",
            "two steps, 1e-5 then 0": "0.632",
            "two steps, 5e-6 then 0": "0.664",
        },
    ),
    RunFigure(
        "Flip rate of the last layer, last twentieth", "ln(share of flips + e^-9)",
        _final_pi, lambda value: f"{value:.2f}",
        f"{_BOP}, eq. 7", {"nothing flips": "-9"},
    ),
)  # fmt: skip
