"""The comparison of optimizers as a page and as curves."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev, variance

import matplotlib.pyplot as plt

from benchmarks.measure.contenders import BATCH, CONTENDERS, SCALES, TUNED_ON, TUNING_EPOCHS
from benchmarks.rows import EpochRow, TuningRow, read
from benchmarks.tables.figure import STYLE, save
from benchmarks.tables.markdown import caption, section, table

Runs = Mapping[int, Sequence[EpochRow]]
"""Epochs of each seed."""

_MARKS = (0.60, 0.80, 0.85)
_SETTINGS = f"""\
Settings were chosen on {" ".join(TUNED_ON)} by the accuracy on 5,000 of the training images after {TUNING_EPOCHS}
epochs on the others, one run each, six settings for everyone. What that cannot tell: the standard error of an accuracy
is 0.7 points, so neighbours in the list are often equal; a short run favours what learns fast, and excludes averages
longer than itself (Diode's published beta2 is 0.9999, Bop's published gamma 1e-4, for 100 epochs and more); where the
best is the last of the list, a better one may lie beyond. SGD, Adam and AMSGrad train the real-valued parameters too,
at their own rate; with the others, and with "binary weights only", Adam trains them at 0.01, which was not tuned."""


def sections(folder: Path) -> list[str]:
    """Accuracy, then tuning, of each network and scale that there are rows of."""
    tried = read(folder / "optimizers-tuning.csv", TuningRow)
    found = []
    for (scale, network), group in _groups(folder):
        epochs = list(group)
        tries = [row for row in tried if _where(row) == (scale, network)]
        size, runs = SCALES[scale], _runs(epochs)
        text = (
            f"{caption(epochs)} torch {', '.join(sorted({row.torch for row in epochs}))}. CIFAR-10 (JPEG copy), widths "
            f"{', '.join(map(str, size.widths[network]))}, {size.epochs} epochs, batch {BATCH}. Test accuracy after "
            f"the last epoch. {spread(runs)}"
        )
        picture = f"![Accuracy and flips by epoch]({_plot(scale, network)})"
        found.append(section(f"{network}, {scale}", f"{text}\n\n{picture}", markdown(runs)))
        if tries:
            settings = f"{caption(tries)} {_SETTINGS}"
            found.append(section(f"{network}, {scale}: settings", settings, tuning_markdown(tries)))
    return found


def draw(folder: Path) -> None:
    """Writes a plot for each network and scale that there are rows of."""
    for (scale, network), group in _groups(folder):
        _draw_runs(folder / _plot(scale, network), _runs(group))


def _groups(folder: Path) -> Iterable[tuple[tuple[str, str], Iterable[EpochRow]]]:
    """Rows by scale and network."""
    return groupby(sorted(read(folder / "optimizers.csv", EpochRow), key=_where), _where)


def _plot(scale: str, network: str) -> str:
    return f"optimizers-{scale}-{network}.svg"


def _where(row: EpochRow | TuningRow) -> tuple[str, str]:
    return row.scale, row.network


def _runs(rows: Iterable[EpochRow]) -> dict[str, Runs]:
    """Contender -> seed -> epochs, contenders in the order of the registry."""
    found: dict[str, dict[int, list[EpochRow]]] = {name: defaultdict(list) for name in CONTENDERS}
    for row in rows:
        found[row.contender][row.seed].append(row)
    return {
        name: {seed: sorted(epochs, key=lambda row: row.step) for seed, epochs in sorted(seeds.items())}
        for name, seeds in found.items()
        if seeds
    }


def spread(runs: Mapping[str, Runs]) -> str:
    """How far seeds differ, as a sentence: the standard deviation, pooled over the contenders with several seeds, and
    what that means for the difference of two means."""
    several = {name: last for name, last in ((name, _last(seeds)) for name, seeds in runs.items()) if len(last) > 1}
    if not several:
        return "One run each, so the spread over seeds is not known and differences of a point or two mean nothing yet."
    text = "Seeds of one optimizer differ by a standard deviation of " + _pooled(several.values())
    if len(several) > 1:
        widest = max(several, key=lambda name: variance(several[name]))
        rest = [last for name, last in several.items() if name != widest]
        text += f"; without {CONTENDERS[widest].title}, whose differ most, of {_pooled(rest)}"
    return text + ". Two means of three seeds may differ by 1.6 of that by chance (two standard errors)."


def _pooled(several: Collection[Sequence[float]]) -> str:
    freedom = sum(len(last) - 1 for last in several)
    deviation = sqrt(sum(variance(last) * (len(last) - 1) for last in several) / freedom)
    return f"{deviation * 100:.1f} points (pooled, {freedom} degrees of freedom)"


def _last(seeds: Runs) -> list[float]:
    return [epochs[-1].test_accuracy for epochs in seeds.values()]


def markdown(runs: Mapping[str, Runs]) -> str:
    """A line per contender: final accuracy of every seed, epochs to the marks, flips at the start and at the end."""
    header = [
        "optimizer",
        "mean",
        "deviation",
        "each seed",
        *(f"epochs to {mark:.0%}" for mark in _MARKS),
        "flips a step",
        "published",
    ]
    lines = []
    for name, seeds in runs.items():
        last = _last(seeds)
        flips = [[row.flip_rate for row in epochs if row.flip_rate >= 0] for epochs in seeds.values()]
        lines.append(
            [
                CONTENDERS[name].title,
                f"{fmean(last):.2%}",
                f"{stdev(last) * 100:.1f}" if len(last) > 1 else "-",
                ", ".join(f"{accuracy:.2%}" for accuracy in last),
                *(_epochs_to(mark, seeds) for mark in _MARKS),
                f"{fmean(f[0] for f in flips):.1e} to {fmean(f[-1] for f in flips):.1e}",
                CONTENDERS[name].published,
            ]
        )
    return table(header, lines)


def _epochs_to(mark: float, seeds: Runs) -> str:
    """First epoch whose test accuracy, with binary weights, reaches ``mark``, for each seed."""
    first = []
    for rows in seeds.values():
        reached = (i for i, row in enumerate(rows, 1) if row.flip_rate >= 0 and row.test_accuracy >= mark)
        first.append(str(next(reached, "never")))
    return first[0] if len(set(first)) == 1 else ", ".join(first)


def tuning_markdown(rows: Sequence[TuningRow]) -> str:
    lines = []
    for name, contender in CONTENDERS.items():
        for row in sorted((row for row in rows if row.contender == name), key=lambda row: row.candidate):
            chosen = "chosen" if row.candidate == contender.chosen else ""
            lines.append([contender.title, f"`{row.setting}`", f"{row.accuracy:.2%}", chosen])
    return table(["optimizer", "setting", "accuracy", ""], lines)


def _draw_runs(path: Path, runs: Mapping[str, Runs]) -> None:
    """Test accuracy and flips by epoch: the mean of the seeds in a band from the lowest to the highest.

    Dashed: epochs in which weights are real.
    """
    with plt.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, 4.4))
        for index, (name, seeds) in enumerate(runs.items()):
            epochs = range(1, min(map(len, seeds.values())) + 1)
            curves = [[row.test_accuracy * 100 for row in rows][: len(epochs)] for rows in seeds.values()]
            columns = list(zip(*curves, strict=True))
            colour = f"C{index}"
            means, real = list(map(fmean, columns)), sum(row.flip_rate < 0 for row in seeds[min(seeds)])
            left.plot(epochs[: real + 1], means[: real + 1], "--", color=colour)
            left.plot(epochs[real:], means[real:], color=colour, label=CONTENDERS[name].title)
            left.fill_between(epochs, list(map(min, columns)), list(map(max, columns)), color=colour, alpha=0.15, lw=0)
            flips = [
                (epoch, fmean(rates))
                for epoch, rates in zip(
                    epochs, zip(*([r.flip_rate for r in rows] for rows in seeds.values()), strict=True), strict=False
                )
                if min(rates) > 0
            ]
            right.plot(*zip(*flips, strict=True), color=colour) if flips else None
        for axes in (left, right):
            axes.xaxis.get_major_locator().set_params(integer=True)
        left.set(xlabel="epoch", ylabel="test accuracy, %; dashed: weights are real")
        right.set(xlabel="epoch", ylabel="share of the weights that flip in a step", yscale="log")
        left.legend(fontsize=7, frameon=False, loc="lower right")
        save(figure, path)
