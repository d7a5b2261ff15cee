"""Lines for the report's chart, as SVG that takes its colours from the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Rows = Sequence[Mapping[str, Any]]
"""Rows of a run's ``log.csv``: one per epoch."""


@dataclass(frozen=True)
class Line:
    """``points``: of an SVG polyline in percent of the chart's width and height. ``kind``: its CSS class."""

    kind: str
    points: str


@dataclass(frozen=True)
class Mark:
    """A label at ``at`` percent of an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Chart:
    """``steps``: where a stage begins, and its name; ``x`` and ``y``: the axes' labels."""

    lines: tuple[Line, ...]
    steps: tuple[Mark, ...]
    x: tuple[Mark, ...]
    y: tuple[Mark, ...]


_FLOOR = 0.9
"""The chart shows accuracies from here to 1; the first epochs lie below."""


def accuracy_curves(binary: Rows, twin: Rows) -> Chart:
    """Accuracy after each epoch, on training and test images; the float twin's on test images."""
    epochs = max(len(binary), len(twin))

    def x(epoch: int) -> float:
        return 100 * (epoch - 1) / max(1, epochs - 1)

    def y(share: float) -> float:
        return 100 * (1 - (share - _FLOOR) / (1 - _FLOOR))

    def line(kind: str, rows: Rows, key: str) -> Line:
        known = [(epoch, row[key]) for epoch, row in enumerate(rows, 1) if row[key] is not None]
        return Line(kind, " ".join(f"{x(epoch):.2f},{y(share):.2f}" for epoch, share in known))

    starts = [i for i, row in enumerate(binary) if i == 0 or row["stage"] != binary[i - 1]["stage"]]
    return Chart(
        lines=(
            line("twin", twin, "test_accuracy"),
            line("training", binary, "accuracy"),
            line("test", binary, "test_accuracy"),
        ),
        # A stage begins between the epoch before it and its first.
        steps=tuple(Mark(max(0.0, x(i + 1) - 50 / max(1, epochs - 1)), str(binary[i]["stage"])) for i in starts),
        x=tuple(Mark(x(epoch), str(epoch)) for epoch in (1, *range(5, epochs + 1, 5))),
        y=tuple(Mark(y(percent / 100), f"{percent} %") for percent in (90, 92, 94, 96, 98, 100)),
    )
