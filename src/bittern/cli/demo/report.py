"""``demo.html``: one self-contained page about what the demo found."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from bittern import __version__
from bittern.cli._output import bytes_text, count_text, millions_text, percent_text, seconds_text
from bittern.cli.demo.charts import accuracy_curves
from bittern.cli.demo.folder import BINARY, FLOAT
from bittern.cli.demo.pipeline import Demo
from bittern.cli.demo.result import DemoResult
from bittern.export import Explanation, LayerCheck, ModelSummary

_RIGHT_SHOWN, _WRONG_SHOWN = 24, 12
_TEMPLATE, _STYLE = "report.html.j2", "report.css"


@dataclass(frozen=True)
class Sample:
    """A test digit as a PNG, what it is, what the network reads, and with what probability."""

    png: str
    label: int
    prediction: int
    probability: float


@dataclass(frozen=True)
class Bar:
    """Two bars: ``width`` in percent of the chart's longest, and what they stand for."""

    name: str
    content: str
    width: float
    text: str
    twin_width: float
    twin_text: str


@dataclass(frozen=True)
class CheckRow:
    """One output of an operator. ``differences``: from the reference, for each instruction set.

    ``from_pytorch``: how many bits differ from the trained network's, or by how much the floats do.
    """

    path: str
    operator: str
    output: str
    values: str
    differences: tuple[int, ...]
    from_pytorch: str


@dataclass(frozen=True)
class LayerRow:
    """A layer that multiplies."""

    path: str
    kind: str
    shape: str
    parameters: str
    macs: str
    where: str
    is_binary: bool


def render(demo: Demo) -> str:
    """The page as HTML. It refers to nothing outside itself."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    figures = {"size": bytes_text, "duration": seconds_text, "percent": percent_text, "count": count_text}
    environment.filters |= {name: _unbroken(text) for name, text in figures.items()}
    folder = files(__package__)
    result = demo.result
    wrong, right = _samples(demo)
    return environment.from_string(folder.joinpath(_TEMPLATE).read_text("utf-8")).render(
        style=Markup(folder.joinpath(_STYLE).read_text("utf-8")),
        version=__version__,
        result=result,
        wrong=wrong,
        right=right,
        mistakes=result.images - round(result.binary.accuracy * result.images),
        chart=accuracy_curves(result.training[BINARY], result.training[FLOAT]),
        times=_time_bars(result),
        sizes=_size_bars(result),
        isas=[check.isa for check in result.verifications],
        checks=_check_rows(result),
        layers=_layer_rows(demo.summary, demo.explanation),
        total_seconds=sum(result.seconds.values()),
    )


def _unbroken(text: Callable[[Any], str]) -> Callable[[Any], str]:
    """``text`` with spaces at which no line breaks, so that a figure keeps its unit."""
    return lambda figure: text(figure).replace(" ", "\N{NO-BREAK SPACE}")


def _samples(demo: Demo) -> tuple[list[Sample], list[Sample]]:
    """Digits that are read wrongly, the surest first, and rightly, in the order of the test split."""
    logits = demo.logits
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = exponentials.max(axis=1) / exponentials.sum(axis=1)
    predictions = logits.argmax(axis=1)
    is_right = predictions == demo.digits.labels

    def samples(rows: Sequence[np.intp]) -> list[Sample]:
        return [
            Sample(_png(demo.digits.pixels[i]), int(demo.digits.labels[i]), int(predictions[i]), float(shares[i]))
            for i in rows
        ]

    wrong = sorted(np.flatnonzero(~is_right), key=lambda i: -shares[i])
    return samples(wrong[:_WRONG_SHOWN]), samples(list(np.flatnonzero(is_right)[:_RIGHT_SHOWN]))


def _png(pixels: npt.NDArray[np.uint8]) -> str:
    """A data URI; the page scales the few pixels up."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _time_bars(result: DemoResult) -> list[Bar]:
    longest = max(max(unit.binary_seconds, unit.float_seconds) for unit in result.units)
    return [
        Bar(
            unit.name,
            unit.content,
            100 * unit.binary_seconds / longest,
            seconds_text(unit.binary_seconds),
            100 * unit.float_seconds / longest,
            seconds_text(unit.float_seconds),
        )
        for unit in result.units
    ]


def _size_bars(result: DemoResult) -> list[Bar]:
    largest = max(max(unit.binary_bytes, unit.float_bytes) for unit in result.units)
    return [
        Bar(
            unit.name,
            unit.content,
            100 * unit.binary_bytes / largest,
            bytes_text(unit.binary_bytes),
            100 * unit.float_bytes / largest,
            bytes_text(unit.float_bytes),
        )
        for unit in result.units
    ]


def _check_rows(result: DemoResult) -> list[CheckRow]:
    return [
        CheckRow(
            first.path,
            first.operator,
            first.output,
            count_text(first.values),
            tuple(check.reference_differences for check in checks),
            _from_pytorch(first),
        )
        for first, *checks in ((row[0], *row) for row in zip(*(v.layers for v in result.verifications), strict=True))
    ]


def _from_pytorch(layer: LayerCheck) -> str:
    if layer.model_differences is not None:
        return count_text(layer.model_differences)
    return "" if layer.largest_difference is None else f"≤ {layer.largest_difference:.0e}"


def _layer_rows(costs: ModelSummary, explanation: Explanation) -> list[LayerRow]:
    """``where``: the operator or delegate that the last node of the layer's module went to."""
    runs = {row.path: row.kernel if row.runs == "bittern" else "XNNPACK" for row in explanation.rows if row.kernel}
    return [
        LayerRow(
            layer.path,
            layer.kind,
            "x".join(map(str, layer.output_shape or ())),
            " + ".join(f"{count_text(count)} of {bits} bit" for bits, count in layer.parameters.items()),
            millions_text(layer.binary_macs + layer.float_macs),
            runs.get(layer.path, ""),
            layer.binary_macs > 0,
        )
        for layer in costs.layers
        if layer.binary_macs or layer.float_macs
    ]
