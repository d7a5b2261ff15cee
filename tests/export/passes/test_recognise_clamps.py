"""Clamps that are spelled as choices become clamps; other choices stay."""

from collections.abc import Callable

import pytest
import torch
from deploy import Apply, Deployed, quarters
from torch import Tensor

NUMBER, CHANNELS = torch.tensor([0.75]), torch.tensor([0.25, 0.5, 0.75]).view(3, 1, 1)

CLAMPS: dict[str, Callable[[Tensor], Tensor]] = {
    "max": lambda x: torch.where(x > 0.75, 0.75, x),
    "max of a tensor": lambda x: torch.where(x > NUMBER, NUMBER, x),
    "max or equal": lambda x: torch.where(x >= NUMBER, NUMBER.type_as(x), x),
    "min": lambda x: torch.where(x < -NUMBER, -NUMBER, x),
    "min or equal": lambda x: torch.where(x <= 0.0, torch.zeros(1), x),
}
CHOICES: dict[str, Callable[[Tensor], Tensor]] = {
    "another number": lambda x: torch.where(x > NUMBER, 2 * NUMBER, x),
    "a number for each channel": lambda x: torch.where(x > CHANNELS, CHANNELS, x),
    "another tensor": lambda x: torch.where(x > NUMBER, NUMBER, x + 1),
    "the other side": lambda x: torch.where(x > NUMBER, x, NUMBER),
    "more pixels": lambda x: torch.where(x[:, :, :1] > NUMBER, NUMBER.expand(2, 3, 4, 4), x[:, :, :1]),
}


def deployed(function: Callable[[Tensor], Tensor]) -> Deployed:
    values = quarters(2, 3, 4, 4)
    values[0, 0, 0, :3] = torch.tensor([torch.inf, -torch.inf, 0.75])
    return Deployed(Apply(function), values)


@pytest.mark.parametrize("name", CLAMPS)
def test_a_choice_between_a_value_and_its_bound_is_a_clamp(name: str) -> None:
    network = deployed(CLAMPS[name])
    assert network.operators == ["aten::clamp"]
    network.check_equal()


@pytest.mark.parametrize("name", CHOICES)
def test_another_choice_stays(name: str) -> None:
    network = deployed(CHOICES[name])
    assert "aten::where" in network.operators
    assert "aten::clamp" not in network.operators
    network.check_equal()


def test_nan_passes_a_clamp_as_it_passes_the_choice() -> None:
    network = deployed(CLAMPS["max"])
    network.example[0, 1] = torch.nan
    result = network.graph.module(network.example.to(memory_format=torch.channels_last))
    assert torch.equal(result.isnan(), network.example.isnan())
