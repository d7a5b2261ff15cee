"""The figures of a run that papers have published for theirs."""

from collections.abc import Callable
from dataclasses import dataclass
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
class PublishedFigure:
    """A row of the table.

    Args:
        measured: the run's figure, given all runs as well; None if it was not measured.
        values: (condition, figure) as printed.
    """

    name: str
    measured: Callable[[StudyData, list[StudyData]], float | None]
    text: Callable[[float], str]
    values: tuple[tuple[str, str], ...]
    source: str
    note: str = ""


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
    PublishedFigure(
        "Test accuracy", final_accuracy, format_percent, (), "", "at the last evaluation on the test split"
    ),
    PublishedFigure(
        "Saturated activations, after the first epoch",
        _in_first_layer("saturation", after_first_epoch=True),
        format_percent,
        (("SGD", "42.54 %"), ("Adam", "35.45 %")),
        f"{_ADAMBNN}, figure 3",
        "share of |a| > 1 in front of the first sign",
    ),
    PublishedFigure(
        "Saturated activations, at the end",
        _in_first_layer("saturation", after_first_epoch=False),
        format_percent,
        (("SGD", "38.61 %"), ("Adam", "23.81 %")),
        f"{_ADAMBNN}, figure 3",
        "share of |a| > 1 in front of the first sign",
    ),
    PublishedFigure(
        "SDAM of latent weights, after the first epoch",
        _in_first_layer("latent_sdam", after_first_epoch=True),
        format_plain,
        (("SGD", "6.227e-3"), ("Adam", "5.558e-3")),
        f"{_ADAMBNN}, figure 4",
        "first binary layer; grows with the scale of the weights",
    ),
    PublishedFigure(
        "Least CAM of latent weights, after the first epoch",
        _smallest_cam,
        format_plain,
        (("Adam", "0.0306"),),
        f"{_ADAMBNN}, figure 4",
        "first binary layer",
    ),
    PublishedFigure(
        "Filters that move less than the rival's least",
        _share_below_best,
        format_percent,
        (("SGD against Adam", "34.3 %"),),
        f"{_ADAMBNN}, figure 5",
        "CAM of the update value, first binary layer, after the first epoch",
    ),
    PublishedFigure(
        "Flip-flop ratio, mean over all steps",
        _mean_ff,
        format_plain,
        (
            ("one step, decay 1e-5", "2.33e-3"),
            ("one step, 5e-6", "1.62e-3"),
            ("one step, 0", "2.86e-4"),
            ("one step, -1e-4", "1.07e-7"),
            ("two steps, 1e-5 then 0", "4.89e-4"),
            ("two steps, 5e-6 then 0", "4.50e-4"),
        ),
        f"{_ADAMBNN}, table 1",
        "counted in the last stage",
    ),
    PublishedFigure(
        "C2I, at the end",
        _final_c2i,
        format_plain,
        (
            ("one step, decay 1e-5", "0.481"),
            ("one step, 5e-6", "0.496"),
            ("one step, 0", "0.524"),
            ("one step, -1e-4", "0.974"),
            ("two steps, 1e-5 then 0", "0.632"),
            ("two steps, 5e-6 then 0", "0.664"),
        ),
        f"{_ADAMBNN}, table 1",
        "counted from the start of the last stage",
    ),
    PublishedFigure(
        "Flip rate of the last layer, last twentieth",
        _final_pi,
        lambda value: f"{value:.2f}",
        (("nothing flips", "-9"),),
        f"{_BOP}, eq. 7",
        "ln(share of flips + e^-9)",
    ),
)
