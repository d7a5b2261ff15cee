"""A layer that sees nothing of the image is named in the first sample, not at the end of the training."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from bittern.nn import BinaryLinear
from bittern.study import watch
from study.small import loop


class Absolute(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.abs()


NEVER_NEGATIVE = {"relu": nn.ReLU(), "sigmoid": nn.Sigmoid(), "softmax": nn.Softmax(1), "abs": Absolute()}
BOTH = {"norm": nn.BatchNorm1d(32), "relu, then norm": nn.Sequential(nn.ReLU(), nn.BatchNorm1d(32)), "tanh": nn.Tanh()}


def first_sample(front: nn.Module, folder: Path) -> list[str]:
    """What is said by the second step of a training that is sampled every second step."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), front, BinaryLinear(32, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    with warnings.catch_warnings(record=True) as caught, watch(model, optimizer, folder, sample_every=2) as watched:
        warnings.simplefilter("always")
        loop(model, optimizer, 2, watched)
    said = [str(warning.message) for warning in caught]
    with (
        warnings.catch_warnings(record=True) as caught,
        watch(model, optimizer, folder / "long", sample_every=1) as long,
    ):
        warnings.simplefilter("always")
        loop(model, optimizer, 4, long)
    assert len(caught) == len(said)  # each layer once
    return said


@pytest.mark.parametrize("front", NEVER_NEGATIVE.values(), ids=NEVER_NEGATIVE)
def test_a_layer_behind_what_is_never_negative_is_named(front: nn.Module, tmp_path: Path) -> None:
    (said,) = first_sample(front, tmp_path)
    assert "every sign that enters 2 is +1" in said
    assert "docs/binary.md" in said


@pytest.mark.parametrize("front", BOTH.values(), ids=BOTH)
def test_signs_of_both_kinds_are_nothing_to_say(front: nn.Module, tmp_path: Path) -> None:
    assert first_sample(front, tmp_path) == []
