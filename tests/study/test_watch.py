"""The watch on a training loop: what it writes, and that it changes nothing."""

import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bittern.study import latent_weights, list_instruments, watch
from bittern.study.files import STEPS_FILE
from bittern.study.instruments import INSTRUMENTS, Instrument, Measure
from study.small import loop, network, readings, study_of

MEASURES = [measure for row in INSTRUMENTS.values() if row.default for measure in row.measures]


SCALARS = {measure.name for measure in MEASURES if measure.per == "layer" and not measure.edges}


def test_every_measure_of_the_default_instruments_is_written(tmp_path: Path) -> None:
    study_of(tmp_path, 40)
    rows = readings(tmp_path)
    assert [row["step"] for row in rows] == [1, 5, 10, 15, 20, 25, 30, 35, 40]
    written = {measure for row in rows for measure in row["values"]}
    assert written == SCALARS - {"oscillating"}  # which takes a period
    assert list(rows[-1]["values"]["ff"]) == ["2", "5", "7"]
    assert list(rows[-1]["values"]["saturation"]) == ["2", "4", "7"]
    assert sorted(path.name for path in (tmp_path / "snapshots").iterdir()) == [
        f"{step:08d}.npz" for step in (1, 10, 20, 30, 40)
    ]
    with np.load(tmp_path / "snapshots" / "00000040.npz") as arrays:
        assert arrays["gradient_cam|2"].shape == (8,)
        assert arrays["latent_weights|7"].sum() == 24


def test_ff_is_written_for_every_step_and_is_that_of_the_weights(tmp_path: Path) -> None:
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-2)
    weights = [w.parameter for w in latent_weights(model)]
    history = [[w.detach() < 0 for w in weights]]
    with watch(model, optimizer, tmp_path, sample_every=10) as watched:
        loop(model, optimizer, 150, watched, after=lambda step: history.append([w.detach() < 0 for w in weights]))
    rows = np.loadtxt(tmp_path / STEPS_FILE, delimiter=",", skiprows=1)
    assert rows[:, 0].tolist() == list(range(1, 151))
    total = sum(w.numel() for w in weights)
    expected = [sum(int((a != b).sum()) for a, b in zip(*pair, strict=True)) / total for pair in pairwise(history)]
    assert rows[:, 1] == pytest.approx(expected, rel=1e-5)
    assert any(expected)
    flips = [sum((a[i] != b[i]).int() for a, b in pairwise(history[:101])) for i in range(len(weights))]
    (oscillating,) = (row["values"]["oscillating"] for row in readings(tmp_path) if "oscillating" in row["values"])
    assert list(oscillating.values()) == pytest.approx([(n >= 2).float().mean().item() for n in flips], rel=1e-5)


@pytest.mark.parametrize("autocast", [False, True])
def test_watching_changes_no_weight_and_no_random_number(tmp_path: Path, autocast: bool) -> None:
    results = []
    for watched in (False, True):
        model = nn.Sequential(network(), nn.Dropout(0.2))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        torch.manual_seed(3)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            if watched:
                with watch(model, optimizer, tmp_path, sample_every=3) as w:
                    loop(model, optimizer, 20, w)
            else:
                loop(model, optimizer, 20)
        results.append((model.state_dict(), torch.get_rng_state()))
    (before, stream), (after, same) = results
    assert all(torch.equal(before[name], value) for name, value in after.items())
    assert torch.equal(stream, same)


def test_hooks_are_there_only_while_a_sampled_step_is_under_way(tmp_path: Path) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    hooked = []
    with watch(model, optimizer, tmp_path, sample_every=4) as watched:
        loop(model, optimizer, 8, watched, after=lambda step: hooked.append(bool(model._forward_pre_hooks)))
    # After steps 3 and 7 the sampled steps 4 and 8 are next.
    assert hooked == [False, False, True, False, False, False, True, False]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_accumulated_forward_passes_count_together(tmp_path: Path) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with watch(model, optimizer, tmp_path, instruments=["saturation"]) as watched:
        for scale in (100.0, 1e-6):
            model(torch.randn(16, 6) * scale).sum().backward()
        optimizer.step()
        watched.step()
    with np.load(tmp_path / "snapshots" / "00000001.npz") as arrays:
        assert arrays["activation_histogram|4"].sum() == 2 * 16 * 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_every": 0}, "sample_every must be at least 1"),
        ({"snapshot_every": 0}, "snapshot_every must be at least 1"),
        ({"budget": 0.0}, "budget must be above 0"),
        ({"step": -1}, "step must be at least 0"),
        ({"instruments": ["flip"]}, "unknown instrument 'flip'"),
        ({"instruments": ["mismatch"]}, "needs probe"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_written(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    model = network()
    with pytest.raises(ValueError, match=message):
        watch(model, torch.optim.SGD(model.parameters(), lr=0.1), tmp_path / "study", **options)
    assert not (tmp_path / "study").exists()


def test_a_custom_instrument_is_read(tmp_path: Path) -> None:
    class Norm(Instrument):
        """The norm of a layer's weights."""

        name = "norm"
        source = "us"
        measures = (Measure("norm", "||w||", "weight"),)

        def read(self, look: Any, snapshot: bool) -> Any:
            return {"norm": {w.name: look.value(w).norm() for w in look.weights}}

    study_of(tmp_path, 5, instruments=["flips", Norm()])
    assert set(readings(tmp_path)[-1]["values"]) == {"ff", "norm"}


def test_the_probe_brings_the_mismatch(tmp_path: Path) -> None:
    model = network()
    x, y = torch.randn(32, 6), torch.randint(0, 3, (32,))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with watch(model, optimizer, tmp_path, probe=lambda: F.cross_entropy(model(x), y), sample_every=5) as watched:
        loop(model, optimizer, 5, watched)
    values = readings(tmp_path)[0]["values"]["agreement"]
    assert set(values) == {"2", "5", "7"}


def test_scalars_are_in_tensorboard_too(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    study_of(tmp_path, 20)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    curve = [(event.step, event.value) for event in events.Scalars("c2i/2")]
    expected = [(row["step"], row["values"]["c2i"]["2"]) for row in readings(tmp_path)]
    assert [step for step, _ in curve] == [step for step, _ in expected]
    assert [value for _, value in curve] == pytest.approx([value for _, value in expected], rel=1e-5)


def test_names_of_instruments_are_all_usable(tmp_path: Path) -> None:
    for name in list_instruments():
        if INSTRUMENTS[name].default:
            study_of(tmp_path / name, 6, instruments=[name])
            shutil.rmtree(tmp_path / name)
