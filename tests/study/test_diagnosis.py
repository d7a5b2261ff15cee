"""Each rule of the diagnosis on measures just beyond and just within its limit."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bittern.ops import binarize
from bittern.ops.estimators import ESTIMATORS
from bittern.study.instruments import INSTRUMENT_OF
from bittern.study.report.diagnosis import diagnose
from bittern.study.report.rules import FF_PER_STEP, Rule
from bittern.study.report.rules import RULES as ALL_RULES
from study.small import study_data

RULES = tuple(replace(rule, min_steps=0) for rule in ALL_RULES)
"""The runs of these tests are shorter than some rules ask for."""

ON_STEPS = [rule for rule in RULES if rule.limit.measure == FF_PER_STEP]
ON_SAMPLES = [rule for rule in RULES if rule not in ON_STEPS]


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.limit.measure != FF_PER_STEP], ids=lambda rule: rule.name
)
def test_rules_on_signs_of_weights_are_not_for_networks_that_read_their_values(rule: Rule, tmp_path: Path) -> None:
    beyond = rule.limit.threshold + (0.01 if rule.limit.side == "above" else -0.01)
    run = study_data(tmp_path, rule.limit.measure, [[beyond, beyond]] * 4, latent_free=rule.weights == "latent-free")
    run.stages[-1]["binarized"] = False
    applies = INSTRUMENT_OF[rule.limit.measure].name in ("saturation", "channels")
    assert bool(diagnose(run, (rule,)).findings) == applies
    assert diagnose(run, (rule,)).unchecked == ()


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.limit.measure != FF_PER_STEP], ids=lambda rule: rule.name
)
def test_every_rule_holds_beyond_its_threshold_and_nowhere_else(rule: Rule, tmp_path: Path) -> None:
    free = rule.weights == "latent-free"
    side = 1 if rule.limit.side == "above" else -1
    near, beyond = rule.limit.threshold - side * 1e-6, rule.limit.threshold + side * 0.01
    for values, holds in ((near, False), (beyond, True)):
        run = study_data(tmp_path, rule.limit.measure, [[near, near]] * 4 + [[values, values]] * 4, latent_free=free)
        diagnosis = diagnose(run, (rule,))
        assert bool(diagnosis.findings) == holds
        assert bool(diagnosis.passed) != holds
    (finding,) = diagnosis.findings
    assert finding.source == rule.source
    assert "{" not in finding.text + finding.advice
    if "{since}" in rule.says:
        assert "since epoch 3" in finding.text  # step 50 is in the third epoch of 20 steps


@pytest.mark.parametrize("rule", [rule for rule in RULES if "beyond 1" in rule.says], ids=lambda rule: rule.name)
def test_estimators_that_are_said_to_pass_no_gradient_pass_none(rule: Rule) -> None:
    x = torch.tensor([-1.1, 1.1], requires_grad=True)
    named = {name for name in ESTIMATORS if re.search(rf"\b{name}\b", rule.says)}
    assert named
    for name in named:
        (gradient,) = torch.autograd.grad(binarize(x, name).sum(), x)
        assert not gradient.any()


@pytest.mark.parametrize(
    "rule", [rule for rule in RULES if rule.limit.measure == FF_PER_STEP], ids=lambda rule: rule.name
)
def test_restless_signs_are_judged_by_the_end_of_the_run(rule: Rule, tmp_path: Path) -> None:
    free = rule.weights == "latent-free"
    high, low = [2 * rule.limit.threshold] * 100, [0.0] * 100
    assert diagnose(study_data(tmp_path, "", [], latent_free=free, ff=low + high), (rule,)).findings
    assert not diagnose(study_data(tmp_path, "", [], latent_free=free, ff=high + low), (rule,)).findings
    assert diagnose(study_data(tmp_path, "", [], latent_free=free, ff=high[:3]), (rule,)).unchecked == (rule.name,)
    other = diagnose(study_data(tmp_path, "", [], latent_free=not free, ff=high), (rule,))
    assert not other.findings
    assert not other.unchecked


@pytest.mark.parametrize("rule", [rule for rule in ALL_RULES if rule.min_steps], ids=lambda rule: rule.name)
def test_a_short_run_does_not_cry_wolf(rule: Rule, tmp_path: Path) -> None:
    beyond = rule.limit.threshold + (0.01 if rule.limit.side == "above" else -0.01)
    free, ff = rule.weights == "latent-free", rule.limit.measure == FF_PER_STEP
    run = study_data(
        tmp_path,
        "" if ff else rule.limit.measure,
        [] if ff else [[beyond, beyond]] * 4,
        latent_free=free,
        ff=[beyond] * 100,
    )
    early = diagnose(run, (rule,))
    assert (early.findings, early.passed) == ((), ())
    assert early.early == (f"{rule.name} (after 1,000 steps)",)
    assert diagnose(run, (replace(rule, min_steps=50),)).findings


def test_nothing_is_lost_where_nothing_was_learned_before(tmp_path: Path) -> None:
    (rule,) = (rule for rule in RULES if rule.continued)
    values = [[0.5, 0.5]] * 3
    assert diagnose(study_data(tmp_path, rule.limit.measure, values), (rule,)).findings
    diagnosis = diagnose(study_data(tmp_path, rule.limit.measure, values, first=0), (rule,))
    assert not diagnosis.findings
    assert not diagnosis.passed


def test_the_worst_layer_is_named_and_the_others_counted(tmp_path: Path) -> None:
    (rule,) = (rule for rule in RULES if rule.name == "dead channels")
    (finding,) = diagnose(study_data(tmp_path, "dead_channels", [[0.0, 0.2], [0.38, 0.2]]), (rule,)).findings
    assert finding.text.startswith("38 % of the channels that enter the sign of a ")
    assert "(1 more layer too)" in finding.text
    assert finding.layers == ("a", "b")


def test_what_was_not_measured_is_not_judged(tmp_path: Path) -> None:
    diagnosis = diagnose(study_data(tmp_path, "nothing", []))
    assert not diagnosis.findings
    assert not diagnosis.passed
    assert "saturated activations" in diagnosis.unchecked
