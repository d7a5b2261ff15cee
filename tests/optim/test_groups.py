import pytest
import torch

from bittern.models import create, list_models
from bittern.nn import BinaryConv2d, BinaryLinear
from bittern.optim import decay_groups


@pytest.mark.parametrize("name", list_models())
def test_every_parameter_is_in_exactly_one_group(name: str) -> None:
    with torch.device("meta"):
        model = create(name)
    grouped = [p for group in decay_groups(model, 0.1) for p in group["params"]]
    assert sorted(map(id, grouped)) == sorted(map(id, model.parameters()))


@pytest.mark.parametrize("name", list_models())
def test_only_filters_and_matrices_decay(name: str) -> None:
    with torch.device("meta"):
        model = create(name)
    names = {id(p): n for n, p in model.named_parameters()}
    decayed, kept = decay_groups(model, 0.1)
    assert (decayed["weight_decay"], kept["weight_decay"]) == (0.1, 0.0)
    assert all(names[id(p)].endswith(".weight") and p.dim() >= 2 for p in decayed["params"])
    kept_names = {names[id(p)] for p in kept["params"]}
    vectors = (".bias", ".sign.shift", ".norm.weight", ".activation.weight")
    assert {name for name in names.values() if name.endswith(vectors)} <= kept_names


@pytest.mark.parametrize(
    "layer", [BinaryConv2d(2, 2, 1, bias=True, scale="learned"), BinaryLinear(2, 2, scale="learned")]
)
def test_scales_and_biases_do_not_decay(layer: object) -> None:
    decayed, _ = decay_groups(layer, 0.1)
    assert [p is layer.weight for p in decayed["params"]] == [True]


def test_frozen_parameters_are_left_out() -> None:
    layer = BinaryLinear(2, 2, True)
    layer.weight.requires_grad_(False)
    assert [len(group["params"]) for group in decay_groups(layer, 0.1)] == [0, 1]
