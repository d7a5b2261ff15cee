"""The watch on runs of ``bittern.train``."""

import json
import os
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from bittern.study import TrainingObserver
from bittern.study.read import read_study
from bittern.train import Observer, Position, TrainingInterrupted, run
from study.conftest import TINY


class Stop(Observer):
    """Sends SIGTERM after step ``step``."""

    def __init__(self, step: int) -> None:
        self._step = step

    def step(self, at: Any) -> None:
        if at.step + 1 == self._step:
            os.kill(os.getpid(), signal.SIGTERM)


def test_both_stages_of_a_run_are_in_its_study(trained_run: Path) -> None:
    data = read_study(trained_run)
    assert data.missing == []
    assert data.ff[:, 0].tolist() == list(range(1, 45))  # 2 x 2 epochs of 11 steps
    assert [stage["step"] for stage in data.stages] == [0, 22]
    assert [stage["binarized"] for stage in data.stages] == [False, True]
    assert [(row["stage"], row["epoch"], row["step"]) for row in data.epochs] == [
        ("step1", 1, 11),
        ("step1", 2, 22),
        ("step2", 1, 33),
        ("step2", 2, 44),
    ]
    assert data.after_first_epoch() == 11
    assert data.when(25) == "epoch 1 of step2"
    assert set(data.snapshots) == {1, 10, 12, 20, 22, 23, 30, 34, 40, 44}


def test_the_log_and_the_study_count_the_same_flips(trained_run: Path) -> None:
    data = read_study(trained_run)
    last = [row["flip_rate"] for row in data.log if row["stage"] == "step2"]
    means = [data.ff[(data.ff[:, 0] > a) & (data.ff[:, 0] <= a + 11), 1].mean() for a in (22, 33)]
    assert last == pytest.approx(means, rel=1e-4)


@pytest.mark.parametrize("step", [7, 22, 29])
def test_a_run_that_was_stopped_and_resumed_has_the_study_of_one_that_was_not(
    step: int, trained_run: Path, tmp_path: Path
) -> None:
    def train(**options: Any) -> None:
        watching = TrainingObserver(sample_every=5, snapshot_every=2)
        run("digits", None, tmp_path / "run", epochs=2, overrides=TINY, accelerator="cpu", **options, observers=[
            watching, *([] if options else [Stop(step)])
        ])  # fmt: skip

    with pytest.raises(TrainingInterrupted):
        train()
    train(resume=True)
    whole, resumed = read_study(trained_run), read_study(tmp_path / "run")
    assert resumed.missing == []
    assert resumed.ff.tolist() == whole.ff.tolist()
    assert [s["step"] for s in resumed.stages] == [s["step"] for s in whole.stages]
    for name in ("c2i", "c2i_stage", "gradient_mean"):
        values = dict(zip(resumed.series(name).steps, resumed.series(name).values.tolist(), strict=True))
        expected = dict(zip(whole.series(name).steps, whole.series(name).values.tolist(), strict=True))
        assert {s: values[s] for s in expected if s % 5 == 0} == {s: expected[s] for s in expected if s % 5 == 0}


def test_a_disk_that_takes_no_more_of_the_study_ends_the_run_with_its_checkpoint_intact(
    trained_run: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    code = f"""
import resource
import torch
from bittern.study import TrainingObserver
from bittern.train import Observer, TrainingError, run
class Full(Observer):
    def step(self, at):
        if at.step + 1 == 15:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
torch.set_num_threads(1)
watching = TrainingObserver(sample_every=5, snapshot_every=2)
try:
    run("digits", None, {str(out)!r}, epochs=2, overrides={TINY!r}, accelerator="cpu", observers=[Full(), watching])
except TrainingError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    message = r"cannot write the study .*File too large.* checkpoint is intact.*--resume"
    assert re.search(message, done.stdout), done
    watching = TrainingObserver(sample_every=5, snapshot_every=2)
    run("digits", None, out, epochs=2, overrides=TINY, accelerator="cpu", resume=True, observers=[watching])
    assert read_study(out).missing == []
    assert read_study(out).ff.tolist() == read_study(trained_run).ff.tolist()


def test_a_run_that_died_before_its_first_checkpoint_begins_its_study_anew(trained_run: Path, tmp_path: Path) -> None:
    study = tmp_path / "run" / "study"
    study.mkdir(parents=True)
    (study / "study.json").write_text(json.dumps({"format": 1}))
    (study / "steps.csv").write_text("step,ff,ff_last\n1,0.5,0.5\n2,0.5,0.5\n")
    watching = TrainingObserver(sample_every=5)
    run("digits-one-step", None, tmp_path / "run", epochs=1, overrides=TINY, accelerator="cpu", resume=True,
        observers=[watching])  # fmt: skip
    assert read_study(tmp_path / "run").ff[:, 0].tolist() == list(range(1, 12))


@pytest.mark.filterwarnings("ignore")  # of the compiler itself
def test_a_compiled_run_is_known_as_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    run("digits-one-step", None, tmp_path / "run", epochs=1, overrides={**TINY, "compile": True}, accelerator="cpu",
        observers=[TrainingObserver(sample_every=5)])  # fmt: skip
    found = read_study(tmp_path / "run")
    assert found.missing == ["activations: the model is compiled"]
    assert "saturation" not in found.measures
    assert list(found.weights) == ["blocks.0.conv", "blocks.1.conv"]


def test_a_stage_without_binary_layers_is_passed_over(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    observer = TrainingObserver()
    observer.start(model, torch.optim.SGD(model.parameters(), lr=0.1), tmp_path, Position())
    observer.step(Position(step=1))
    observer.epoch(Position(epoch=1, step=1), {"epoch": 1, "stage": "float"})
    observer.close()
    assert list(tmp_path.iterdir()) == []
