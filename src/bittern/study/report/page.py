"""The report: one self-contained HTML page on one run, or several side by side, and the same as JSON."""

from collections.abc import Sequence
from functools import cached_property, partial
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from bittern import __version__
from bittern.study.instruments import INSTRUMENTS, MEASURES
from bittern.study.instruments.base import Measure
from bittern.study.read import StudyData
from bittern.study.report.charts import CHARTS, SECTIONS, TOYS, DrawnChart, draw_all
from bittern.study.report.diagnosis import Diagnosis, diagnose
from bittern.study.report.plots import reference_measures
from bittern.study.report.published import PUBLISHED, RunFigure, final_accuracy, format_percent, format_plain

_TEMPLATE, _STYLE = "page.html.j2", "page.css"


class Report:
    """``runs`` side by side, in their order; none at all for the toy problems alone."""

    def __init__(self, runs: Sequence[StudyData], *, toys: bool = False) -> None:
        self.runs = list(runs)
        self._toys = toys

    @cached_property
    def diagnoses(self) -> list[Diagnosis]:
        return [diagnose(run) for run in self.runs]

    def html(self) -> str:
        """The page. It refers to nothing outside itself."""
        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        folder = files(__package__)
        drawn, undrawn = draw_all(self.runs, CHARTS) if self.runs else ([], [])
        drawn += draw_all([], TOYS)[0] if self._toys else []
        return environment.from_string(folder.joinpath(_TEMPLATE).read_text("utf-8")).render(
            style=Markup(folder.joinpath(_STYLE).read_text("utf-8")),
            version=__version__,
            runs=self.runs,
            facts=[_facts(run) for run in self.runs],
            diagnoses=self.diagnoses,
            table=self._table(PUBLISHED),
            sections=_by_section(drawn),
            missing=[(run.name, run.missing) for run in self.runs if run.missing],
            undrawn=undrawn,
            measures=self._measures(),
            others=self._table(self._own_figures()),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "runs": [
                {
                    "run": run.name,
                    "figures": {row.name: row.measured(run, self.runs) for row in PUBLISHED},
                    "last": {measure: run.series(measure).last() for measure in sorted(run.measures)},
                    "findings": [finding.to_json() for finding in diagnosis.findings],
                    "passed": list(diagnosis.passed),
                    "unchecked": list(diagnosis.unchecked),
                    "early": list(diagnosis.early),
                    "cost": run.info.get("cost", {}).get("share"),
                    "missing": run.missing,
                }
                for run, diagnosis in zip(self.runs, self.diagnoses, strict=True)
            ],
            "published": [
                {"figure": row.name, "source": row.source, "values": dict(row.published)}
                for row in PUBLISHED
                if row.published
            ],
        }

    def _table(self, figures: Sequence[RunFigure]) -> list[tuple[RunFigure, list[str]]]:
        """Those that a run has, with the text of each run's."""
        rows = []
        for figure in figures:
            values = [figure.measured(run, self.runs) for run in self.runs]
            if any(value is not None for value in values):
                rows.append((figure, ["" if value is None else figure.text(value) for value in values]))
        return rows

    def _measures(self) -> list[tuple[Measure, str]]:
        """What was measured, with its source."""
        used = {name for run in self.runs for name in run.info.get("instruments", [])}
        listed = [(m, row.source) for row in INSTRUMENTS.values() if row.name in used for m in row.measures]
        return listed + list(self._own_measures().values())

    def _own_measures(self) -> dict[str, tuple[Measure, str]]:
        """Those of the user's instruments, and C2I from given references, by name."""
        stored = [row for run in self.runs for row in run.info.get("measures", [])]
        return {
            row["name"]: (Measure(row["name"], row["equation"], row["unit"]), row["source"])
            for row in stored
            if row["name"] not in MEASURES
        }

    def _own_figures(self) -> list[RunFigure]:
        """The last means of measures that have no chart, because they are of a user's instruments."""
        own = self._own_measures()
        read = {name for run in self.runs for name in run.measures} - set(MEASURES) - set(reference_measures(self.runs))
        return [
            RunFigure(name, own[name][0].equation if name in own else "", partial(_last_mean, name), format_plain)
            for name in sorted(read)
        ]


def _last_mean(measure: str, run: StudyData, runs: Sequence[StudyData]) -> float | None:
    means = run.mean(measure)[1]
    return float(means[-1]) if len(means) and np.isfinite(means[-1]) else None


def _by_section(drawn: Sequence[DrawnChart]) -> list[tuple[str, str, str, list[DrawnChart]]]:
    """Name, heading, text and charts of each section that has charts."""
    return [
        (name, heading, text, shown)
        for name, (heading, text) in SECTIONS.items()
        if (shown := [figure for figure in drawn if figure.chart.section == name])
    ]


def _facts(run: StudyData) -> list[tuple[str, str]]:
    """What a run is, for the head of the page."""
    facts = []
    if run.run:
        model, dataset, seed = (run.run.get(key) for key in ("model", "dataset", "seed"))
        facts.append(("network", f"{model} on {dataset}, seed {seed}"))
    if run.stages:
        facts.append(("optimizer", "; ".join(dict.fromkeys(_optimizers(stage) for stage in run.stages))))
    if run.info:
        kind = "binary weights" if run.reads_signs else "weights, real-valued"
        facts.append((kind, f"{sum(run.weights.values()):,} in {len(run.weights)} layers"))
    if (accuracy := final_accuracy(run, [run])) is not None:
        facts.append(("test accuracy", format_percent(accuracy)))
    if len(run.ff):
        facts.append(("steps", f"{int(run.ff[-1, 0]):,}"))
    if schedule := run.info.get("schedule"):
        every, samples = schedule["sample_every"], schedule["snapshot_every"]
        facts.append(("window, at the end", f"{every * samples:,} steps: {samples} samples, {every:,} steps apart"))
    if cost := run.info.get("cost", {}).get("share"):
        facts.append(("cost of watching", f"{format_percent(cost)} of the training time"))
    return facts


def _optimizers(stage: dict[str, Any]) -> str:
    """``"Adam, lr 0.002, weight_decay 5e-06"``: the most telling settings of the first group."""
    described = []
    for optimizer in stage.get("optimizers", []):
        group = (optimizer.get("groups") or [{}])[0]
        said = [f"{key} {group[key]:g}" for key in ("lr", "weight_decay", "gamma", "threshold") if group.get(key)]
        described.append(", ".join([optimizer.get("class", "?"), *said]))
    return " and ".join(described)
