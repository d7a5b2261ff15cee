"""A study that is continued from a checkpoint."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from bittern.study import StudyError, Watch, latent_weights, watch
from bittern.study.files import READINGS_FILE, STEPS_FILE
from bittern.study.read import read_study
from study.small import loop, network, readings, study_of


def test_a_resumed_study_is_the_uninterrupted_one(tmp_path: Path) -> None:
    study_of(tmp_path / "whole", 60)
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    options: dict[str, Any] = {"sample_every": 5, "snapshot_every": 2}
    saved: dict[str, Any] = {}

    def keep(step: int) -> None:
        if step == 29:
            saved.update(
                model={k: v.clone() for k, v in model.state_dict().items()},
                optimizer=json.loads(json.dumps(optimizer.state_dict()["param_groups"])),
                state={p: {k: v.clone() for k, v in s.items()} for p, s in optimizer.state.items()},
            )

    with watch(model, optimizer, tmp_path / "cut", **options) as watched:
        loop(model, optimizer, 43, watched, after=keep)  # continues after the checkpoint at step 30, then dies
    with open(tmp_path / "cut" / STEPS_FILE, "a") as file:
        file.write("44,0.0")  # a broken last line
    with open(tmp_path / "cut" / READINGS_FILE, "a") as file:
        file.write('{"kind": "sam')
    model.load_state_dict(saved["model"])
    optimizer.state.update(saved["state"])
    with watch(model, optimizer, tmp_path / "cut", step=30, **options) as watched:
        generator = torch.Generator().manual_seed(1)
        for step in range(60):
            x, y = torch.randn(16, 6, generator=generator), torch.randint(0, 3, (16,), generator=generator)
            if step < 30:
                continue
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            watched.step()
    assert (tmp_path / "cut" / STEPS_FILE).read_text() == (tmp_path / "whole" / STEPS_FILE).read_text()
    for name in ("c2i", "gradient_mean", "saturation", "silent"):
        whole, cut = (
            {row["step"]: row["values"][name] for row in readings(tmp_path / part) if name in row["values"]}
            for part in ("whole", "cut")
        )
        assert {step: whole[step] for step in whole if step > 30} == {step: cut[step] for step in whole if step > 30}


@pytest.mark.parametrize("killed", [True, False])
def test_silent_weights_are_known_behind_a_checkpoint_between_two_snapshots(killed: bool, tmp_path: Path) -> None:
    study_of(tmp_path / "whole", 20)
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    options: dict[str, Any] = {"sample_every": 5, "snapshot_every": 2}

    def resume() -> Watch:
        if killed:
            watched.epoch(2)  # whose checkpoint is next
            shutil.copytree(tmp_path / "begun", tmp_path / "cut")
        watched.close()
        if not killed:
            shutil.copytree(tmp_path / "begun", tmp_path / "cut")
        return watch(model, optimizer, tmp_path / "cut", step=8, **options)

    watched = watch(model, optimizer, tmp_path / "begun", **options)
    generator = torch.Generator().manual_seed(1)
    for step in range(20):
        x, y = torch.randn(16, 6, generator=generator), torch.randint(0, 3, (16,), generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        watched.step()
        if step == 7:
            watched = resume()
    watched.close()
    whole, cut = (
        {row["step"]: row["values"]["silent"] for row in readings(tmp_path / part) if "silent" in row["values"]}
        for part in ("whole", "cut")
    )
    assert (cut[10], cut[20]) == (whole[10], whole[20])


def test_c2i_of_a_second_stage_counts_from_both_starts(tmp_path: Path) -> None:
    model = network()
    for stage, first in (("1", 0), ("2", 25)):
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-2)
        with watch(model, optimizer, tmp_path, step=first, stage=stage, sample_every=5) as watched:
            loop(model, optimizer, 25, watched, seed=first)
    last = readings(tmp_path)[-1]["values"]
    assert last["c2i_stage"] != last["c2i"]
    start = latent_weights(network())
    end = {w.name: w.parameter for w in latent_weights(model)}
    for weight in start:
        equal = ((weight.parameter < 0) == (end[weight.name] < 0)).float().mean().item()
        assert last["c2i"][weight.name] == pytest.approx(equal, rel=1e-5)
    assert [row["stage"] for row in readings(tmp_path, "stage")] == ["1", "2"]


def test_another_study_is_not_written_over(tmp_path: Path) -> None:
    study_of(tmp_path, 5)
    with pytest.raises(StudyError, match="already holds a study"):
        study_of(tmp_path, 5)


def test_a_study_of_another_version_is_not_continued(tmp_path: Path) -> None:
    model = study_of(tmp_path, 5)
    info = json.loads((tmp_path / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps({**info, "format": 99}))
    with pytest.raises(StudyError, match="format 99"):
        watch(model, torch.optim.SGD(model.parameters(), lr=0.1), tmp_path, step=5)


def test_a_lost_state_restarts_all_counting_and_is_reported(tmp_path: Path) -> None:
    model = study_of(tmp_path, 10)
    (tmp_path / "state.npz").write_bytes(b"PK\x03\x04 cut")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with watch(model, optimizer, tmp_path, step=10, sample_every=5) as watched:
        loop(model, optimizer, 5, watched)
    assert readings(tmp_path)[-1]["values"]["c2i"] == {"2": 1.0, "5": 1.0, "7": 1.0}
    watch(model, optimizer, tmp_path, step=15).close()
    assert [line for line in read_study(tmp_path).missing if "C2I is counted from there" in line] == [
        "the counts up to step 10: the file is lost; C2I is counted from there"
    ]


def test_a_study_that_begins_late_says_so(tmp_path: Path) -> None:
    study_of(tmp_path, 5, step=29)
    assert any(line.startswith("steps 1 to 29: the study started after") for line in read_study(tmp_path).missing)
    assert not any("is lost" in line for line in read_study(tmp_path).missing)


def test_all_steps_are_on_disk_when_an_epoch_has_ended(tmp_path: Path) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    with watch(model, optimizer, tmp_path, sample_every=100) as watched:
        loop(model, optimizer, 7, watched)
        watched.epoch(1)
        assert len((tmp_path / STEPS_FILE).read_text().splitlines()) == 1 + 7


def test_what_lies_behind_the_checkpoint_is_cut_off(tmp_path: Path) -> None:
    model = study_of(tmp_path, 20)
    watch(model, torch.optim.SGD(model.parameters(), lr=0.1), tmp_path, step=12).close()
    assert sorted(int(path.stem) for path in (tmp_path / "snapshots").iterdir()) == [1, 10]
    assert max(row["step"] for row in readings(tmp_path)) == 10
    assert len((tmp_path / STEPS_FILE).read_text().splitlines()) == 1 + 12
