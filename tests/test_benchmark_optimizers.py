"""The comparison of optimizers: who takes part, and what becomes of the results."""

import json

import pytest
from benchmarks import optimizer_report
from benchmarks.optimizer_rows import CONTENDERS, NETWORKS, SCALES, TUNED_ON, Contender, Scale, recipe
from benchmarks.optimizers import TUNING, EpochRow, TuningRow
from benchmarks.results import read

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
        assert row.epochs == scale.epochs
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


def test_the_table_of_optimizers_has_every_seed_and_the_epochs_to_the_marks() -> None:
    def row(seed: int, epoch: int, accuracy: float) -> EpochRow:
        return EpochRow(
            "binarynet",
            "slim",
            "bop",
            "{}",
            seed,
            "train",
            epoch,
            2,
            epoch,
            1.0,
            0.5,
            accuracy,
            1e-3 / epoch,
            1.0,
            "x",
            "y",
            "z",
        )

    runs = {"bop": {0: [row(0, 1, 0.7), row(0, 2, 0.81)], 1: [row(1, 1, 0.86), row(1, 2, 0.87)]}}
    line = optimizer_report.markdown(runs).splitlines()[-1]
    assert line.startswith("| Bop | 84.00% | 4.2 | 81.00%, 87.00% | 1 | 2, 1 | never, 1 | 1.0e-03 to 5.0e-04 |")
    # 81 and 87 percent lie 3 points from their mean: a variance of 18 over one degree of freedom.
    assert "standard deviation of 4.2 points (pooled, 1 degrees of freedom)" in optimizer_report.spread(runs)
    assert "One run each" in optimizer_report.spread({"bop": {0: runs["bop"][0]}})
