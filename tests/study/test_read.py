"""Studies read back in whatever state they are."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bittern.study import StudyError
from bittern.study.files import write_arrays
from bittern.study.read import read_study
from bittern.study.report import Report
from study.small import study_data

GAP = "step,ff,ff_last\n1,0,0\n4,0,0\n5,0,0\n"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (lambda run: cut(run / "study" / "readings.jsonl"), "1 line of readings.jsonl: cut short or damaged"),
        (lambda run: (run / "study" / "readings.jsonl").unlink(), "readings.jsonl: no such file"),
        (lambda run: (run / "study" / "steps.csv").write_text("step,ff,ff_last\nno"), "1 line of steps.csv"),
        (lambda run: (run / "study" / "steps.csv").unlink(), "steps.csv: no such file"),
        (lambda run: (run / "study" / "steps.csv").write_text(GAP), "2 steps of steps.csv: the run was killed"),
        (lambda run: cut(sorted((run / "study" / "snapshots").iterdir())[0]), "the files are damaged"),
        (lambda run: (run / "study" / "study.json").write_text("{"), "study.json: damaged"),
        (lambda run: (run / "study" / "study.json").write_text("[]"), "study.json: not in the format"),
        (lambda run: (run / "study" / "study.json").write_text('{"format": 7}'), "study.json has format 7"),
        (lambda run: (run / "log.csv").unlink(), "there is no log.csv"),
        (lambda run: (run / "model.json").unlink(), "the run is not finished"),
        (lambda run: shutil.rmtree(run / "study"), "trained without --study"),
        (
            lambda run: (run / "study" / "readings.jsonl").write_text('{"kind":"sample","step":1,"values":{"ff":3}}\n'),
            "1 line",
        ),
    ],
)
def test_what_is_missing_is_named(damage: Any, named: str, run: Path) -> None:
    damage(run)
    report = Report([read_study(run)])
    json.dumps(report.to_json())
    drawn_from = report.runs[0].arrays("latent_cam")
    assert drawn_from is not None
    assert any(named in line for line in report.runs[0].missing)


LOG = "stage,epoch,step,flip_rate\nfloat,1,10,\nfloat,2,20,\nbinary,1,30,{rate}\nbinary,2,40,{rate}\nend,1,50,{last}\n"


@pytest.mark.parametrize(
    ("first", "last", "flips", "named"),
    [
        (21, 40, ("0.1", ""), []),  # whole stages without binary weights stand before and behind
        (21, 50, ("0.1", "0.1"), []),
        (26, 50, ("0.1", "0.1"), ["steps 1 to 25: the study started after them"]),
        (31, 50, ("0.1", "0.1"), ["steps 1 to 30: the study started after them"]),
        (16, 50, ("0.1", "0.1"), ["steps 1 to 15: the study started after them"]),
        (21, 40, ("0.1", "0.1"), ["steps 41 to 50: the run continued without --study"]),
        (21, 33, ("0.1", ""), ["steps 34 to 50: the run continued without --study"]),
    ],
)
def test_steps_that_were_not_watched_are_named(
    first: int, last: int, flips: tuple[str, str], named: list[str], run: Path
) -> None:
    (run / "log.csv").write_text(LOG.format(rate=flips[0], last=flips[1]))
    rows = "".join(f"{step},0,0\n" for step in range(first, last + 1))
    (run / "study" / "steps.csv").write_text("step,ff,ff_last\n" + rows)
    found = read_study(run).missing
    assert len(found) == len(named)
    assert all(line.startswith(start) for line, start in zip(found, named, strict=True))


@pytest.mark.parametrize(
    ("make", "message"), [(None, "does not exist"), ("file", "is a file"), ("folder", "neither a study")]
)
def test_what_is_no_run_is_refused(make: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "thing"
    if make == "file":
        path.touch()
    elif make == "folder":
        path.mkdir()
    with pytest.raises(StudyError, match=message):
        read_study(path)


def test_the_studys_own_folder_may_be_named(run: Path) -> None:
    data = read_study(run / "study")
    assert data.name == "run/study"
    assert data.log
    assert data.measures == read_study(run).measures


def test_means_over_layers_are_by_their_weights(tmp_path: Path) -> None:
    steps, means = study_data(tmp_path, "c2i", [[1.0, 0.6], [0.5, 0.5]]).mean("c2i")
    assert steps.tolist() == [10, 20]
    assert means.tolist() == pytest.approx([0.9, 0.5])


def test_means_over_activations_are_even(tmp_path: Path) -> None:
    run = study_data(tmp_path, "saturation", [[1.0, 0.5]])
    run.samples[0][1]["saturation"]["a.rsign"] = 0.0  # a site that is no layer
    assert run.mean("saturation")[1].tolist() == [0.5]
    run.samples[0][1]["saturation"] = {"a": 1.0, "b": 0.5}
    assert run.mean("saturation")[1].tolist() == [0.75]


def test_a_study_of_format_1_is_read(tmp_path: Path) -> None:
    (tmp_path / "snapshots").mkdir()
    info = {"format": 1, "layers": [{"name": "conv", "weights": 8, "filters": 2}], "instruments": ["saturation"]}
    (tmp_path / "study.json").write_text(json.dumps(info))
    (tmp_path / "steps.csv").write_text("step,ff,ff_last\n1,0.25,0.5\n2,0,0\n")
    lines = [
        {"kind": "stage", "step": 0, "stage": "1", "optimizers": [], "binarized": True, "latent_free": False},
        {"kind": "sample", "step": 1, "values": {"c2i": {"conv": 0.75}, "saturation": {"sign": None}}},
        {"kind": "epoch", "step": 2, "stage": "step1", "epoch": 1},
    ]
    (tmp_path / "readings.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_arrays(tmp_path / "snapshots" / "00000001.npz", {"update_cam|conv": np.array([0.5, 1.0])})
    found = read_study(tmp_path)
    assert found.ff.tolist() == [[1, 0.25, 0.5], [2, 0, 0]]
    assert found.mean("c2i")[1].tolist() == [0.75]
    assert np.isnan(found.series("saturation").values).all()
    assert found.arrays("update_cam")[1]["conv"].tolist() == [0.5, 1.0]
    assert (found.after_first_epoch(), found.weights, found.latent_free) == (2, {"conv": 8}, False)
    assert found.missing == ["curves of loss and accuracy: there is no log.csv"]
