"""``demo.html``: one file on what the demo found, in the look of the study's report. It refers to nothing outside."""

import base64
import io
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from PIL import Image

from bittern import __version__
from bittern.cli._output import bytes_text, count_text, millions_text, percent_text, seconds_text
from bittern.cli.demo.result import Demo
from bittern.study.report.charts import CHARTS, draw_all

_MAX_CORRECT, _MAX_WRONG = 24, 12
_CHARTS = [chart for chart in CHARTS if chart.section == "training"]


def render(demo: Demo) -> str:
    """The page as HTML."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    texts: dict[str, Callable[[Any], str]] = {
        "size": bytes_text,
        "duration": seconds_text,
        "percent": percent_text,
        "count": count_text,
        "millions": millions_text,
    }
    environment.filters |= {name: _unbroken(text) for name, text in texts.items()} | {"png": _png}
    shared, own = files("bittern.study.report"), files(__package__)
    curves, _ = draw_all(demo.studies, _CHARTS)
    predictions = demo.logits.argmax(axis=1)
    exponentials = np.exp(demo.logits - demo.logits.max(axis=1, keepdims=True))
    probabilities = exponentials.max(axis=1) / exponentials.sum(axis=1)
    wrong, correct = (np.flatnonzero(row) for row in (predictions != demo.labels, predictions == demo.labels))
    return environment.from_string(own.joinpath("page.html.j2").read_text("utf-8")).render(
        style=Markup(shared.joinpath("page.css").read_text("utf-8") + own.joinpath("page.css").read_text("utf-8")),
        version=__version__,
        demo=demo,
        predictions=predictions,
        probabilities=probabilities,
        mistakes=len(wrong),
        wrong=sorted(wrong, key=lambda i: -probabilities[i])[:_MAX_WRONG],
        correct=list(correct[:_MAX_CORRECT]),
        curves=[(chart.title, curve.svg) for chart, curve in zip(_CHARTS, curves, strict=True)],
        # The last node of a layer's module is the one that multiplies.
        kernels={r.path: r.kernel if r.runs == "bittern" else "XNNPACK" for r in demo.explanation.rows if r.kernel},
    )


def _unbroken(text: Callable[[Any], str]) -> Callable[[Any], str]:
    """``text`` with no-break spaces, so that a figure keeps its unit."""
    return lambda figure: text(figure).replace(" ", "\N{NO-BREAK SPACE}")


def _png(pixels: npt.NDArray[np.uint8]) -> str:
    """A data URI; the page scales the few pixels up."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
