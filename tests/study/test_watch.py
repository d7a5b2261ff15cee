"""The watch on training loops: what it writes, that it changes nothing, that it can be resumed."""

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

from bittern.nn import BinaryLinear, MagnitudeAwareSign
from bittern.optim import CaseOptimizer, create_optimizer, get_optimizer, list_optimizers, split_parameters
from bittern.study import StudyError, Watch, latent_weights, list_instruments, watch
from bittern.study.files import READINGS_FILE, STEPS_FILE
from bittern.study.instruments import INSTRUMENTS, Instrument, Measure
from bittern.study.read import read_study
from study.small import Own, loop, network, study_of

MEASURES = [measure for row in INSTRUMENTS.values() if row.default for measure in row.measures]
SCALARS = {measure.name for measure in MEASURES if measure.per == "layer" and not measure.edges}


def readings(folder: Path, kind: str = "sample") -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / READINGS_FILE).read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


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
        loop(model, optimizer, 43, watched, after=keep)  # goes on after the checkpoint at step 30, and dies
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
    with pytest.raises(StudyError, match="holds a study already"):
        study_of(tmp_path, 5)


def test_a_study_of_another_version_is_not_gone_on_with(tmp_path: Path) -> None:
    model = study_of(tmp_path, 5)
    info = json.loads((tmp_path / "study.json").read_text())
    (tmp_path / "study.json").write_text(json.dumps({**info, "format": 99}))
    with pytest.raises(StudyError, match="format 99"):
        watch(model, torch.optim.SGD(model.parameters(), lr=0.1), tmp_path, step=5)


def test_a_lost_state_starts_all_counting_anew_and_is_told(tmp_path: Path) -> None:
    model = study_of(tmp_path, 10)
    (tmp_path / "state.npz").write_bytes(b"PK\x03\x04 cut")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    with watch(model, optimizer, tmp_path, step=10, sample_every=5) as watched:
        loop(model, optimizer, 5, watched)
    assert readings(tmp_path)[-1]["values"]["c2i"] == {"2": 1.0, "5": 1.0, "7": 1.0}
    watch(model, optimizer, tmp_path, step=15).close()
    assert [line for line in read_study(tmp_path).missing if "C2I is counted from there" in line] == [
        "what was counted up to step 10: the file is lost; C2I is counted from there"
    ]


def test_a_study_that_begins_late_says_so(tmp_path: Path) -> None:
    study_of(tmp_path, 5, step=29)
    assert any(line.startswith("steps 1 to 29: the study began after") for line in read_study(tmp_path).missing)
    assert not any("is lost" in line for line in read_study(tmp_path).missing)


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


def test_a_network_without_binary_layers_is_refused(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="latent_weights"):
        watch(model, torch.optim.SGD(model.parameters(), lr=0.1), tmp_path / "study")


def test_latent_weights_are_found_in_layers_of_ones_own_and_behind_parametrizations() -> None:
    model = nn.Sequential(BinaryLinear(4, 4), Own(4, 4), nn.Linear(4, 4))
    parametrize.register_parametrization(model[0], "weight", nn.Identity())
    parametrize.register_parametrization(model[2], "weight", MagnitudeAwareSign())
    shared = nn.Sequential(model, model[1])
    found = latent_weights(shared)
    assert [w.name for w in found] == ["0.0", "0.1", "0.2"]
    assert [found[i].parameter for i in (0, 2)] == [model[i].parametrizations.weight.original for i in (0, 2)]
    assert {id(w.parameter) for w in found} == {id(p) for p in split_parameters(shared).binary.values()}


def test_step_one_of_two_step_training_is_told_from_step_two(tmp_path: Path) -> None:
    real = nn.Sequential(BinaryLinear(4, 4, binarize_weight=False))
    assert not latent_weights(real)[0].binarized
    with watch(real, torch.optim.SGD(real.parameters(), lr=0.1), tmp_path):
        pass
    assert readings(tmp_path, "stage")[0]["binarized"] is False


@pytest.mark.parametrize("name", list_optimizers())
def test_every_optimizer_of_the_registry_is_watched(name: str, tmp_path: Path) -> None:
    model = network()
    binary = {id(weight.parameter) for weight in latent_weights(model)}
    optimizer = CaseOptimizer(
        model.named_parameters(),
        (lambda _, p: id(p) in binary, lambda params: create_optimizer(name, params)),
        default=lambda params: torch.optim.Adam(params, lr=1e-2),
    )
    with watch(model, optimizer, tmp_path, sample_every=5, snapshot_every=2) as watched:
        loop(model, optimizer, 20, watched)
    values = {measure for row in readings(tmp_path) for measure in row["values"]}
    assert {"ff", "c2i", "gradient_mean", "update_mean", "saturation", "dead_weights"} <= values
    assert {"first_moment_mean", "first_moment_sdam"} <= values
    latent = {"confidence", "latent_mean", "near_zero", "quantization_error"}
    assert latent & values == (set() if get_optimizer(name).latent_free else latent)
    (stage,) = readings(tmp_path, "stage")
    assert stage["latent_free"] == get_optimizer(name).latent_free
    assert stage["optimizers"][1]["class"] == "Adam"


def test_gradients_are_unscaled_behind_a_grad_scaler(tmp_path: Path) -> None:
    def run(folder: Path, scaler: Any) -> dict[str, Any]:
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        with watch(model, optimizer, folder, instruments=["gradients"]) as watched:
            loss = F.cross_entropy(model(torch.ones(4, 6) * torch.arange(4.0)[:, None]), torch.tensor([0, 1, 2, 0]))
            (scaler.scale(loss) if scaler else loss).backward()
            scaler.step(optimizer) if scaler else optimizer.step()
            watched.step()
        values: dict[str, Any] = readings(folder)[0]["values"]["gradient_mean"]
        return values

    plain = run(tmp_path / "a", None)
    scaled = run(tmp_path / "b", torch.amp.GradScaler("cpu", init_scale=1024.0))
    assert scaled == pytest.approx(plain, rel=1e-5)


def test_an_instrument_of_ones_own(tmp_path: Path) -> None:
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


class DistributedDataParallel(nn.Module):
    """Torch's needs a process group."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: torch.Tensor) -> Any:
        return self.module(x)


def compiled_in_place(model: nn.Module) -> nn.Module:
    model.compile(backend="eager")
    return model


def compiled_in_part(model: nn.Module) -> nn.Module:
    model[2].compile(backend="eager")  # type: ignore[index,operator]
    return model


@pytest.mark.filterwarnings("ignore")  # of the compiler itself
@pytest.mark.parametrize(
    "compiled",
    [
        compiled_in_place,
        compiled_in_part,
        lambda model: torch.compile(model, backend="eager"),
        lambda model: DistributedDataParallel(torch.compile(model, backend="eager")),
        lambda model: torch.compile(DistributedDataParallel(model), backend="eager"),
        lambda model: DistributedDataParallel(compiled_in_place(model)),
    ],
)
def test_a_compiled_model_is_watched_without_its_activations(
    compiled: Callable[[nn.Module], nn.Module], tmp_path: Path
) -> None:
    model = compiled(network())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with watch(model, optimizer, tmp_path, sample_every=2) as watched:
        loop(model, optimizer, 4, watched)
    assert "compiled" in json.loads((tmp_path / "study.json").read_text())["notes"][0]
    values = {measure for row in readings(tmp_path) for measure in row["values"]}
    assert "ff" in values
    assert "saturation" not in values
    assert [layer["name"] for layer in json.loads((tmp_path / "study.json").read_text())["layers"]] == ["2", "5", "7"]


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
