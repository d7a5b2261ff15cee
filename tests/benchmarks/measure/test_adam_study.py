"""The small-scale study of AdamBNN and Bop: what is read off a run, and what the page makes of it."""

from pathlib import Path

import pytest

from benchmark_rows import STAMP
from benchmarks.measure.adam_runs import EPOCHS, EXPERIMENTS, RUNS, StudyRun
from benchmarks.measure.adam_study import beside, curves, measured
from benchmarks.rows import CurveRow
from benchmarks.tables import adam_study
from bittern.models import create
from bittern.study import TrainingObserver
from bittern.study.read import read_study
from bittern.train.optimizers import build_optimizer
from train.tiny import train


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, one_thread: None) -> Path:
    out = tmp_path_factory.mktemp("adam-study") / "run"
    train(out, observers=[TrainingObserver(sample_every=5, snapshot_every=2)])
    return out


@pytest.mark.parametrize("run", RUNS, ids=[run.name for run in RUNS])
def test_every_run_has_a_part_in_an_experiment_and_its_last_step_is_as_long_as_the_others(run: StudyRun) -> None:
    assert set(run.experiments) <= set(EXPERIMENTS)
    assert run.experiments
    assert run.stages[-1].epochs == EPOCHS * (2 if run.name.endswith("-long") else 1)
    stage = run.recipe.stages[-1]
    build_optimizer(stage, create(run.model, precision=stage.precision, **run.recipe.model_options))


def test_figures_and_curves_of_a_run_are_those_of_its_study(finished: Path) -> None:
    study = read_study(finished)
    found = measured(finished)
    assert found["accuracy"] == study.log[-1]["test_accuracy"]
    assert 0 < found["ff"] < 0.1
    drawn = curves(finished)
    assert sum(share for _, share in drawn["latent"]) == pytest.approx(1)
    assert [x for x, _ in drawn["latent"]] == pytest.approx([-x for x, _ in reversed(drawn["latent"])])
    assert [step for step, _ in drawn["pi"]] == list(range(1, 45))
    assert [share for _, share in drawn["saturation"]] == study.series("saturation").values[:, 0].tolist()


def test_a_run_moves_no_filter_less_than_its_own_twin(finished: Path) -> None:
    assert beside(finished, finished) == {"below_rival": 0, "below_rival_all": 0}


def test_the_plots_are_drawn_from_whatever_runs_there_are(finished: Path, tmp_path: Path) -> None:
    points = curves(finished)
    rows = [
        CurveRow(name, 0, curve, x, y, **STAMP)
        for name in ("adam", "bop-1e-3-1e-6")
        for curve, each in points.items()
        for x, y in each
    ]
    adam_study.draw(tmp_path, {"adam": {"accuracy": [0.5]}}, rows)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "adam-study-flips.svg",
        "adam-study-optimizers.svg",
        "adam-study-rates.svg",
    ]


def test_the_tables_have_the_mean_each_seed_and_the_published_figure() -> None:
    values = {"adam": {"accuracy": [0.5, 0.6], "ff": [1e-3], "c2i": [0.5]}}
    text = adam_study.tables(values)
    assert (
        "| Adam, one step, no decay | 55.0 % (50.0 %, 60.0 %) [61.5 %] | 1.00e-03 [2.86e-04] | 0.500 [0.524] |" in text
    )
    assert "### Bop" not in text
