"""The watch with every optimizer, with wrapped and compiled networks, and with custom layers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

from bittern.nn import BinaryLinear, MagnitudeAwareSign
from bittern.optim import CaseOptimizer, create_optimizer, get_optimizer, list_optimizers, split_parameters
from bittern.study import latent_weights, watch
from study.small import Own, loop, network, readings


def test_a_network_without_binary_layers_is_refused(tmp_path: Path) -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="latent_weights"):
        watch(model, torch.optim.SGD(model.parameters(), lr=0.1), tmp_path / "study")


def test_latent_weights_are_found_in_custom_layers_and_behind_parametrizations() -> None:
    model = nn.Sequential(BinaryLinear(4, 4), Own(4, 4), nn.Linear(4, 4))
    parametrize.register_parametrization(model[0], "weight", nn.Identity())
    parametrize.register_parametrization(model[2], "weight", MagnitudeAwareSign())
    shared = nn.Sequential(model, model[1])
    found = latent_weights(shared)
    assert [w.name for w in found] == ["0.0", "0.1", "0.2"]
    assert [found[i].parameter for i in (0, 2)] == [model[i].parametrizations.weight.original for i in (0, 2)]
    assert {id(w.parameter) for w in found} == {id(p) for p in split_parameters(shared).binary.values()}


def test_step_one_of_two_step_training_is_recorded_as_not_binarized(tmp_path: Path) -> None:
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
