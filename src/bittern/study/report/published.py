"""The figures of a run that papers have published for theirs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bittern.study.instruments.flips import flip_rate
from bittern.study.read import StudyData

_ADAMBNN = "Liu et al. 2021, AdamBNN, arXiv:2106.11309"
_BOP = "Helwegen et al. 2019, Bop, arXiv:1906.02107"


@dataclass(frozen=True)
class Published:
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


def _near(run: StudyData, measure: str, step: int | None, first: bool = True) -> float | None:
    """The measure in its first layer (or last) at the sample nearest to ``step``; None: at the last sample."""
    series = run.series(measure)
    if not len(series.steps):
        return None
    row = -1 if step is None else int(np.abs(series.steps - step).argmin())
    value = series.values[row, 0 if first else -1]
    return float(value) if np.isfinite(value) else None


def _after_epoch(measure: str) -> Callable[[StudyData, list[StudyData]], float | None]:
    def measured(run: StudyData, runs: list[StudyData]) -> float | None:
        step = run.after_first_epoch()
        return None if step is None else _near(run, measure, step)

    return measured


def maps_after_first_epoch(run: StudyData, measure: str) -> dict[str, np.ndarray]:
    """Every binary layer's map in the snapshot nearest to the end of the first epoch, else in the last one."""
    maps = run.arrays(measure)
    if not maps:
        return {}
    step = run.after_first_epoch()
    return maps[max(maps) if step is None else min(maps, key=lambda at: abs(at - step))]


def cams_after_first_epoch(run: StudyData, measure: str) -> tuple[str, np.ndarray] | None:
    """Name and map of the first binary layer, as ``maps_after_first_epoch``."""
    return next(iter(maps_after_first_epoch(run, measure).items()), None)


def share_below_rival(run: StudyData, rival: StudyData, measure: str = "update_cam") -> float | None:
    """Share of the first binary layer's filters whose CAM lies below the least CAM of ``rival``'s."""
    own, other = cams_after_first_epoch(run, measure), cams_after_first_epoch(rival, measure)
    return None if own is None or other is None else float((own[1] < other[1].min()).mean())


def _below_best(run: StudyData, runs: list[StudyData]) -> float | None:
    """Against the other run whose least filter moves most."""
    rivals = [(cams[1].min(), other) for other in _alike(run, runs) if (cams := _updates(other)) is not None]
    return share_below_rival(run, max(rivals, key=lambda rival: rival[0])[1]) if rivals else None


def _alike(run: StudyData, runs: list[StudyData]) -> list[StudyData]:
    """The other runs whose weights are latent, or are not, as in ``run``: flips of +-1 are no small steps."""
    kinds = {id(one): bool(one.stages and one.stages[-1].get("latent_free")) for one in runs}
    return [other for other in runs if other is not run and kinds[id(other)] == kinds[id(run)]]


def _updates(run: StudyData) -> tuple[str, np.ndarray] | None:
    return cams_after_first_epoch(run, "update_cam")


def _least_cam(run: StudyData, runs: list[StudyData]) -> float | None:
    cams = cams_after_first_epoch(run, "latent_cam")
    return None if cams is None or run.after_first_epoch() is None else float(cams[1].min())


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


def _accuracy(run: StudyData, runs: list[StudyData]) -> float | None:
    known = [row["test_accuracy"] for row in run.log if isinstance(row.get("test_accuracy"), float)]
    return known[-1] if known else None


def percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def plain(value: float) -> str:
    return f"{value:.3g}" if 1e-3 <= abs(value) < 1e4 or not value else f"{value:.2e}"


PUBLISHED = (
    Published("Test accuracy", _accuracy, percent, (), "", "of the last look at the test split"),
    Published(
        "Saturated activations, after the first epoch",
        _after_epoch("saturation"),
        percent,
        (("SGD", "42.54 %"), ("Adam", "35.45 %")),
        f"{_ADAMBNN}, figure 3",
        "share of |a| > 1 in front of the first sign",
    ),
    Published(
        "Saturated activations, at the end",
        lambda run, runs: _near(run, "saturation", None),
        percent,
        (("SGD", "38.61 %"), ("Adam", "23.81 %")),
        f"{_ADAMBNN}, figure 3",
        "share of |a| > 1 in front of the first sign",
    ),
    Published(
        "SDAM of latent weights, after the first epoch",
        _after_epoch("latent_sdam"),
        plain,
        (("SGD", "6.227e-3"), ("Adam", "5.558e-3")),
        f"{_ADAMBNN}, figure 4",
        "first binary layer; grows with the scale of the weights",
    ),
    Published(
        "Least CAM of latent weights, after the first epoch",
        _least_cam,
        plain,
        (("Adam", "0.0306"),),
        f"{_ADAMBNN}, figure 4",
        "first binary layer",
    ),
    Published(
        "Filters that move less than the rival's least",
        _below_best,
        percent,
        (("SGD against Adam", "34.3 %"),),
        f"{_ADAMBNN}, figure 5",
        "CAM of the update value, first binary layer, after the first epoch",
    ),
    Published(
        "Flip-flop ratio, mean over all steps",
        _mean_ff,
        plain,
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
    Published(
        "C2I, at the end",
        _final_c2i,
        plain,
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
    Published(
        "Flip rate of the last layer, last twentieth",
        _final_pi,
        lambda value: f"{value:.2f}",
        (("nothing flips", "-9"),),
        f"{_BOP}, eq. 7",
        "ln(share of flips + e^-9)",
    ),
)
