"""What stands out in a run, in plain words, with the evidence."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bittern.study.instruments import INSTRUMENT_OF
from bittern.study.read import Floats, StudyData
from bittern.study.report.rules import FF_PER_STEP, RULES, Rule

_WINDOWS = 20
"""``FF_PER_STEP`` is judged by its means over this many parts of the run."""


@dataclass(frozen=True)
class Finding:
    """A rule that applies. ``layers``: where, the worst first; empty for the whole network."""

    rule: str
    kind: str
    text: str
    advice: str
    source: str
    threshold: str
    layers: tuple[str, ...]
    value: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Diagnosis:
    """``passed``: rules that were checked and do not apply; ``unchecked``: those whose measure is missing.

    ``early``: those that would apply, had the last stage as many steps as they need.
    """

    findings: tuple[Finding, ...]
    passed: tuple[str, ...]
    unchecked: tuple[str, ...]
    early: tuple[str, ...] = ()


def diagnose(run: StudyData, rules: tuple[Rule, ...] = RULES) -> Diagnosis:
    """Every rule on ``run``, at its end; problems first."""
    findings, passed, unchecked, early = [], [], [], []
    first = run.stages[-1]["step"] if run.stages else 0
    for rule in rules:
        if not _is_for(rule, run):
            continue
        layers, steps, values = _judged(rule, run)
        if not len(steps):
            unchecked.append(rule.name)
        elif (finding := _find(rule, run, layers, steps, values)) is None:
            passed.append(rule.name)
        elif _last_step(run, steps) - first < rule.min_steps:
            early.append(f"{rule.name} (after {rule.min_steps:,} steps)")
        else:
            findings.append(finding)
    findings.sort(key=lambda finding: finding.kind != "problem")
    return Diagnosis(tuple(findings), tuple(passed), tuple(unchecked), tuple(early))


def _last_step(run: StudyData, judged: Floats) -> float:
    return float(max(judged[-1], run.ff[-1, 0] if len(run.ff) else 0))


def _is_for(rule: Rule, run: StudyData) -> bool:
    measure = rule.limit.measure
    of_activations = measure != FF_PER_STEP and INSTRUMENT_OF[measure].observes
    if not run.reads_signs and not of_activations:
        return False
    if rule.continued and not (run.stages and run.stages[-1]["step"] > 0):
        return False
    return rule.weights == "any" or (rule.weights == "latent-free") == run.latent_free


def _judged(rule: Rule, run: StudyData) -> tuple[tuple[str, ...], Floats, Floats]:
    """Layers, steps, and the measure [steps, layers]; one column without a name for all layers together."""
    if rule.limit.measure == FF_PER_STEP:
        parts = np.array_split(run.ff, _WINDOWS) if len(run.ff) >= _WINDOWS else []
        steps = np.array([part[0, 0] for part in parts])
        return ("",), steps, np.array([[part[:, 1].mean()] for part in parts])
    if rule.total:
        steps, means = run.mean(rule.limit.measure)
        return ("",), steps, means[:, None]
    series = run.series(rule.limit.measure)
    return series.layers, series.steps, series.values


def _find(rule: Rule, run: StudyData, layers: tuple[str, ...], steps: Floats, values: Floats) -> Finding | None:
    sign = 1 if rule.limit.side == "above" else -1
    excess = sign * (values - rule.limit.threshold)
    bad = [i for i in np.argsort(-excess[-1], kind="stable") if excess[-1, i] > 0]
    if not bad:
        return None
    worst = bad[0]
    good = np.flatnonzero(~(excess[:, worst] > 0))
    first = steps[good[-1] + 1] if len(good) else steps[0]
    value = float(values[-1, worst])
    others = len(bad) - 1
    text = rule.says.format(
        layer=layers[worst],
        value=f"{100 * value:.3g} %",
        number=f"{value:.2g}",
        since=f"since {run.when(first)}" if len(good) else "from the start",
        others=f" ({others} more layer{'s' if others > 1 else ''} too)" if others else "",
    )
    return Finding(
        rule.name,
        rule.kind,
        text[0].upper() + text[1:],
        rule.advice,
        rule.source,
        str(rule.limit),
        tuple(layers[i] for i in bad if layers[i]),
        value,
    )
