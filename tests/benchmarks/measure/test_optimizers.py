"""The comparison of optimizers: its contenders, their settings, and its runs."""

import json

import pytest

from benchmarks.measure.contenders import (
    CONTENDERS,
    NETWORKS,
    SCALES,
    TUNED_ON,
    TUNING_EPOCHS,
    Contender,
    Scale,
    recipe,
)
from benchmarks.measure.optimizers import TUNING, OptimizerRun
from benchmarks.rows import TuningRow, read
from bittern.models import create
from bittern.train.optimizers import build_optimizer


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
@pytest.mark.parametrize("contender", CONTENDERS.values(), ids=CONTENDERS)
def test_every_contender_builds_its_optimizers_with_every_candidate(
    contender: Contender, scale: Scale, network: str
) -> None:
    for candidate in (None, *range(len(contender.candidates))):
        row = recipe(contender, scale, network, candidate=candidate)
        assert row.epochs == (scale.epochs if candidate is None else TUNING_EPOCHS)
        assert row.dataset == ("cifar10" if candidate is None else "cifar10-held-out")
        model = create(
            network, precision=row.stages[-1].precision, **(row.model_options if scale.name == "slim" else {})
        )
        build_optimizer(row.stages[-1], model)


def test_all_contenders_choose_among_as_many_settings() -> None:
    assert {len(contender.candidates) for contender in CONTENDERS.values()} == {6}
    assert all(0 <= contender.chosen < 6 for contender in CONTENDERS.values())


def test_everyone_trains_with_the_setting_that_did_best_of_all_that_were_tried() -> None:
    tried = [row for row in read(TUNING, TuningRow) if (row.scale, row.network) == TUNED_ON]
    for name, contender in CONTENDERS.items():
        mine = {row.candidate: row for row in tried if row.contender == name}
        assert sorted(mine) == list(range(len(contender.candidates)))
        assert [json.loads(mine[i].setting) for i in sorted(mine)] == json.loads(
            json.dumps([dict(candidate) for candidate in contender.candidates])
        )
        assert contender.chosen == max(mine, key=lambda candidate: mine[candidate].accuracy)


def test_runs_of_the_comparison_and_of_the_tuning_lie_apart() -> None:
    compared = OptimizerRun("bop", "binarynet", "slim", "data", "cpu", seed=2)
    tuned = OptimizerRun("bop", "binarynet", "slim", "data", "cpu", candidate=0)
    assert str(compared) == "slim/binarynet/bop/seed2"
    assert str(tuned) == "slim/binarynet/bop/tune0"
    assert compared.setting != tuned.setting
