"""The comparison of optimizers: its contenders, their settings, and its runs."""

import json
from pathlib import Path

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
from benchmarks.measure.optimizers import TUNING, OptimizerRun, _epochs
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


def test_the_epochs_of_a_run_are_those_of_its_log(tmp_path: Path) -> None:
    header = "stage,step,loss,accuracy,test_accuracy,flip_rate,seconds"
    (tmp_path / "log.csv").write_text(f"{header}\nstep1,500,2.0,0.3,0.2,,60\ntrain,1000,1.5,0.4,0.3,0.001,61\n")
    run = OptimizerRun("adam-two-step", "binarynet", "slim", "data", "cpu", seed=1)
    first, second = _epochs(run, tmp_path, {"torch": "2.13", "bittern": "0.1"})
    assert (first.stage, first.epoch, first.epochs, first.flip_rate) == ("step1", 1, 2, -1)
    assert (second.step, second.test_accuracy, second.flip_rate, second.seed) == (1000, 0.3, 0.001, 1)
    assert second.machine
    assert second.revision
